"""The wire of the local API (`docs/reference/local-api.md`): what its clients have in common.

Errors: `ApiError` is the daemon's refusal, `DaemonAbsentError` says that nothing answers on the socket.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from remote.runner.frames import Decoder, Frame, encode

MAX_HEADER: Final = 64 << 10
MAX_FRAME: Final = 64 << 20
_ROOM: Final = 32 << 10  # fields beyond this travel in the payload: the header's limit is hard
_SUN_PATH: Final = 107  # longest unix socket address in bytes, unix(7)

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
