"""One token's directory in the spool: what the relay and the supervisor of a job leave for each other.

`idle` is renamed to `armed` before the job's first instruction and to `started` when its program runs: while it is
`idle`, nothing of the job has run. The result slot is 4 KiB of zeros from the claim on, overwritten in place once:
recording an outcome needs no space.

```
 0        4        8       12              12+L          4096
 +--------+--------+--------+---------------+--------------+
 | "AJR1" | L u32  | CRC-32 | outcome, JSON | zeros        |
 +--------+--------+--------+---------------+--------------+
```
"""

import errno
import fcntl
import json
import os
import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

SLOT = 4096
FULL = (errno.ENOSPC, errno.EDQUOT)
_SEAL = struct.Struct(">4sII")
REQUEST = struct.Struct("d")  # what ctl carries: the grace in seconds of a cancel request
_MAGIC = b"AJR1"
_READ = os.O_RDONLY | os.O_NOFOLLOW
_FIFO = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK  # read and write: there is always a reader, and no end of file


class Entry:
    """A claimed token. Owns one descriptor of its directory; every file is opened relative to it."""

    def __init__(self, token: str, fd: int) -> None:
        """Take over `fd`, an open directory."""
        self.token = token
        self.fd = fd

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)

    def create(self, name: str, content: bytes = b"", mode: int = 0o600) -> int:
        """Make a file that is not there yet, with this content; return its descriptor, open for writing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        fd = os.open(name, flags, mode, dir_fd=self.fd)
        while content:
            content = content[os.write(fd, content) :]
        return fd

    def open(self, name: str, flags: int = _READ) -> int:
        """Open one of the token's files."""
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=self.fd)

    def open_fifo(self, name: str) -> int:
        """Open `bell` or `ctl`, not blocking."""
        return os.open(name, _FIFO, dir_fd=self.fd)

    def content(self, name: str, limit: int = 1 << 20) -> "Optional[bytes]":
        """Return what a small file holds, or None if there is no such file."""
        try:
            fd = self.open(name)
        except FileNotFoundError:
            return None
        try:
            return os.read(fd, min(os.fstat(fd).st_size, limit))
        finally:
            os.close(fd)

    def document(self, name: str) -> "Optional[Dict[str, Any]]":
        """Return the JSON object in a file, or None if there is no such file or it holds none."""
        try:
            value = json.loads((self.content(name) or b"").decode("utf-8"))
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def replace(self, name: str, value: "Dict[str, Any]") -> None:
        """Write a JSON object into a file, all of it or nothing."""
        draft = ".%s.%d" % (name, os.getpid())
        os.close(self.create(draft, json.dumps(value).encode()))
        self.rename(draft, name)

    def size(self, stream: str) -> int:
        """Return how many bytes of a stream are recorded; an older runner recorded no reports."""
        if stream == "rep" and not self.exists(stream):
            return 0
        return os.stat(stream, dir_fd=self.fd, follow_symlinks=False).st_size

    def piece(self, stream: str, offset: int, size: int) -> bytes:
        """Return recorded bytes of a stream."""
        fd = self.open(stream)
        try:
            return os.pread(fd, size, offset)
        finally:
            os.close(fd)

    def record(self, outcome: "Dict[str, Any]") -> bool:
        """Write the outcome durably, unless there is one; tell whether this one counts. Only for the lock's holder."""
        if self.outcome() is not None:
            return False
        text = json.dumps(outcome).encode()
        if len(text) > SLOT - _SEAL.size:
            text = json.dumps(dict(outcome, message=str(outcome["message"])[:200])).encode()
        fd = self.open("result", os.O_WRONLY)
        try:
            os.pwrite(fd, _SEAL.pack(_MAGIC, len(text), zlib.crc32(text)) + text, 0)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        return True

    def outcome(self) -> "Optional[Dict[str, Any]]":
        """Return the recorded outcome, or None: the slot is empty, or what is in it is not whole."""
        slot = self.content("result", SLOT)
        if slot is None or len(slot) < _SEAL.size:
            return None
        magic, length, checksum = _SEAL.unpack_from(slot)
        text = slot[_SEAL.size : _SEAL.size + length]
        if magic != _MAGIC or zlib.crc32(text) != checksum:
            return None
        value = json.loads(text.decode("utf-8"))
        return value if isinstance(value, dict) else None

    def lock(self) -> "Optional[int]":
        """Take the supervisor's lock; return its descriptor, or None while somebody else holds it."""
        fd = os.open("lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=self.fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    def request_cancel(self, grace_s: float) -> None:
        """Leave a cancel request for the supervisor; a full disk does not keep it from a supervisor that listens."""
        try:
            self.replace("cancel", {"grace_s": grace_s})
        except OSError as error:
            if error.errno not in FULL:
                raise
        fd = self.open_fifo("ctl")
        try:
            os.write(fd, REQUEST.pack(grace_s))
        except BlockingIOError:
            return  # it has thousands of earlier requests to read
        finally:
            os.close(fd)

    def cancel_grace(self) -> "Optional[float]":
        """Return the grace in seconds of a cancel request, or None if there is none."""
        request = self.document("cancel")
        return None if request is None else float(request["grace_s"])

    def arm(self, pid: int, at: float) -> None:
        """Note, before the job's first instruction, that it may run. Needs no space: the claim made the file."""
        fd = self.open("idle", os.O_WRONLY)
        try:
            os.pwrite(fd, json.dumps({"pid": pid, "at": at}).encode(), 0)
        finally:
            os.close(fd)
        self.rename("idle", "armed")

    def rename(self, old: str, new: str) -> None:
        """Rename one of the token's files, in one step."""
        os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def exists(self, name: str) -> bool:
        """Tell whether the token has this file."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True


def ring(fd: int) -> None:
    """Put a byte into an open FIFO."""
    try:
        os.write(fd, b".")
    except BlockingIOError:
        return


def drain(fd: int) -> None:
    """Take all bytes out of an open FIFO."""
    try:
        while len(os.read(fd, 4096)) == 4096:
            pass
    except BlockingIOError:
        return
