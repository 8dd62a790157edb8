"""Watching on a real pseudo-terminal: progress, Ctrl-C, a daemon that restarts, a reader that goes."""

import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from remote.runner.frames import Frame
from tests.unit.orchestrator.cli.conftest import CommandLine
from tests.unit.orchestrator.cli.runs import RUN, as_bytes, end, event, job, output, run, snapshot
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, ok, sends

RUNNING = run(job("web01"), job("web02", "running", 2))
CANCELLED = run(job("web01", "cancelled"), job("web02", "cancelled", 2), state="cancelled")
DONE = run(job("web01", "succeeded"), job("web02", "succeeded", 2), state="succeeded")


class Long:
    """A run that goes on until it is cancelled, or until the test lets it end."""

    def __init__(self, peer: ScriptedPeer) -> None:
        self.ending = threading.Event()
        self.last = DONE
        peer.on("submit", ok(RUNNING))
        peer.on("follow", self._follow)
        peer.on("cancel", self._cancel)

    def _follow(self, call: Frame) -> Iterator[bytes]:
        yield as_bytes(snapshot(RUNNING), output(b"begun\n"))
        assert self.ending.wait(30)
        yield as_bytes(end(self.last))

    def _cancel(self, call: Frame) -> Iterator[bytes]:
        yield from ok({"cancelled": 0, "requested": 2, "ended": 0})(call)
        self.last = CANCELLED
        self.ending.set()


@pytest.fixture
def long(peer: ScriptedPeer) -> Iterator[Long]:
    run = Long(peer)
    yield run
    run.ending.set()


class Person:
    """Sits at a terminal: reads until something is there, types, presses Ctrl-C."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self.seen = ""
        self._terminal = terminal

    def sees(self, pattern: str) -> None:
        while not re.search(pattern, self.seen):
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                data = b""
            assert data, f"{pattern!r} never came: {self.seen!r}"
            self.seen += data.decode()

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def leaves(self) -> int:
        while True:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                break
            self.seen += data.decode()
        return self.process.wait(30)


@contextmanager
def terminal(anyjob: CommandLine, *words: str) -> Iterator[Person]:
    ours, theirs = pty.openpty()
    env = anyjob.env | {"COLUMNS": "100"}
    process = subprocess.Popen(
        anyjob.argv(*words), env=env, cwd=anyjob.home, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        yield Person(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


WATCH = ("exec", "-a", "--", "sleep", "9")


def interrupt(person: Person) -> None:
    person.process.send_signal(signal.SIGINT)


def test_progress_is_drawn_below_the_output_and_is_gone_at_the_end(anyjob: CommandLine, long: Long) -> None:
    with terminal(anyjob, *WATCH) as person:
        person.sees(r"web01:.* begun")
        person.sees(r"2 running.*web01 web02")
        long.ending.set()
        assert person.leaves() == 0
    last = person.seen.split("\r\x1b[K")[-1]
    assert "2 nodes: 2 succeeded" in last
    assert "running" not in last


def test_the_first_ctrl_c_tells_who_still_runs_and_asks(anyjob: CommandLine, long: Long, peer: ScriptedPeer) -> None:
    with terminal(anyjob, *WATCH) as person:
        person.sees("2 running")
        interrupt(person)
        person.sees(r"not ended yet: web\[01-02\] \(2\)\r\n\[d\]etach, \[c\]ancel, or Enter to go on\? ")
        person.types("\n")
        long.ending.set()
        assert person.leaves() == 0
    assert peer.asked("cancel") == []


def test_the_answer_c_cancels_and_the_end_is_awaited(anyjob: CommandLine, long: Long, peer: ScriptedPeer) -> None:
    with terminal(anyjob, *WATCH) as person:
        person.sees("2 running")
        interrupt(person)
        person.sees(r"\? ")
        person.types("c\n")
        assert person.leaves() == 5
    assert [call["id"] for call in peer.asked("cancel")] == [RUN]
    assert "2 cancelled" in person.seen


def test_the_answer_d_leaves_the_jobs_running(anyjob: CommandLine, long: Long, peer: ScriptedPeer) -> None:
    with terminal(anyjob, *WATCH) as person:
        person.sees("2 running")
        interrupt(person)
        person.sees(r"\? ")
        person.types("d\n")
        assert person.leaves() == 130
    assert f"the run goes on; watch it again: anyjob follow {RUN}" in person.seen
    assert peer.asked("cancel") == []


def test_a_second_ctrl_c_cancels_without_asking(anyjob: CommandLine, long: Long, peer: ScriptedPeer) -> None:
    with terminal(anyjob, *WATCH) as person:
        person.sees("2 running")
        interrupt(person)
        person.sees(r"\? ")
        interrupt(person)
        assert person.leaves() == 5
    assert len(peer.asked("cancel")) == 1


def test_after_a_cancel_ctrl_c_kills_and_then_leaves(anyjob: CommandLine, long: Long, peer: ScriptedPeer) -> None:
    peer.on("cancel", ok({"cancelled": 0, "requested": 2, "ended": 0}))  # the jobs do not obey
    with terminal(anyjob, *WATCH) as person:
        person.sees("2 running")
        interrupt(person)
        person.sees(r"\? ")
        interrupt(person)
        person.sees("cancelling")
        interrupt(person)
        person.sees("killing")
        interrupt(person)
        assert person.leaves() == 130
    assert [call["grace_s"] for call in peer.asked("cancel")] == [None, 0.0]
    assert "was not seen" in person.seen


@contextmanager
def piped(anyjob: CommandLine, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        anyjob.argv(*words), env=anyjob.env, cwd=anyjob.home, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"web01: begun\n"
            yield process
        finally:
            process.kill()


def test_without_a_terminal_an_interrupt_cancels(anyjob: CommandLine, long: Long, peer: ScriptedPeer) -> None:
    with piped(anyjob, *WATCH) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 5
    assert len(peer.asked("cancel")) == 1


def test_without_a_terminal_it_detaches_if_that_was_asked_for(
    anyjob: CommandLine, long: Long, peer: ScriptedPeer
) -> None:
    with piped(anyjob, "exec", "-a", "--detach-on-interrupt", "--", "sleep", "9") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"the run goes on; watch it again: anyjob follow {RUN}" in err.decode()
    assert peer.asked("cancel") == []


def test_a_terminated_watcher_leaves_the_run_and_tells_its_id(
    anyjob: CommandLine, long: Long, peer: ScriptedPeer
) -> None:
    with piped(anyjob, *WATCH) as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert f"the run goes on; watch it again: anyjob follow {RUN}" in err.decode()
    assert peer.asked("cancel") == []


def test_a_reader_that_goes_ends_it_quietly_with_the_runs_id(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("submit", ok(RUNNING))
    flood = [output(b"x" * 65535 + b"\n", offset=65536 * number) for number in range(64)]
    peer.on("follow", sends(as_bytes(snapshot(RUNNING), *flood, end(DONE))))
    words = " ".join(f"'{word}'" for word in anyjob.argv("exec", "-a", "--", "yes"))
    result = subprocess.run(
        ["bash", "-c", f"{words} | head -c 1; exit ${{PIPESTATUS[0]}}"],
        env=anyjob.env, cwd=anyjob.home, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 141
    assert result.stderr.decode() == f"run {RUN} goes on: anyjob follow {RUN}\n"


def test_a_daemon_that_restarts_is_waited_for(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("submit", ok(RUNNING))
    first = as_bytes(snapshot(RUNNING), output(b"one\ntw"))
    second = as_bytes(snapshot(RUNNING), output(b"o\n", offset=6), event("succeeded"), end(DONE))
    peer.on("follow", sends(first, None), sends(second))
    result = anyjob("exec", "-a", "--", "true")
    assert (result.stdout, result.returncode) == (b"web01: one\nweb01: two\n", 0)
    assert peer.asked("follow")[1]["offsets"] == {f"{RUN}-1": {"stdout": 6}}


def test_gathered_output_comes_at_the_end(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("submit", ok(RUNNING))
    both = [output(b"same\n"), output(b"same\n", node="web02", index=2)]
    peer.on("follow", sends(as_bytes(snapshot(RUNNING), *both, end(DONE))))
    rule = "-" * 15
    assert anyjob("exec", "-a", "-G", "--", "true").stdout.decode() == f"{rule}\nweb[01-02] (2)\n{rule}\nsame\n"
