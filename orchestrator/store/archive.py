"""Output in compressed files: `ARCHIVE/YYYY-MM-DD/ID/STREAM.OFFSET.gz`; the day is that of the submission (UTC).

A segment is written under another name, synced, then renamed: a file with its final name is whole. Its name tells the
offset of its first byte. The folders are walked by descriptors that follow no symbolic link, and are readable by their
owner alone. Everything here blocks; callers use a thread.
"""

import contextlib
import datetime
import fcntl
import gzip
import os
import re
import secrets
import shutil
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.keys import Short, check_id, day_of, is_id

Name = Short | Literal["in"]
INPUTS: Final = "in"  #: script and standard input of a run; kept like a stream
_SEGMENT: Final = re.compile(r"(out|err|in)\.([0-9]{20})\.gz")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CACHED: Final = 4  #: unpacked segments that are kept, for readers who take one in small pieces
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ArchiveError(StoreUnavailableError):
    """The archive cannot be written, or a file of it is damaged; the message names it and the way out."""


class Archive:
    """The files below one folder, which is made at the first write."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._unpacked: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def alone(self, job: str) -> Iterator[bool]:
        """Hold a job's folder; False when another process, or another task of this one, is moving its output."""
        with contextlib.ExitStack() as opened:
            try:
                folder = opened.enter_context(self._made(job))
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
            except OSError as error:
                raise self._unwritable(error) from None
            else:
                free = True
            yield free

    def write(self, job: str, stream: Name, offset: int, data: bytes) -> None:
        """Keep a segment; when this returns it is on the disk.

        Raises:
            ArchiveError: when it cannot be written; nothing with a final name is left then.
        """
        final = f"{stream}.{offset:020d}.gz"
        temporary = f".{final}.{secrets.token_hex(8)}"
        try:
            with self._made(job) as folder:
                try:
                    with os.fdopen(os.open(temporary, _NEW_FILE, 0o600, dir_fd=folder), "wb") as file:
                        file.write(gzip.compress(data, 1, mtime=0))
                        file.flush()
                        os.fsync(file.fileno())
                    os.rename(temporary, final, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                    raise
                os.fsync(folder)
        except OSError as error:
            raise self._unwritable(error) from None

    def read(self, job: str, stream: Name, offset: int, limit: int) -> tuple[int, bytes] | None:
        """Return where the first bytes at or after `offset` begin, and at most `limit` of them, or None."""
        with self._found(job) as folder:
            if folder is None:
                return None
            starts = sorted(
                int(match[2])
                for name in os.listdir(folder)  # noqa: PTH208  a descriptor has no path
                if (match := _SEGMENT.fullmatch(name)) and match[1] == stream
            )
            before = [start for start in starts if start <= offset]
            for start in (*before[-1:], *(start for start in starts if start > offset)):
                data = self._segment(folder, job, f"{stream}.{start:020d}.gz")
                at = max(offset, start)
                if piece := data[at - start : at - start + limit]:
                    return at, piece
        return None

    def remove(self, jobs: Iterable[str]) -> None:
        """Remove what there is of these jobs, and days that are empty then."""
        for job in jobs:
            day = self._root / day_of(job).isoformat()
            if not day.is_symlink():
                shutil.rmtree(day / check_id(job), ignore_errors=True)
                with contextlib.suppress(OSError):
                    day.rmdir()

    def ids(self, before: datetime.date) -> list[str]:
        """Return the runs and jobs with files that were submitted before that day, oldest first."""
        days = sorted(self._root.iterdir()) if self._root.is_dir() else []
        return [
            job.name
            for day in days
            if _DAY.fullmatch(day.name) and day.name < before.isoformat() and not day.is_symlink()
            for job in sorted(day.iterdir())
            if is_id(job.name)
        ]

    def _unwritable(self, error: OSError) -> ArchiveError:
        return ArchiveError(
            f"the output archive {self._root} cannot be written: {error}. Free space there, or set another folder"
        )

    def _segment(self, folder: int, job: str, name: str) -> bytes:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            key = (job, name, facts.st_mtime_ns, facts.st_size)
            with self._lock:
                if key in self._unpacked:
                    self._unpacked.move_to_end(key)
                    return self._unpacked[key]
            try:
                data = gzip.decompress(file.read())
            except (OSError, EOFError, zlib.error) as error:
                raise ArchiveError(
                    f"{self._root}/{day_of(job)}/{job}/{name} is damaged: {error}. Restore it from a backup, or "
                    "move it away to read on behind it"
                ) from None
        with self._lock:
            self._unpacked[key] = data
            while len(self._unpacked) > _CACHED:
                self._unpacked.popitem(last=False)
        return data

    @contextlib.contextmanager
    def _made(self, job: str) -> Iterator[int]:
        """Open a job's folder, and make it before."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            folder = _open_folder(opened, self._root, None)
            for name in _path(job):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
                folder = _open_folder(opened, name, folder)
            yield folder

    @contextlib.contextmanager
    def _found(self, job: str) -> Iterator[int | None]:
        """Open a job's folder; None when there is none."""
        with contextlib.ExitStack() as opened:
            folder: int | None = None
            try:
                for name in (self._root, *_path(job)):
                    folder = _open_folder(opened, name, folder)
            except FileNotFoundError:
                folder = None
            yield folder


def _path(job: str) -> tuple[str, str]:
    return day_of(job).isoformat(), check_id(job)


def _open_folder(opened: contextlib.ExitStack, name: str | Path, parent: int | None) -> int:
    descriptor = os.open(name, _FOLDER, dir_fd=parent)
    opened.callback(os.close, descriptor)
    return descriptor
