"""The only place that connects the parts: for the daemon, and for a command that runs without one."""

import asyncio
import contextlib
import getpass
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from inventory.problems import InvalidFilesError
from jobs.plan import Defaults
from orchestrator import VERSION
from orchestrator.catalogue import Catalogue
from orchestrator.controller import Controller
from orchestrator.dispatcher import Dispatcher, DispatcherOptions
from orchestrator.jobtypes import TypeCatalogue
from orchestrator.local_server import LocalServer
from orchestrator.operations import Operations
from orchestrator.planning import Planner, bad_file
from orchestrator.sealing import open_sealer
from orchestrator.service import Service
from orchestrator.settings import Settings
from orchestrator.store.embedded import EmbeddedRedis
from orchestrator.store.redis_store import RedisStore, StoreSettings
from remote.transport import SshOptions, Transport

log = logging.getLogger(__name__)
_UPKEEP_S = 15.0
_HANG_UP_S = 0.3  # after which a connection is another command's, not one that is just being closed
_DISPATCHER = "main"


@dataclass(frozen=True, slots=True)
class Stack:
    """The running parts that somebody outside needs."""

    load: Callable[[], Settings]
    server: LocalServer
    catalogue: Catalogue
    service: Service
    controller: Controller
    dispatcher: Dispatcher

    async def reload(self) -> int:
        """Read settings and inventory again; return the number of nodes.

        Raises:
            ServiceError: `bad_file`; what was read before stays in use.
        """
        try:
            settings = self.load()
        except InvalidFilesError as error:
            raise bad_file(error) from error
        self.catalogue.replace_sources(settings.inventory)
        count = await self.service.planner.reload()
        self.service.planner.defaults = _defaults(settings)
        self.controller.start_timeout_s = settings.limits.start_timeout_s
        return count


@contextlib.asynccontextmanager
async def running(load: Callable[[], Settings], *, embedded: bool) -> AsyncIterator[Stack]:
    """Run a whole AnyJob on the settings' socket for the time of the block; jobs on nodes outlive it.

    `load` reads the settings: now, and at each reload.

    Raises:
        StoreUnavailableError, SocketTakenError, InvalidFilesError: told for people.
        ExceptionGroup: with StaleEpochError, when a newer daemon has taken over.
    """
    settings = load()
    _private(settings.data_dir)
    async with contextlib.AsyncExitStack() as stack:
        url = settings.redis.url or await _embedded_redis(stack, settings)
        store = RedisStore(_store_settings(settings, url))
        await store.open()
        stack.push_async_callback(store.close)
        epoch = await store.begin_epoch()
        transport = await stack.enter_async_context(Transport(_ssh_options(settings, await store.cluster(), epoch)))
        sealer = open_sealer(settings.data_dir)
        dispatcher = Dispatcher(store, transport, sealer, options=_options(settings, epoch), now=time.time)
        controller = Controller(
            store, dispatcher=_DISPATCHER, epoch=epoch, start_timeout_s=settings.limits.start_timeout_s, now=time.time
        )
        catalogue = Catalogue(settings.inventory, cache_dir=settings.data_dir / "cache")
        if not embedded:
            await catalogue.reload()  # a daemon with a broken inventory does not start
        types = TypeCatalogue(settings.site.path if settings.site else None)
        await types.reload()
        planner = Planner(
            catalogue, types, login_user=_login_user(settings), defaults=_defaults(settings), now=time.time
        )
        service = Service(store, planner, dispatcher, sealer, now=time.time, waits=controller.reason)
        operations = Operations(service, _info(settings, embedded=embedded))
        server = LocalServer(operations, settings.socket_path)
        parts = Stack(load, server, catalogue, service, controller, dispatcher)
        operations.on_reload = parts.reload
        async with asyncio.TaskGroup() as tasks:
            engines = [tasks.create_task(part) for part in (dispatcher.run(), controller.run(), _upkeep(store))]
            await server.start()
            try:
                yield parts
            finally:
                await server.stop()
                for engine in engines:
                    engine.cancel()


def _info(settings: Settings, *, embedded: bool) -> Mapping[str, object]:
    """Return what `ping` tells."""
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "site": str(settings.site.path) if settings.site else None,
        "data_dir": str(settings.data_dir),
        "redis": "external" if settings.redis.url else "embedded",
        "started_at": time.time(),
        "embedded": embedded,
    }


async def _embedded_redis(stack: contextlib.AsyncExitStack, settings: Settings) -> str:
    server = EmbeddedRedis(settings.data_dir / "redis")
    await server.start()
    stack.push_async_callback(server.stop)
    return server.url


async def _upkeep(store: RedisStore) -> None:
    while True:
        await asyncio.sleep(_UPKEEP_S)
        await store.archive(now=time.time())
        removed = await store.prune(now=time.time())
        if removed:
            log.info("old runs removed", extra={"runs": removed})


def _private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)


def _store_settings(settings: Settings, url: str) -> StoreSettings:
    return StoreSettings(
        url=url,
        prefix=settings.redis.prefix,
        archive_dir=settings.archive_dir,
        live_tail=settings.redis.live_tail,
        archive_after_s=settings.retention.archive_after_s,
        keep_records_s=settings.retention.records_s,
        keep_output_s=settings.retention.output_s,
    )


def _ssh_options(settings: Settings, cluster: str, epoch: int) -> SshOptions:
    return SshOptions(
        known_hosts=settings.ssh.known_hosts,
        user=_login_user(settings),
        identity=settings.ssh.identity or _usual_keys(),
        use_agent=settings.ssh.use_agent,
        connect_timeout_s=settings.ssh.connect_timeout_s,
        connect_tries=settings.ssh.connect_tries,
        keepalive_s=settings.ssh.keepalive_s,
        handshakes=settings.ssh.handshakes,
        spool=settings.remote.spool,
        cluster=cluster,
        epoch=epoch,
    )


def _login_user(settings: Settings) -> str:
    return settings.ssh.user or getpass.getuser()


def _usual_keys() -> tuple[Path, ...]:
    directory = Path("~/.ssh").expanduser()
    return tuple(path for name in ("id_ed25519", "id_ecdsa", "id_rsa") if (path := directory / name).exists())


def _options(settings: Settings, epoch: int) -> DispatcherOptions:
    return DispatcherOptions(
        name=_DISPATCHER,
        epoch=epoch,
        idle_s=settings.ssh.idle_s,
        max_connections=settings.ssh.max_connections,
    )


def _defaults(settings: Settings) -> Defaults:
    return Defaults(
        grace_s=settings.limits.grace_s, max_output=settings.limits.max_output, fanout=settings.limits.fanout
    )


@contextlib.contextmanager
def start_embedded(settings: Settings, *, busy: Callable[[], None] | None = None) -> Iterator[None]:
    """Run a whole AnyJob beside the calling thread, on the usual socket, for a command that found no daemon.

    At the end it waits until no other command uses it, and calls `busy` if one does. Jobs that still run go on;
    whoever starts next on this data directory picks them up.

    Raises:
        what `running` raises.
    """
    beside = _Beside(settings, busy)
    beside.start()
    beside.ready.wait()
    try:
        if beside.failure is None:
            yield
    finally:
        beside.stop()
        beside.join()
    if beside.failure is not None:
        raise beside.failure


class _Beside(threading.Thread):
    """A stack with an event loop of its own."""

    def __init__(self, settings: Settings, busy: Callable[[], None] | None) -> None:
        super().__init__(name="anyjob", daemon=True)
        self._busy = busy
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # told to the calling thread
            self.failure = error
        finally:
            self.ready.set()

    def stop(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self) -> None:
        async with running(lambda: self._settings, embedded=True) as stack:
            self.ready.set()
            await self._stopping.wait()
            try:
                await asyncio.wait_for(stack.server.unused.wait(), _HANG_UP_S)
            except TimeoutError:
                if self._busy is not None:
                    self._busy()
                await stack.server.unused.wait()
