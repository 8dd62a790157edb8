"""What the faces speak to the daemon: the local API (`docs/reference/local-api.md`) over its unix socket.

This module is what a command pays for at every start, so it imports little. `orchestrator.client_async` has the same
for an event loop.

Errors: `ApiError` is the daemon's refusal, `DaemonAbsentError` says that nothing answers on the socket.
"""

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from remote.runner.frames import Decoder, Frame, encode

MAX_HEADER: Final = 64 << 10
MAX_FRAME: Final = 64 << 20
_ROOM: Final = 32 << 10  # fields beyond this travel in the payload: the header's limit is hard
_CHUNK: Final = 1 << 20
_RETRY_S: Final = 0.2
_SUN_PATH: Final = 107  # longest unix socket address in bytes, `man 7 unix`
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Offsets = dict[str, dict[str, int]]  #: job id → stream name → bytes that the follower has


class ApiError(Exception):
    """The daemon refused a call. `problems` lists every mistake when there can be several."""

    def __init__(self, code: str, message: str, problems: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.code = code  #: machine-readable: see docs/reference/local-api.md
        self.message = message
        self.problems = problems


class DaemonAbsentError(Exception):
    """No daemon answers on `path`; `reason` is what the system said."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"no daemon answers on {path} ({reason}); start one with: anyjob daemon")
        self.path = path
        self.reason = reason


def new_run_id() -> str:
    """Make a run's id (a ULID: 48 bits of milliseconds, 80 random bits; sorts by time)."""
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def request(op: str, fields: Mapping[str, Any], payload: bytes) -> bytes:
    """Return the bytes of a call. Fields that would not fit the header are put before the payload."""
    header = {"t": "call", "op": op, **fields}
    body = json.dumps(fields, ensure_ascii=False).encode()
    if len(body) <= _ROOM:
        return encode(header, payload, MAX_HEADER, MAX_FRAME)
    spilled = {"t": "call", "op": op, "fields_size": len(body)}
    return encode(spilled, body + payload, MAX_HEADER, MAX_FRAME)


def checked(frame: Frame) -> Frame:
    """Return `frame` unless it is the daemon's refusal, which is raised as `ApiError`."""
    if frame.header["t"] != "error":
        return frame
    problems = json.loads(frame.payload).get("problems", ()) if frame.payload else ()
    raise ApiError(str(frame.header.get("code")), str(frame.header.get("message")), tuple(problems))


def decoder() -> Decoder:
    """Return a decoder with the local API's limits."""
    return Decoder(max_header=MAX_HEADER, max_frame=MAX_FRAME)


@contextlib.contextmanager
def address(path: Path) -> Iterator[str]:
    """Give the address of a unix socket, also where its path is too long for the kernel."""
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def refusal(path: Path, error: OSError) -> ApiError | DaemonAbsentError:
    """Return what a failed connect means to a person."""
    if isinstance(error, PermissionError):
        return ApiError("forbidden", f"{path} belongs to another user: run this as the daemon's user, or with sudo")
    return DaemonAbsentError(path, error.strerror or str(error))


class Progress:
    """Where a follower is, so that it can go on after a lost connection: nothing twice, nothing left out."""

    def __init__(self, offsets: Offsets | None = None, events_after: str | None = None) -> None:
        self.offsets: Offsets = {job: dict(streams) for job, streams in (offsets or {}).items()}
        self.events_after = events_after
        self.ended = False

    def note(self, frame: Frame) -> None:
        """Take account of a frame that is handed on."""
        header = frame.header
        match header["t"]:
            case "output":
                streams = self.offsets.setdefault(header["job"], {})
                streams[header["stream"]] = header["offset"] + len(frame.payload)
            case "event":
                self.events_after = header["id"]
            case "end":
                self.ended = True

    def fields(self) -> dict[str, Any]:
        """Return the fields of the `follow` call that goes on from here."""
        return {"offsets": self.offsets, "events_after": self.events_after}


def dial(path: Path, timeout_s: float) -> socket.socket:
    """Connect to the daemon's socket.

    Raises:
        DaemonAbsentError: nothing listens there.
        ApiError: the socket belongs to somebody else (`forbidden`).
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        with address(path) as name:
            connection.connect(name)
    except OSError as error:
        connection.close()
        raise refusal(path, error) from None
    connection.settimeout(None)
    return connection


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
            self.progress.note(checked(frame))
        if self.progress.ended:
            self.close()
        return frames

    def _ask(self) -> _Wire:
        wire = _Wire(self._path, 5.0)
        fields = {"id": self.run, "output": self._output, **self.progress.fields()}
        wire.socket.sendall(request("follow", fields, b""))
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
