"""Connections to nodes: SSH, one channel per node, the runner at its other end.

How it is done is spread over the modules of this package: `login` and `handshake` (SSH), `tunnels` (bastions),
`become` (another user's rights), `bootstrap` (getting the runner there), `channel` and `link` (the conversation). This
one joins them.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

import asyncssh

from inventory.route import Address, Become, Route
from remote.become import in_front
from remote.bootstrap import Impossible, explain, printed
from remote.bundle import KNOWN_PYTHONS, command
from remote.channel import WINDOW, ChannelClosedError, NodeChannel
from remote.errors import ProtocolError, Unfit, UnfitError, Unreachable, UnreachableError
from remote.handshake import Connection
from remote.link import Link
from remote.login import LoggedIn, Logins, SshOptions
from remote.push import Conversation, Gate, Password, Push
from remote.tunnels import Tunnels

__all__ = ["Link", "SshOptions", "Transport"]

_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9_./+-]+")  #: what may stand in the fixed command


_Account = tuple[Address, Become | None]


class Transport:
    """All connections of a process; an asynchronous context manager that closes them."""

    def __init__(self, options: SshOptions) -> None:
        self.options = options
        self._logins = Logins(options)
        self._tunnels = Tunnels(self._open_tunnel)
        self._pythons: dict[_Account, str] = {}  #: found at the last connection: saves a search, and a shim's time
        self._links: set[Link] = set()

    async def connect(
        self, route: Route, *, connect_timeout_s: float | None = None, password: Password | None = None
    ) -> Link:
        """Connect to a node and bring the runner there.

        Args:
            route: the way to the node.
            connect_timeout_s: instead of the options' time limit.
            password: fetches what sudo or su ask for; awaited only when they ask, at most once.

        Raises:
            UnreachableError, UnfitError: with what, where and the way out.
        """
        limit_s = connect_timeout_s or self.options.connect_timeout_s
        async with AsyncExitStack() as stack:
            tunnel = await self._borrow(route, stack) if route.jump else None
            login = await self._logins.log_in(
                route.node, route.address, limit_s, tunnel=tunnel, via=route.jump[-1] if route.jump else None
            )
            stack.push_async_callback(_close, login.connection)
            channel, conversation = await self._start_runner(route, login, password)
            resources = stack.pop_all()
            link = Link(
                node=route.node,
                where=login.attempt.where,
                conversation=conversation,
                channel=channel,
                interval_s=self.options.keepalive_s,
                resources=resources,
            )
        self._links.add(link)
        resources.callback(self._links.discard, link)
        return link

    async def close(self) -> None:
        """Close every connection and tunnel. Jobs on the nodes go on."""
        while self._links:
            await next(iter(self._links)).close()
        await self._tunnels.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _borrow(self, route: Route, stack: AsyncExitStack) -> Connection:
        try:
            tunnel = await self._tunnels.borrow(route.jump)
        except UnreachableError as error:
            text = f"the bastion {error.node} on the way to {route.node} is not reachable: {error.message}"
            raise UnreachableError(route.node, Unreachable.JUMP, text, cause=error) from None
        stack.push_async_callback(self._tunnels.give_back, route.jump, tunnel)
        return tunnel

    async def _open_tunnel(self, bastion: Address, parent: Connection | None) -> Connection:
        limit_s = self.options.connect_timeout_s
        login = await self._logins.log_in(bastion.host, bastion, limit_s, tunnel=parent)
        login.connection.channel_is_open()
        return login.connection

    async def _start_runner(
        self, route: Route, login: LoggedIn, password: Password | None
    ) -> tuple[NodeChannel, Conversation]:
        where, node = login.attempt.where, route.node
        try:
            async with asyncio.timeout_at(login.deadline):
                return await self._push(route, login, password)
        except TimeoutError:
            text = (
                f"the login at {where} went well, but the runner did not answer within {login.attempt.limit_s:g} s. "
                "The machine may be overloaded, or its login shell waits for something"
            )
            raise UnreachableError(node, Unreachable.TIMEOUT, text) from None
        except (ChannelClosedError, asyncssh.Error, OSError) as error:
            if isinstance(error, asyncssh.ChannelOpenError) and not login.connection.is_gone:
                said = printed(error.reason.encode())
                text = f"sshd at {where} runs no command: {said}. Look into its ForceCommand, MaxSessions, Match blocks"
                raise UnfitError(node, Unfit.NO_SHELL, text) from None
            text = f"the connection to {where} was lost while the runner was started: {printed(str(error).encode())}"
            raise UnreachableError(node, Unreachable.LOST, text) from None
        except ProtocolError as error:
            text = f"what answered at {where} is not the runner: {printed(str(error).encode())}"
            raise UnreachableError(node, Unreachable.PROTOCOL, text) from None

    async def _push(self, route: Route, login: LoggedIn, password: Password | None) -> tuple[NodeChannel, Conversation]:
        options, connection = self.options, login.connection
        become = route.become if route.become and route.become.user != login.attempt.user else None
        account = (route.address, become)
        known = self._pythons.get(account)
        pythons = (route.python,) if route.python else (*((known,) if known else ()), *KNOWN_PYTHONS)
        line = _line(route.node, pythons, become, may_ask=password is not None)
        who = f"{login.attempt.user}@{login.attempt.where}"
        channel = NodeChannel()
        gate = Gate(channel, become, login=login.attempt.user, password=password) if become else None
        await connection.create_session(lambda: channel, line, encoding=None, window=WINDOW, env={}, send_env=())
        connection.channel_is_open()
        push = Push(channel, cluster=options.cluster, epoch=options.epoch, spool=options.spool, gate=gate)
        result = await push.run()
        if isinstance(result, Impossible):
            self._pythons.pop(account, None)
            if become and gate and gate.is_open:
                who += f" (as {become.user} by {become.method}, which may have another PATH)"
            raise UnfitError(route.node, result.reason, explain(result, who, pythons))
        if _PLAIN_PATH.fullmatch(result.hello.executable):
            self._pythons[account] = result.hello.executable
        return channel, result


def _line(node: str, pythons: Sequence[str], become: Become | None, *, may_ask: bool) -> str:
    try:
        line = command(pythons)
    except ValueError as error:
        raise UnfitError(node, Unfit.NO_PYTHON, str(error)) from None
    try:
        return in_front(become, line, may_ask=may_ask) if become else line
    except ValueError as error:
        raise UnfitError(node, Unfit.BECOME_FAILED, str(error)) from None


async def _close(connection: Connection) -> None:
    connection.close()
    await connection.wait_closed()
