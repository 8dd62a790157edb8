"""One output stream of a job: from its pipe or terminal into its file."""

import errno
import os

from .entry import FULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

TURN = 1 << 20  # bytes moved at most before the other stream has its turn
NONBLOCK = 2  # SPLICE_F_NONBLOCK
PIECE = 1 << 16  # bytes of one read: what a pipe holds


class Stream:
    """Moves bytes without ever losing one: what the file does not take now stays in the pipe (or in `_held`)."""

    def __init__(self, source: int, target: int, limit: int, stops: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take over two descriptors and the number of bytes that are kept.

        What is beyond is counted and dropped, or, if the stream `stops`, not read until it is given up.
        """
        os.set_blocking(source, False)
        self.source = source
        self._target = target
        self._limit = limit
        self._stops = stops
        self._held = b""
        self._splice: "Optional[Callable[..., int]]" = getattr(os, "splice", None)
        self.recorded = 0
        self.dropped = 0
        self.is_open = True
        self.is_blocked = False  #: the disk is full

    @property
    def is_full(self) -> bool:
        """Whether it has stopped at its limit: whoever writes has to wait."""
        return self._stops and self.recorded >= self._limit

    def pump(self, most: int = TURN) -> int:
        """Move what is there, about `most` bytes; return how many were recorded."""
        before, seen = self.recorded, self.recorded + self.dropped
        self.is_blocked = False
        try:
            while self.recorded + self.dropped - seen < most and not self.is_full:
                self._move()
        except BlockingIOError:
            pass
        except EOFError:
            self.is_open = False
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.is_blocked = True
        return self.recorded - before

    def _move(self) -> None:
        room = self._limit - self.recorded
        if self._held:
            self._write(room)
        elif room > 0 and self._splice is not None:
            self._move_in_kernel(self._splice, room)
        else:
            self._held = self._read(min(room, PIECE) if self._stops else PIECE)
            self._write(room)

    def _move_in_kernel(self, splice: "Callable[..., int]", room: int) -> None:
        """Splice: a killed supervisor cannot have bytes in its memory, and none are copied."""
        try:
            moved = splice(self.source, self._target, min(room, TURN), offset_dst=self.recorded, flags=NONBLOCK)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
                raise
            self._splice = None  # a terminal, or a filesystem or sandbox without splice
            return
        if moved == 0:
            raise EOFError
        self.recorded += moved

    def _read(self, most: int) -> bytes:
        try:
            data = os.read(self.source, most)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""  # a terminal that nobody has open any more
        if not data:
            raise EOFError
        return data

    def _write(self, room: int) -> None:
        kept = self._held[:room]
        if kept:
            written = os.pwrite(self._target, kept, self.recorded)
            self.recorded += written
            self._held = self._held[written:]
        if self.recorded >= self._limit:
            self.dropped += len(self._held)
            self._held = b""

    def give_up(self) -> None:
        """Count what cannot be recorded as dropped: the job is over, or is to end while the disk stays full."""
        self._limit = self.recorded
        self._stops = False
        self.pump()
