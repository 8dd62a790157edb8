"""The controller's side of the conversation with one node, without I/O: commands give bytes, bytes give events.

The protocol is `docs/reference/node-protocol.md`. A node may speak only about tokens that were started or tailed in
this conversation, and only in the order that the protocol allows; the offsets of a stream grow without gaps. Whatever
else comes is a `ProtocolError`, after which the conversation is over.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from remote.errors import ProtocolError, UnsendableError
from remote.events import (
    Absent,
    Claimed,
    Ended,
    Facts,
    Fault,
    Hello,
    NodeEvent,
    Outcome,
    OutputChunk,
    Pong,
    Refused,
    Started,
    Stream,
    parse,
)
from remote.runner.frames import Decoder, FrameError, encode

__all__ = [
    "Absent",
    "Claimed",
    "Ended",
    "Facts",
    "Fault",
    "Hello",
    "NodeEvent",
    "NodeSession",
    "Outcome",
    "OutputChunk",
    "Pong",
    "Refused",
    "StartSpec",
    "Started",
    "Stream",
    "Terminal",
]

MAX_INPUT: Final = (
    16 << 20
)  #: bytes of a script, and of an input; the node keeps them on its disk until the job has ended
MAX_COMMAND: Final = 0xFFFF  #: bytes of a header that we send: what the frame's field H can say
_PIECE: Final = 128 << 10  #: bytes of input per frame, well below the frame limit
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """The pseudo-terminal that a job wants."""

    rows: int
    cols: int
    term: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSpec:
    """What a node must know to start a job. Whether there are a script and an input is told by what is handed over."""

    argv: Sequence[str] | None  #: program and arguments, without a shell; with a script its arguments, or None
    interpreter: Sequence[str] | None = None  #: runs the script; None = the script's own first line
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None  #: None = the user's home directory
    umask: int = 0o022
    tty: Terminal | None = None
    user: str | None = None  #: None = the login user
    group: str | None = None
    timeout_s: float | None = None  #: run-time limit, enforced on the node
    grace_s: float = 10.0  #: between TERM and KILL at that limit
    max_output: int = 1 << 30  #: bytes kept per stream


@dataclass(slots=True)
class _Conversation:
    """What has been said about one token: the next expected offsets, and how far its job is."""

    asked: Literal["start", "tail"]
    out: int = 0
    err: int = 0
    phase: Literal["asked", "claimed", "started", "over"] = "asked"


class NodeSession:
    """One conversation, from `hello` to the loss of the connection."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._tokens: dict[str, _Conversation] = {}
        self._questions: set[tuple[str, int]] = set()
        self._hello: Hello | None = None
        self._broken: str | None = None

    # Commands. Each returns the bytes to be sent.

    def hello(self, cluster: str, epoch: int) -> bytes:
        """Open the conversation."""
        return encode({"t": "hello", "cluster": cluster, "epoch": epoch})

    def ping(self, n: int) -> bytes:
        """Ask for a `Pong` with the same `n`."""
        self._questions.add(("pong", n))
        return encode({"t": "ping", "n": n})

    def probe(self, n: int, users: Sequence[str]) -> bytes:
        """Ask for `Facts` with the same `n`."""
        self._questions.add(("facts", n))
        return _encode({"t": "probe", "n": n, "users": list(users)}, "the list of users")

    def start(self, token: str, spec: StartSpec, script: bytes | None = None, stdin: bytes | None = None) -> bytes:
        """Have the node claim `token` and start it. A node that knows the token reports it and starts nothing.

        Raises:
            UnsendableError: when spec or inputs do not fit into the protocol.
            ValueError: when this conversation already knows the token.
        """
        inputs = {"script": script, "stdin": stdin}
        for name, data in inputs.items():
            if data is not None and len(data) > MAX_INPUT:
                raise UnsendableError(f"{name} has {len(data):,} bytes; a node takes {MAX_INPUT:,}")
        wire = {**asdict(spec), **{name: data is not None for name, data in inputs.items()}}
        start = _encode({"t": "start", "token": token, "spec": wire}, "the command with its environment")
        self._open(token, _Conversation("start"))
        pieces = [
            encode({"t": "input", "token": token, "name": name, "offset": offset}, data[offset : offset + _PIECE])
            for name, data in inputs.items()
            if data is not None
            for offset in range(0, len(data), _PIECE)
        ]
        return b"".join((*pieces, start))

    def tail(self, token: str, out: int, err: int) -> bytes:
        """Subscribe to a token that an earlier conversation started, from the first bytes that are not safe yet."""
        self._open(token, _Conversation("tail", out, err))
        return encode({"t": "tail", "token": token, "out": out, "err": err})

    def ack(self, token: str, out: int, err: int) -> bytes:
        """Tell that the bytes before these offsets are safe with the controller."""
        known = self._tokens[token]
        if out > known.out or err > known.err:
            raise ValueError(f"{token}: cannot acknowledge {out}+{err} bytes of {known.out}+{known.err} received")
        return encode({"t": "ack", "token": token, "out": out, "err": err})

    def cancel(self, token: str, grace_s: float) -> bytes:
        """Have the whole group of a job ended: TERM, and KILL after `grace_s`. Harmless when repeated."""
        return encode({"t": "cancel", "token": token, "grace_s": grace_s})

    def forget(self, token: str) -> bytes:
        """Tell that the outcome is safe with the controller: the node removes all that it has of the token."""
        self._tokens.pop(token, None)
        return encode({"t": "forget", "token": token})

    # Answers

    def feed(self, data: bytes) -> list[NodeEvent]:
        """Take bytes from the node and return what they say, however they are cut.

        Raises:
            ProtocolError: for anything that the protocol does not allow; from then on, for every call.
        """
        if self._broken is not None:
            raise ProtocolError(self._broken)
        try:
            return [self._admit(parse(frame.header, frame.payload)) for frame in self._decoder.feed(data)]
        except (ProtocolError, FrameError) as error:
            self._broken = str(error)
            raise ProtocolError(self._broken) from None

    def _open(self, token: str, conversation: _Conversation) -> None:
        known = self._tokens.get(token)
        if known is not None and known.phase != "over":
            raise ValueError(f"{token}: this conversation already follows it")
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"{token!r} is not a token")
        self._tokens[token] = conversation

    def _admit(self, event: NodeEvent) -> NodeEvent:
        """Return the event if it may come now."""
        if (self._hello is None) != isinstance(event, Hello):
            raise ProtocolError("the node did not say hello first" if self._hello is None else "a second hello")
        match event:
            case Hello():
                self._hello = event
            case Pong(n=n):
                self._answered("pong", n)
            case Facts(n=n):
                self._answered("facts", n)
            case Fault(token=token):
                if token is not None and token not in self._tokens:
                    return Fault(event.message, None)
            case _:
                self._advance(event)
        return event

    def _answered(self, kind: str, n: int) -> None:
        if (kind, n) not in self._questions:
            raise ProtocolError(f"{kind} {n} answers no question")
        self._questions.remove((kind, n))

    def _advance(self, event: Claimed | Started | OutputChunk | Ended | Refused | Absent) -> None:
        """Move the conversation about one token on."""
        known = self._tokens.get(event.token)
        if known is None:
            raise ProtocolError(f"the node speaks about {event.token}, which it was not given")
        match event, known.phase:
            case OutputChunk(), "asked" | "claimed" | "started":
                _take(event, known)
            case Claimed(), "asked":
                known.phase = "claimed"
            case Started(), "asked" | "claimed":
                known.phase = "started"
            case Ended(outcome=outcome), "asked" | "claimed" | "started":
                if (outcome.out, outcome.err) != (known.out, known.err):
                    raise ProtocolError(
                        f"{event.token} ended with {outcome.out}+{outcome.err} bytes, sent were {known.out}+{known.err}"
                    )
                known.phase = "over"
            case (Refused(), "asked") if known.asked == "start":
                known.phase = "over"
            case (Absent(), "asked") if known.asked == "tail":
                known.phase = "over"
            case _:
                raise ProtocolError(
                    f"{type(event).__name__.lower()} of {event.token} cannot follow {known.asked}, {known.phase}"
                )


def _take(chunk: OutputChunk, known: _Conversation) -> None:
    """Move the offset of a stream on, which must be where the chunk begins."""
    expected = known.out if chunk.stream == "out" else known.err
    if chunk.offset != expected or not chunk.data:
        raise ProtocolError(
            f"{chunk.token}: {len(chunk.data)} bytes of {chunk.stream} at {chunk.offset}, expected at {expected}"
        )
    if chunk.stream == "out":
        known.out += len(chunk.data)
    else:
        known.err += len(chunk.data)


def _encode(header: Mapping[str, object], what: str) -> bytes:
    """Encode a frame whose size a person decides on."""
    try:
        return encode(dict(header), max_header=MAX_COMMAND)
    except FrameError as error:
        raise UnsendableError(
            f"{what} cannot be sent: {error}; put what is long into a script or into its input"
        ) from None
