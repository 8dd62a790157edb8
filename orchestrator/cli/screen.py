"""Frames of `follow` in, bytes to write out: how a run looks while it is watched. Pure: nothing here writes.

`Lines` is what people see by default (`node: line`, as clush and pdsh; on a terminal all lines begin in one column),
`Raw` the bytes as they came. `gather.Gather` folds identical output, `machine.Ndjson` and `machine.Document` are for
programs.

A chunk is handled by a few passes in C (`translate`, `replace`), never line by line.
"""

import json
from typing import Final, NamedTuple, Protocol

from orchestrator.cli.escapes import Neutraliser, plain
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.wording import ending, link_change
from remote.runner.frames import Frame

OUT: Final = 1
ERR: Final = 2
HELD_MAX: Final = 64 << 10  #: bytes of a line without an end that are kept back; then the line is broken
FD: Final = {"stdout": OUT, "stderr": ERR}
_COLOURS: Final = ("cyan", "green", "yellow", "magenta", "blue")  # of neighbouring nodes; red is for standard error
_ALIGNED_MAX: Final = 24  # a longer name may stick out


class Write(NamedTuple):
    """Bytes for one of our own streams."""

    fd: int  #: OUT or ERR
    data: bytes


class Terminals(NamedTuple):
    """Where standard output and standard error go."""

    out: Terminal
    err: Terminal

    def of(self, fd: int) -> Terminal:
        """Return one of the two."""
        return self.out if fd == OUT else self.err


class Screen(Protocol):
    """A way to show a run."""

    def feed(self, frame: Frame) -> list[Write]:
        """Take a frame; return what is to be written because of it."""

    def idle(self) -> list[Write]:
        """Return what has become certain meanwhile; called now and then."""

    def finish(self) -> list[Write]:
        """Return what is left, at the end or when the watching ends before."""


class Raw:
    """The bytes as they came; how jobs ended is told on standard error."""

    def __init__(self, terminals: Terminals) -> None:
        self._terminals = terminals

    def feed(self, frame: Frame) -> list[Write]:
        """Pass output on untouched."""
        if frame.header["t"] == "output":
            return [Write(FD[frame.header["stream"]], frame.payload)]
        return notices(frame, self._terminals.err)

    def idle(self) -> list[Write]:
        """Nothing waits here."""
        return []

    def finish(self) -> list[Write]:
        """Nothing is kept back here."""
        return []


class Lines:
    """Whole lines, each behind the name of its node (unless `prefix` is False), made harmless (unless `safe` is)."""

    def __init__(self, terminals: Terminals, *, prefix: bool = True, safe: bool = True) -> None:
        self._terminals = terminals
        self._prefix = prefix
        self._safe = safe
        self._width = 0
        self._streams: dict[tuple[str, str], _Stream] = {}

    def feed(self, frame: Frame) -> list[Write]:
        """Return the whole lines that a frame completes, and notices of jobs that ended badly."""
        header = frame.header
        match header["t"]:
            case "snapshot" if self._terminals.out.tty and self._prefix:
                names = (len(job["node"]) for job in json.loads(frame.payload)["jobs"])
                self._width = max((name for name in names if name <= _ALIGNED_MAX), default=0)
            case "output":
                stream = self._stream(header["job"], header["node"], header["stream"])
                return stream.writes(stream.feed(frame.payload))
            case "event" if header.get("state") in ("running", "dispatching", "claimed"):
                return notices(frame, self._terminals.err)
            case "event":
                rest = [write for name in FD for write in self._flush((header.get("job", ""), name))]
                return rest + notices(frame, self._terminals.err)
        return []

    def idle(self) -> list[Write]:
        """Keep lines that are not ended: what follows would stand in the middle of them."""
        return []

    def finish(self) -> list[Write]:
        """Return lines that never got their end."""
        return [write for key in list(self._streams) for write in self._flush(key)]

    def _stream(self, job: str, node: str, name: str) -> "_Stream":
        stream = self._streams.get((job, name))
        if stream is None:
            fd = FD[name]
            terminal = self._terminals.of(fd)
            label = self._label(job, plain(node), fd) if self._prefix else ""
            neutraliser = Neutraliser(colour=terminal.colour) if self._safe else None
            stream = self._streams[job, name] = _Stream(fd, label.encode(), neutraliser)
        return stream

    def _label(self, job: str, node: str, fd: int) -> str:
        terminal = self._terminals.of(fd)
        number = int(job.partition("-")[2] or 1)
        colour = _COLOURS[(number - 1) % len(_COLOURS)] if fd == OUT else "red"
        return terminal.paint(f"{node}:", colour) + " " * (1 + max(0, self._width - len(node)) * terminal.tty)

    def _flush(self, key: tuple[str, str]) -> list[Write]:
        stream = self._streams.pop(key, None)
        return [] if stream is None else stream.writes(stream.finish())


class _Stream:
    """One stream of one job: cuts it at line ends and puts the label before each line."""

    def __init__(self, fd: int, label: bytes, neutraliser: Neutraliser | None) -> None:
        self._fd = fd
        self._label = label
        self._neutraliser = neutraliser
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        if self._neutraliser is not None:
            data = self._neutraliser.feed(data)
        end = data.rfind(b"\n") + 1
        if not end:
            self._held += data
            return self._break() if len(self._held) > HELD_MAX else b""
        lines, self._held = self._held + data[:end], data[end:]
        broken = self._break() if len(self._held) > HELD_MAX else b""
        return self._labelled(lines) + broken

    def finish(self) -> bytes:
        rest = self._held + (self._neutraliser.finish() if self._neutraliser else b"")
        self._held = b""
        if not rest:
            return b""
        # Bytes as they came have no newline added: the last line of a file may have none.
        return self._labelled(rest if rest.endswith(b"\n") or not self._adds_newline() else rest + b"\n")

    def writes(self, data: bytes) -> list[Write]:
        return [Write(self._fd, data)] if data else []

    def _adds_newline(self) -> bool:
        return bool(self._label) or self._neutraliser is not None

    def _break(self) -> bytes:
        long, self._held = self._held, b""
        return self._labelled(long + b"\n" if self._adds_newline() else long)

    def _labelled(self, lines: bytes) -> bytes:
        if not self._label:
            return lines
        inner = lines[:-1] if lines.endswith(b"\n") else lines
        return self._label + inner.replace(b"\n", b"\n" + self._label) + lines[len(inner) :]


def notices(frame: Frame, terminal: Terminal) -> list[Write]:
    """Return the line for standard error that tells of an event, if people need to know it at once."""
    header = frame.header
    if header["t"] != "event":
        return []
    text = link_change(header) if header.get("event") == "link" else ending(header)
    if text is None:
        return []
    line = f"{plain(header['node'])}: {plain(text)}"
    return [Write(ERR, (terminal.paint(line, "yellow" if header.get("event") == "link" else "red") + "\n").encode())]
