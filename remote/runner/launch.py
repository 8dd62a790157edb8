"""From a StartSpec to a forked child that waits for the word to go, and what connects it with its supervisor."""

import collections
import fcntl
import os
import struct
import termios

from . import inputs, policy
from .child import Child
from .family import MARK
from .identity import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, NamedTuple, Optional, Tuple

    from .entry import Entry
    from .family import Family
    from .identity import Identity

    class Surroundings(NamedTuple):
        """What a job's start needs beside its spec."""

        cluster: str
        directory: bytes  # of the token
        library: "Optional[bytes]"  # directory of what jobs use
        bundle: "Optional[bytes]"  # path of its bundle

else:
    Surroundings = collections.namedtuple("Surroundings", ["cluster", "directory", "library", "bundle"])
    Surroundings.__doc__ = "What a job's start needs beside its spec."


class Launch:
    """A forked child that waits for `go`, and the supervisor's ends of what connects the two; -1 is no descriptor.

    `out`, `err` and `rep` give what the job writes and reports, `status` a failure to execute it (its end is success).
    With a terminal, `out` is the terminal, `err` is none, and `stdin` is what the supervisor has to type.
    """

    def __init__(self, entry: "Entry", spec: "Dict[str, Any]", around: "Surroundings") -> None:
        """Find out whom the job is to become.

        Args:
            entry: the token's spool entry.
            spec: the StartSpec.
            around: what else the start needs.

        Raises:
            StartError: it cannot be started.
        """
        self._entry = entry
        self._spec = spec
        self._around = around
        self.identity = resolve(spec["user"], spec["group"])
        policy.admit(self.identity, around.cluster)
        policy.check_account(self.identity)
        self.terminal = self.stdin = self.err = -1

    def fork(self, family: "Family", secrets: "Dict[str, str]") -> None:
        """Fork it.

        Args:
            family: what the job's processes will be found by.
            secrets: name and text.

        Raises:
            StartError: it cannot be started.
        """
        ends = self._standard_ends()
        self.rep, child_rep = os.pipe()
        ends.append(("FD", child_rep))
        if self._spec["params"] or self._spec["secrets"]:
            text = inputs.merge(self._entry.content("params", inputs.MAX_PARAMS), secrets)
            ends.append(("PARAMS_FD", inputs.in_memory(text, self.identity)))
        child = Child(self._spec, self.identity, ends)
        child.library = self._around.library
        self._hand_over_program(child, ends)
        child.env = inputs.write_files(self._entry, self._spec["secret_files"], secrets, self.identity)
        child.env.update({"ANYJOB_TOKEN": self._entry.token, MARK: family.mark})
        self.status, child_status = os.pipe()
        child_go, self._go = os.pipe()
        family.leader = os.fork()
        if family.leader == 0:
            child.run(child_go, child_status)
        for fd in {child_go, child_status, *(fd for _, fd in ends)}:
            os.close(fd)

    def go(self) -> None:
        """Let the child become the program."""
        os.write(self._go, b"g")
        os.close(self._go)

    def _standard_ends(self) -> "List[Tuple[str, int]]":
        given = self._entry.open("stdin") if self._spec["stdin"] else os.open("/dev/null", os.O_RDWR)
        if self._spec["tty"] is not None:
            self.terminal, slave = _open_terminal(self._spec["tty"], self.identity)
            self.out, self.stdin = self.terminal, given
            return [("stdin", slave), ("stdout", slave), ("stderr", slave)]
        self.out, child_out = os.pipe()
        self.err, child_err = os.pipe()
        return [("stdin", given), ("stdout", child_out), ("stderr", child_err)]

    def _hand_over_program(self, child: Child, ends: "List[Tuple[str, int]]") -> None:
        """Let the child have its script or bundle. A script is never executed itself: the spool may be noexec."""
        is_ours = self.identity.uid == os.geteuid()
        if self._spec["script"]:
            fd, child.program = self._entry.open("script"), self._around.directory + b"/script"
            child.first_bytes = os.pread(fd, 256, 0)
            if not is_ours:
                os.fchown(fd, self.identity.uid, self.identity.gid)
                os.fchmod(fd, 0o400)
        elif self._around.bundle is not None:
            fd, child.program = os.open(self._around.bundle, os.O_RDONLY), self._around.bundle
        else:
            return
        if is_ours:
            os.close(fd)
        else:
            ends.append(("program", fd))


def _open_terminal(tty: "Dict[str, Any]", identity: "Identity") -> "Tuple[int, int]":
    terminal, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", tty["rows"], tty["cols"], 0, 0))
    modes = termios.tcgetattr(slave)
    modes[3] &= ~termios.ECHO  # nobody types: an echo would only repeat the input in the output
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    if os.geteuid() == 0:
        os.fchown(slave, identity.uid, -1)
    return terminal, slave
