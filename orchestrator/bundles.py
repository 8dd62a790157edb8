"""Python job types: what lies below the type's root, as one zip file that is the same whenever the files are.

Nodes keep it by its hash, so it travels once. Built again when a file below the root changed.
"""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.jobtype import PythonAction
from remote.session import PythonBundle

MAX_FILES: Final = 2_000
MAX_BYTES: Final = 16 << 20  #: of all files together: the zip file is one input of the node protocol
_LEFT_OUT: Final = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  #: the earliest time that a zip file knows


class BundleError(Exception):
    """A job type's code cannot be packed; the message names the file and the way out."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The zip file, and what a node is told of it."""

    told: PythonBundle
    data: bytes


class Bundles:
    """Bundles by what they are made of."""

    def __init__(self) -> None:
        self._made: dict[PythonAction, tuple[object, Bundle]] = {}

    def of(self, action: PythonAction) -> Bundle:
        """Return the bundle of an action as its files are now.

        Raises:
            BundleError: they cannot be read, or are too many or too large.
        """
        root = Path(action.root)
        files = _files(root)
        stamp = tuple((name, status.st_mtime_ns, status.st_size) for name, status in files)
        known = self._made.get(action)
        if known is None or known[0] != stamp:
            data = _zip(root, [name for name, _ in files])
            function = f"{action.module or action.file}:{action.function}"
            told = PythonBundle(sha256=hashlib.sha256(data).hexdigest(), size=len(data), function=function)
            known = self._made[action] = (stamp, Bundle(told, data))
        return known[1]


def _files(root: Path) -> list[tuple[str, os.stat_result]]:
    found: list[tuple[str, os.stat_result]] = []
    if not root.is_dir():
        raise BundleError(f"{root} is not a directory; `python.root` of the job type names it")
    for directory, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(directory) / name
            if name.endswith(".pyc") or not path.is_file():
                continue
            found.append((path.relative_to(root).as_posix(), path.stat()))
    size = sum(status.st_size for _, status in found)
    if len(found) > MAX_FILES or size > MAX_BYTES:
        raise BundleError(
            f"{root} has {len(found)} files of {size} bytes; {MAX_FILES} files and {MAX_BYTES} bytes fit: "
            "give the type a directory of its own"
        )
    return found


def _zip(root: Path, names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            try:
                archive.writestr(entry, (root / name).read_bytes())
            except OSError as error:
                raise BundleError(f"{root / name} cannot be read: {error.strerror}") from error
    return buffer.getvalue()
