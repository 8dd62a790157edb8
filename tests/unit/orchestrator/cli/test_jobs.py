"""`ps`, `history`, `show`, `cancel`, `logs`, `follow`, `wait` as processes, against a scripted peer."""

import json
from collections.abc import Iterator

import pytest

from remote.runner.frames import Frame
from tests.unit.orchestrator.cli.conftest import CommandLine
from tests.unit.orchestrator.cli.runs import RUN, as_bytes, end, event, job, output, run, snapshot
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, error, frame, ok, sends

JOBS = (job("web01", "succeeded"), job("web02", "failed", 2, exit_code=3))
DONE = run(*JOBS, state="failed")


def test_ps_asks_for_what_is_active(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("runs", ok({"runs": [run(job())], "next": None}))
    result = anyjob("ps", TZ="UTC")
    head, row = result.stdout.decode().splitlines()
    assert head.split() == ["ID", "STATE", "SUBMITTED", "TIME", "USER", "NODES", "WHAT"]
    assert row.startswith(f"{RUN}  running  1970-01-01 00:16:40  ")
    assert row.endswith("  root  web[01-02]  uname -n")
    assert peer.asked("runs")[0]["active"] is True


def test_history_passes_its_filters_on(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("runs", ok({"runs": [], "next": None}))
    words = ("history", "--limit", "5", "--node", "web01", "--state", "failed", "--user", "eve")
    assert anyjob(*words).stdout == b"no such runs\n"
    call = peer.asked("runs")[0]
    assert [call[name] for name in ("active", "limit", "node", "state", "user")] == [False, 5, "web01", "failed", "eve"]


def test_lists_for_programs_have_one_object_per_line(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("runs", ok({"runs": [run(job()), run(job())], "next": None}))
    assert [json.loads(line)["id"] for line in anyjob("ps", "-o", "ndjson").stdout.splitlines()] == [RUN, RUN]
    assert len(json.loads(anyjob("-o", "json", "ps").stdout)["runs"]) == 2


def test_show_tells_all_of_a_run(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("run", ok({**DONE, "cancelled_by": "eve"}))
    text = anyjob("show", "7Q2M").stdout.decode()
    assert f"run        {RUN}\n" in text
    assert "state      failed (cancel asked by eve)\n" in text
    assert "nodes      2 nodes: 1 succeeded, 1 failed\n" in text
    assert "2    web02  failed     3     1.0 s\n" in text


def test_a_pasted_address_of_a_run_page_is_its_id(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("run", ok(DONE))
    anyjob("show", f"https://anyjob.example.org/runs/{RUN}/")
    assert peer.asked("run")[0]["id"] == RUN


def test_a_title_cannot_command_the_terminal(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    hostile = {**DONE, "title": "echo \x1b]52;c;eA==\x07\n\u202e"}
    peer.on("runs", ok({"runs": [hostile], "next": None}))
    peer.on("run", ok(hostile))
    for words in (("history",), ("show", RUN)):
        text = anyjob(*words).stdout.decode()
        assert "echo \\x1b]52;c;eA==\\x07\\n\\u202e\n" in text


def test_cancel_takes_several_and_tells_what_became_of_each(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on(
        "cancel", ok({"cancelled": 2, "requested": 1, "ended": 0}), ok({"cancelled": 0, "requested": 0, "ended": 1})
    )
    result = anyjob("cancel", "AAAA", "BBBB-2", "--grace", "0s")
    assert result.stdout.decode().splitlines() == [
        "AAAA: 2 cancelled before they started, 1 told to end",
        "BBBB-2: 1 had ended already",
    ]
    assert [(call["id"], call["grace_s"]) for call in peer.asked("cancel")] == [("AAAA", 0.0), ("BBBB-2", 0.0)]


class Kept:
    """The output of a job as the daemon keeps it, handed out in small pieces."""

    def __init__(self, peer: ScriptedPeer, **streams: bytes) -> None:
        self._streams = streams
        sizes = {f"{name}_bytes": len(data) for name, data in streams.items()}
        self.run = run(job(state="succeeded", **sizes), state="succeeded")
        peer.on("run", ok(self.run))
        peer.on("output", self._output)

    def _output(self, call: Frame) -> Iterator[bytes]:
        offset, data = call.header["offset"], self._streams.get(call.header["stream"], b"")
        piece = data[offset : offset + min(call.header["limit"], 7)]
        position = {"offset": offset, "next": offset + len(piece), "size": len(data)}
        yield frame({"t": "ok", **position, "complete": position["next"] >= len(data)}, piece)


def test_logs_prints_all_of_both_streams(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    Kept(peer, stdout=b"one\ntwo three four\nfive", stderr=b"bad\n")
    result = anyjob("logs", RUN)
    assert result.stdout == b"web01: one\nweb01: two three four\nweb01: five\n"
    assert result.stderr == b"web01: bad\n"


def test_logs_raw_is_byte_for_byte(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    data = bytes(range(256)) * 5
    Kept(peer, stdout=data)
    assert anyjob("logs", RUN, "--raw").stdout == data


@pytest.mark.parametrize(("text", "lines"), [(b"1\n2\n3\n", "2 3"), (b"1\n2\n3", "2 3"), (b"3\n", "3"), (b"", "")])
def test_tail_is_the_last_lines(anyjob: CommandLine, peer: ScriptedPeer, text: bytes, lines: str) -> None:
    Kept(peer, stdout=text)
    assert anyjob("logs", RUN, "--tail", "2", "--no-prefix").stdout.decode().split() == lines.split()


def test_tail_goes_back_as_far_as_it_must(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    long = [b"x" * 900 + b" %d\n" % number for number in range(9)]
    Kept(peer, stdout=b"".join(long))
    assert anyjob("logs", RUN, "--tail", "3", "--no-prefix").stdout == b"".join(long[-3:])


def test_tail_of_nothing_is_nothing(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    Kept(peer, stdout=b"1\n2\n")
    assert anyjob("logs", RUN, "--tail", "0").stdout == b""


def test_logs_can_be_one_stream(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    Kept(peer, stdout=b"out\n", stderr=b"bad\n")
    result = anyjob("logs", RUN, "--stream", "stderr")
    assert (result.stdout, result.stderr) == (b"", b"web01: bad\n")


def test_logs_as_json_is_the_run_with_its_output(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    Kept(peer, stdout=b"out\n", stderr=b"bad\n")
    (found,) = json.loads(anyjob("logs", RUN, "-o", "json").stdout)["jobs"]
    assert (found["stdout"], found["stderr"]) == ("out\n", "bad\n")


def test_logs_of_a_node_that_is_not_there_says_where_the_run_was(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    Kept(peer)
    result = anyjob("logs", RUN, "--node", "db9")
    assert result.returncode == 1
    assert "has no job on db9; it ran on web[01-02]" in result.stderr.decode()


def test_logs_that_follow_show_only_what_was_asked_for(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("run", ok(run(job(), job("web02", index=2))))
    pieces = [output(b"a\n"), output(b"b\n", node="web02", index=2), output(b"c\n", index=2, node="web02", offset=2)]
    errors = output(b"bad\n", node="web02", index=2, stream="stderr")
    peer.on("follow", sends(as_bytes(snapshot(DONE), *pieces, errors, event("succeeded"), end(DONE))))
    result = anyjob("logs", RUN, "-f", "--node", "web02", "--stream", "stdout")
    assert (result.stdout, result.stderr, result.returncode) == (b"web02: b\nweb02: c\n", b"", 0)


def test_follow_ends_like_exec(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("run", ok(DONE))
    peer.on("follow", sends(as_bytes(snapshot(DONE), output(b"hello\n"), end(DONE))))
    result = anyjob("follow", "7Q2M", "-q")
    assert (result.stdout, result.stderr, result.returncode) == (b"web01: hello\n", b"", 2)
    assert peer.asked("follow")[0]["id"] == RUN


def test_wait_gives_the_exit_code_of_all_runs_together(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    good = run(job(state="succeeded"), state="succeeded")
    peer.on("follow", sends(as_bytes(snapshot(good), end(good))), sends(as_bytes(end(DONE))))
    result = anyjob("wait", "AAAA", "BBBB")
    assert result.returncode == 2
    assert [line.split(" ", 1)[1] for line in result.stdout.decode().splitlines()] == [
        "succeeded: 1 node: 1 succeeded",
        "failed: 2 nodes: 1 succeeded, 1 failed",
    ]
    assert all(call["output"] is False for call in peer.asked("follow"))


def test_wait_gives_up_after_its_time_limit(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("follow", sends(as_bytes(snapshot(run(job())))))
    result = anyjob("wait", RUN, "--timeout", "0.1s")
    assert (result.returncode, result.stderr.decode()) == (124, f"{RUN} goes on\n")


@pytest.mark.parametrize("words", [("show", "zzzz"), ("cancel", "zzzz"), ("logs", "zzzz"), ("wait", "zzzz")])
def test_an_unknown_run_is_told(anyjob: CommandLine, peer: ScriptedPeer, words: tuple[str, ...]) -> None:
    for op in ("run", "cancel", "follow"):
        peer.on(op, error("not_found", "there is no run 'zzzz'"))
    result = anyjob(*words)
    assert (result.returncode, result.stderr) == (1, b"error: there is no run 'zzzz'\n")


def test_a_terminal_that_knows_only_ascii_is_no_crash(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("run", ok({**DONE, "title": "echo grün"}))
    result = anyjob("show", RUN, PYTHONIOENCODING="ascii:strict")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"echo gr\\xfcn\n" in result.stdout
