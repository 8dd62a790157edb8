"""The node's spool: which tokens are claimed, and the claim itself.

```
generation       random id, written when the spool is first made
lock             flock held while a token is claimed or judged
bundles/         Python bundles by their hash
stage/<id>/      inputs that came before their start; flocked by the relay that keeps them
runner/          compiled runners (see first_stage.py)
j/<token>/       0700, made by mkdir = the claim (see entry.py)
```
"""

import errno
import fcntl
import os
import stat

from .bundles import Bundles
from .entry import FULL, SLOT, Entry
from .first_stage import make_safe_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

FLOOR = 64 << 20  # bytes that must be free before a job is started
SMALL = 1 << 30  # on a filesystem smaller than this the floor is 5 %
MAX_INPUT = 16 << 20  # bytes of input of one token
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_TOKEN_LETTERS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-")


class Refusal(Exception):  # noqa: N818  it is an answer: the frame `refused`
    """A token that is not started, and why: a `reason` of the protocol and a message for people."""

    def __init__(self, reason: str, message: str) -> None:
        """Take the protocol's reason and the text."""
        super().__init__(message)
        self.reason = reason


class Spool:
    """The directory that outlives relays. Two relays may use it at once; the kernel's locks keep them apart."""

    def __init__(self, root: bytes) -> None:
        """Open the spool at `root`, made if it is not there.

        Raises:
            UnsafeSpoolError: another user could change it.
            OSError: it cannot be made.
        """
        make_safe_directory(root)
        self.root = root
        self.cluster = os.path.basename(root).decode()
        self.bundles = Bundles(root)
        self._fd = os.open(root, _DIRECTORY)
        _mkdir("j", self._fd)
        self._entries = os.open("j", _DIRECTORY, dir_fd=self._fd)
        self._stage: "Optional[int]" = None
        self._stage_name = ""
        self.generation = self._generation()

    def _generation(self) -> str:
        try:
            fd = os.open("generation", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=self._fd)
            with open(fd, "r+b") as file:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.fstat(fd).st_size == 0:
                    file.write(os.urandom(16).hex().encode())
                    file.flush()
                    os.fsync(fd)
                    file.seek(0)
                return file.read(64).decode("ascii", "replace")
        except OSError as error:
            if error.errno not in FULL:
                raise
            return ""  # nothing can be claimed on a full disk, so nothing refers to it

    def path(self, token: str) -> bytes:
        """Return the directory of a claimed token, for what must be named by a path."""
        return os.path.join(self.root, b"j", token.encode())

    def free(self) -> int:
        """Return the bytes that a job could still write."""
        state = os.statvfs(self.root)
        return state.f_bavail * state.f_frsize

    def check_space(self) -> None:
        """Refuse to start anything on a disk that is all but full.

        Raises:
            Refusal: `disk_full`.
        """
        state = os.statvfs(self.root)
        free, floor = state.f_bavail * state.f_frsize, floor_of(state.f_blocks * state.f_frsize)
        if free < floor:
            text = "%s has %d MiB free, less than the %d MiB that starting a job needs; make room there"
            raise Refusal("disk_full", text % (self.root.decode("utf-8", "replace"), free >> 20, max(floor >> 20, 1)))

    def entry(self, token: str) -> "Optional[Entry]":
        """Return a claimed token's entry, or None."""
        if not is_token(token):
            return None
        try:
            return Entry(token, os.open(token, _DIRECTORY, dir_fd=self._entries))
        except FileNotFoundError:
            return None

    def lock(self) -> int:
        """Wait for the lock under which tokens are claimed and judged; closing the descriptor ends it."""
        fd = os.open("lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=self._fd)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def claim(self, token: str, spec: bytes, inputs: "List[str]") -> "Tuple[Entry, int]":
        """Claim a token durably; return its entry and the held lock of its supervisor.

        `spec` is the canonical StartSpec, `inputs` the names of its inputs; one of which no piece was staged is empty.

        Raises:
            FileExistsError: it is claimed already.
            Refusal: the disk is full.
        """
        self.check_space()
        spool_lock = self.lock()
        try:
            os.mkdir(token, 0o700, dir_fd=self._entries)
            entry = Entry(token, os.open(token, _DIRECTORY, dir_fd=self._entries))
            try:
                return entry, self._furnish(entry, spec, inputs)
            except OSError as error:
                entry.close()
                self._remove_tree(token, self._entries)
                if error.errno in FULL:
                    raise Refusal("disk_full", "the spool cannot take %s: %s" % (token, error.strerror)) from None
                raise
        finally:
            os.close(spool_lock)

    def _furnish(self, entry: Entry, spec: bytes, inputs: "List[str]") -> int:
        held = entry.lock()
        if held is None:
            raise OSError(errno.EBUSY, "a new lock is held")
        os.close(entry.create("spec", spec))
        os.close(entry.create("boot", boot_id().encode()))
        os.close(entry.create("idle", b" " * 128))
        for name in ("out", "err", "rep"):
            os.close(entry.create(name))
        for name in ("bell", "ctl"):
            os.mkfifo(name, 0o600, dir_fd=entry.fd)
        for name in inputs:
            self._hand_over(entry, name)
        result = entry.create("result", bytes(SLOT))
        os.fsync(result)  # after all else was made: a journal commits it together, and the next two find nothing to do
        os.close(result)
        os.fsync(entry.fd)
        os.fsync(self._entries)
        return held

    def _hand_over(self, entry: Entry, name: str) -> None:
        """Move a staged input into its entry."""
        try:
            if self._stage is not None:
                staged = _staged_name(entry.token, name)
                return os.rename(staged, name, src_dir_fd=self._stage, dst_dir_fd=entry.fd)
        except FileNotFoundError:
            pass
        return os.close(entry.create(name))

    def stage(self, token: str, name: str, offset: int, content: bytes) -> None:
        """Keep one piece of an input until its start; offset 0 begins it anew.

        Raises:
            Refusal: a piece is missing before this one, it is too large, or the disk is full.
        """
        if self._stage is None:
            self._stage = self._make_stage()
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if offset == 0 else 0)
        fd = os.open(_staged_name(token, name), flags, 0o600, dir_fd=self._stage)
        try:
            if os.fstat(fd).st_size != offset:
                raise Refusal("missing_input", "the input %s of %s has a gap at byte %d" % (name, token, offset))
            if offset + len(content) > MAX_INPUT:
                raise Refusal("missing_input", "the input %s of %s is larger than 16 MiB" % (name, token))
            while content:
                written = os.pwrite(fd, content, offset)
                content, offset = content[written:], offset + written
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise Refusal("disk_full", "the spool cannot take the input of %s: %s" % (token, error.strerror)) from None
        finally:
            os.close(fd)

    def keep_bundle(self, token: str, bundle: "Dict[str, Any]") -> None:
        """Take over the staged bundle of a token.

        Raises:
            Refusal: it is not the one that was announced.
        """
        if self._stage is None or not self.bundles.keep(bundle, self._stage, _staged_name(token, "bundle")):
            raise Refusal("bad_bundle", "what came is not the bundle that was announced: its checksum is another")

    def _make_stage(self) -> int:
        """Make this relay's own directory for inputs, and remove those whose relay is gone."""
        _mkdir("stage", self._fd)
        stages = os.open("stage", _DIRECTORY, dir_fd=self._fd)
        spool_lock = self.lock()
        try:
            for name in os.listdir(stages):
                fd = os.open(name, _DIRECTORY, dir_fd=stages)
                if _is_free(fd):
                    self._remove_tree(name, stages)
                os.close(fd)
            self._stage_name = os.urandom(8).hex()
            os.mkdir(self._stage_name, 0o700, dir_fd=stages)
            own = os.open(self._stage_name, _DIRECTORY, dir_fd=stages)
            fcntl.flock(own, fcntl.LOCK_EX)
            return own
        finally:
            os.close(spool_lock)
            os.close(stages)

    def close(self) -> None:
        """Leave the spool: what was staged and not started is removed."""
        if self._stage is not None:
            self._remove_tree("stage/" + self._stage_name, self._fd)

    def remove(self, token: str) -> None:
        """Remove a token's entry: first, in one step, from the claimed tokens, then its files."""
        if self._stage is None:
            self._stage = self._make_stage()
        gone = "%s.gone" % token
        os.rename(token, gone, src_dir_fd=self._entries, dst_dir_fd=self._stage)
        self._remove_tree(gone, self._stage)

    def _remove_tree(self, name: str, parent: int) -> None:
        """Remove a directory by descriptors, following no symbolic link."""
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            for member in os.listdir(fd):
                if stat.S_ISDIR(os.stat(member, dir_fd=fd, follow_symlinks=False).st_mode):
                    self._remove_tree(member, fd)
                else:
                    os.unlink(member, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent)


def floor_of(total: int) -> int:
    """Return the bytes that must be free on a filesystem of `total` bytes before a job is started."""
    return FLOOR if total >= SMALL else total // 20


def is_token(token: object) -> bool:
    """Tell whether this is a token's name: 1 to 128 letters, digits, `.`, `_`, `-`, the first a letter or digit."""
    return isinstance(token, str) and 0 < len(token) <= 128 and token[0].isalnum() and _TOKEN_LETTERS.issuperset(token)


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _staged_name(token: str, name: str) -> str:
    return "%s.%s" % (token, name)


def _is_free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mkdir(name: str, parent: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
