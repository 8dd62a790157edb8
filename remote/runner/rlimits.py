"""Limits of the kernel: those of the login, which a job gets back, and those that its StartSpec sets."""

import os
import resource

from .identity import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

NUMBERS = {
    name: getattr(resource, "RLIMIT_" + name.upper())
    for name in ("as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack")
}
_OF_THE_LOGIN = {name: resource.getrlimit(NUMBERS[name]) for name in ("nofile", "core")}  # before the relay's own
_OF_MEMORY = ("as", "data")  # set last: what is done after them must do with what they leave


def take_own() -> None:
    """Set the relay's own, which supervisors inherit and jobs do not.

    Two descriptors a job: the usual 1,024 would end at 500 jobs. And no core file, in which a secret could be.
    """
    hard = _OF_THE_LOGIN["nofile"][1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, _OF_THE_LOGIN["core"][1]))


def apply(wanted: "Dict[str, Any]") -> None:
    """Set all but those of memory, when the process may still raise them.

    Raises:
        StartError: `no_permission`.
    """
    for name, pair in _OF_THE_LOGIN.items():
        resource.setrlimit(NUMBERS[name], pair)
    for name in sorted(wanted.keys() - set(_OF_MEMORY)):
        _set(name, wanted[name])


def apply_memory(wanted: "Dict[str, Any]") -> None:
    """Set those of memory.

    Raises:
        StartError: `no_permission`.
    """
    for name in _OF_MEMORY:
        if name in wanted:
            _set(name, wanted[name])


def renice(nice: "Optional[int]") -> None:
    """Set the priority.

    Raises:
        StartError: `no_permission`.
    """
    if nice is None:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except PermissionError:
        raise StartError("no_permission", "nice %d: only root may ask for less than the login has" % nice) from None


def _set(name: str, pair: "Any") -> None:
    soft, hard = (resource.RLIM_INFINITY if end is None else end for end in pair)
    try:
        resource.setrlimit(NUMBERS[name], (soft, hard))
    except (ValueError, OSError, OverflowError) as error:
        raise StartError("no_permission", "the limit %s cannot be set to %s: %s" % (name, pair, error)) from None
