"""What the faces speak to the daemon: the local API (`docs/reference/local-api.md`) over its unix socket.

This module is what a command pays for at every start, so it imports little. `orchestrator.client_async` has the same
for an event loop.
"""

import json
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from orchestrator.client_wire import (
    ApiError,
    DaemonAbsentError,
    Offsets,
    Progress,
    checked,
    decoder,
    dial,
    request,
)
from remote.runner.frames import Frame

__all__ = ["ApiError", "Client", "DaemonAbsentError", "Follow", "Offsets", "Progress", "new_run_id"]

_CHUNK: Final = 1 << 20
_RETRY_S: Final = 0.2
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_run_id() -> str:
    """Make a run's id (a ULID: 48 bits of milliseconds, 80 random bits; sorts by time)."""
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


class _Wire:
    """One connection: frames in, bytes out."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.socket = dial(path, timeout_s)
        self._decoder = decoder()

    def receive(self) -> list[Frame]:
        """Return the frames that the next bytes complete. Raises EOFError at the end."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise EOFError
        return self._decoder.feed(data)


class Client:
    """A connection to the daemon for calls, one at a time. Use it as a context manager."""

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._wire = _Wire(path, timeout_s)

    @classmethod
    def connect(cls, socket_path: Path, *, timeout_s: float = 5.0) -> Self:
        """Connect to the daemon.

        Raises:
            DaemonAbsentError: nothing listens there.
            ApiError: the socket belongs to somebody else (`forbidden`).
        """
        return cls(socket_path, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._wire.socket.close()

    def call(self, op: str, payload: bytes = b"", **fields: Any) -> dict[str, Any]:
        """Call `op` and return its result.

        Raises:
            ApiError: the daemon refused.
            DaemonAbsentError: it went away and did not come back.
        """
        result = json.loads(self.exchange(op, payload, **fields).payload or b"{}")
        if not isinstance(result, dict):
            raise ApiError("internal", f"the daemon's answer to {op} is not an object")
        return result

    def exchange(self, op: str, payload: bytes = b"", **fields: Any) -> Frame:
        """Call `op` and return the answering frame as it is (`output` has bytes for its payload).

        A call that lost its connection is sent once more, because every operation may be repeated.
        """
        message = request(op, fields, payload)
        try:
            return self._ask(message)
        except (EOFError, ConnectionError):
            self.close()
            self._wire = _Wire(self._path, self._timeout_s)
        try:
            return self._ask(message)
        except (EOFError, ConnectionError):
            raise DaemonAbsentError(self._path, "it hung up twice") from None

    def stream(self, op: str, **fields: Any) -> Iterator[Frame]:
        """Call an operation that answers with several frames and ends with `end` (`check`); yield those before it."""
        self._wire.socket.sendall(request(op, fields, b""))
        while True:
            try:
                frames = self._wire.receive()
            except (EOFError, ConnectionError):
                raise DaemonAbsentError(self._path, "it hung up") from None
            for frame in frames:
                if checked(frame).header["t"] == "end":
                    return
                yield frame

    def follow(
        self, run: str, *, offsets: Offsets | None = None, events_after: str | None = None, output: bool = True
    ) -> "Follow":
        """Watch a run (`Follow` has the rest). It has a connection of its own, so calls can be made beside it."""
        return Follow(self._path, run, progress=Progress(offsets, events_after), output=output)

    def _ask(self, message: bytes) -> Frame:
        self._wire.socket.sendall(message)
        frames: list[Frame] = []
        while not frames:
            frames = self._wire.receive()
        return checked(frames[0])


class Follow:
    """A run as it is watched: snapshot, output, events, end (see *Follow* in `docs/reference/local-api.md`).

    When the daemon goes away it is called again for `patience_s` seconds and goes on at the byte where it was; a new
    `snapshot` frame tells so. Iterate over it, or call `receive` to have a time limit.
    """

    def __init__(
        self, path: Path, run: str, *, progress: Progress, output: bool = True, patience_s: float = 60.0
    ) -> None:
        self.run = run
        self.progress = progress
        self._path = path
        self._output = output
        self._patience_s = patience_s
        self._lost_at: float | None = None
        self._wire: _Wire | None = self._ask()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        while not self.progress.ended:
            yield from self.receive(None)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._wire is not None

    def close(self) -> None:
        """Stop watching; the run does not notice."""
        if self._wire is not None:
            self._wire.socket.close()
            self._wire = None

    def receive(self, timeout_s: float | None, *, wake: int | None = None) -> list[Frame]:
        """Return the frames that arrive next, or none after `timeout_s` or when the descriptor `wake` is readable.

        Raises:
            ApiError: the daemon refused.
            DaemonAbsentError: it went away and did not come back in time.
        """
        wire = self._wire or self._reconnect(timeout_s)
        if wire is None:
            return []
        watched = [wire.socket.fileno()] + ([] if wake is None else [wake])
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if watched[0] not in ready:
            return []
        try:
            frames = wire.receive()
        except (EOFError, ConnectionError):
            self.close()
            return []
        self._lost_at = None
        for frame in frames:
            if frame.header["t"] == "error":
                self.close()
            self.progress.note(checked(frame))
        if self.progress.ended:
            self.close()
        return frames

    def _ask(self) -> _Wire:
        wire = _Wire(self._path, 5.0)
        fields = {"id": self.run, "output": self._output, **self.progress.fields()}
        try:
            wire.socket.sendall(request("follow", fields, b""))
        except OSError:
            wire.socket.close()
            raise
        return wire

    def _reconnect(self, timeout_s: float | None) -> _Wire | None:
        now = time.monotonic()
        self._lost_at = self._lost_at or now  # until a frame has come: a daemon that only accepts is not back
        time.sleep(_RETRY_S if timeout_s is None else min(timeout_s, _RETRY_S))
        try:
            self._wire = self._ask()
        except (DaemonAbsentError, ConnectionError) as error:
            if now - self._lost_at > self._patience_s:
                raise DaemonAbsentError(self._path, str(getattr(error, "reason", error))) from None
        return self._wire
