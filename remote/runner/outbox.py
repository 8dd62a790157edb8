"""Frames on their way to the controller: a bounded buffer before a channel that does not block."""

import collections
import os

from .frames import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Deque, Dict, Optional

LIMIT = 1 << 20  # bytes: above it no more output is read from the spool, so that a slow channel stops at the file
_VECTOR = 64  # buffers of one write


class Outbox:
    """What is not written yet. Answers are always taken; output only while there `is_room`."""

    def __init__(self, fd: int) -> None:
        """Write to `fd`, which is made not blocking."""
        os.set_blocking(fd, False)
        self.fd = fd
        self._waiting: "Deque[memoryview]" = collections.deque()
        self._size = 0

    def put(self, header: "Dict[str, Any]", payload: bytes = b"") -> None:
        """Append a frame."""
        data = encode(header, payload)
        self._waiting.append(memoryview(data))
        self._size += len(data)

    def fault(self, message: str, token: "Optional[str]" = None) -> None:
        """Append the frame that tells what no other frame does."""
        self.put({"t": "fault", "message": message[:4000], "token": token})

    @property
    def is_room(self) -> bool:
        """Whether output may be read for sending."""
        return self._size < LIMIT

    @property
    def is_empty(self) -> bool:
        """Whether all is written."""
        return not self._waiting

    def flush(self) -> None:
        """Write as much as the channel takes now.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        try:
            while self._waiting:
                self._forget(os.writev(self.fd, [self._waiting[i] for i in range(min(_VECTOR, len(self._waiting)))]))
        except BlockingIOError:
            return

    def _forget(self, written: int) -> None:
        self._size -= written
        while written:
            first = self._waiting.popleft()
            if written < len(first):
                self._waiting.appendleft(first[written:])
                return
            written -= len(first)
