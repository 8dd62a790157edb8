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
    from typing import Any, Callable, Dict, List, Optional, Set, Tuple

MARK = "ANYJOB_MARK"
END_S = 5.0  # how long killed processes are waited for: one in the kernel's hands may never come back
PAUSE_S = 0.005
MAX_NAMED = 64  # processes that an outcome names
_MARKED = 0
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
        """Send a signal to all of them, once to each.

        It goes to groups, because that leaves out no child that is being forked. A group of the tree holds nobody else:
        the leader has begun a session, and a group never spans two.
        """
        if self.leader <= 1:
            return  # there is no job yet; to the kernel such numbers mean groups and everybody
        found, groups = self._look()
        if self.end is None:  # the leader is not reaped: its number belongs to nobody else
            groups.discard(self.leader)
            if not _send(os.killpg, self.leader, number):
                _send(os.kill, self.leader, number)  # the child is not the leader of its group yet
        for group in groups - {os.getpgrp()}:
            _send(os.killpg, group, number)
        for pid, group in found.items():
            if group == _MARKED:
                _send(os.kill, pid, number)

    def kill(self) -> "List[int]":
        """End all that are left when the leader has ended; return those that could not be ended."""
        until = time.monotonic() + END_S
        self.reap()
        while self.are_left():
            if time.monotonic() > until:
                return self.left()
            self.signal(signal.SIGKILL)
            time.sleep(PAUSE_S)
            self.reap()  # after the look: the dead tell the groups of processes that live too shortly to be seen
        return []

    def left(self) -> "List[int]":
        """Return the processes beside the leader, which has ended."""
        return sorted(self.scan()) if self.are_left() else []

    def scan(self) -> "Dict[int, int]":
        """Return process → group of what lives, without the leader. The group of what only the mark tells is 0."""
        return self._look()[0]

    def _look(self) -> "Tuple[Dict[int, int], Set[int]]":
        """Return what lives, and the groups of all in the tree, the dead that nobody has waited for included."""
        living: "Dict[int, int]" = {}
        groups: "Dict[int, int]" = {}
        children: "Dict[int, List[int]]" = {}
        for name in os.listdir("/proc"):
            state = _state(name) if name.isdigit() else None
            if state is not None:
                parent, groups[int(name)], is_alive = state
                children.setdefault(parent, []).append(int(name))
                if is_alive:
                    living[int(name)] = groups[int(name)]
        ours, waiting = set(), children.get(os.getpid(), [])[:]
        while waiting:
            pid = waiting.pop()
            ours.add(pid)
            waiting += children.get(pid, [])
        found = {pid: living[pid] for pid in ours & living.keys()}
        found.update((pid, _MARKED) for pid in living.keys() - ours if self._is_marked(pid))
        found.pop(self.leader, None)
        return found, {groups[pid] for pid in ours if groups[pid] > 1}

    def _is_marked(self, pid: int) -> bool:
        try:
            with open("/proc/%d/environ" % pid, "rb", 0) as file:
                return self._needle in b"\0" + (file.read(_ENVIRON) or b"")
        except OSError:
            return False  # another user's, or gone


def _state(pid: str) -> "Optional[Tuple[int, int, bool]]":
    """Return parent and group of a process, and whether it lives; the name in its line may hold anything."""
    try:
        with open("/proc/%s/stat" % pid, "rb", 0) as file:
            state, parent, group = (file.read(4096) or b"").rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return int(parent), int(group), state not in (b"Z", b"X")


def _send(how: "Callable[[int, int], None]", target: int, number: int) -> bool:
    """Send a signal; tell whether there was somebody, ours to signal or not."""
    try:
        how(target, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # a set-user-id program
    return True
