"""What a node says, as types: the frames of `docs/reference/node-protocol.md` that come from the node.

A node is hostile until proven otherwise, so each field has a type and a range here, unknown frames and fields are
refused, and text has a length. What a field *says* stays data: it is shown and stored, never executed.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import msgspec.structs
from msgspec import Meta

from remote.errors import ProtocolError

Count = Annotated[int, Meta(ge=0, le=1 << 53)]  #: a number of bytes, an offset
Token = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
Word = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]  #: a machine-readable reason
Name = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=8192)]  #: for people
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Pid = Annotated[int, Meta(ge=1, le=1 << 22)]

Stream = Literal["out", "err", "rep"]  #: `rep`: what the job reports on `$ANYJOB_FD`
YEAR_2100: Final = 4102444800.0


def _clamp(record: msgspec.Struct, *fields: str) -> None:
    """Bring a node's wall clock within 1970 to 2100: it is only shown, so a wrong clock must not break a page."""
    for name in fields:
        msgspec.structs.force_setattr(record, name, min(max(getattr(record, name), 0.0), YEAR_2100))


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    """What all frames from a node have in common: `t`, and no field that the protocol does not know."""


class Hello(_Frame, frozen=True, tag="hello"):
    """The first frame: who and where the relay is."""

    protocol: Literal[1]
    python: Annotated[str, Meta(pattern=r"\A[0-9]{1,3}(\.[0-9]{1,3}){1,3}[a-z0-9+]{0,16}\Z")]
    executable: Text
    uid: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
    user: Name
    spool: Text
    free: Count  #: bytes free in the spool
    generation: Name  #: changes when the spool was wiped
    boot_id: Name
    boottime: Seconds
    at: float
    max_epoch: Count

    def __post_init__(self) -> None:
        """Clamp the clock."""
        _clamp(self, "at")


class Pong(_Frame, frozen=True, tag="pong"):
    """The answer to `ping`."""

    n: Count


class Want(_Frame, frozen=True, tag="want"):
    """The node lacks the bundle of a start: it goes on when the bundle has come."""

    token: Token
    name: Literal["bundle"]


class Claimed(_Frame, frozen=True, tag="claimed"):
    """The token is claimed durably."""

    token: Token


class Started(_Frame, frozen=True, tag="started"):
    """The job's program runs."""

    token: Token
    pid: Pid
    at: float

    def __post_init__(self) -> None:
        """Clamp the clock."""
        _clamp(self, "at")


class OutputChunk(_Frame, frozen=True, tag="output"):
    """Bytes of one stream of a job, from `offset` on."""

    token: Token
    stream: Stream
    offset: Count
    data: bytes = b""  #: the frame's payload


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a job ended, as its node recorded it."""

    kind: Literal["exited", "signalled", "not_started", "lost"]
    code: Annotated[int, Meta(ge=0, le=255)] | None  #: with `exited`
    signal: Annotated[int, Meta(ge=1, le=64)] | None  #: with `signalled`
    cause: Literal["timeout", "inactivity", "output_limit", "cancel"] | None  #: why AnyJob ended it, if it did
    reason: Word | None  #: with `not_started` and `lost`
    message: Text | None
    out: Count  #: bytes recorded
    err: Count
    rep: Count
    out_dropped: Count  #: bytes beyond the limit
    err_dropped: Count
    rep_dropped: Count
    left: Annotated[tuple[Pid, ...], Meta(max_length=64)]  #: processes of the job that are still there
    started_at: float
    ended_at: float
    cpu_s: Seconds
    max_rss: Count  #: bytes

    def __post_init__(self) -> None:
        """Check what belongs together, and clamp the clock."""
        _clamp(self, "started_at", "ended_at")
        if (self.code is not None) != (self.kind == "exited"):
            raise ValueError("`code` comes with `exited`, and only with it")
        if (self.signal is not None) != (self.kind == "signalled"):
            raise ValueError("`signal` comes with `signalled`, and only with it")
        if self.kind in {"not_started", "lost"} and self.reason is None:
            raise ValueError(f"`{self.kind}` needs a reason")


class Ended(_Frame, frozen=True, tag="ended"):
    """The job has ended, and all of its output up to the sizes in `outcome` has been sent."""

    token: Token
    outcome: Outcome


class Refused(_Frame, frozen=True, tag="refused"):
    """The job was not started, and never will be under this token."""

    token: Token
    reason: Word
    message: Text


class Absent(_Frame, frozen=True, tag="absent"):
    """The answer to `tail`: the node has no such token."""

    token: Token


class Facts(_Frame, frozen=True, tag="facts"):
    """The answer to `probe`."""

    n: Count
    can_become: dict[Name, Literal["yes", "unknown_user", "no"]]
    free: Count
    at: float
    boottime: Seconds

    def __post_init__(self) -> None:
        """Clamp the clock."""
        _clamp(self, "at")


class Fault(_Frame, frozen=True, tag="fault"):
    """Something went wrong on the node that no other frame tells. To be shown and logged."""

    message: Text
    token: Token | None


NodeEvent = Hello | Pong | Want | Claimed | Started | OutputChunk | Ended | Refused | Absent | Facts | Fault

_TAGS: Final[Mapping[str, type[NodeEvent]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (Hello, Pong, Want, Claimed, Started, OutputChunk, Ended, Refused, Absent, Facts, Fault)
}


def parse(header: Mapping[str, Any], payload: bytes) -> NodeEvent:
    """Return the event in one frame.

    Raises:
        ProtocolError: for a frame, a field or a value that the protocol does not know.
    """
    kind = _TAGS.get(header["t"]) if isinstance(header.get("t"), str) else None
    if kind is None:
        raise ProtocolError(f"unknown frame {str(header.get('t'))[:40]!r}")
    if kind is OutputChunk:
        header = {**header, "data": payload} if "data" not in header else {}
    elif payload:
        raise ProtocolError(f"a {header['t']} frame carries no payload, this one has {len(payload)} bytes")
    try:
        return msgspec.convert(header, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"bad {kind.__struct_config__.tag} frame: {error}") from None
