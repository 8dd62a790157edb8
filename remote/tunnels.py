"""Connections to bastions: one per bastion, shared by all nodes behind it, closed when none is left."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from inventory.route import Address
from remote.errors import UnreachableError
from remote.handshake import Connection

Way = tuple[Address, ...]  #: bastions, the first one first; the last one is the tunnel's end
Open = Callable[[Address, Connection | None], Awaitable[Connection]]


@dataclass(slots=True)
class _Tunnel:
    connection: Connection
    parent: Connection | None  #: the bastion before it
    users: int = 0


class Tunnels:
    """The bastions' connections of one transport.

    Args:
        open_tunnel: connects to a bastion, through the connection to the one before it.
    """

    def __init__(self, open_tunnel: Open) -> None:
        self._open = open_tunnel
        self._tunnels: dict[Way, _Tunnel] = {}
        self._opening: dict[Way, asyncio.Future[None]] = {}

    async def borrow(self, way: Way) -> Connection:
        """Return the connection to the last bastion of `way`. Each one borrowed is given back once.

        Raises:
            UnreachableError: also to those who waited for another one's attempt.
        """
        while True:
            tunnel = self._tunnels.get(way)
            if tunnel is not None and not tunnel.connection.is_closed():
                tunnel.users += 1
                return tunnel.connection
            if tunnel is not None:
                await self._drop(way, tunnel)
            elif (pending := self._opening.get(way)) is None:
                await self._make(way)
            else:
                await asyncio.wait([pending])
                if not pending.cancelled():  # else whoever opened it was cancelled, and somebody else does it
                    pending.result()

    async def give_back(self, way: Way, connection: Connection) -> None:
        """Close the connection when nobody uses it any more."""
        tunnel = self._tunnels.get(way)
        if tunnel is None or tunnel.connection is not connection:
            return  # it was lost, and another one may have taken its place
        tunnel.users -= 1
        if tunnel.users == 0:
            await self._drop(way, tunnel)

    async def close(self) -> None:
        """Close all of them."""
        while self._tunnels:
            await self._drop(*next(iter(self._tunnels.items())))

    async def _make(self, way: Way) -> None:
        future = self._opening[way] = asyncio.get_running_loop().create_future()
        parent: Connection | None = None
        try:
            if len(way) > 1:
                parent = await self.borrow(way[:-1])
            self._tunnels[way] = _Tunnel(await self._open(way[-1], parent), parent)
        except BaseException as error:
            if isinstance(error, UnreachableError):
                future.set_exception(error)
                future.exception()  # nobody need have waited
            else:
                future.cancel()
            if parent is not None:
                await self.give_back(way[:-1], parent)
            raise
        else:
            future.set_result(None)
        finally:
            del self._opening[way]

    async def _drop(self, way: Way, tunnel: _Tunnel) -> None:
        if self._tunnels.get(way) is tunnel:
            del self._tunnels[way]
        tunnel.connection.close()
        await tunnel.connection.wait_closed()
        if tunnel.parent is not None:
            await self.give_back(way[:-1], tunnel.parent)
