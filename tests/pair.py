"""Both ends of a session in memory: what a node would send, and every way to cut it."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from remote.runner.frames import Decoder, Frame, encode
from remote.session import NodeEvent, NodeSession

HELLO: dict[str, Any] = {
    "t": "hello",
    "protocol": 1,
    "python": "3.11.2",
    "executable": "/usr/bin/python3",
    "uid": 0,
    "user": "root",
    "spool": "/var/lib/anyjob/test",
    "free": 1 << 30,
    "generation": "g1",
    "boot_id": "b1",
    "boottime": 12.5,
    "at": 1_800_000_000.0,
    "max_epoch": 0,
}

OUTCOME: dict[str, Any] = {
    "kind": "exited",
    "code": 0,
    "signal": None,
    "cause": None,
    "reason": None,
    "message": None,
    "out": 0,
    "err": 0,
    "rep": 0,
    "out_dropped": 0,
    "err_dropped": 0,
    "rep_dropped": 0,
    "left": [],
    "started_at": 1.0,
    "ended_at": 2.0,
    "cpu_s": 0.1,
    "max_rss": 1024,
}


def frame(t: str, payload: bytes = b"", **fields: Any) -> bytes:
    """Return the bytes of one frame from the node."""
    return encode({"t": t, **fields}, payload)


def hello(**fields: Any) -> bytes:
    return encode({**HELLO, **fields})


def ended(token: str, **fields: Any) -> bytes:
    return frame("ended", token=token, outcome={**OUTCOME, **fields})


def sent(data: bytes) -> list[Frame]:
    """Return what the node would read of the controller's bytes."""
    return Decoder().feed(data)


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes, cut at these places."""
    last = 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        yield data[last:cut]
        last = cut


def feed_all(session: NodeSession, chunks: Iterator[bytes]) -> list[NodeEvent]:
    return [event for chunk in chunks for event in session.feed(chunk)]


def job_stream(token: str, seed: int) -> bytes:
    """Return a whole job's frames with random output on all streams, the first of them claimed and started."""
    source = random.Random(seed)
    parts = [frame("claimed", token=token), frame("started", token=token, pid=7, at=1.0)]
    sizes = {"out": 0, "err": 0, "rep": 0}
    for _ in range(source.randrange(6)):
        stream, data = source.choice(["out", "err", "rep"]), source.randbytes(source.randrange(1, 300))
        parts.append(frame("output", data, token=token, stream=stream, offset=sizes[stream]))
        sizes[stream] += len(data)
    return b"".join([*parts, ended(token, **sizes)])
