"""No loop over lines or bytes on the way of output: what Python executes must not depend on how many lines there are.

Counted are executed bytecodes, so that a loop shows whatever it is made of.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

import pytest

from orchestrator.cli.gather import Gather
from orchestrator.cli.machine import Document, Ndjson
from orchestrator.cli.screen import Lines, Raw, Screen, Terminals
from orchestrator.cli.terminal import Terminal
from orchestrator.translate import merge
from remote.runner.frames import Decoder, Frame, encode
from remote.session import NodeSession, StartSpec
from tests.pair import HELLO

SIZE = 4 << 20
CHUNK = 128 << 10  # of the relay
PACKET = 32 << 10  # of SSH
FEW, MANY = 4096, 8  # bytes of a line
TOKEN = "T.1"
TERMINALS = Terminals(*(Terminal(tty=True, colour=True, columns=80) for _ in range(2)))
SCREENS: dict[str, Callable[[], Screen]] = {
    "lines": lambda: Lines(TERMINALS),
    "unsafe lines": lambda: Lines(TERMINALS, safe=False),
    "lines without names": lambda: Lines(TERMINALS, prefix=False),
    "raw": lambda: Raw(TERMINALS),
    "gathered": lambda: Gather(TERMINALS, ",".join),
    "ndjson": Ndjson,
    "document": Document,
}


def chunks(line: int, size: int = CHUNK) -> Iterator[bytes]:
    """`SIZE` bytes in lines of `line` bytes, cut as they come."""
    text = (b"x" * (line - 1) + b"\n") * (SIZE // line)
    return (text[at : at + size] for at in range(0, SIZE, size))


def bytecodes(work: Callable[[], object]) -> int:
    """Do something and return how many bytecodes that took."""
    return _monitored(work) if sys.version_info >= (3, 12) else _traced(work)


def _monitored(work: Callable[[], object]) -> int:
    """Since 3.12 a trace function misses what is run for the first time."""
    count = 0
    thread = threading.get_ident()

    def seen(code: CodeType, offset: int) -> None:
        nonlocal count
        count += threading.get_ident() == thread

    monitoring, tool = sys.monitoring, sys.monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "bytecodes")
    monitoring.register_callback(tool, monitoring.events.INSTRUCTION, seen)
    monitoring.set_events(tool, monitoring.events.INSTRUCTION)
    try:
        work()
    finally:
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        monitoring.free_tool_id(tool)
    return count


def _traced(work: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def through_screen(screen: Screen, line: int) -> int:
    header = {"t": "output", "job": "J", "node": "web1", "stream": "stdout"}
    frames = [Frame({**header, "offset": n * CHUNK}, chunk) for n, chunk in enumerate(chunks(line))]
    return bytecodes(lambda: [screen.feed(frame) for frame in frames])


def from_node(line: int) -> list[bytes]:
    """What a relay sends for a job that prints, in SSH's packets."""
    header = {"t": "output", "token": TOKEN, "stream": "out"}
    sent = b"".join(encode({**header, "offset": n * CHUNK}, chunk) for n, chunk in enumerate(chunks(line)))
    return [sent[at : at + PACKET] for at in range(0, len(sent), PACKET)]


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_does_no_more_for_many_lines_than_for_few(name: str) -> None:
    few, many = (through_screen(SCREENS[name](), line) for line in (FEW, MANY))
    assert many <= few * 1.1


def test_what_a_node_sends_is_taken_apart_by_chunks() -> None:
    counts = []
    for line in (FEW, MANY):
        session = NodeSession()
        session.hello("c", 1)
        session.feed(encode(HELLO))
        session.start(TOKEN, StartSpec(argv=["yes"]))
        packets = from_node(line)
        counts.append(bytecodes(lambda feed=session.feed, pieces=packets: merge([e for p in pieces for e in feed(p)])))
    assert counts[1] <= counts[0] * 1.1


def test_the_local_api_carries_chunks() -> None:
    def decoded(line: int) -> int:
        decoder = Decoder(max_frame=64 << 20)
        return bytecodes(lambda: [decoder.feed(piece) for piece in from_node(line)])

    few, many = decoded(FEW), decoded(MANY)
    assert many <= few * 1.1


def test_a_loop_over_lines_would_be_seen() -> None:
    def counted(line: int) -> int:
        pieces: Iterable[bytes] = list(chunks(line))
        return bytecodes(lambda: [one for piece in pieces for one in piece.split(b"\n")])

    assert counted(MANY) > 100 * counted(FEW)
