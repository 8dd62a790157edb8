"""The whole way of a job: command line, daemon, Redis, SSH, runner and back."""

import hashlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.fixtures.stack import Site, wait_for


def test_a_command_runs_on_every_node_and_its_lines_carry_the_node(live: Site) -> None:
    answer = live.run("exec", "-w", "node[01-03]", "--", "echo", "hello", check=0)
    assert sorted(answer.out.splitlines()) == [b"node01: hello", b"node02: hello", b"node03: hello"]


def test_one_node_gives_its_own_exit_code(live: Site) -> None:
    assert live.run("exec", "-w", "node01", "--", "exit 7").code == 7
    assert live.run("exec", "-w", "node01", "--", "kill -9 $$").code == 128 + 9


def test_several_nodes_give_the_code_of_the_table(live: Site) -> None:
    assert live.run("exec", "-w", "all", "--", '[ "$ANYJOB_NODE" = node02 ]').code == 2
    assert live.run("exec", "-w", "all", "--", "exit 5").code == 3
    assert live.run("exec", "-w", "all", "--rc-mode", "max", "--", "exit 5").code == 5


def test_arguments_reach_the_program_as_they_are(live: Site) -> None:
    words = ["printf", "%s|", "a b", "$HOME", "`id`", "*", "é\n", "--", ""]
    answer = live.run("exec", "-w", "node01", "--raw", "--no-prefix", "--", *words, check=0)
    assert answer.out == "a b|$HOME|`id`|*|é\n|--||".encode()


def test_one_word_is_a_shell_command(live: Site) -> None:
    answer = live.run("exec", "-w", "node01", "--no-prefix", "--", "echo $((6 * 7)) | tr 4 5", check=0)
    assert answer.out == b"52\n"


def test_standard_input_script_environment_and_directory_reach_the_job(live: Site, tmp_path: Any) -> None:
    script = tmp_path / "job.sh"
    script.write_text('#!/bin/sh\nprintf "%s %s %s " "$1" "$COLOUR" "$PWD"; cat\n')
    answer = live.run(
        "exec", "-w", "node01", "--no-prefix", "--raw", "--stdin", "--env", "COLOUR=sky blue", "--cwd", "/usr",
        "--script", str(script), "arg 1", stdin=b"from\0stdin", check=0,
    )  # fmt: skip
    assert answer.out == b"arg 1 sky blue /usr from\0stdin"


def test_the_two_streams_stay_apart(live: Site) -> None:
    answer = live.run("exec", "-w", "node01", "--no-prefix", "--raw", "--", "echo out; echo err >&2", check=0)
    assert answer.out == b"out\n"
    assert b"err\n" in answer.err


def test_machine_output_names_the_node_of_every_line(live: Site) -> None:
    answer = live.run("-o", "ndjson", "exec", "-w", "node[01-02]", "--", "echo", "a\nb", check=0)
    lines = [line for line in answer.lines if line.get("stream") == "stdout"]
    assert sorted((line["node"], line["line"]) for line in lines) == [
        ("node01", "a"), ("node01", "b"), ("node02", "a"), ("node02", "b"),
    ]  # fmt: skip


def test_a_terminal_job_has_a_terminal(live: Site) -> None:
    assert (
        live.run("exec", "-w", "node01", "--no-prefix", "--raw", "--tty", "--", "test -t 1 && echo yes").out
        == b"yes\r\n"
    )


def test_the_run_time_limit_ends_a_job(live: Site) -> None:
    answer = live.run(
        "exec", "-w", "node01", "--timeout", "1s", "--grace", "1s", "--", "trap '' TERM; while :; do sleep 1; done"
    )
    assert answer.code == 124


def test_equal_output_is_folded(live: Site) -> None:
    answer = live.run("exec", "-w", "all", "-G", "--", "echo same", check=0)
    assert answer.out.count(b"same") == 1
    assert b"node[01-03] (3)" in answer.out


def test_a_detached_run_is_found_followed_waited_for_and_read_again(live: Site) -> None:
    run = live.run("-o", "json", "exec", "-w", "all", "-d", "--", "echo early; sleep 2; echo late", check=0).json["id"]
    assert [entry["id"] for entry in live.run("-o", "json", "ps", check=0).json["runs"]] == [run]
    followed = live.run("follow", run[-8:], check=0)
    assert followed.out.count(b"early") == followed.out.count(b"late") == 3
    live.run("wait", run, check=0)
    assert live.run("logs", f"{run}-1", "--no-prefix", check=0).out == b"early\nlate\n"
    shown = live.run("-o", "json", "show", run, check=0).json
    assert shown["state"] == "succeeded"
    assert shown["counts"] == {"succeeded": 3}
    assert live.run("-o", "json", "history", check=0).json["runs"][0]["id"] == run
    assert live.run("-o", "json", "ps", check=0).json["runs"] == []


def test_cancel_ends_the_whole_group(live: Site) -> None:
    command = "sleep 86399 & sh -c 'trap \"\" TERM; sleep 86399' & echo ready; wait"
    run = live.run("-o", "json", "exec", "-w", "node01", "-d", "--", command, check=0).json["id"]
    wait_for(lambda: live.run("logs", run, "--no-prefix").out == b"ready\n", "the job is ready")
    live.run("cancel", run, "--grace", "1s", check=0)
    assert live.run("wait", run).code == 5
    assert live.run("-o", "json", "show", run).json["jobs"][0]["state"] == "cancelled"
    listed = live.run(
        "exec", "-w", "node01", "--no-prefix", "--", "ps -eo pid,stat,args | grep '[s]leep 86399' || true"
    )
    assert listed.out == b""


def test_a_job_that_cannot_start_says_why(live: Site) -> None:
    answer = live.run("-o", "json", "exec", "-w", "node01", "--", "no-such-program", "x")
    assert answer.code == 127
    job = answer.json["jobs"][0]
    assert (job["state"], job["reason"]) == ("start_failed", "no_such_program")
    assert "no-such-program" in job["message"]


def test_without_a_daemon_exec_brings_its_own_and_the_history_stays(site: Site) -> None:
    answer = site.run("exec", "-w", "node[01-02]", "--", "echo", "alone", check=0)
    assert sorted(answer.out.splitlines()) == [b"node01: alone", b"node02: alone"]
    assert not (site.directory / ".anyjob" / "anyjob.sock").exists()
    runs = site.run("-o", "json", "history", check=0).json["runs"]
    assert [run["title"] for run in runs] == ["echo alone"]
    assert site.run("logs", runs[0]["id"], "--no-prefix", check=0).out.splitlines() == [b"alone", b"alone"]


def test_nothing_of_a_job_stays_on_the_node_but_the_runner_and_its_helpers(live: Site) -> None:
    live.run("exec", "-w", "all", "--stdin", "--", "cat", stdin=b"x", check=0)
    spools = [path for path in (live.directory / "spool").iterdir() if path.name != "lib"]  # the helpers' files
    assert len(spools) == 1
    wait_for(lambda: not list((spools[0] / "j").iterdir()), "the spool is empty")
    assert len(list((spools[0] / "runner").iterdir())) == 1


def test_a_job_lives_through_the_loss_of_daemon_and_connection(live: Site) -> None:
    script = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done"
    run = live.run("-o", "json", "exec", "-w", "all", "-d", "--", script, check=0).json["id"]
    wait_for(lambda: live.run("logs", f"{run}-1", "--no-prefix").out.startswith(b"1\n"), "the job runs")
    live.stop(signal.SIGKILL)
    live.start()
    live.run("wait", run, check=0)
    for job in (1, 2, 3):
        assert live.run("logs", f"{run}-{job}", "--no-prefix", check=0).out == b"1\n2\n3\n4\n5\n6\n"


def digest(process: subprocess.Popen[bytes]) -> tuple[bytes, int]:
    """Read a command's output to its end; return its sha256 and its size."""
    found, size = hashlib.sha256(), 0
    with process:
        assert process.stdout is not None
        while data := process.stdout.read(1 << 20):
            found.update(data)
            size += len(data)
    assert process.returncode == 0
    return found.digest(), size


def test_a_flood_is_kept_to_the_byte_while_a_quiet_job_is_heard(live: Site) -> None:
    expected = hashlib.sha256()
    for _ in range(100):
        expected.update(b"y\n" * 1_000_000)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    raw = ("--raw", "--no-prefix")
    flood = live.popen("exec", "-w", "node01", *raw, "--", "yes | head -c 200000000", **options)
    words = ("-o", "ndjson", "exec", "-w", "node02", "--", "for n in 1 2 3 4; do echo $n; sleep 0.25; done")
    with live.popen(*words, **options) as quiet:
        assert digest(flood) == (expected.digest(), 200_000_000)
        heard, _ = quiet.communicate(timeout=60)
    assert quiet.returncode == 0
    lines = [entry["line"] for entry in map(json.loads, heard.splitlines()) if entry.get("stream") == "stdout"]
    assert lines == ["1", "2", "3", "4"]
    runs = live.run("-o", "json", "history").json["runs"]
    kept = next(run["id"] for run in runs if run["title"].startswith("yes"))
    assert digest(live.popen("logs", kept, *raw, **options)) == (expected.digest(), 200_000_000)
    assert live.daemon is not None
    status = Path(f"/proc/{live.daemon.pid}/status").read_text()
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    assert peak_kib < 300_000, "the daemon's memory is bounded"
