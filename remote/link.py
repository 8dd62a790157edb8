"""The conversation with one node that is connected: a session over a channel, and the watch over its life."""

import asyncio
from contextlib import AsyncExitStack

from remote.bootstrap import printed
from remote.channel import ChannelClosedError, NodeChannel
from remote.errors import ProtocolError, Unreachable, UnreachableError
from remote.push import Conversation
from remote.session import NodeEvent, Pong

MISSED = 3  #: intervals without a sign of life after which a node is lost


class Link:
    """One node's conversation. `session` makes the bytes that `send` takes; one task receives, any may send.

    Whoever has a link closes it, after an error, too.

    A ping goes out every interval. Any byte from the node is a sign of life: a relay that answers nothing for three
    intervals while we listen is lost, even if its sshd still answers.
    """

    def __init__(  # noqa: PLR0913  made in one place only
        self,
        *,
        node: str,
        where: str,
        conversation: Conversation,
        channel: NodeChannel,
        interval_s: float,
        resources: AsyncExitStack,
    ) -> None:
        self.node = node
        self.hello = conversation.hello
        self.session = conversation.session
        self.latency: float | None = None  #: seconds to the answer of the last ping; None before the first
        self._early = list(conversation.rest)
        self._where = where
        self._channel = channel
        self._interval_s = interval_s
        self._resources = resources
        self._loop = asyncio.get_running_loop()
        self._pings = 0
        self._asked_at: float | None = None  #: when the ping without an answer went out
        self._error: UnreachableError | None = None
        self._timer = self._loop.call_later(0, self._watch)

    @property
    def is_lost(self) -> bool:
        """Whether the conversation is over. What had arrived before can still be received."""
        return self._error is not None or self._channel.is_closed

    async def send(self, data: bytes) -> None:
        """Send and wait until the channel takes more.

        Raises:
            UnreachableError: `lost` or `protocol`.
        """
        try:
            self._channel.write(data)
            await self._channel.drain()
        except ChannelClosedError as error:
            raise self._lost(str(error)) from None

    async def receive(self) -> list[NodeEvent]:
        """Wait for events and return all that have arrived (never an empty list; answers to own pings are left out).

        Raises:
            UnreachableError: `lost` or `protocol`, after everything that came before has been returned.
        """
        events, self._early = self._early, []
        while not events:
            if self._error is not None:
                raise self._error
            events = await self._next()
        return events

    async def measure(self) -> float:
        """Return the seconds that a ping takes. Not while another task receives.

        Raises:
            UnreachableError: `lost` or `protocol`.
        """
        self.latency = None
        self._ping()
        while self.latency is None:
            if self._error is not None:
                raise self._error
            self._early += await self._next()
        return self.latency

    async def close(self) -> None:
        """End the connection. Jobs on the node go on."""
        self._lost("it was closed here")
        await self._resources.aclose()

    async def _next(self) -> list[NodeEvent]:
        try:
            pieces = await self._channel.read()
        except ChannelClosedError as error:
            raise self._lost(str(error)) from None
        events: list[NodeEvent] = []
        try:
            for piece in pieces:
                events += self.session.feed(piece)
        except ProtocolError as error:
            # What came before it is good; the error is raised by the next call.
            self._fail(Unreachable.PROTOCOL, f"{self._where} broke the node protocol: {printed(str(error).encode())}")
        return [event for event in events if not self._is_own(event)]

    def _is_own(self, event: NodeEvent) -> bool:
        if not isinstance(event, Pong):
            return False
        if self._asked_at is not None:
            self.latency = self._loop.time() - self._asked_at
            self._asked_at = None
        return True

    def _watch(self) -> None:
        """Once per interval: is it alive? Ask again."""
        if self.is_lost:
            return
        if self._asked_at is None:
            self._ping()
        elif not self._channel.has_unread:  # else the answer may be among what nobody has taken yet
            silent = self._loop.time() - max(self._asked_at, self._channel.heard)
            if silent > (MISSED - 0.1) * self._interval_s:
                self._channel.fail(f"no answer to a ping for {silent:.0f} s")
                return
        self._timer = self._loop.call_later(self._interval_s, self._watch)

    def _ping(self) -> None:
        self._pings += 1
        self._asked_at = self._loop.time()
        try:
            self._channel.write(self.session.ping(self._pings))
        except ChannelClosedError as error:
            self._channel.fail(str(error))

    def _lost(self, why: str) -> UnreachableError:
        return self._fail(Unreachable.LOST, f"the connection to {self._where} was lost: {printed(why.encode())}")

    def _fail(self, reason: Unreachable, message: str) -> UnreachableError:
        self._timer.cancel()
        if self._error is None:
            self._error = UnreachableError(self.node, reason, message)
            self._channel.fail(message)
        return self._error
