"""What a node executes first: find the spool, find or fetch the runner, become it.

This file is sent as text and executed before the bundle is there; the bundle holds it too, because the spool
uses the same checks of its directories. It imports nothing of ours and little else: each connection pays for it.
"""

import grp
import marshal
import os
import pwd
import stat
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any, Dict, Optional

PACKAGE = "anyjob_runner"
FILES = "files/"  # a name in a bundle that begins so is no module, but a file for jobs
MAX_UNPACKED = 4 << 20  # bytes; a bundle is far smaller
_MAGIC = b"AJR1"


class UnsafeSpoolError(Exception):
    """Another user could change what is in the spool; the text says which directory and the way out."""


def spool_root(base: "Optional[str]", cluster: str) -> bytes:
    """Return the spool of a cluster: under `base`, or where the login user's state belongs."""
    if base is None:
        base = "/var/lib/anyjob" if os.geteuid() == 0 else home() + "/.local/state/anyjob"
    return (base + "/" + cluster).encode("utf-8", "surrogateescape")


def home() -> str:
    """Return the login user's home directory."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return os.environ.get("HOME", "/")


def make_safe_directory(path: bytes) -> None:
    """Make `path` (0700) and what is missing above it; accept it only if no other user can change or replace it.

    Raises:
        UnsafeSpoolError: a directory on the way, or a symbolic link, is not safe.
        OSError: it cannot be made.
    """
    here, left, links = b"/", path.split(b"/")[::-1], 0
    while left:
        name = left.pop()
        if name in (b"", b"."):
            continue
        above, here = here, os.path.normpath(os.path.join(here, name))
        state = _make_directory(here)
        _check_owner(here, state)
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if links > 40 or here == os.path.normpath(path):
                raise UnsafeSpoolError("%s is a symbolic link; remove it or name its target" % _shown(here))
            left.extend(os.readlink(here).split(b"/")[::-1])
            here = b"/" if os.readlink(here).startswith(b"/") else above
        elif not stat.S_ISDIR(state.st_mode):
            raise UnsafeSpoolError("%s is not a directory; move it away" % _shown(here))
        elif _others_may_write(state):
            raise UnsafeSpoolError(
                "%s can be written by other users; run: chmod go-w %s" % (_shown(here), _shown(here))
            )
    state = os.lstat(here)
    if state.st_uid != os.geteuid() or state.st_mode & 0o077:
        raise UnsafeSpoolError("%s must be yours alone; run: chmod 700 %s" % (_shown(here), _shown(here)))


def _make_directory(path: bytes) -> "os.stat_result":
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return _made(path)


def _made(path: bytes) -> "os.stat_result":
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return os.lstat(path)
    return os.lstat(path)


def _check_owner(path: bytes, state: "os.stat_result") -> None:
    if state.st_uid not in (0, os.geteuid()):
        raise UnsafeSpoolError("%s belongs to another user (uid %d)" % (_shown(path), state.st_uid))


def _others_may_write(state: "os.stat_result") -> bool:
    if state.st_mode & stat.S_ISVTX:
        return False  # as in /tmp: nobody can replace what is ours, and its owner has been checked
    if state.st_mode & 0o002:
        return True
    return bool(state.st_mode & 0o020) and state.st_gid != 0 and not _is_private_group(state.st_gid)


def _is_private_group(gid: int) -> bool:
    """Tell whether the group is the login user's own, as distributions make it together with umask 002."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")


def cache_path(root: bytes, sha256: str) -> bytes:
    """Return where this interpreter's compiled form of a runner lies."""
    return b"%s/runner/%s-%s" % (root, sha256.encode(), (sys.implementation.cache_tag or "none").encode())


def load_compiled(path: bytes) -> "Optional[Dict[str, Any]]":
    """Return the cached runner, or None if there is none that is whole, ours and made by this interpreter."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(fd, "rb") as file:
        state = os.fstat(fd)
        if state.st_uid != os.geteuid() or state.st_mode & 0o022 or not stat.S_ISREG(state.st_mode):
            return None
        data = file.read(MAX_UNPACKED)
    body = data[12:]
    if data[:12] != _seal(body):
        return None
    compiled = marshal.loads(body)  # noqa: S302  ours: owner, mode, interpreter and checksum are checked above
    return compiled if isinstance(compiled, dict) else None


def store_compiled(path: bytes, compiled: "Dict[str, Any]") -> None:
    """Cache a runner, and remove the runners of other versions. Without space there is just no cache."""
    directory, name = os.path.split(path)
    body = marshal.dumps(compiled)
    draft = b"%s/.%s.%d" % (directory, name, os.getpid())
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(_seal(body) + body)
        os.rename(draft, path)
        for other in os.listdir(directory):
            if other.split(b"-")[0] != name.split(b"-")[0]:
                os.unlink(os.path.join(directory, other))
    except OSError:
        _discard(draft)


def _discard(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _seal(body: bytes) -> bytes:
    """Return what precedes a compiled runner: a magic, the interpreter's bytecode version, a checksum."""
    bytecode: "bytes" = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
    return _MAGIC + bytecode + zlib.crc32(body).to_bytes(4, "big")


def receive(size: int, sha256: str) -> "Dict[str, Any]":
    """Read exactly `size` bytes of a bundle from standard input and compile its modules.

    Raises:
        ValueError: it is not the bundle that was announced.
    """
    import hashlib  # noqa: PLC0415  only the first connection to a node pays for these
    import json  # noqa: PLC0415

    pieces = []
    while size:
        piece = os.read(0, size)
        if not piece:
            raise SystemExit
        pieces.append(piece)
        size -= len(piece)
    try:
        text = zlib.decompressobj().decompress(b"".join(pieces), MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError("the bundle is damaged: %s" % error) from None
    if hashlib.sha256(text).hexdigest() != sha256:
        raise ValueError("the bundle is damaged: its checksum is another")
    return {
        name: source
        if name.startswith(FILES)
        else compile(source, name.replace(".", "/") + ".py", "exec", dont_inherit=True, optimize=2)
        for name, source in json.loads(text.decode("utf-8")).items()
    }


class Finder:
    """Imports the runner's modules from memory; a module is executed when it is first imported."""

    def __init__(self, compiled: "Dict[str, CodeType]") -> None:
        """Take the code of each module by its full name; the package's own name stands for its `__init__`."""
        self._compiled = compiled

    def find_spec(self, name: str, _path: "Any" = None, _target: "Any" = None) -> "Any":
        """Return the spec of one of our modules (the protocol of `sys.meta_path`)."""
        if name not in self._compiled:
            return None
        make: "Any" = type(sys.__spec__)  # ModuleSpec, without importing importlib
        return make(name, self, is_package=name == PACKAGE)

    def create_module(self, spec: "Any") -> None:
        """Leave making the module to Python."""

    def exec_module(self, module: "ModuleType") -> None:
        """Execute a module's code."""
        exec(self._compiled[module.__name__], module.__dict__)  # noqa: S102  this is what a loader does


def answer(nonce: str, word: str, detail: str) -> None:
    """Write the marker line that the controller waits for."""
    line = "\0AJ1 %s %s %s\n" % (nonce, word, " ".join(detail.split()))
    os.write(1, line.encode("utf-8", "replace"))


def main(config: "Dict[str, Any]") -> None:
    """Answer the controller, get the runner, and be it until the connection ends."""
    nonce = config["nonce"]
    root = spool_root(config["spool"], config["cluster"])
    try:
        make_safe_directory(root)
    except UnsafeSpoolError as error:
        return answer(nonce, "unfit", "spool_unsafe %s" % error)
    except OSError as error:
        full = error.errno in (28, 122)  # ENOSPC, EDQUOT
        reason = "disk_full" if full else "spool_unsafe"
        return answer(nonce, "unfit", "%s cannot make %s: %s" % (reason, _shown(root), error.strerror))
    here = "%d.%d.%d %s" % (*sys.version_info[:3], sys.executable)
    path = cache_path(root, config["hash"])
    compiled = load_compiled(path)
    if compiled is None:
        answer(nonce, "need", here)
        try:
            compiled = receive(config["size"], config["hash"])
        except ValueError as error:
            return answer(nonce, "unfit", "bundle %s" % error)
        store_compiled(path, compiled)
    else:
        answer(nonce, "have", here)
    config["files"] = {name[len(FILES) :]: text for name, text in compiled.items() if name.startswith(FILES)}
    sys.meta_path.insert(0, Finder(compiled))
    __import__(PACKAGE + ".main", fromlist=["run"]).run(config)
    return None
