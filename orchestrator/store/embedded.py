"""A private Redis: its own folder, a unix socket instead of a port, an append-only file, and the life of its owner.

```
DATA_DIR/                 0700
  redis.conf redis.log    what we told it, what it says
  redis.sock              the only way in
  owner                   locked by the owner; holds its process id
  server                  which server wrote the data: "redis 7"
  appendonlydir/          the data
```
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import sys
import time
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.servers import ServerBinary, find_server, servers

_SOCKET_PATH: Final = 100  #: bytes; the kernel takes 107 and Redis needs some for a temporary name
_START_S: Final = 60.0  #: a large append-only file takes a while to load
_STOP_S: Final = 30.0
_ORPHAN_S: Final = 10.0  #: how long to wait for the server of an owner that died a moment ago
_POLL_S: Final = 0.005
_RESTART_S: Final = (0.1, 0.5, 2.0, 5.0)

# A lost acknowledged write would start a job twice or lose the end of one. "everysec" was seen to lose acknowledged
# writes when the server alone is killed, "always" was not; and our batches share one sync.
_CONFIGURATION: Final = """\
port 0
unixsocket "{socket}"
unixsocketperm 600
dir "{folder}"
logfile "{folder}/redis.log"
daemonize no
supervised no
protected-mode yes
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""

# Runs before the server in its process: asks the kernel to end it with its owner, then becomes it. The kernel acts when
# the thread that started it ends, which is the owner's event loop.
_WITH_OWNER: Final = """\
import os, signal, sys
owner = int(sys.argv[1])
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != owner:
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

log = logging.getLogger(__name__)


class EmbeddedRedis:
    """One server and its data. One owner at a time; it ends with its owner, its data stay."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.absolute()
        self._socket = self._folder / "redis.sock"
        self._lock: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._server: ServerBinary | None = None

    @property
    def url(self) -> str:
        """Where the store finds it."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def server(self) -> ServerBinary | None:
        """What runs; None before `start`."""
        return self._server

    @property
    def pid(self) -> int | None:
        """The server's process."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            StoreUnavailableError: when there is no server to run, somebody else owns the data, the data are of another
                server, or it does not come up.
        """
        if len(os.fsencode(self._socket)) > _SOCKET_PATH:
            raise StoreUnavailableError(
                f"data_dir: {self._folder} is too long a path: the socket {self._socket} would have "
                f"{len(os.fsencode(self._socket))} bytes of at most {_SOCKET_PATH}. Set data_dir to a shorter one"
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        await self._own()
        try:
            self._server = self._choose()
            folder = str(self._folder).replace("\\", "\\\\").replace('"', '\\"')
            configuration = self._folder / "redis.conf"
            configuration.write_text(_CONFIGURATION.format(folder=folder, socket=f"{folder}/redis.sock"))
            await self._launch(self._server)
        except BaseException:
            await self._end()
            self._disown()
            raise
        self._keeper = asyncio.create_task(self._keep(self._server), name="embedded redis")

    async def stop(self) -> None:
        """Let the server write what is open, end it, and give the data free."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._end()
        self._disown()

    async def _own(self) -> None:
        """Lock the data; the server inherits the lock, so that it is free only once the server is gone too."""
        lock = os.fdopen(os.open(self._folder / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        deadline = time.monotonic() + _ORPHAN_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                owner = lock.read().strip()
                if _lives(owner) or time.monotonic() > deadline:
                    lock.close()
                    raise StoreUnavailableError(
                        f"{self._folder} is in use by process {owner or '(unknown)'}: stop it, or set another data_dir"
                    ) from None
                with contextlib.suppress(OSError):  # its owner is dead; where the kernel did not end it, we do
                    await _ask(self._socket, b"SHUTDOWN\r\n")
                await asyncio.sleep(0.05)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _disown(self) -> None:
        if self._lock:
            self._lock.seek(0)
            self._lock.truncate()
            self._lock.close()
            self._lock = None

    def _choose(self) -> ServerBinary:
        """Return the preferred server that can read the data, and note it."""
        mark = self._folder / "server"
        written = mark.read_text().split() if mark.exists() else []
        if written:
            kind, major = written[0], int(written[1])
            server = next((one for one in servers() if _reads(one, kind, major)), None)
            if server is None:
                found = find_server()
                raise StoreUnavailableError(
                    f"the data in {self._folder} come from {kind} {major}, and {found.text} ({found.path}) may not "
                    f"read them. Install {kind}-server {major} or newer, or move the folder away to begin anew"
                )
        else:
            server = find_server()
        mark.write_text(f"{server.kind} {server.version[0]}\n")
        return server

    async def _launch(self, server: ServerBinary) -> None:
        """Start the process and wait for its answer."""
        self._socket.unlink(missing_ok=True)
        assert self._lock is not None  # noqa: S101  start() holds it
        arguments = [str(os.getpid()), str(server.path), str(self._folder / "redis.conf")]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            _WITH_OWNER,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=[self._lock.fileno()],
            start_new_session=True,  # a Ctrl-C on the terminal is for the owner
        )
        deadline = time.monotonic() + _START_S
        while self._process.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if await _ask(self._socket, b"PING\r\n") == b"+PONG\r\n":
                    return
            await asyncio.sleep(_POLL_S)
        raise StoreUnavailableError(f"{server.text} ({server.path}) did not start: see {self._folder / 'redis.log'}")

    async def _keep(self, server: ServerBinary) -> None:
        """Start the server again whenever it dies: its data are on the disk, and clients come back by themselves."""
        tries = 0
        while True:
            assert self._process is not None  # noqa: S101  start() has launched it
            began = time.monotonic()
            code = await self._process.wait()
            if time.monotonic() - began > _START_S:
                tries = 0
            log.error(
                "embedded redis ended, starting it again", extra={"code": code, "log": f"{self._folder}/redis.log"}
            )
            await asyncio.sleep(_RESTART_S[min(tries, len(_RESTART_S) - 1)])
            tries += 1
            with contextlib.suppress(StoreUnavailableError):
                await self._launch(server)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _reads(server: ServerBinary, kind: str, major: int) -> bool:
    """Tell whether a server reads what another one wrote: a newer one of its kind, or Valkey what Redis 7 wrote."""
    if server.kind == kind:
        return server.version[0] >= major
    return server.kind == "valkey" and major <= 7


def _lives(owner: str) -> bool:
    try:
        os.kill(int(owner), 0)
    except ValueError:
        return False
    except OSError as error:
        return error.errno == errno.EPERM
    return True


async def _ask(socket: Path, command: bytes) -> bytes:
    """Say one thing to a server and return the first line of its answer."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(command)
        async with asyncio.timeout(_STOP_S):
            return await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
