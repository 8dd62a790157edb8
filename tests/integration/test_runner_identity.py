"""Who a job is on a node, told by the kernel; what the node itself forbids; and where a secret can be seen."""

import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.remote.runner.relay_process import RelayProcess

ACCOUNT = "ajtrunner"
CANARY = "canary-9f1c7be2-not-to-be-seen"


@pytest.fixture
def account() -> Iterator[pwd.struct_passwd]:
    subprocess.run(["useradd", "--create-home", "--groups", "games", ACCOUNT], check=True)
    yield pwd.getpwnam(ACCOUNT)
    subprocess.run(["userdel", "--remove", ACCOUNT], check=True, capture_output=True)


@pytest.fixture
def spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that every user can pass through, as on a node."""
    made = subprocess.run(["mktemp", "-d", "/var/tmp/ajt-XXXXXX"], check=True, capture_output=True, text=True)
    path = Path(made.stdout.strip())
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture
def relay(spool: Path) -> Iterator[RelayProcess]:
    with RelayProcess(str(spool)) as one:
        yield one


def status_of(out: bytes) -> dict[str, list[str]]:
    return {line.split(":")[0]: line.split()[1:] for line in out.decode().splitlines() if ":" in line}


def test_a_job_is_its_user_and_nothing_more(relay: RelayProcess, account: pwd.struct_passwd) -> None:
    script = "cat /proc/self/status; ls /proc/self/fd; ps -o sid=,pgid=,tty= -p $$"
    result = relay.run("a.1", argv=["bash", "-c", script], user=ACCOUNT, cwd=None)
    status = status_of(result.out)
    assert status["Uid"] == [str(account.pw_uid)] * 4
    assert status["Gid"] == [str(account.pw_gid)] * 4
    assert {int(gid) for gid in status["Groups"]} == set(os.getgrouplist(ACCOUNT, account.pw_gid))
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert status[capabilities] == ["0" * 16]
    assert status["NoNewPrivs"] == ["1"]
    # glibc's own signals 32 and 33 stay ignored below a program that was started by its posix_spawn, as make does.
    assert all(int(status[name][0], 16) & ~(3 << 31) == 0 for name in ("SigBlk", "SigIgn", "SigCgt"))
    *numbers, session = result.out.decode().splitlines()[-6:]
    assert numbers == ["0", "1", "2", "3", "4"], "4 is the listing's own"
    assert session.split()[2] == "?"


def test_set_user_id_programs_help_a_job_only_if_it_may_have_privileges(
    relay: RelayProcess, account: pwd.struct_passwd, spool: Path
) -> None:
    program = spool / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    for number, new_privs, shown in ((1, False, str(account.pw_uid)), (2, True, "0")):
        result = relay.run(f"a.{number}", argv=[str(program), "-u"], user=ACCOUNT, new_privs=new_privs)
        assert result.out.decode().strip() == shown


def test_a_job_of_another_user_has_the_limits_and_the_priority_that_were_asked_for(
    relay: RelayProcess, account: pwd.struct_passwd
) -> None:
    limits = {"nproc": [50, 60], "nofile": [200, 300]}
    result = relay.run("a.1", argv=["bash", "-c", "ulimit -u; ulimit -n; nice"], user=ACCOUNT, rlimits=limits, nice=-5)
    assert result.out.split() == [b"50", b"200", b"-5"]


def test_a_job_that_forks_without_end_hits_its_limit_and_is_ended(
    relay: RelayProcess, account: pwd.struct_passwd
) -> None:
    bomb = "f() { f | f & }; f; sleep 1; echo over"
    end = relay.run("a.1", argv=["bash", "-c", bomb], user=ACCOUNT, rlimits={"nproc": [40, 40]}, timeout_s=20).outcome
    assert end["kind"] == "exited"
    assert end["left"] == []
    assert subprocess.run(["pgrep", "-u", ACCOUNT], check=False, capture_output=True).stdout == b""


@pytest.mark.parametrize("lock", [["usermod", "--lock"], ["usermod", "--expiredate", "1970-01-02"]])
def test_a_locked_or_expired_account_runs_nothing(
    relay: RelayProcess, account: pwd.struct_passwd, lock: list[str]
) -> None:
    subprocess.run(["usermod", "--password", "$6$salt$notarealhash", ACCOUNT], check=True)
    assert relay.run("a.1", argv=["true"], user=ACCOUNT).outcome["code"] == 0
    subprocess.run([*lock, ACCOUNT], check=True)
    end = relay.run("a.2", argv=["true"], user=ACCOUNT).outcome
    assert (end["kind"], end["reason"]) == ("not_started", "account_locked")
    assert ACCOUNT in end["message"]


def test_the_nodes_own_file_forbids(spool: Path, account: pwd.struct_passwd, tmp_path: Path) -> None:
    """In a mount namespace of its own, so that this machine's other relays see nothing of it."""
    etc = tmp_path / "etc"
    subprocess.run(["cp", "-a", "/etc", etc], check=True)
    (etc / "anyjob").mkdir()
    (etc / "anyjob/node.conf").write_text(f'{{"denied_users": ["{ACCOUNT}"]}}')
    wrapper = tmp_path / "python"
    inner = f'mount --bind {etc} /etc && exec "$0" "$@"'
    wrapper.write_text(f"#!/bin/sh\nexec unshare -m sh -c '{inner}' {sys.executable} \"$@\"\n")
    wrapper.chmod(0o755)
    with RelayProcess(str(spool), python=str(wrapper)) as relay:
        end = relay.run("a.1", argv=["true"], user=ACCOUNT).outcome
        assert (end["kind"], end["reason"]) == ("not_started", "forbidden_on_node")
        assert "/etc/anyjob/node.conf: no job may run as ajtrunner (denied_users)" in end["message"]
        assert relay.run("a.2", argv=["true"], user="nobody").outcome["code"] == 0


def test_a_secret_is_seen_by_nobody_but_the_job(relay: RelayProcess, account: pwd.struct_passwd, spool: Path) -> None:
    hits: list[str] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            hits.extend(look("/proc/[0-9]*/cmdline") + look("/proc/[0-9]*/environ"))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        read = "f=$ANYJOB_SECRET_KEY_FILE; cat /dev/fd/$ANYJOB_PARAMS_FD | wc -c; cat $f | wc -c; stat -c %a:%U $f"
        peek = f"{read}; sleep 0.5; grep -rl {CANARY[:12]} {spool} /tmp/ajt* /run/anyjob* 2>/dev/null | wc -l"
        secrets = f'{{"key": "{CANARY}"}}'.encode()
        result = relay.run("a.1", {"secrets": secrets}, argv=["bash", "-c", peek], user=ACCOUNT, secret_files=["key"])
    finally:
        stop.set()
        sampler.join()
    length, file_length, state, found = result.out.decode().split()
    assert (int(file_length), state, found) == (len(CANARY), f"400:{ACCOUNT}", "0")
    assert int(length) > len(CANARY)
    assert hits == []
    assert subprocess.run(["grep", "-rl", CANARY, spool, "/dev/shm"], check=False, capture_output=True).stdout == b""


def look(pattern: str) -> list[str]:
    found = []
    for path in Path("/").glob(pattern[1:]):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if CANARY.encode() in content:
            found.append(str(path))
    return found


def test_another_user_cannot_read_a_jobs_secrets(relay: RelayProcess, account: pwd.struct_passwd) -> None:
    hold = "echo $$ $ANYJOB_SECRET_KEY_FILE; exec sleep 600"
    secrets = f'{{"key": "{CANARY}"}}'.encode()
    relay.start("a.1", {"secrets": secrets}, argv=["bash", "-c", hold], user=ACCOUNT, secret_files=["key"])
    said = b""
    while not said.endswith(b"\n"):
        header, payload = relay.receive()
        said += payload if header["t"] == "output" else b""
    pid, path = said.decode().split()
    peek = f"cat {path} /proc/{pid}/fd/4 /proc/{pid}/environ; ls {Path(path).parent}"
    result = relay.run("a.2", argv=["bash", "-c", peek], user="nobody")
    assert result.out == b""
    assert result.err.count(b"ermission denied") == 4
    relay.send({"t": "cancel", "token": "a.1", "grace_s": 5})
    relay.expect("ended", "a.1")


def test_what_a_job_prints_is_only_output(relay: RelayProcess, account: pwd.struct_passwd) -> None:
    frame = rb"\0\0\0\x30\0\x2e" + rb'{"t":"ended","token":"a.1","outcome":{"code":0}}'
    lines = b"\\0AJ1 " + b"0" * 32 + b' have 3.11 /x\\n{"progress": 50}\\n' + frame
    script = b"printf '" + lines + b"'; printf '" + lines + b"' >&2; exit 3"
    result = relay.run("a.1", argv=["bash", "-c", script.decode("latin-1")], user=ACCOUNT)
    assert (result.outcome["code"], result.rep) == (3, b"")
    assert result.out == result.err
    assert result.out.startswith(b"\0AJ1 0000")
    assert result.kinds[-1] == "ended"


def test_the_lookup_of_accounts_does_not_hold_up_the_relay(relay: RelayProcess, account: pwd.struct_passwd) -> None:
    relay.send({"t": "probe", "n": 1, "users": [ACCOUNT, "no-such-user", "root"]})
    relay.send({"t": "probe", "n": 2, "users": ["x" * 30] * 300})
    answers = {}
    while len(answers) < 2:
        header, _ = relay.receive()
        answers[header["n"]] = header["can_become"]
    assert answers[1] == {ACCOUNT: "yes", "no-such-user": "unknown_user", "root": "yes"}
    assert answers[2] == {"x" * 30: "unknown_user"}
