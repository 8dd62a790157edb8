"""The Python interpreters of this machine, found by looking: what the runner must run on, and what it must refuse."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ASK = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"


def _candidates() -> Iterator[str]:
    yield sys.executable
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for directory in sorted(root.glob("*")):
        for name in ("python3", "python2"):
            yield str(directory / "bin" / name)
    for minor in range(6, 20):
        yield shutil.which(f"python3.{minor}") or ""
    yield shutil.which("python2.7") or ""


def _by_version() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in filter(os.path.exists, _candidates()):
        said = subprocess.run([path, "-S", "-c", _ASK], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            found.setdefault(said.stdout, path)
    return found


_FOUND = _by_version()
OLDEST = {version: path for version, path in _FOUND.items() if version.startswith("2.")}


def find_interpreters() -> dict[str, str]:
    """Return version → path of the interpreters that the runner supports, the current one among them."""
    return {version: path for version, path in _FOUND.items() if tuple(map(int, version.split("."))) >= (3, 6)}
