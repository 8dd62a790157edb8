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
    Want,
    parse,
)
from remote.runner.frames import Decoder, FrameError, encode
from remote.startspec import PythonBundle, StartSpec, Terminal, pack_inputs

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
    "PythonBundle",
    "Refused",
    "StartSpec",
    "Started",
    "Stream",
    "Terminal",
    "Want",
]

MAX_COMMAND: Final = 0xFFFF  #: bytes of a header that we send: what the frame's field H can say
_PIECE: Final = 128 << 10  #: bytes of input per frame, well below the frame limit
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(slots=True)
class _Conversation:
    """What has been said about one token: the next expected offsets, and how far its job is."""

    asked: Literal["start", "tail"]
    ends: dict[Stream, int] = field(default_factory=lambda: {"out": 0, "err": 0, "rep": 0})
    phase: Literal["asked", "claimed", "started", "over"] = "asked"
    bundle: PythonBundle | None = None  #: what the node may want before it claims


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

    def start(  # noqa: PLR0913  an argument for each input
        self,
        token: str,
        spec: StartSpec,
        script: bytes | None = None,
        stdin: bytes | None = None,
        *,
        params: bytes | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> bytes:
        """Have the node claim `token` and start it. A node that knows the token reports it and starts nothing.

        With a bundle the node may answer `Want`; then `bundle` goes on.

        Args:
            token: the attempt's name.
            spec: all that is no input.
            script: the program's text.
            stdin: what the job reads from its standard input.
            params: a JSON object with the keys `params` and `props`; the job finds it on `$ANYJOB_PARAMS_FD`.
            secrets: name → text; the key `secrets` of the same object. They are never on the node's disk.

        Raises:
            UnsendableError: when spec or inputs do not fit into the protocol.
            ValueError: when this conversation already knows the token.
        """
        inputs = pack_inputs(script, stdin, params, secrets)
        wire = {**asdict(spec), **{name: data is not None for name, data in inputs.items()}}
        start = _encode({"t": "start", "token": token, "spec": wire}, "the command with its environment")
        self._open(token, _Conversation("start", bundle=spec.bundle))
        sent = [_pieces(token, name, data) for name, data in inputs.items() if data is not None]
        return b"".join((*sent, start))

    def bundle(self, token: str, data: bytes) -> bytes:
        """Answer a `Want`: the zip file of the job's bundle, whose hash the node checks.

        Raises:
            ValueError: when it is not of the size that was announced.
        """
        known = self._tokens[token].bundle
        if known is None or len(data) != known.size:
            raise ValueError(f"{token}: a bundle of {len(data)} bytes was not announced")
        return _pieces(token, "bundle", data)

    def tail(self, token: str, out: int, err: int, rep: int = 0) -> bytes:
        """Subscribe to a token that an earlier conversation started, from the first bytes that are not safe yet."""
        self._open(token, _Conversation("tail", {"out": out, "err": err, "rep": rep}))
        return encode({"t": "tail", "token": token, "out": out, "err": err, "rep": rep})

    def ack(self, token: str, out: int, err: int, rep: int = 0) -> bytes:
        """Tell that the bytes before these offsets are safe with the controller."""
        ends: dict[Stream, int] = {"out": out, "err": err, "rep": rep}
        known = self._tokens[token].ends
        if any(end > known[stream] for stream, end in ends.items()):
            raise ValueError(f"{token}: cannot acknowledge {ends}, received are {known}")
        return encode({"t": "ack", "token": token, "out": out, "err": err, "rep": rep})

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

    def _advance(self, event: Claimed | Started | OutputChunk | Ended | Refused | Absent | Want) -> None:
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
                sizes = {"out": outcome.out, "err": outcome.err, "rep": outcome.rep}
                if sizes != known.ends:
                    raise ProtocolError(f"{event.token} ended with {sizes}, sent were {known.ends}")
                known.phase = "over"
            case (Want(), "asked") if known.asked == "start" and known.bundle is not None:
                pass  # it may want it again: what it got may have been damaged, or removed
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
    expected = known.ends[chunk.stream]
    if chunk.offset != expected or not chunk.data:
        raise ProtocolError(
            f"{chunk.token}: {len(chunk.data)} bytes of {chunk.stream} at {chunk.offset}, expected at {expected}"
        )
    known.ends[chunk.stream] += len(chunk.data)


def _pieces(token: str, name: str, data: bytes) -> bytes:
    """Encode an input in pieces; there is no piece of an empty one."""
    return b"".join(
        encode({"t": "input", "token": token, "name": name, "offset": offset}, data[offset : offset + _PIECE])
        for offset in range(0, len(data), _PIECE)
    )


def _encode(header: Mapping[str, object], what: str) -> bytes:
    """Encode a frame whose size a person decides on."""
    try:
        return encode(dict(header), max_header=MAX_COMMAND)
    except FrameError as error:
        raise UnsendableError(
            f"{what} cannot be sent: {error}; put what is long into a script or into its input"
        ) from None
