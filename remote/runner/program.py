"""Executing a program by the kernel's own rules, and saying why it could not be."""

import errno
import os

from .identity import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List


def script_words(begin: bytes) -> "List[bytes]":
    """Return the interpreter that a script's `#!` line names, and its one argument, as the kernel would."""
    if not begin.startswith(b"#!"):
        return [b"/bin/sh"]
    line = begin[2:].split(b"\n")[0].replace(b"\t", b" ").strip(b" ")
    return [word.strip(b" ") for word in line.split(b" ", 1)] if line else [b"/bin/sh"]


def execute(argv: "List[bytes]", env: "Dict[bytes, bytes]") -> None:
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
