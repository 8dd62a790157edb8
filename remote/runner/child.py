"""The forked child until it is the job's program: what it takes on, gives up and closes, and why an exec failed."""

import errno
import fcntl
import os
import signal
import sys
import termios

from . import kernel, rlimits
from .identity import StartError, become, environment, text
from .program import execute, script_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from .identity import Identity

OUT_OF_THE_WAY = 64  # descriptors are moved up to here before they are moved to their places


class Child:
    """Becomes the program; never returns.

    `ends` are (name, descriptor): `stdin`, `stdout` and `stderr`, then in any order `FD` (reports), `PARAMS_FD`, and
    the `program` (script or bundle) for a user who cannot get at its path. They become 0, 1, 2, 3 and so on.
    """

    def __init__(self, spec: "Dict[str, Any]", identity: "Identity", ends: "List[Tuple[str, int]]") -> None:
        """Take the StartSpec, whom to become, and the descriptors."""
        self._spec = spec
        self._identity = identity
        self._ends = ends
        self.env: "Dict[str, str]" = {}  #: what the runner itself adds to the environment
        self.library: "Optional[bytes]" = None  #: directory of what jobs use
        self.program: "Optional[bytes]" = None  #: path of the script or bundle
        self.first_bytes = b""  #: of the script
        self._status = -1

    def run(self, go: int, status: int) -> None:
        """Wait for the word to go, become the user, execute; tell a failure on `status`."""
        self._status = status
        try:
            _reset_signals()
            os.setsid()
            if os.read(go, 1) == b"g":
                self._execute()
        except StartError as error:
            report = (error.reason, str(error))
        except OSError as error:
            report = ("exec_failed", "%s could not be started: %s" % (self._shown(), error))
        except BaseException as error:  # this process must not go on as a second supervisor
            report = ("exec_failed", "%s could not be started: %r" % (self._shown(), error))
        else:
            os._exit(127)
        os.write(self._status, "\0".join(report).encode("utf-8", "replace")[:4096])
        os._exit(127)

    def _shown(self) -> str:
        if self._spec["script"] or self._spec["bundle"]:
            return "the script" if self._spec["script"] else "the bundle"
        return repr(self._spec["argv"][0])

    def _execute(self) -> None:
        spec, identity = self._spec, self._identity
        if spec["tty"] is not None:
            fcntl.ioctl(self._ends[0][1], termios.TIOCSCTTY, 0)
        self._arrange()
        rlimits.apply(spec["rlimits"])
        rlimits.renice(spec["nice"])
        become(identity)
        _give_up_privileges(identity, spec["new_privs"])
        os.umask(spec["umask"])
        _enter(spec["cwd"], identity)
        argv = self._argv()
        env = environment(identity, spec["env"], spec["tty"] and spec["tty"]["term"])
        self._add_own(env)
        rlimits.apply_memory(spec["rlimits"])
        execute(argv, env)

    def _arrange(self) -> None:
        """Put every descriptor in its place, and close all others but the one for a failure."""
        self._status = fcntl.fcntl(self._status, fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY)
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) for _, fd in self._ends]
        for place, fd in enumerate(moved):
            os.dup2(fd, place)
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            if fd >= len(moved) and fd != self._status:
                os.closerange(fd, fd + 1)  # no complaint about the listing's own, which is closed already

    def _place(self, name: str) -> "Optional[int]":
        return next((place for place, (known, _) in enumerate(self._ends) if known == name), None)

    def _argv(self) -> "List[bytes]":
        spec = self._spec
        words = [text(word) for word in spec["argv"] or ()]
        place = self._place("program")
        if place is not None:
            self.program = b"/proc/self/fd/%d" % place
        if spec["script"]:
            interpreter = [text(word) for word in spec["interpreter"] or ()]
            return [*(interpreter or script_words(self.first_bytes)), self.program or b"", *words]
        if spec["bundle"] is None:
            return words
        helper = os.path.join(self.library or b"", b"anyjob.py")
        if not os.access(helper, os.R_OK):
            shown = helper.decode("utf-8", "replace")
            raise StartError("no_permission", "%s cannot read %s, which runs bundles" % (self._identity.name, shown))
        python = [text(word) for word in spec["interpreter"] or ()] or [_python(), b"-u"]
        return [*python, helper, b"run", self.program or b"", text(spec["bundle"]["function"])]

    def _add_own(self, env: "Dict[bytes, bytes]") -> None:
        """Add what the runner knows; what others can set cannot replace it."""
        for name in ("FD", "PARAMS_FD"):
            place = self._place(name)
            if place is not None:
                env[b"ANYJOB_" + name.encode()] = b"%d" % place
        env.update((text(name), text(value)) for name, value in self.env.items())
        if self.library is not None and os.access(self.library, os.X_OK):
            for path in (b"PATH", b"PYTHONPATH"):
                env[path] = b":".join(filter(None, (env.get(path), self.library)))


def _python() -> bytes:
    """Return the runner's own interpreter, or the user's where that one is in somebody's home."""
    return os.fsencode(sys.executable) if os.access(sys.executable, os.X_OK) else b"python3"


def _give_up_privileges(identity: "Identity", may_gain: bool) -> None:  # noqa: FBT001
    try:
        if identity.uid != 0:
            kernel.drop_capabilities()
        if not may_gain:
            kernel.forbid_new_privileges()
    except OSError as error:
        text = "it cannot be kept from gaining privileges: %s; let the job have new_privs, or install what is missing"
        raise StartError("no_permission", text % error.strerror) from None


def _reset_signals() -> None:
    """Give every signal its default action: Python ignores SIGPIPE and SIGXFSZ, and programs inherit that."""
    signal.set_wakeup_fd(-1)
    for number in range(1, signal.NSIG):
        _reset_signal(number)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _reset_signal(number: int) -> None:
    try:
        signal.signal(number, signal.SIG_DFL)
    except (OSError, ValueError):
        return  # KILL, STOP, and what the C library keeps for itself


def _enter(cwd: "Optional[str]", identity: "Identity") -> None:
    try:
        os.chdir(text(identity.home if cwd is None else cwd))
    except OSError as error:
        if cwd is None:
            return os.chdir("/")
        reason = "no_permission" if error.errno == errno.EACCES else "no_such_directory"
        raise StartError(reason, "%s cannot enter %r: %s" % (identity.name, cwd, error.strerror)) from None
    return None
