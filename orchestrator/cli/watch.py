"""Watches a run until it ends or the person leaves: frames from the daemon to the screen, signals to decisions."""

import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Final, Self

from orchestrator.cli.exitcode import INTERRUPTED, PIPE_CLOSED, SIGNALLED
from orchestrator.cli.progress import progress_line
from orchestrator.cli.screen import ERR, OUT, Screen, Terminals, Write
from orchestrator.cli.tally import Tally
from orchestrator.client import Client, DaemonAbsentError, Follow

_REDRAW_S: Final = 0.1
_IDLE_S: Final = 30.0
_GRACE_S: Final = 10.0  # between TERM and KILL where nobody said otherwise
_CLEAR: Final = "\r\x1b[K"
_LEAVING: Final = (signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Ctrl-C, SIGTERM and SIGHUP as facts to ask for, instead of exceptions in the middle of something."""

    def __init__(self) -> None:
        self.interrupts = 0  #: Ctrl-C's that nobody has dealt with yet
        self.leave: int | None = None  #: the signal that wants this process to end
        self.wake, self._write = os.pipe()  #: `wake` is readable when one came
        for descriptor in (self.wake, self._write):
            os.set_blocking(descriptor, False)

    def __enter__(self) -> Self:
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, *_LEAVING)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.wake)
        os.close(self._write)

    def clear(self) -> None:
        """Forget that something came; what came stays in `interrupts` and `leave`."""
        try:
            os.read(self.wake, 4096)
        except BlockingIOError:
            return

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self.interrupts += 1
        else:
            self.leave = number


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the person wants to watch."""

    progress: bool = True  #: the line at the bottom, where the terminal can
    detach_on_interrupt: bool = False
    can_detach: bool = True  #: False when the daemon lives in this process and ends with it
    grace_s: float | None = None  #: of a cancel


class Watch:
    """One run, watched. `run` returns None when it has ended, else the exit code for leaving before."""

    def __init__(  # noqa: PLR0913  what it connects
        self, client: Client, follow: Follow, screen: Screen, terminals: Terminals, *, signals: Signals, habits: Habits
    ) -> None:
        self.tally = Tally()
        self._client = client
        self._follow = follow
        self._screen = screen
        self._signals = signals
        self._habits = habits
        self._terminals = terminals
        self._live = habits.progress and terminals.err.moves
        self._drawn = False
        self._drawn_at = 0.0
        self._began = time.monotonic()
        self._cancels = 0

    def run(self) -> int | None:
        """Watch to the end.

        Raises:
            ApiError: the daemon refused.
            DaemonAbsentError: it went away and did not come back in time.
        """
        try:
            while not self.tally.ended:
                left = self._decide()
                if left is not None:
                    return left
                self._step()
            self._write(self._screen.finish())
        except BrokenPipeError:
            return self._nobody_reads()
        except DaemonAbsentError:
            self._say(f"what has started goes on; when the daemon is back: anyjob follow {self._follow.run}")
            raise
        finally:
            self._erase()
            self._follow.close()
        return None

    def _step(self) -> None:
        frames = self._follow.receive(_REDRAW_S if self._live else _IDLE_S, wake=self._signals.wake)
        writes: list[Write] = []
        for frame in frames:
            self.tally.note(frame)
            writes += self._screen.feed(frame)
        now = time.monotonic()
        due = now - self._drawn_at >= _REDRAW_S
        if due:
            writes += self._screen.idle()
        self._write(writes)
        if self._live and (due or not self._drawn):
            self._draw(now)

    def _write(self, writes: list[Write]) -> None:
        if not writes:
            return
        self._erase()
        for fd, data in writes:
            stream = sys.stdout.buffer if fd == OUT else sys.stderr.buffer
            stream.write(data)
            stream.flush()

    def _say(self, text: str) -> None:
        self._write([Write(ERR, f"{text}\n".encode())])

    def _draw(self, now: float) -> None:
        line = progress_line(self.tally, now - self._began, self._terminals.err, connected=self._follow.connected)
        sys.stderr.write(_CLEAR + line)
        sys.stderr.flush()
        self._drawn, self._drawn_at = True, now

    def _erase(self) -> None:
        if self._drawn:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._drawn = False

    def _decide(self) -> int | None:
        """Deal with the signals that came; return an exit code to leave with."""
        self._signals.clear()
        if self._signals.leave is not None:
            self._say(f"the run goes on; watch it again: anyjob follow {self._follow.run}")
            return SIGNALLED + self._signals.leave
        if not self._signals.interrupts:
            return None
        several = self._signals.interrupts > 1
        self._signals.interrupts = 0
        if self._cancels or several:
            return self._cancel()
        if not sys.stdin.isatty() or not self._terminals.err.tty:
            return self._detach() if self._habits.detach_on_interrupt and self._habits.can_detach else self._cancel()
        return self._ask()

    def _ask(self) -> int | None:
        self._say(self._still_running())
        choices = "[d]etach, [c]ancel, or Enter to go on" if self._habits.can_detach else "[c]ancel, or Enter to go on"
        sys.stderr.write(f"{choices}? ")
        sys.stderr.flush()
        ready, _, _ = select.select([sys.stdin.fileno(), self._signals.wake], [], [])
        if self._signals.wake in ready:
            sys.stderr.write("\n")
            self._signals.clear()
            self._signals.interrupts = 0
            return self._cancel()
        answer = os.read(sys.stdin.fileno(), 256).strip().lower()
        if answer.startswith(b"c"):
            return self._cancel()
        return self._detach() if answer.startswith(b"d") and self._habits.can_detach else None

    def _still_running(self) -> str:
        from inventory.nodeset import fold  # noqa: PLC0415  needed by few commands

        active = [job["node"] for job in self.tally.active()]
        return f"not ended yet: {fold(active)} ({len(active)})" if active else "the run is about to end"

    def _detach(self) -> int:
        self._say(f"the run goes on; watch it again: anyjob follow {self._follow.run}")
        return INTERRUPTED

    def _cancel(self) -> int | None:
        self._cancels += 1
        if self._cancels > 2:
            self._say(f"leaving; the end of run {self._follow.run} was not seen: anyjob show {self._follow.run}")
            return INTERRUPTED
        kill = self._cancels == 2
        self._say("killing" if kill else "cancelling (Ctrl-C again kills at once)")
        self._client.call("cancel", id=self._follow.run, grace_s=0.0 if kill else self._habits.grace_s)
        return None

    def _see_the_end(self) -> None:
        """Wait until a cancelled run has ended: the daemon of this process has to tell the nodes before it ends."""
        grace_s = _GRACE_S if self._habits.grace_s is None else self._habits.grace_s
        latest = time.monotonic() + grace_s + _GRACE_S
        while not self.tally.ended and time.monotonic() < latest:
            for frame in self._follow.receive(1.0):
                self.tally.note(frame)

    def _nobody_reads(self) -> int:
        """Our reader has gone (`| head`): end quietly, and leave no job behind that nobody knows of."""
        # Python would complain at exit about what it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), OUT)
        run = self._follow.run
        text = f"run {run} goes on: anyjob follow {run}\n"
        if not self._habits.can_detach:
            self._client.call("cancel", id=run, grace_s=self._habits.grace_s)
            self._see_the_end()
            text = f"run {run} was cancelled, because its output was closed\n"
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), ERR)
        return PIPE_CLOSED
