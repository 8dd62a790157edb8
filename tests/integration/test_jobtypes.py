"""Typed jobs, the whole way: values, secrets, users, attempts, what a job reports, and what is refused."""

import grp
import json
import os
import pwd
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stack import Site

CANARY = "c4n4ry-Vw8x-secret"
HOSTILE = ["; id", "$(id)", "`id`", "a b\nc", "-rf", "@/etc/passwd", "{{ 7 * 7 }}", "ünï\u202ecode", "'\"\\", "0", " "]


def types(site: Site, text: str) -> None:
    """Write the site's job types."""
    (site.directory / "jobs.d").mkdir(exist_ok=True)
    (site.directory / "jobs.d" / "types.yaml").write_text(text)


@pytest.fixture
def typed(site: Site) -> Site:
    """A site whose job types a test writes before it calls `start`."""
    site.inventory({"node01": "127.0.1.1", "node02": "127.0.1.2", "node03": "127.0.1.3"})
    return site


def jobs_of(site: Site, run: str) -> list[dict[str, Any]]:
    """Return a run's jobs as they are now."""
    found: list[dict[str, Any]] = site.run("-o", "json", "show", run, check=0).json["jobs"]
    return found


def last_run(site: Site) -> str:
    """Return the id of the newest run."""
    return str(site.run("-o", "json", "history", check=0).json["runs"][0]["id"])


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_reaches_the_program_as_it_is(typed: Site, value: str) -> None:
    types(typed, "show:\n  label: Show\n  params:\n    text: {kind: textarea, label: Text}\n"
                 "  command: [printf, '%s', '{{ params.text }}']\n")  # fmt: skip
    answer = typed.run("run", "show", "-w", "node01", "-p", f"text={value}", "--no-prefix", "--raw")
    if value.startswith("@"):
        assert answer.out == Path("/etc/passwd").read_bytes()  # -p NAME=@FILE is the one place where a file is read
    else:
        assert answer.out.decode() == value


def test_a_job_finds_all_values_on_its_descriptor(typed: Site) -> None:
    types(
        typed,
        """\
show:
  label: Show
  params:
    count: {kind: int, label: Count, default: 3}
    force: {kind: flag, label: Force, default: true}
    hosts: {kind: list, of: {kind: text}, label: Hosts}
    note: {kind: text, label: Note}
  command: [sh, -c, 'cat <&$ANYJOB_PARAMS_FD; echo; echo "$ANYJOB_PARAM_COUNT $ANYJOB_PARAM_FORCE"']
""",
    )
    answer = typed.run(
        "run", "show", "-w", "node01", "-p", 'hosts=["a","b c"]', "-p", "force=false", "--no-prefix", check=0
    )
    given, variables = answer.out.decode().splitlines()
    assert json.loads(given)["params"] == {"count": 3, "force": False, "hosts": ["a", "b c"]}
    assert variables == "3 0"


def test_every_wrong_value_is_told_at_once_and_nothing_starts(typed: Site) -> None:
    types(
        typed,
        """\
strict:
  label: Strict
  params:
    name: {kind: text, label: Name, required: true}
    size: {kind: int, label: Size, max: 10}
    mode: {kind: choice, label: Mode, options: [slow, fast]}
  command: [echo, "{{ params.name }}"]
""",
    )
    answer = typed.run("run", "strict", "-w", "node01", "-p", "size=11", "-p", "mode=fats", "-p", "nmae=x")
    assert answer.code == 1
    told = answer.err.decode()
    assert all(word in told for word in ("name", "size", "mode", "nmae"))
    assert typed.run("-o", "json", "history").json["runs"] == []


def test_a_type_that_asks_needs_an_answer(typed: Site) -> None:
    types(typed, "wipe:\n  label: Wipe\n  confirm: Wipe all of it?\n  command: [echo, gone]\n")
    refused = typed.run("run", "wipe", "-w", "node[01-02]")
    assert refused.code == 1
    assert b"Wipe all of it?" in refused.err
    assert b"gone" not in refused.out
    assert typed.run("run", "wipe", "-w", "node[01-02]", "--confirm", "3").code == 1
    assert typed.run("run", "wipe", "-w", "node[01-02]", "--confirm", "2", check=0).out.count(b"gone") == 2
    assert typed.run("run", "wipe", "-w", "node01", "--confirm", "wipe", check=0).out.count(b"gone") == 1


def test_a_dry_run_shows_the_plan_and_starts_nothing(typed: Site) -> None:
    types(typed, "hi:\n  label: Hi\n  params:\n    to: {kind: text, label: To, default: all}\n"
                 "  command: [echo, '{{ params.to }}', '{{ node }}']\n")  # fmt: skip
    plan = typed.run("-o", "json", "run", "hi", "-w", "node[01-02]", "--dry-run", check=0).json
    assert plan["nodes"] == ["node01", "node02"]
    assert (plan["values"], plan["defaulted"], plan["command"]) == ({"to": "all"}, ["to"], ["echo", "all", "node01"])
    assert typed.run("-o", "json", "history").json["runs"] == []


class Sampler(threading.Thread):
    """Looks for a text in the arguments and variables of every process, as often as it can."""

    def __init__(self, text: str) -> None:
        super().__init__(daemon=True)
        self.text, self.found, self.over = text.encode(), set[str](), threading.Event()

    def run(self) -> None:
        own = {str(os.getpid())}
        while not self.over.wait(0.002):
            for process in Path("/proc").iterdir():
                if not process.name.isdigit() or process.name in own:
                    continue
                for name in ("cmdline", "environ"):
                    try:
                        if self.text in (process / name).read_bytes():
                            self.found.add(f"{name} of {(process / 'cmdline').read_bytes()[:80]!r}")
                    except OSError:
                        pass


def test_a_secret_is_seen_by_the_job_alone(typed: Site, tmp_path: Path) -> None:
    types(
        typed,
        """\
login:
  label: Log in
  params:
    password: {kind: secret, label: Password, required: true}
  command:
    - python3
    - -c
    - >-
      import json, os, time;
      given = os.fdopen(int(os.environ["ANYJOB_PARAMS_FD"])).read();
      time.sleep(1);
      print("length", len(json.loads(given)["secrets"]["password"]));
      print(given)
""",
    )
    (tmp_path / "password").write_text(CANARY)
    typed.start()
    sampler = Sampler(CANARY)
    sampler.start()
    answer = typed.run("run", "login", "-w", "node[01-02]", "-p", f"password=@{tmp_path / 'password'}", check=0)
    sampler.over.set()
    sampler.join()
    assert sampler.found == set()
    assert answer.out.count(b"length %d" % len(CANARY)) == 2
    run = last_run(typed)
    told = [typed.run("-o", "json", *words).out for words in (("show", run), ("logs", run), ("why", run), ("history",))]
    for text in (answer.out, answer.err, *told, typed.log().encode()):
        assert CANARY.encode() not in text
    typed.stop()
    hidden = subprocess.run(["grep", "-rl", CANARY, str(typed.directory)], capture_output=True, check=False)
    assert hidden.stdout == b""


def test_a_failed_attempt_is_tried_again_and_all_of_its_output_is_kept(typed: Site) -> None:
    types(typed, "flaky:\n  label: Flaky\n  retry: {count: 2, delay: 1s, on: [failed]}\n"
                 "  command: [sh, -c, 'echo try $ANYJOB_ATTEMPT; [ $ANYJOB_ATTEMPT = 3 ]']\n")  # fmt: skip
    typed.start()
    answer = typed.run("run", "flaky", "-w", "node01", "--no-prefix", check=0)
    assert answer.out == b"try 1\ntry 2\ntry 3\n"
    [job] = jobs_of(typed, last_run(typed))
    assert (job["attempt"], job["state"]) == (3, "succeeded")


def test_attempts_end_when_they_are_used_up(typed: Site) -> None:
    types(
        typed, "never:\n  label: Never\n  retry: {count: 1, delay: 0s, on: ['exit:7']}\n  command: [sh, -c, 'exit 7']\n"
    )
    assert typed.run("run", "never", "-w", "node01").code == 7
    assert jobs_of(typed, last_run(typed))[0]["attempt"] == 2


def test_other_exit_codes_can_mean_success(typed: Site) -> None:
    types(typed, "grep:\n  label: Grep\n  success_codes: [0, 1]\n  command: [sh, -c, 'exit 1']\n")
    typed.run("run", "grep", "-w", "node01")
    assert jobs_of(typed, last_run(typed))[0]["state"] == "succeeded"


def test_a_silent_job_is_ended_at_its_inactivity_limit(typed: Site) -> None:
    types(typed, "quiet:\n  label: Quiet\n  inactivity: 1s\n  grace: 0s\n"
                 "  command: [sh, -c, 'for n in 1 2 3 4; do echo $n; sleep 0.5; done; sleep 86395']\n")  # fmt: skip
    answer = typed.run("run", "quiet", "-w", "node01", "--no-prefix")
    assert answer.code == 124
    assert answer.out == b"1\n2\n3\n4\n"
    assert jobs_of(typed, last_run(typed))[0]["reason"] == "inactivity"


@pytest.fixture
def account() -> Iterator[str]:
    """An account with a group of its own and a supplementary one."""
    name = "ajtruns"
    subprocess.run(["groupadd", "ajtextra"], check=True)
    subprocess.run(["useradd", "-m", "-G", "ajtextra", name], check=True)
    yield name
    subprocess.run(["userdel", "-rf", name], check=False, capture_output=True)
    subprocess.run(["groupdel", "ajtextra"], check=False, capture_output=True)


def test_a_job_has_exactly_the_rights_of_its_account(typed: Site, account: str) -> None:
    script = "cat /proc/self/status; echo HOME=$HOME USER=$USER LOGNAME=$LOGNAME; umask; pwd"
    types(typed, f"who:\n  label: Who\n  run_as: {account}\n  umask: '0027'\n  command: [sh, -c, '{script}']\n")
    lines = typed.run("run", "who", "-w", "node01", "--no-prefix", check=0).out.decode().splitlines()
    status = {line.split(":")[0]: line.split(":", 1)[1].split() for line in lines if ":" in line}
    entry = pwd.getpwnam(account)
    assert status["Uid"] == [str(entry.pw_uid)] * 4
    assert status["Gid"] == [str(entry.pw_gid)] * 4
    assert {int(group) for group in status["Groups"]} == {entry.pw_gid, grp.getgrnam("ajtextra").gr_gid}
    assert int(status["CapEff"][0], 16) == int(status["CapPrm"][0], 16) == 0
    assert status["NoNewPrivs"] == ["1"]
    assert lines[-3:] == [f"HOME={entry.pw_dir} USER={account} LOGNAME={account}", "0027", entry.pw_dir]


def test_an_account_that_is_not_there_fails_before_any_code_ran(typed: Site) -> None:
    types(typed, "who:\n  label: Who\n  run_as: ajtnobody\n  command: [echo, ran]\n")
    answer = typed.run("run", "who", "-w", "node01")
    assert b"ran" not in answer.out
    job = jobs_of(typed, last_run(typed))[0]
    assert (job["state"], job["reason"]) == ("start_failed", "no_such_user")


def test_the_policy_says_who_may_be_become(typed: Site, account: str) -> None:
    types(typed, f"who:\n  label: Who\n  run_as: {account}\n  command: [id, -un]\n")
    (typed.directory / "policy.yaml").write_text("run_as:\n  rules:\n    - {accounts: [www-data], types: [who]}\n")
    refused = typed.run("run", "who", "-w", "node01")
    assert refused.code == 1
    assert account in refused.err.decode()
    (typed.directory / "policy.yaml").write_text(f"run_as:\n  rules:\n    - {{accounts: [{account}], types: [who]}}\n")
    assert typed.run("run", "who", "-w", "node01", "--no-prefix", check=0).out == account.encode() + b"\n"


def test_a_python_type_is_pushed_and_reports(typed: Site) -> None:
    code = typed.directory / "jobs.d" / "code"
    code.mkdir(parents=True)
    (code / "part.py").write_text("WORD = 'from a second module'\n")
    (code / "work.py").write_text(
        "import anyjob\nfrom part import WORD\n\ndef main(params):\n    anyjob.progress(40, 'copying')\n"
        "    print(params['who'], WORD)\n    anyjob.result({'answer': 42})\n"
    )
    types(typed, "work:\n  label: Work\n  params:\n    who: {kind: text, label: Who}\n"
                 "  python: {root: code, file: work.py, function: main}\n")  # fmt: skip
    answer = typed.run("-o", "ndjson", "run", "work", "-w", "node01", "-p", "who=me", check=0)
    assert [line["line"] for line in answer.lines if line.get("stream") == "stdout"] == ["me from a second module"]
    [job] = jobs_of(typed, last_run(typed))
    assert (job["progress"], job["result"]) == (40, {"answer": 42})


def test_what_looks_like_a_report_on_stdout_is_output(typed: Site) -> None:
    types(typed, 'fake:\n  label: Fake\n  command: [echo, \'{"progress": 99, "result": 1}\']\n')
    typed.run("run", "fake", "-w", "node01", check=0)
    [job] = jobs_of(typed, last_run(typed))
    assert (job["progress"], job["result"]) == (None, None)


def test_a_run_is_repeated_for_what_failed(typed: Site) -> None:
    types(typed, "some:\n  label: Some\n  params:\n    bad: {kind: text, label: Bad}\n"
                 "  command: [sh, -c, '[ $ANYJOB_NODE != \"$0\" ]', '{{ params.bad }}']\n")  # fmt: skip
    typed.start()
    assert typed.run("run", "some", "-w", "all", "-p", "bad=node02").code == 2
    first = last_run(typed)
    again = typed.run("-o", "json", "rerun", first, "--only", "failed", "-d", check=0).json
    assert (again["nodes"], again["rerun_of"]) == ("node02", first)
    assert (
        typed.run("-o", "json", "rerun", first, "--only", "node[01,03]", "-d", check=0).json["nodes"] == "node[01,03]"
    )
    assert typed.run("rerun", first, "--only", "unreached").code == 1


def test_why_names_what_a_job_waits_for(typed: Site) -> None:
    typed.inventory({"node01": "127.0.1.1"}, max_jobs="1")
    typed.start()
    slow = typed.run("-o", "json", "exec", "-w", "node01", "-d", "--", "sleep 86394", check=0).json["id"]
    late = typed.run("-o", "json", "exec", "-w", "node01", "-d", "--", "true", check=0).json["id"]
    [link] = typed.run("-o", "json", "why", late, check=0).json["chain"]
    assert (link["state"], link["reason"], link["what"]) == ("queued", "node_busy", "node01")
    typed.run("cancel", slow, "--grace", "0s", check=0)
    typed.run("wait", late, check=0)


def test_a_broken_type_stops_the_start_and_a_reload_keeps_the_old_ones(typed: Site) -> None:
    types(typed, "good:\n  label: Good\n  command: [echo, fine]\n")
    typed.start()
    types(typed, "good:\n  labl: Good\n  command: [echo, fine]\n")
    answer = typed.run("reload")
    assert answer.code == 1
    assert b"types.yaml:2:" in answer.err
    assert typed.run("run", "good", "-w", "node01", "--no-prefix", check=0).out == b"fine\n"
    assert typed.run("config", "check").code == 1
    typed.stop()
    assert typed.run("daemon").code == 1
