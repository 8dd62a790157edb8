"""One job's supervisor: a process of its own that outlives the relay, the connection and the controller.

It starts the job, moves its output into files, holds its limits, and records its end.
"""

import errno
import os
import select
import signal
import time

from . import outcome
from .deadlines import Deadlines
from .entry import REQUEST, drain, ring
from .facts import BOOTTIME
from .family import MAX_NAMED, Family
from .identity import StartError
from .inputs import remove_files
from .launch import Launch
from .stream import TURN, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set

    from .entry import Entry
    from .launch import Surroundings

DRAIN_S = 2.0  # how long a child that the job left behind may go on writing
RETRY_S = 0.5  # between two tries to write to a full disk
LOOK_S = 10.0  # a sleep is not noticed by poll: look at the clock at least this often
LOOK_AGAIN_S = 1.0  # between two looks for processes whose end we are not told
MAX_REPORTS = 16 << 20  # bytes of reports that are kept
END_OF_INPUT = b"\4"  # what a terminal takes for it


def start(entry: "Entry", spec: "Dict[str, Any]", lock: int, around: "Surroundings", secrets: "Dict[str, str]") -> None:
    """Fork the supervisor of a claimed token; it takes `lock` with it, and the secrets in its memory.

    One fork is enough: the relay ignores SIGCHLD, so the kernel reaps, and when the relay is gone init is the parent.
    """
    if os.fork() != 0:
        return
    try:
        _detach({entry.fd, lock})
        Supervisor(entry, spec).run(around, secrets)
    finally:
        os._exit(0)


def _detach(kept: "Set[int]") -> None:
    """Leave the session and everything inherited: while we held the channel's pipes, sshd would not end the session."""
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            os.closerange(int(name), int(name) + 1)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a machine that goes down: the job's end is still worth recording


class Supervisor:
    """The job from its start to its outcome, in one loop."""

    def __init__(self, entry: "Entry", spec: "Dict[str, Any]") -> None:
        """Take the token's entry (locked), and the StartSpec."""
        self._entry = entry
        self._spec = spec
        self._bell = entry.open_fifo("bell")
        self._ctl = entry.open_fifo("ctl")
        self._poll = select.poll()
        self._streams: "Dict[str, Stream]" = {}
        self._failure: "Optional[StartError]" = None
        self._typing = b""
        self._has_typed = False
        self._has_status = False
        self._started_at = time.time()
        self._family = Family()
        self._deadlines = Deadlines(spec, _now())
        self._ended_at: "Optional[float]" = None

    def run(self, around: "Surroundings", secrets: "Dict[str, str]") -> None:
        """Supervise the job to its end and record it."""
        try:
            end = self._supervise(around, secrets)
        except StartError as error:
            end = self._outcome("not_started", reason=error.reason, message=str(error))
        except Exception as error:  # the outcome is owed whatever went wrong here
            if self._entry.exists("idle"):
                end = self._outcome("not_started", reason="exec_failed", message="the supervisor failed: %r" % error)
            else:
                self._family.signal(signal.SIGKILL)
                message = "the supervisor failed, and ended the job: %r" % error
                end = self._outcome("lost", reason="lost_supervisor", message=message)
        remove_files(self._entry)
        self._entry.record(end)
        ring(self._bell)

    def _supervise(self, around: "Surroundings", secrets: "Dict[str, str]") -> "Dict[str, Any]":
        wakeup, wakeup_end = os.pipe()
        for fd in (wakeup, wakeup_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakeup_end)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # its only effect is the byte in the pipe
        self._job = Launch(self._entry, self._spec, around)
        self._job.fork(self._family, secrets)
        self._open_streams()
        for fd in (wakeup, self._ctl, self._job.status):
            self._poll.register(fd, select.POLLIN)
        self._entry.arm(self._family.leader, time.time())
        self._job.go()
        self._deadlines = Deadlines(self._spec, _now())
        self._obey(self._entry.cancel_grace())
        while not self._is_over():
            self._turn(wakeup)
        return self._finish()

    def _open_streams(self) -> None:
        limit, stops = self._spec["max_output"], self._spec["on_output_limit"] == "block"
        for name, source in (("out", self._job.out), ("err", self._job.err), ("rep", self._job.rep)):
            if source >= 0:
                target = self._entry.open(name, os.O_WRONLY)
                is_report = name == "rep"
                stream = Stream(source, target, MAX_REPORTS if is_report else limit, stops and not is_report)
                self._streams[name] = stream
                self._watch(stream)

    def _watch(self, stream: Stream) -> None:
        is_typing = stream.source == self._job.terminal and not self._has_typed
        self._poll.register(stream.source, select.POLLIN | (select.POLLOUT if is_typing else 0))

    def _turn(self, wakeup: int) -> None:
        """Wait for something to do, and do all of it."""
        for fd, event in self._poll.poll(self._patience()):
            if fd == wakeup:
                drain(wakeup)
            elif fd == self._ctl:
                self._read_requests()
            elif fd == self._job.status:
                self._read_status()
            elif event & select.POLLOUT:
                self._type()
        self._pump()
        self._hold_limits()
        self._family.reap()
        if self._ended_at is None and self._family.end is not None:
            self._ended_at = _now()

    def _patience(self) -> int:
        """Return how many milliseconds nothing but a descriptor need wake us."""
        moments = [self._deadlines.next()]
        waits = []
        if self._ended_at is not None and self._spec["leftovers"] != "wait":
            moments.append(self._ended_at + DRAIN_S)
        elif self._ended_at is not None and not self._family.tells_its_end:
            waits.append(LOOK_AGAIN_S)
        waits += [max(0.0, min(moment - _now(), LOOK_S)) for moment in moments if moment is not None]
        if any(stream.is_blocked for stream in self._streams.values()):
            waits.append(RETRY_S)
        return int(min(waits) * 1000) + 1 if waits else -1

    def _read_requests(self) -> None:
        for (grace_s,) in REQUEST.iter_unpack(os.read(self._ctl, 512 * REQUEST.size)):
            self._obey(grace_s)

    def _obey(self, grace_s: "Optional[float]") -> None:
        if grace_s is not None:
            self._end("cancel", grace_s)

    def _end(self, cause: str, grace_s: float) -> None:
        """Ask all of the job to end."""
        if self._deadlines.end(cause, grace_s, _now()):
            self._family.signal(signal.SIGTERM)
            self._family.signal(signal.SIGCONT)  # a stopped process sees no TERM

    def _hold_limits(self) -> None:
        if self._ended_at is not None and self._spec["leftovers"] != "wait":
            return
        if any(stream.is_blocked for stream in self._streams.values()):
            self._deadlines.hear(_now())  # the disk is full: it is not the job that is silent
        cause = self._deadlines.overdue(_now())
        if self._spec["on_output_limit"] == "kill" and self._deadlines.cause is None:
            lost = sum(stream.dropped for name, stream in self._streams.items() if name != "rep")
            cause = "output_limit" if lost else cause
        if cause is not None:
            self._end(cause, self._spec["grace_s"])
        if self._deadlines.must_kill(_now()):
            self._family.signal(signal.SIGKILL)

    def _read_status(self) -> None:
        self._has_status = True
        report = os.read(self._job.status, 65536)
        self._poll.unregister(self._job.status)
        os.close(self._job.status)
        if report:
            reason, _, message = report.decode("utf-8", "replace").partition("\0")
            self._failure = StartError(reason, message)
            return
        self._started_at = time.time()
        self._entry.rename("armed", "started")
        ring(self._bell)

    def _type(self) -> None:
        """Write the next piece of the input to the terminal."""
        if not self._typing:
            self._typing = os.read(self._job.stdin, 4096)
        try:
            if self._typing:
                self._typing = self._typing[os.write(self._job.terminal, self._typing) :]
                return
            os.write(self._job.terminal, END_OF_INPUT)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        self._has_typed = True
        self._poll.modify(self._job.terminal, select.POLLIN)

    def _pump(self) -> None:
        moved = 0
        for stream in self._open():
            was_watched, seen = not (stream.is_blocked or stream.is_full), stream.recorded + stream.dropped
            moved += stream.pump()
            if stream.recorded + stream.dropped > seen:
                self._deadlines.hear(_now())
            # a full disk: the clock wakes us, not waiting bytes; at a limit that blocks: nothing does
            is_watched = stream.is_open and not stream.is_blocked and not stream.is_full
            if was_watched and not is_watched:
                self._poll.unregister(stream.source)
            elif is_watched and not was_watched:
                self._watch(stream)
        if moved:
            ring(self._bell)

    def _open(self) -> "List[Stream]":
        return [stream for stream in self._streams.values() if stream.is_open]

    def _is_over(self) -> bool:
        if self._ended_at is None:
            return False
        if self._failure is not None:
            return True
        if self._spec["leftovers"] == "wait" and self._family.are_left():
            return False
        if any(stream.is_blocked for stream in self._open()) and self._deadlines.cause is None:
            return False  # nothing is lost: it waits for room on the disk
        reports = self._streams["rep"]  # who has only this open has nothing to write
        if not any(stream is not reports and not stream.is_full for stream in self._open()):
            return True
        return _now() >= self._ended_at + DRAIN_S

    def _finish(self) -> "Dict[str, Any]":
        policy = self._spec["leftovers"]
        left = self._family.kill() if policy == "kill" else self._family.left()
        for stream in self._open():
            stream.pump(TURN)
            if stream.is_blocked or stream.is_full:
                stream.give_up()
        if not self._has_status:
            self._read_status()
        if self._failure is not None:
            raise self._failure
        assert self._family.end is not None  # noqa: S101
        status, usage = self._family.end
        known = {"left": left[:MAX_NAMED], "cpu_s": round(usage.ru_utime + usage.ru_stime, 6)}
        known["max_rss"] = usage.ru_maxrss * 1024
        if os.WIFSIGNALED(status):
            return self._outcome("signalled", signal=os.WTERMSIG(status), **known)
        return self._outcome("exited", code=os.WEXITSTATUS(status), **known)

    def _outcome(self, kind: str, **known: "Any") -> "Dict[str, Any]":
        known.update(cause=self._deadlines.cause, started_at=self._started_at)
        for name, stream in self._streams.items():
            known[name], known[name + "_dropped"] = stream.recorded, stream.dropped
        return outcome.build(kind, **known)


def _now() -> float:
    return time.clock_gettime(BOOTTIME)
