"""One job's supervisor: a process of its own that outlives the relay, the connection and the controller.

It starts the job, moves its output into files, holds its limits, and records its end.
"""

import errno
import os
import select
import signal
import time

from . import outcome
from .entry import REQUEST, drain, ring
from .facts import BOOTTIME
from .identity import StartError
from .launch import Launch
from .stream import TURN, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set

    from .entry import Entry

DRAIN_S = 2.0  # how long a child that the job left behind may go on writing
RETRY_S = 0.5  # between two tries to write to a full disk
LOOK_S = 10.0  # a sleep is not noticed by poll: look at the clock at least this often
END_OF_INPUT = b"\4"  # what a terminal takes for it


def start(entry: "Entry", directory: bytes, spec: "Dict[str, Any]", lock: int) -> None:
    """Fork the supervisor of a claimed token; it takes `lock` with it.

    One fork is enough: the relay ignores SIGCHLD, so the kernel reaps, and when the relay is gone init is the parent.
    """
    if os.fork() != 0:
        return
    try:
        _detach({entry.fd, lock})
        Supervisor(entry, directory, spec).run()
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

    def __init__(self, entry: "Entry", directory: bytes, spec: "Dict[str, Any]") -> None:
        """Take the token's entry (locked), its path, and the StartSpec."""
        self._entry = entry
        self._directory = directory
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
        self._cause: "Optional[str]" = None
        self._deadline: "Optional[float]" = None
        self._kill_at: "Optional[float]" = None
        self._ended_at: "Optional[float]" = None

    def run(self) -> None:
        """Supervise the job to its end and record it."""
        try:
            end = self._supervise()
        except StartError as error:
            end = self._outcome("not_started", reason=error.reason, message=str(error))
        except Exception as error:  # the outcome is owed whatever went wrong here
            if self._entry.exists("idle"):
                end = self._outcome("not_started", reason="exec_failed", message="the supervisor failed: %r" % error)
            else:
                self._signal(signal.SIGKILL)
                message = "the supervisor failed, and ended the job: %r" % error
                end = self._outcome("lost", reason="lost_supervisor", message=message)
        self._entry.record(end)
        ring(self._bell)

    def _supervise(self) -> "Dict[str, Any]":
        wakeup, wakeup_end = os.pipe()
        for fd in (wakeup, wakeup_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakeup_end)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # its only effect is the byte in the pipe
        self._job = Launch(self._entry, self._directory, self._spec)
        self._open_streams()
        for fd in (wakeup, self._ctl, self._job.status):
            self._poll.register(fd, select.POLLIN)
        self._entry.arm(self._job.pid, time.time())
        self._job.go()
        if self._spec["timeout_s"] is not None:
            self._deadline = _now() + self._spec["timeout_s"]
        self._obey(self._entry.cancel_grace())
        while not self._is_over():
            self._turn(wakeup)
        return self._finish()

    def _open_streams(self) -> None:
        limit = self._spec["max_output"]
        for name, source in (("out", self._job.out), ("err", self._job.err)):
            if source >= 0:
                self._streams[name] = Stream(source, self._entry.open(name, os.O_WRONLY), limit)
                self._watch(self._streams[name])

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
        if self._ended_at is None and _has_ended(self._job.pid):
            self._ended_at = _now()

    def _patience(self) -> int:
        """Return how many milliseconds nothing but a descriptor need wake us."""
        moments = [self._kill_at, None if self._cause else self._deadline]
        if self._ended_at is not None:
            moments = [self._ended_at + DRAIN_S]
        waits = [max(0.0, min(moment - _now(), LOOK_S)) for moment in moments if moment is not None]
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
        """Ask the whole group to end, and note when it is made to; a second request can only come earlier."""
        kill_at = _now() + grace_s
        self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)
        if self._cause is None:
            self._cause = cause
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # a stopped process sees no TERM

    def _hold_limits(self) -> None:
        if self._ended_at is not None:
            return
        if self._deadline is not None and self._cause is None and _now() >= self._deadline:
            self._end("timeout", self._spec["grace_s"])
        if self._kill_at is not None and _now() >= self._kill_at:
            self._signal(signal.SIGKILL)
            self._kill_at = _now() + DRAIN_S  # again, if something was forked in that moment

    def _signal(self, number: int) -> None:
        """Send a signal to the job's group. Its leader is not reaped yet, so the number belongs to nobody else."""
        for send in (os.killpg, os.kill):
            try:
                send(self._job.pid, number)
            except ProcessLookupError:
                continue  # killpg: the child is not the leader of its group yet
            except PermissionError:
                return  # a set-user-id program: not ours to end
            return

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
            was_watched = not stream.is_blocked
            moved += stream.pump()
            is_watched = stream.is_open and not stream.is_blocked  # a full disk: the clock wakes us, not waiting bytes
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
        if not self._open() or self._failure is not None:
            return True
        if any(stream.is_blocked for stream in self._open()) and self._cause is None:
            return False  # nothing is lost: it waits for room on the disk
        return _now() >= self._ended_at + DRAIN_S

    def _finish(self) -> "Dict[str, Any]":
        self._signal(signal.SIGKILL)  # what is left of the group
        for stream in self._open():
            stream.pump(TURN)
            if stream.is_blocked:
                stream.give_up()
        if not self._has_status:
            self._read_status()
        _, status, usage = os.wait4(self._job.pid, 0)
        if self._failure is not None:
            raise self._failure
        cost = {"cpu_s": round(usage.ru_utime + usage.ru_stime, 6), "max_rss": usage.ru_maxrss * 1024}
        if os.WIFSIGNALED(status):
            return self._outcome("signalled", signal=os.WTERMSIG(status), **cost)
        return self._outcome("exited", code=os.WEXITSTATUS(status), **cost)

    def _outcome(self, kind: str, **known: "Any") -> "Dict[str, Any]":
        known.update(cause=self._cause, started_at=self._started_at)
        for name, stream in self._streams.items():
            known[name], known[name + "_dropped"] = stream.recorded, stream.dropped
        return outcome.build(kind, **known)


def _has_ended(pid: int) -> bool:
    """Tell whether the job's leader has ended, without reaping it: its number must stay its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _now() -> float:
    return time.clock_gettime(BOOTTIME)
