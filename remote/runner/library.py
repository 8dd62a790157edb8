"""The files that jobs use (`anyjob.py`, `anyjob-report`), where every user of a job can read them.

They are in `<base>/lib/<hash>/`, beside the clusters' spools. Directories of other versions stay for a month: jobs that
were started with them may still run.
"""

import errno
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

KEPT_S = 30 * 86400


class Library:
    """Places the files when the first job needs them."""

    def __init__(self, root: bytes, config: "Dict[str, Any]") -> None:
        """Take a cluster's spool, and the runner's configuration: the files by name, and their version's hash."""
        self._base = os.path.dirname(root)
        self._above = os.path.join(self._base, b"lib")
        self._files: "Dict[str, str]" = config["files"]
        self._hash = config["hash"].encode()
        self._path: "Optional[bytes]" = None

    def path(self) -> bytes:
        """Return the directory, made if it is not there.

        Raises:
            OSError: it cannot be made, or others could change what is in it.
        """
        if self._path is None:
            path = os.path.join(self._above, self._hash)
            if not os.path.isdir(path):
                self._place(path)
            for directory in (self._above, path):
                state = os.lstat(directory)
                if state.st_uid != os.geteuid() or state.st_mode & 0o022 or not stat.S_ISDIR(state.st_mode):
                    shown = directory.decode("utf-8", "replace")
                    raise OSError(errno.EPERM, "%s is not ours alone; remove it" % shown)
            os.utime(path)
            self._path = path
        return self._path

    def _place(self, path: bytes) -> None:
        if os.geteuid() == 0:
            os.chmod(self._base, os.stat(self._base).st_mode | 0o111)  # noqa: S103  to pass; each spool keeps 0700
        os.makedirs(self._above, 0o755, exist_ok=True)
        os.chmod(self._above, 0o755)  # noqa: S103  whatever the umask is
        draft = b"%s.%d" % (path, os.getpid())
        os.mkdir(draft, 0o700)
        for name, content in self._files.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with open(os.open(os.path.join(draft, name.encode()), flags, 0o644), "wb") as file:
                file.write(content.encode("utf-8"))
                os.fchmod(file.fileno(), 0o755 if content.startswith("#!") else 0o644)
        os.chmod(draft, 0o755)  # noqa: S103  it holds no secret
        try:
            os.rename(draft, path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            _remove(draft)  # another connection was faster
        self._remove_old()

    def _remove_old(self) -> None:
        for name in os.listdir(self._above):
            path = os.path.join(self._above, name)
            if name != self._hash and os.lstat(path).st_mtime < time.time() - KEPT_S:
                _remove(path)


def _remove(directory: bytes) -> None:
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    os.rmdir(directory)
