"""Bells: one subscribed connection for all who watch runs in this process."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from redis.asyncio.connection import Connection
from redis.exceptions import ResponseError

from orchestrator.store.connection import LOST, connect
from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.wire import Wire

REFRESH_S: Final = 10.0  #: every watcher looks again at least that often, whatever became of the rings
_SILENCE_S: Final = 5.0  #: then the connection is asked whether it lives, and given up after as long again
_PAUSE_S: Final = 0.2
_CONFIRM_S: Final = 1.0  #: a watcher waits no longer for its subscription; it is rung when that comes after all


class _Watcher:
    """One who watches: what has rung since it last looked."""

    def __init__(self, jobs: Sequence[str]) -> None:
        self.everything = frozenset((*jobs, ""))
        self._rung = set(self.everything)
        self._news = asyncio.Event()
        self._news.set()

    def ring(self, words: frozenset[str]) -> None:
        self._rung |= words
        self._news.set()

    async def items(self) -> AsyncIterator[frozenset[str]]:
        while True:
            try:
                async with asyncio.timeout(REFRESH_S):
                    await self._news.wait()
            except TimeoutError:
                self._rung |= self.everything
            rung = frozenset(self._rung)
            self._rung.clear()
            self._news.clear()
            yield rung


class _Channel:
    """Who watches a run, and whether Redis has confirmed a subscription to it."""

    def __init__(self) -> None:
        self.users = 0  #: with those who wait for the confirmation
        self.watchers: set[_Watcher] = set()
        self.confirmed = asyncio.Event()


class Bells:
    """See `Store.bell`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._channels: dict[str, _Channel] = {}
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Disconnect; watchers hear nothing more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._drop()

    @contextlib.asynccontextmanager
    async def watch(self, run: str) -> AsyncIterator[AsyncIterator[frozenset[str]]]:
        """See `Store.bell`."""
        name = self._wire.keys.bell(run)
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="store bells")
        known = self._channels.get(name)
        channel = known or self._channels.setdefault(name, _Channel())
        channel.users += 1
        try:
            if known is None:
                await self._say("SUBSCRIBE", name)
            [members] = await self._wire.ask(("LRANGE", self._wire.keys.jobs(run), 0, -1))
            # What happens from the confirmation on is heard, what was before is in the first item: it is told once.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CONFIRM_S):
                    await channel.confirmed.wait()
            watcher = _Watcher([member.decode() for member in members])
            channel.watchers.add(watcher)
            try:
                yield watcher.items()
            finally:
                channel.watchers.discard(watcher)
        finally:
            channel.users -= 1
            if not channel.users:
                del self._channels[name]
                await self._say("UNSUBSCRIBE", name)

    async def _say(self, *words: str) -> None:
        """Send a command; its answer comes to `_listen`. Without a connection, or when it breaks, `_listen` resumes."""
        if self._connection is not None:
            with contextlib.suppress(*LOST):
                await self._connection.send_command(*words, check_health=False)

    async def _listen(self) -> None:
        while True:
            try:
                connection = await connect(self._wire.settings)
                self._connection = connection
                # Who comes while this is sent subscribes by itself; every confirmation rings.
                await self._say("SUBSCRIBE", self._wire.keys.control("alive"), *self._channels)
                await self._hear(connection)
            except (*LOST, ResponseError, StoreUnavailableError):
                await self._drop()
                await asyncio.sleep(_PAUSE_S)

    async def _hear(self, connection: Connection) -> None:
        heard = time.monotonic()
        while True:
            reply = await connection.read_response(disable_decoding=True, timeout=_SILENCE_S)
            if reply is None:
                if time.monotonic() - heard > 3 * _SILENCE_S:
                    raise TimeoutError
                await self._say("PING")
                continue
            heard = time.monotonic()
            if not isinstance(reply, list):
                continue
            channel = self._channels.get(reply[1].decode())
            if channel is None:
                continue
            if reply[0] == b"subscribe":  # what rang before it has not been heard
                channel.confirmed.set()
                for watcher in channel.watchers:
                    watcher.ring(watcher.everything)
            elif reply[0] == b"message":
                word = reply[2].decode()
                for watcher in channel.watchers:
                    watcher.ring(frozenset(("" if word == "e" else word,)))

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
