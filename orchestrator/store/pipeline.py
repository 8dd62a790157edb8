"""One connection that everybody shares: what arrives while a batch is in flight goes out with the next one.

So a single command waits for nobody, and a thousand cost a few round trips. Only idempotent commands may be given to
it: after a lost connection the whole batch is sent again. The task that talks to Redis is never the caller's, so a
cancelled caller cannot leave the connection one reply behind.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio.connection import Connection
from redis.exceptions import DataError, NoScriptError, ResponseError

from orchestrator.store.connection import LOST, REPLY_S, StoreSettings, connect, explain
from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.scripts import Script

Command = tuple[str | bytes | int | float, ...]
Reply = Any  #: what RESP2 knows: bytes, int, None, lists of these

_BATCH_COMMANDS: Final = 2_000  #: about 20 ms of work for Redis: nobody waits longer than that for others
_BATCH_BYTES: Final = 8 << 20
_WAITING_BYTES: Final = 64 << 20  #: then callers wait at the door; bounds the memory
_BACKOFF_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_CLOSE_S: Final = 5.0


@dataclass(slots=True, eq=False)
class _Order:
    commands: Sequence[Command]
    size: int
    deadline: float | None
    done: "asyncio.Future[list[Reply]]"


class Pipeline:
    """Sends commands in adaptive batches and gives each caller its own replies, or its own error."""

    def __init__(self, settings: StoreSettings, scripts: Iterable[Script]) -> None:
        self._settings = settings
        self._scripts = tuple(scripts)
        self._connection: Connection | None = None
        self._queue: deque[_Order] = deque()
        self._waiting = 0
        self._news = asyncio.Event()
        self._room = asyncio.Condition()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connect and begin to work.

        Raises:
            StoreUnavailableError: when Redis does not answer, or refuses us.
        """
        try:
            await self._connected()
        except LOST as error:
            raise explain(error, self._settings.url) from None
        self._task = asyncio.create_task(self._work(), name="store pipeline")

    async def close(self) -> None:
        """Finish what is under way (some seconds at most), then disconnect."""
        self._closed = True
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._idle.wait()
        except TimeoutError:
            pass
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._drop()

    async def run(self, *commands: Command, patience_s: float | None) -> list[Reply]:
        """Send commands, in this order and together, and return their replies.

        `patience_s` is how long to wait for a Redis that is away; None = for ever.

        Raises:
            StoreUnavailableError: when Redis stayed away too long, or refuses a command.
            StaleEpochError: when a script says so.
        """
        if self._closed or self._task is None:
            raise StoreUnavailableError("the store is not open")
        size = sum(len(part) if isinstance(part, str | bytes) else 8 for command in commands for part in command)
        if self._waiting > _WAITING_BYTES:
            async with self._room:
                await self._room.wait_for(lambda: self._waiting <= _WAITING_BYTES)
        deadline = None if patience_s is None else time.monotonic() + patience_s
        order = _Order(commands, size, deadline, asyncio.get_running_loop().create_future())
        self._queue.append(order)
        self._waiting += size
        self._idle.clear()
        self._news.set()
        replies = await order.done
        for reply in replies:
            if isinstance(reply, Exception):
                raise explain(reply, self._settings.url)
        return replies

    async def _work(self) -> None:
        batch: list[_Order] = []
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while batch := self._take():
                    await self._send(batch)
                    self._waiting -= sum(order.size for order in batch)
                    async with self._room:
                        self._room.notify_all()
                self._idle.set()
        finally:
            self._closed = True
            for order in (*batch, *self._queue):
                _fail(order, StoreUnavailableError("the store was closed before Redis answered"))
            self._queue.clear()

    def _take(self) -> list[_Order]:
        batch: list[_Order] = []
        commands = size = 0
        while self._queue and commands < _BATCH_COMMANDS and size < _BATCH_BYTES:
            order = self._queue.popleft()
            batch.append(order)
            commands += len(order.commands)
            size += order.size
        return batch

    async def _send(self, batch: list[_Order]) -> None:
        """See a batch through: until each order has its replies, or its deadline has passed."""
        tries = 0
        while pending := [order for order in batch if not order.done.done()]:
            try:
                replies = await self._exchange([command for order in pending for command in order.commands])
            except LOST as error:
                await self._drop()
                self._expire([*pending, *self._queue], error)
                await asyncio.sleep(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)])
                tries += 1
                continue
            except (StoreUnavailableError, DataError) as error:
                for order in pending:
                    _fail(order, error)
                return
            at = 0
            for order in pending:
                if not order.done.done():
                    order.done.set_result(replies[at : at + len(order.commands)])
                at += len(order.commands)

    def _expire(self, orders: Iterable[_Order], error: Exception) -> None:
        now = time.monotonic()
        for order in orders:
            if order.deadline is not None and order.deadline <= now:
                _fail(order, explain(error, self._settings.url))

    async def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and read their replies; a script that the server has forgotten is loaded and sent again."""
        replies = await self._round_trip(commands)
        while forgotten := [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]:
            await self._load()
            again = await self._round_trip([commands[index] for index in forgotten])
            for index, reply in zip(forgotten, again, strict=True):
                replies[index] = reply
        return replies

    async def _round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        connection = await self._connected()
        replies: list[Reply] = []
        clock = asyncio.get_running_loop().time
        async with asyncio.timeout(REPLY_S) as limit:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            for _ in commands:
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except ResponseError as error:
                    replies.append(error)
                limit.reschedule(clock() + REPLY_S)
        return replies

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await connect(self._settings)
            await self._load()
        return self._connection

    async def _load(self) -> None:
        for reply in await self._round_trip([("SCRIPT", "LOAD", script.text) for script in self._scripts]):
            if isinstance(reply, Exception):
                raise explain(reply, self._settings.url)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _fail(order: _Order, error: Exception) -> None:
    if not order.done.done():
        order.done.set_exception(error)
