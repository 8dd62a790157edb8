"""The relay: lives as long as the connection, between the channel (frames) and the spool (jobs).

It keeps nothing that matters: at the end of its standard input it exits, and the jobs do not notice.
"""

import collections
import os
import select
import signal
import time

from .following import Following
from .frames import Decoder, FrameError
from .inputs import remove_files
from .lookups import Lookups
from .outbox import Outbox
from .spec import is_seconds
from .spool import Refusal, is_token
from .starts import Starts
from .tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Deque

    from .frames import Frame
    from .library import Library
    from .spool import Spool

READ = 256 << 10  # bytes of one read from the channel
BACKLOG = 4 << 20  # bytes of commands: above it the channel is not read
TURN_S = 0.02  # seconds of commands before output and pings have their turn


class Relay:
    """Serves one connection."""

    def __init__(self, spool: "Spool", library: "Library", channel: int, outbox: Outbox) -> None:
        """Take the spool, the files for jobs, the descriptor to read from, and what leads to the controller."""
        os.set_blocking(channel, False)
        self._spool = spool
        self._channel = channel
        self._outbox = outbox
        self._decoder = Decoder(max_header=0xFFFF)  # a command and its environment may be long
        self._commands: "Deque[Frame]" = collections.deque()
        self._backlog = 0
        self._is_open = True
        self._poll = select.poll()
        self._following = Following(spool, outbox, self._poll)
        self._lookups = Lookups(spool, outbox, self._poll)
        self._starts = Starts(spool, library, outbox, self._following)
        self._handlers = {
            "hello": self._hello,
            "input": self._input,
            "start": self._start,
            "tail": self._tail,
            "ack": self._ack,
            "cancel": self._cancel,
            "forget": self._forget,
            "probe": self._probe,
        }

    def run(self) -> None:
        """Serve until the channel ends."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps supervisors
        self._poll.register(self._channel, select.POLLIN)
        try:
            while self._is_open:
                self._turn()
        except (BrokenPipeError, ConnectionResetError):
            return

    def _turn(self) -> None:
        self._poll.modify(self._channel, select.POLLIN if self._backlog < BACKLOG else 0)
        if not self._outbox.is_empty:
            self._poll.register(self._outbox.fd, select.POLLOUT)
        events = self._poll.poll(self._patience())
        if not self._outbox.is_empty:
            self._poll.unregister(self._outbox.fd)
        for fd, _ in events:
            if fd == self._channel:
                self._read()
            elif not self._lookups.hear(fd):
                self._following.hear(fd)
        self._obey()
        self._following.look()
        self._following.advance()
        self._outbox.flush()

    def _patience(self) -> int:
        return 0 if self._commands else self._following.patience()

    def _read(self) -> None:
        try:
            data = os.read(self._channel, READ)
        except BlockingIOError:
            return
        if not data:
            self._is_open = False
            return
        try:
            frames = self._decoder.feed(data)
        except FrameError as error:
            self._outbox.fault("the controller's bytes are no frames: %s" % error)
            self._is_open = False
            return
        for frame in frames:
            if frame.header["t"] == "ping":  # before all that waits: it asks whether we live, not whether we are idle
                self._outbox.put({"t": "pong", "n": frame.header.get("n")})
            else:
                self._commands.append(frame)
                self._backlog += len(frame.payload) + 512

    def _obey(self) -> None:
        until = time.monotonic() + TURN_S
        while self._commands and time.monotonic() < until:
            frame = self._commands.popleft()
            self._backlog -= len(frame.payload) + 512
            self._handle(frame)

    def _handle(self, frame: "Frame") -> None:
        header = frame.header
        token = header.get("token") if is_token(header.get("token")) else None
        try:
            self._handlers[header["t"]](frame)
        except Refusal as refusal:
            self._outbox.put({"t": "refused", "token": token, "reason": refusal.reason, "message": str(refusal)})
        except (KeyError, TypeError, ValueError) as error:
            self._outbox.fault("the frame %.40r is not understood: %.200r" % (header["t"], error), token)
        except OSError as error:
            self._outbox.fault("%.40s failed in the spool: %s" % (header["t"], error), token)

    def _hello(self, frame: "Frame") -> None:
        if frame.header["cluster"] != self._spool.cluster:
            self._outbox.fault("this connection is of cluster %s" % self._spool.cluster)
            self._is_open = False

    def _input(self, frame: "Frame") -> None:
        self._starts.take(_token(frame), frame.header["name"], _offset(frame, "offset"), frame.payload)

    def _start(self, frame: "Frame") -> None:
        self._starts.start(_token(frame), frame.header["spec"])

    def _tail(self, frame: "Frame") -> None:
        token, offsets = _token(frame), {name: _offset(frame, name) for name in ("out", "err", "rep")}
        os.close(self._spool.lock())  # what another connection claims in this moment is whole after this
        entry = self._spool.entry(token)
        if entry is None:
            self._outbox.put({"t": "absent", "token": token})
            return
        if any(offset > entry.size(name) for name, offset in offsets.items()):
            entry.close()
            raise ValueError("there are fewer bytes in the spool than were asked for")
        self._following.leave(token)
        self._following.add(Tail(entry, **offsets))

    def _ack(self, frame: "Frame") -> None:
        """Take note that the controller has bytes: the spool keeps them until `forget`."""
        _token(frame)

    def _cancel(self, frame: "Frame") -> None:
        token, grace_s = _token(frame), frame.header["grace_s"]
        if not is_seconds(grace_s):
            raise ValueError("grace_s")
        entry = None if self._starts.cancel(token, float(grace_s)) else self._spool.entry(token)
        if entry is None:
            return
        try:
            if entry.outcome() is None:
                entry.request_cancel(float(grace_s))
        finally:
            entry.close()

    def _forget(self, frame: "Frame") -> None:
        token = _token(frame)
        entry = self._spool.entry(token)
        if entry is None:
            return
        has_ended = entry.outcome() is not None
        if has_ended:
            remove_files(entry)  # a supervisor that was killed has left them
        entry.close()
        if not has_ended:
            raise ValueError("a job that has not ended cannot be forgotten")
        self._following.leave(token)
        self._spool.remove(token)

    def _probe(self, frame: "Frame") -> None:
        self._lookups.ask(frame.header["n"], frame.header["users"])


def _token(frame: "Frame") -> str:
    token = frame.header["token"]
    if not is_token(token):
        raise ValueError("token")
    return str(token)


def _offset(frame: "Frame", name: str) -> int:
    offset = frame.header[name]
    if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
        raise ValueError(name)
    return int(offset)
