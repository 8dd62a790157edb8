"""The processes of one job: the leader, and what it leaves behind, found wherever it went.

The supervisor is the parent of every orphan of the job, so that a child in a session of its own stays in the tree.
Beside the tree a mark in the environment tells: where orphans cannot be adopted, and for what others started for a job.
"""

import os
import signal
import time

from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

MARK = "ANYJOB_MARK"
END_S = 5.0  # how long killed processes are waited for: one in the kernel's hands may never come back
PAUSE_S = 0.005
MAX_NAMED = 64  # processes that an outcome names
_ENVIRON = 1 << 18  # bytes of an environment that are looked at


class Family:
    """All processes of a job. Made before the job is forked, in the process that forks it."""

    def __init__(self) -> None:
        """Adopt what will be orphaned."""
        self.mark = os.urandom(8).hex()
        self._needle = b"\0%s=%s\0" % (MARK.encode(), self.mark.encode())
        self._adopts = kernel.adopt_orphans()
        self._has_children = True
        self.leader = -1
        self.end: "Optional[Tuple[int, Any]]" = None  #: the leader's wait status and resource usage, when it has ended

    def reap(self) -> None:
        """Take note of every child that has ended."""
        try:
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.leader:
                    self.end = (status, usage)
        except ChildProcessError:
            self._has_children = False

    def are_left(self) -> bool:
        """Tell whether there are processes beside the leader, which has ended. Costs next to nothing without any."""
        return self._has_children if self._adopts else bool(self.scan())

    @property
    def tells_its_end(self) -> bool:
        """Whether SIGCHLD comes when the last of them ends."""
        return self._adopts

    def signal(self, number: int) -> None:
        """Send a signal to all of them, once to each."""
        if self.end is None:  # the leader is not reaped: its number, and its group's, belong to nobody else
            self._signal_group(number)
        for pid, group in self.scan().items():
            if group != self.leader or self.end is not None:
                _send(pid, number)

    def _signal_group(self, number: int) -> None:
        for send in (os.killpg, os.kill):
            try:
                send(self.leader, number)
            except ProcessLookupError:
                continue  # killpg: the child is not the leader of its group yet
            except PermissionError:
                return  # a set-user-id program: not ours to end
            return

    def kill(self) -> "List[int]":
        """End all that are left when the leader has ended; return those that could not be ended."""
        until = time.monotonic() + END_S
        while True:
            self.reap()
            left = self.left()
            if not left or time.monotonic() > until:
                return left
            for pid in left:
                _send(pid, signal.SIGKILL)
            time.sleep(PAUSE_S)

    def left(self) -> "List[int]":
        """Return the processes beside the leader, which has ended."""
        return sorted(self.scan()) if self.are_left() else []

    def scan(self) -> "Dict[int, int]":
        """Return process → group of what lives, without the leader."""
        groups: "Dict[int, int]" = {}
        children: "Dict[int, List[int]]" = {}
        for name in os.listdir("/proc"):
            state = _state(name) if name.isdigit() else None
            if state is not None:
                groups[int(name)] = state[1]
                children.setdefault(state[0], []).append(int(name))
        ours, waiting = set(), children.get(os.getpid(), [])[:]
        while waiting:
            pid = waiting.pop()
            ours.add(pid)
            waiting += children.get(pid, [])
        ours.update(pid for pid in groups.keys() - ours if self._is_marked(pid))
        return {pid: groups[pid] for pid in ours if pid != self.leader}

    def _is_marked(self, pid: int) -> bool:
        try:
            with open("/proc/%d/environ" % pid, "rb", 0) as file:
                return self._needle in b"\0" + (file.read(_ENVIRON) or b"")
        except OSError:
            return False  # another user's, or gone


def _state(pid: str) -> "Optional[Tuple[int, int]]":
    """Return parent and group of a process that lives; the name in its line may hold anything."""
    try:
        with open("/proc/%s/stat" % pid, "rb", 0) as file:
            state, parent, group = file.read(4096).rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state in (b"Z", b"X") else (int(parent), int(group))


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
