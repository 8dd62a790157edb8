"""What the kernel offers and Python has no function for: through ctypes, imported when a job is to be started."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

_SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS, _CAP_AMBIENT, _CLEAR_ALL = 36, 38, 47, 4  # of prctl(2)
_CAPABILITY_VERSION_3 = 0x20080522  # of capset(2)
_LOADED: "Dict[str, Any]" = {}


def load() -> None:
    """Import ctypes; the relay does it once, so that each of its supervisors finds it imported.

    A Python without it can still start jobs that may gain privileges.
    """
    if _LOADED:
        return
    try:
        import ctypes  # noqa: PLC0415  it would double the time that a connection takes
    except ImportError:
        _LOADED["ctypes"] = None
        return
    _LOADED["ctypes"] = ctypes
    _LOADED["libc"] = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> bool:
    """Become the parent of every descendant that loses its own; tell whether that worked."""
    try:
        _prctl(_SET_CHILD_SUBREAPER, 1)
    except OSError:
        return False
    return True


def forbid_new_privileges() -> None:
    """Have this process and its descendants gain no privileges by executing programs, for ever.

    Raises:
        OSError: the kernel or this Python cannot.
    """
    _prctl(_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every capability that this process could use or hand on.

    Raises:
        OSError: some are left.
    """
    if not _has_capabilities():
        return
    _prctl(_CAP_AMBIENT, _CLEAR_ALL)
    ctypes = _LOADED["ctypes"]
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if _LOADED["libc"].capset(header, nothing) != 0 or _has_capabilities():
        raise OSError(ctypes.get_errno(), "capabilities are left")


def _has_capabilities() -> bool:
    with open("/proc/self/status", "rb") as file:
        sets = dict(line.split(b":\t", 1) for line in file.read().splitlines() if line.startswith(b"Cap"))
    return any(int(sets.get(name, b"0"), 16) for name in (b"CapInh", b"CapPrm", b"CapEff", b"CapAmb"))


def _prctl(option: int, value: int) -> None:
    load()
    ctypes = _LOADED["ctypes"]
    if ctypes is None:
        raise OSError(0, "this Python has no ctypes")
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    if _LOADED["libc"].prctl(option, *words) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
