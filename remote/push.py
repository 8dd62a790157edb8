"""Getting the runner onto a node over an open channel: `remote/bootstrap.py` decides, this reads and writes."""

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from inventory.route import Become
from remote import become as becoming
from remote.become import Refusal
from remote.bootstrap import Answer, Became, Bootstrap, Have, Impossible, Need, Ready
from remote.bundle import bundle, first_stage
from remote.channel import ChannelClosedError, NodeChannel
from remote.errors import Unfit
from remote.session import Hello, NodeEvent, NodeSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The runner talks: the session, its hello, and whatever it said after that."""

    session: NodeSession
    hello: Hello
    rest: tuple[NodeEvent, ...]


Password = Callable[[], Awaitable[str | None]]
"""Fetches the password of sudo or su, when it is asked for; None = there is none."""


class Gate:
    """The program that gives another user's rights, as it stands between the login shell and the first stage.

    Args:
        channel: on which it runs.
        become: whose rights, and how.
        login: name of the login user, who asks.
        password: where to get it; None = there is none.
    """

    def __init__(self, channel: NodeChannel, become: Become, *, login: str, password: Password | None) -> None:
        self.waits = becoming.waits(become, may_ask=password is not None)
        self.is_open = False
        self._channel = channel
        self._become = become
        self._login = login
        self._fetch = password
        self._sent: str | None = None  #: the password, until it is known whether it is good
        self._seen = 0  #: bytes of standard error when it was sent

    def open(self) -> None:
        """The rights were given."""
        self.is_open = True
        self._sent = None

    async def answer(self) -> Impossible | None:
        """Give the password if it is asked for; what it means that it is asked for again, or that there is none."""
        stderr, count = self._channel.stderr_end, self._channel.stderr_bytes
        if not self.waits or count == self._seen or not becoming.asks(self._become, stderr):
            return None
        self._seen = count
        if self._sent is not None:
            return self._refused(Refusal.WRONG_PASSWORD)
        password = await self._fetch() if self._fetch is not None else None
        if password is None:
            return self._refused(Refusal.PASSWORD_NEEDED)
        if any(character in password for character in "\0\r\n"):
            return self._refused(Refusal.WRONG_PASSWORD)
        self._sent = password
        with contextlib.suppress(ChannelClosedError):
            self._channel.write(password.encode() + b"\n")
        return None

    def ended(self, noise: bytes) -> Impossible:
        """Say what it means that the output ended before the rights were given; `noise` was printed there."""
        end = self._channel.stderr_end
        beginning = bytes(self._channel.stderr)[: max(0, self._channel.stderr_bytes - len(end))]
        said = b"\n".join(part for part in (end, beginning, noise) if part.strip())
        return self._refused(becoming.reason(self._become, said, answered=self._sent is not None), said)

    def _refused(self, why: Refusal, said: bytes = b"") -> Impossible:
        """Hide what was sent: nobody knows what a program in sudo's place prints."""
        if self._sent:
            said = said.replace(self._sent.encode(), b"*****")
            self._sent = None
        text = becoming.refused(self._become, why, said, self._login)
        return Impossible(Unfit.NO_SHELL if why is Refusal.LOGIN_SHELL else Unfit.BECOME_FAILED, text)


class Push:
    """One runner's way onto one node.

    Args:
        channel: on which the fixed command runs.
        cluster: name of the cluster.
        epoch: the controller's generation.
        spool: directory of the spools on the node; None = the default.
        gate: what gives another user's rights first, if anything does.
    """

    def __init__(
        self, channel: NodeChannel, *, cluster: str, epoch: int, spool: str | None, gate: Gate | None = None
    ) -> None:
        nonce = secrets.token_hex(16)
        self._channel = channel
        self._first_stage = first_stage(nonce=nonce, cluster=cluster, spool=spool)
        self._boot = Bootstrap(nonce, becomes=gate is not None)
        self._gate = gate
        self._session = NodeSession()
        self._hello = self._session.hello(cluster, epoch)
        self._said: list[NodeEvent] = []
        self._talks = False

    async def run(self) -> Conversation | Impossible:
        """Bring the runner there and wait for its hello. The caller sets the time limit.

        Raises:
            ChannelClosedError: when the connection was lost.
            ProtocolError: when what answers is not the runner.
        """
        if self._gate is None or not self._gate.waits:
            self._write(self._first_stage)
        while not self._said:
            verdict = self._take(await self._read())
            if verdict is None and self._gate is not None and not self._gate.is_open:
                verdict = await self._gate.answer()
            if verdict is not None:
                return verdict
        hello, *rest = self._said
        assert isinstance(hello, Hello), "the session lets nothing else come first"  # noqa: S101
        return Conversation(session=self._session, hello=hello, rest=tuple(rest))

    async def _read(self) -> list[bytes] | Impossible:
        try:
            return await self._channel.read()
        except ChannelClosedError:
            if not self._channel.has_ended:
                raise
            self._boot.note_stderr(bytes(self._channel.stderr), self._channel.stderr_bytes)
            end = self._boot.end()
            if self._gate is None or self._gate.is_open:
                return end
            return self._gate.ended(self._boot.noise)

    def _take(self, pieces: list[bytes] | Impossible) -> Impossible | None:
        if isinstance(pieces, Impossible):
            return pieces
        for piece in pieces:
            if self._talks:
                self._said += self._session.feed(piece)
            elif verdict := self._follow(self._boot.feed(piece)):
                return verdict
        return self._follow(self._boot.note_stderr(bytes(self._channel.stderr), self._channel.stderr_bytes))

    def _follow(self, answers: list[Answer]) -> Impossible | None:
        """Do what the node's answers ask for."""
        for answer in answers:
            match answer:
                case Became():
                    self._pass()
                case Need():
                    self._write(bundle().data + self._hello)
                case Have():
                    self._write(self._hello)
                case Ready(data):
                    self._talks = True
                    self._said += self._session.feed(data)
                case Impossible():
                    return answer
        return None

    def _pass(self) -> None:
        if self._gate is not None:
            self._gate.open()
            if self._gate.waits:
                self._write(self._first_stage)

    def _write(self, data: bytes) -> None:
        """Send; when the command has ended already, what it said before is still to be read, and tells more."""
        with contextlib.suppress(ChannelClosedError):
            self._channel.write(data)
