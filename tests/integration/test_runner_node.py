"""The runner where it needs a node of its own: a disk that is full, and accounts made for it."""

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remote.bundle import command, first_stage
from tests.unit.remote.runner.relay_process import PATIENCE_S, RelayProcess

ACCOUNT = "anyjob-test"


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)
    assert is_so()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "anyjob-test", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def relay(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RelayProcess]:
    spool = request.getfixturevalue("small_disk") if "small_disk" in request.fixturenames else tmp_path
    with RelayProcess(str(spool)) as one:
        yield one


@pytest.fixture
def account() -> Iterator[pwd.struct_passwd]:
    """An account without a login shell, in a group of its own and in one more."""
    subprocess.run(
        ["useradd", "--create-home", "--shell", "/usr/sbin/nologin", "--groups", "games", ACCOUNT], check=True
    )
    yield pwd.getpwnam(ACCOUNT)
    subprocess.run(["userdel", "--remove", ACCOUNT], check=True, capture_output=True)


def is_full(disk: Path) -> bool:
    return os.statvfs(disk).f_bavail == 0


def fill(path: Path) -> None:
    """Write into a file until the disk takes nothing more."""
    free = os.statvfs(path.parent).f_bavail * 4096
    path.write_bytes(bytes(free))
    assert is_full(path.parent)


def test_on_a_full_disk_a_job_waits_and_loses_nothing(relay: RelayProcess, small_disk: Path) -> None:
    data = os.urandom(200_000)
    (small_disk / "filler").write_bytes(bytes(700_000))
    relay.start("a.1", {"stdin": data}, argv=["sh", "-c", "cat; head -c 1200000 /dev/zero"])
    relay.expect("started", "a.1")
    wait_for(lambda: is_full(small_disk))
    assert not (small_disk / "test/j/a.1/result").read_bytes().strip(b"\0")
    (small_disk / "filler").unlink()
    end = relay.expect("ended", "a.1")["outcome"]
    assert (end["kind"], end["code"], end["out"], end["out_dropped"]) == ("exited", 0, 1_400_000, 0)
    assert (small_disk / "test/j/a.1/out").read_bytes() == data + bytes(1_200_000)


def test_on_a_full_disk_a_job_can_be_cancelled_and_its_end_is_recorded(relay: RelayProcess, small_disk: Path) -> None:
    relay.start("a.1", argv=["cat", "/dev/zero"])
    relay.expect("started", "a.1")
    wait_for(lambda: is_full(small_disk))
    relay.send({"t": "cancel", "token": "a.1", "grace_s": 5})
    end = relay.expect("ended", "a.1")["outcome"]
    assert (end["kind"], end["signal"], end["cause"]) == ("signalled", 15, "cancel")
    assert end["out"] == (small_disk / "test/j/a.1/out").stat().st_size
    assert end["out_dropped"] > 0


def test_on_a_full_disk_nothing_is_started(relay: RelayProcess, small_disk: Path) -> None:
    fill(small_disk / "filler")
    relay.start("a.1", argv=["true"])
    refusal = relay.expect("refused", "a.1")
    assert refusal["reason"] == "disk_full"
    assert f"{small_disk}/test has 0 MiB free" in refusal["message"]
    relay.start("a.2", {"stdin": bytes(100_000)}, argv=["cat"])
    assert relay.expect("refused", "a.2")["reason"] == "disk_full"
    assert list((small_disk / "test/j").iterdir()) == []
    (small_disk / "filler").unlink()
    assert relay.run("a.3", argv=["true"]).outcome["code"] == 0


def test_a_job_becomes_an_account_with_all_its_groups(relay: RelayProcess, account: pwd.struct_passwd) -> None:
    result = relay.run(
        "a.1", argv=["sh", "-c", "id -un; id -Gn; pwd; echo $HOME $USER $LOGNAME $SHELL"], user=ACCOUNT, cwd=None
    )
    home = account.pw_dir
    assert result.out.decode().splitlines() == [
        ACCOUNT,
        f"{ACCOUNT} games",
        home,
        f"{home} {ACCOUNT} {ACCOUNT} /usr/sbin/nologin",
    ]


def test_a_job_cannot_become_root_again(relay: RelayProcess, account: pwd.struct_passwd) -> None:
    code = "import os\ntry: os.setuid(0)\nexcept PermissionError: print('no')"
    result = relay.run("a.1", argv=["/usr/bin/python3", "-c", code], user=account.pw_name)
    assert (result.out, result.outcome["code"]) == (b"no\n", 0)


def test_without_its_home_directory_a_job_begins_in_the_root(relay: RelayProcess, account: pwd.struct_passwd) -> None:
    Path(account.pw_dir).rename(account.pw_dir + ".gone")
    try:
        assert relay.run("a.1", argv=["pwd"], user=ACCOUNT, cwd=None).out == b"/\n"
    finally:
        Path(account.pw_dir + ".gone").rename(account.pw_dir)


def test_a_directory_that_the_account_may_not_enter_is_told(
    relay: RelayProcess, account: pwd.struct_passwd, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    end = relay.run("a.1", argv=["true"], user=account.pw_name, cwd=str(locked)).outcome
    assert end["reason"] == "no_permission"
    assert f"{ACCOUNT} cannot enter '{locked}'" in end["message"]


def test_a_job_cannot_touch_its_own_records(relay: RelayProcess, account: pwd.struct_passwd, tmp_path: Path) -> None:
    entry = tmp_path / "test/j/a.1"
    script = f"cd {entry} || for f in out result; do echo x > {entry}/$f; done; kill -9 $PPID; true"
    result = relay.run("a.1", argv=["sh", "-c", script], user=account.pw_name)
    assert (result.outcome["kind"], result.outcome["code"], result.out) == ("exited", 0, b"")
    assert result.err.count(b"ermission denied") == 2
    assert result.err.count(b"not permitted") == 1


def test_an_account_that_is_not_root_keeps_its_spool_in_its_home(account: pwd.struct_passwd) -> None:
    said = subprocess.run(
        ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups", "sh", "-c", command(["/usr/bin/python3"])],
        input=first_stage(nonce="0" * 32, cluster="test", spool=None),
        capture_output=True,
        check=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": account.pw_dir},
    )
    assert b" need 3." in said.stdout
    spool = Path(account.pw_dir, ".local/state/anyjob/test")
    assert (spool.stat().st_mode & 0o777, spool.stat().st_uid) == (0o700, account.pw_uid)
