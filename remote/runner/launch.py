"""From a StartSpec to a running program: the fork, what the child does before exec, and why an exec failed."""

import errno
import fcntl
import os
import resource
import signal
import struct
import termios

from .identity import StartError, become, environment, resolve, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from .entry import Entry
    from .identity import Identity

RLIMITS = {
    name: getattr(resource, "RLIMIT_" + name.upper())
    for name in ("as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack")
}
SOFT_FILES, HARD_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)  # before the relay raises its own


class Launch:
    """A forked child that waits for `go`, and the supervisor's ends of what connects the two; -1 is no descriptor.

    `out` and `err` give what the job writes, `status` a failure to execute it (its end is success). With a terminal,
    `out` is the terminal, `err` is none, and `stdin` is what the supervisor has to type.
    """

    def __init__(self, entry: "Entry", directory: bytes, spec: "Dict[str, Any]") -> None:
        """Fork it.

        Args:
            entry: the token's spool entry.
            directory: its path, for what must be named by a path.
            spec: the StartSpec.

        Raises:
            StartError: it cannot be started.
        """
        self.identity = resolve(spec["user"], spec["group"])
        self.terminal = self.stdin = self.err = -1
        given = entry.open("stdin") if spec["stdin"] else os.open("/dev/null", os.O_RDWR)
        if spec["tty"] is not None:
            self.terminal, slave = _open_terminal(spec["tty"], self.identity)
            self.out, self.stdin = self.terminal, given
            ends = (slave, slave, slave)
        else:
            self.out, child_out = os.pipe()
            self.err, child_err = os.pipe()
            ends = (given, child_out, child_err)
        self.status, child_status = os.pipe()
        child_go, self._go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _Child(entry, directory, spec, self.identity).run(ends, child_go, child_status)
        for fd in {child_go, child_status, *ends}:
            os.close(fd)

    def go(self) -> None:
        """Let the child become the program."""
        os.write(self._go, b"g")
        os.close(self._go)


def _open_terminal(tty: "Dict[str, Any]", identity: "Identity") -> "Tuple[int, int]":
    terminal, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", tty["rows"], tty["cols"], 0, 0))
    modes = termios.tcgetattr(slave)
    modes[3] &= ~termios.ECHO  # nobody types: an echo would only repeat the input in the output
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    if os.geteuid() == 0:
        os.fchown(slave, identity.uid, -1)
    return terminal, slave


class _Child:
    """The forked child until its exec; never returns."""

    def __init__(self, entry: "Entry", directory: bytes, spec: "Dict[str, Any]", identity: "Identity") -> None:
        self._entry = entry
        self._directory = directory
        self._spec = spec
        self._identity = identity
        self._kept: "Tuple[int, ...]" = ()

    def run(self, ends: "Any", go: int, status: int) -> None:
        """Wait for the word to go, become the user, execute; tell a failure on `status`."""
        try:
            _reset_signals()
            os.setsid()
            if os.read(go, 1) == b"g":
                self._execute(ends, status)
        except StartError as error:
            report = (error.reason, str(error))
        except OSError as error:
            report = ("exec_failed", "%s could not be started: %s" % (self._shown(), error))
        except BaseException as error:  # this process must not go on as a second supervisor
            report = ("exec_failed", "%s could not be started: %r" % (self._shown(), error))
        else:
            os._exit(127)
        os.write(status, "\0".join(report).encode("utf-8", "replace")[:4096])
        os._exit(127)

    def _shown(self) -> str:
        return "the script" if self._spec["script"] else repr(self._spec["argv"][0])

    def _execute(self, ends: "Any", status: int) -> None:
        spec, identity = self._spec, self._identity
        if spec["tty"] is not None:
            fcntl.ioctl(ends[0], termios.TIOCSCTTY, 0)
        for target, fd in enumerate(ends):
            os.dup2(fd, target)
        resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT_FILES, HARD_FILES))
        argv = (self._script_argv() if spec["script"] else []) + [text(word) for word in spec["argv"] or ()]
        env = environment(identity, spec["env"], spec["tty"] and spec["tty"]["term"])
        become(identity)
        os.umask(spec["umask"])
        _enter(spec["cwd"], identity)
        _close_all_but(status, *self._kept)
        _exec(argv, env)

    def _script_argv(self) -> "List[bytes]":
        """Return the words that run the script. It is never executed itself: the spool may be mounted noexec."""
        fd = self._entry.open("script")
        begin = os.pread(fd, 256, 0)
        if self._identity.uid == os.geteuid():
            path = self._directory + b"/script"
            os.close(fd)
        else:
            os.fchown(fd, self._identity.uid, self._identity.gid)
            os.fchmod(fd, 0o400)
            path = b"/proc/self/fd/%d" % fd
            os.set_inheritable(fd, True)  # noqa: FBT003
            self._kept = (fd,)
        if self._spec["interpreter"] is not None:
            return [text(word) for word in self._spec["interpreter"]] + [path]
        return [*_first_line(begin), path]


def _first_line(begin: bytes) -> "List[bytes]":
    """Return the interpreter that a script's `#!` line names, and its one argument, as the kernel would."""
    if not begin.startswith(b"#!"):
        return [b"/bin/sh"]
    line = begin[2:].split(b"\n")[0].replace(b"\t", b" ").strip(b" ")
    return [word.strip(b" ") for word in line.split(b" ", 1)] if line else [b"/bin/sh"]


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


def _close_all_but(*kept: int) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd not in kept:
            os.closerange(fd, fd + 1)  # no complaint about the listing's own, which is closed already


def _exec(argv: "List[bytes]", env: "Dict[bytes, bytes]") -> None:
    """Execute the program, found on the job's own PATH; returns only by raising `StartError`."""
    program = argv[0]
    places = [b""] if b"/" in program else env.get(b"PATH", b"").split(b":")
    found, failure = program, OSError(errno.ENOENT, "")
    for place in places:
        path = os.path.join(place, program) if place else program
        try:
            os.execve(path, argv, env)  # noqa: S606  without a shell is the point
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or os.path.lexists(path):
                found, failure = path, error
                if error.errno != errno.EACCES:
                    break
    raise _exec_error(found, failure, places)


def _exec_error(path: bytes, error: OSError, places: "List[bytes]") -> StartError:
    shown = repr(path.decode("utf-8", "replace"))
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return StartError("no_such_program", shown + _why_missing(path, places))
    if error.errno == errno.EACCES:
        return StartError("not_executable", "%s may not be executed by this user" % shown)
    if error.errno == errno.ENOEXEC:
        return StartError("not_executable", "%s is no program of this machine and has no #! line" % shown)
    return StartError("exec_failed", "%s: %s" % (shown, error.strerror))


def _why_missing(path: bytes, places: "List[bytes]") -> str:
    if os.path.lexists(path):
        return " is there, but the interpreter or loader that it names is not"
    if path.endswith(b"\r"):
        return " does not exist: the script has Windows line ends"
    if places == [b""]:
        return " does not exist"
    return " is not in %s" % b":".join(places).decode("utf-8", "replace")
