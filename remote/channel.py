"""The one SSH channel to a node, as bytes in both directions with bounds on both sides."""

import asyncio
from collections import deque

import asyncssh

WINDOW = 2 << 20  #: bytes that a node may have on the way; asyncssh keeps as much while reading is paused
MAX_WAITING = 2 << 20  #: bytes kept here for a slow reader, beside the window
_MAX_STDERR = 4096
_MAX_STDERR_END = 1024


class ChannelClosedError(Exception):
    """The channel has ended, from wherever. `str()` is what is known about why."""


class NodeChannel(asyncssh.SSHClientSession[bytes]):
    """Standard input and output of the command on the node. One task reads; any number may write."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._reading_paused = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed: str | None = None
        self._exit = ""
        self.has_ended = False  #: the command has ended, which is not a lost connection
        self.heard = self._loop.time()  #: when bytes came last (loop time)
        self.stderr = bytearray()  #: its beginning
        self.stderr_end = b""  #: its end, where a question stands
        self.stderr_bytes = 0

    # Called by asyncssh

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Take the channel."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Keep bytes for the reader; let no more come when it has enough."""
        self.heard = self._loop.time()
        if datatype is not None:
            self.stderr += data[: max(0, _MAX_STDERR - len(self.stderr))]
            self.stderr_end = (self.stderr_end + data[-_MAX_STDERR_END:])[-_MAX_STDERR_END:]
            self.stderr_bytes += len(data)
        else:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            if self._waiting_bytes >= MAX_WAITING and not self._reading_paused and self._channel is not None:
                self._reading_paused = True
                self._channel.pause_reading()
        self._readable.set()

    def eof_received(self) -> bool:
        """Note that the command's output has ended. Only the controller ends a conversation: this is a loss."""
        self.has_ended = True
        self.fail("the runner's output ended")
        return False

    def exit_status_received(self, status: int) -> None:
        """Note how the command ended, for the message alone: only frames tell about jobs."""
        self.has_ended = True
        self._exit = f"the runner exited with {status}"

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002, FBT001
        """Note how the command ended."""
        self._exit = f"the runner was killed by SIG{signal[:16]}"

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everybody: there is nothing to come any more."""
        self.fail(str(exc) if exc is not None else "the channel was closed by the node")

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._writable.set()

    # Called by the link

    @property
    def has_unread(self) -> bool:
        """Whether the reader here has not yet taken all that came."""
        return bool(self._waiting)

    @property
    def is_closed(self) -> bool:
        """Whether it has ended. What had come before can still be read."""
        return self._closed is not None

    def fail(self, why: str) -> None:
        """End the channel for all who use it; the first cause stays."""
        if self._closed is None:
            self._closed = why
        self._readable.set()
        self._writable.set()

    def write(self, data: bytes) -> None:
        """Hand bytes over to be sent.

        Raises:
            ChannelClosedError
        """
        if self._closed is not None or self._channel is None:
            raise ChannelClosedError(self._why())
        try:
            self._channel.write(data)
        except OSError:
            self.fail("the channel was closed by the node")
            raise ChannelClosedError(self._why()) from None

    async def drain(self) -> None:
        """Wait until the channel takes more.

        Raises:
            ChannelClosedError
        """
        await self._writable.wait()
        if self._closed is not None:
            raise ChannelClosedError(self._why())

    async def read(self) -> list[bytes]:
        """Wait for bytes on standard output and return all pieces that have come; empty = only standard error spoke.

        Raises:
            ChannelClosedError: after everything that came before.
        """
        await self._readable.wait()
        pieces = list(self._waiting)
        if not pieces and self._closed is not None:
            raise ChannelClosedError(self._why())
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._closed is None:
            self._readable.clear()
        if self._reading_paused and self._channel is not None:
            self._reading_paused = False
            self._channel.resume_reading()
        return pieces

    def _why(self) -> str:
        said = bytes(self.stderr).decode("utf-8", "replace")
        return ", ".join(part for part in (self._exit or self._closed or "", said) if part)
