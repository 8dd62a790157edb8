"""Python bundles that the spool keeps by their hash, so that each is sent to a node once."""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

KEPT_S = 30 * 86400  # a bundle that no job has used for so long is removed when another one comes


class Bundles:
    """The zip files below a spool."""

    def __init__(self, root: bytes) -> None:
        """Take the spool's path."""
        self._directory = os.path.join(root, b"bundles")

    def path(self, sha256: str) -> bytes:
        """Return where a bundle is, or would be."""
        return os.path.join(self._directory, sha256.encode() + b".zip")

    def has(self, bundle: "Dict[str, Any]") -> bool:
        """Tell whether a bundle is here, and note that it is used."""
        try:
            os.utime(self.path(bundle["sha256"]))
            return bool(os.stat(self.path(bundle["sha256"])).st_size == bundle["size"])
        except FileNotFoundError:
            return False

    def keep(self, bundle: "Dict[str, Any]", draft: int, name: str) -> bool:
        """Take over a file if it is the bundle.

        Args:
            bundle: what was announced.
            draft: descriptor of the directory that the file is in.
            name: the file's name there.
        """
        import hashlib  # noqa: PLC0415  most connections bring no bundle

        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=draft), "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != bundle["sha256"]:
                return False
            os.fchmod(file.fileno(), 0o444)  # nobody else comes into the spool, but a job gets a descriptor of it
        os.makedirs(self._directory, 0o700, exist_ok=True)
        os.rename(name, self.path(bundle["sha256"]), src_dir_fd=draft)
        for other in os.listdir(self._directory):
            path = os.path.join(self._directory, other)
            if os.lstat(path).st_mtime < time.time() - KEPT_S:
                os.unlink(path)
        return True
