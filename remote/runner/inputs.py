"""What a job is told beside its arguments: parameters and secrets on a descriptor in memory, and secrets as files.

A secret is never on a disk: it is in the relay's and the supervisor's memory, in a file without a name that the job's
descriptor leads to, and, if the job wants files, in a filesystem in memory.
"""

import fcntl
import json
import os

from .identity import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from .entry import Entry
    from .identity import Identity

MAX_PARAMS = 1 << 20  # bytes
MAX_SECRETS = 48 << 10
SHARED_MEMORY = "/dev/shm"  # noqa: S108  nothing in it is taken over: names are new, and unguessable
PLACES = ("/run", SHARED_MEMORY)  # the second is emptied of a user's files when the user's last login ends
PREFIX = "anyjob-"
_PLAIN = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_ALLOW_SEALING, _ADD_SEALS, _ALL_SEALS = 2, 1033, 15  # of memfd_create(2) and fcntl(2)
_NOTE = "private"  # the entry's file that names the directory of secret files


def merge(params: "Optional[bytes]", secrets: "Dict[str, str]") -> bytes:
    """Return the one JSON object that a job reads.

    Raises:
        StartError: `exec_failed`: the parameters are no JSON object.
    """
    try:
        given = json.loads(params.decode("utf-8")) if params else {}
        whole = {"params": given.get("params", {}), "props": given.get("props", {}), "secrets": secrets}
    except (ValueError, AttributeError):
        raise StartError("exec_failed", "the parameters are no JSON object with params and props") from None
    return json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass")


def in_memory(content: bytes, identity: "Identity") -> int:
    """Return a descriptor of a file without a name that holds this, for reading by the job's user only."""
    fd = _nameless()
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fchmod(fd, 0o400)
        if os.geteuid() == 0:
            os.fchown(fd, identity.uid, identity.gid)
        if hasattr(os, "memfd_create"):
            fcntl.fcntl(fd, _ADD_SEALS, _ALL_SEALS)
        return os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
    finally:
        os.close(fd)


def _nameless() -> int:
    make: "Any" = getattr(os, "memfd_create", None)  # since 3.8
    if make is not None:
        return int(make("anyjob", _ALLOW_SEALING | 1))
    if _in_memory(SHARED_MEMORY):
        return os.open(SHARED_MEMORY, os.O_TMPFILE | os.O_RDWR, 0o600)
    text = "this node's Python is older than 3.8 and there is no memory filesystem at %s to hold the parameters"
    raise StartError("exec_failed", text % SHARED_MEMORY)


def write_files(
    entry: "Entry", names: "List[str]", secrets: "Dict[str, str]", identity: "Identity"
) -> "Dict[str, str]":
    """Write secrets as files that only the job's user can read; return the variables that name them.

    Raises:
        StartError: `exec_failed`: there is no filesystem in memory.
    """
    if not names:
        return {}
    place = next((place for place in PLACES if _in_memory(place) and os.access(place, os.W_OK)), None)
    if place is None:
        text = "there is no memory filesystem for secret files; mount one at %s, or have the job read its descriptor"
        raise StartError("exec_failed", text % SHARED_MEMORY)
    path = "%s/%s%s" % (place, PREFIX, os.urandom(16).hex())
    os.close(entry.create(_NOTE, path.encode()))  # before there is anything to remove
    os.mkdir(path, 0o700)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name in names:
            _write_file(directory, name, secrets[name], identity)
        os.fchmod(directory, 0o711 if os.geteuid() == 0 else 0o700)  # root's: the job's user can add nothing to it
    finally:
        os.close(directory)
    return {variable(name): "%s/%s" % (path, name) for name in names}


def _write_file(directory: int, name: str, content: str, identity: "Identity") -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(name, flags, 0o400, dir_fd=directory), "wb") as file:
        file.write(content.encode("utf-8", "surrogatepass"))
        if os.geteuid() == 0:
            os.fchown(file.fileno(), identity.uid, identity.gid)


def variable(name: str) -> str:
    """Return the name of the environment variable that names a secret's file."""
    plain = "".join(letter if letter in _PLAIN else "_" for letter in name)
    return "ANYJOB_SECRET_%s_FILE" % plain.upper()


def remove_files(entry: "Entry") -> None:
    """Remove the secret files of a job, if there are any."""
    path = entry.content(_NOTE)
    if not path:
        return
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if os.fstat(directory).st_uid != os.geteuid():
            return
        for name in os.listdir(directory):
            os.unlink(name, dir_fd=directory)
        os.rmdir(path)
    except OSError:
        return  # the job, which is the same user, has put a directory there
    finally:
        os.close(directory)


def _in_memory(path: str) -> bool:
    """Tell whether a filesystem in memory is mounted right there; of several the last counts."""
    kind = ""
    with open("/proc/self/mounts", "rb") as file:
        for line in file.read().decode("utf-8", "replace").splitlines():
            words = line.split(" ")
            if words[1] == path:
                kind = words[2]
    return kind in ("tmpfs", "ramfs")
