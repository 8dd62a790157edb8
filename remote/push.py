"""Getting the runner onto a node over an open channel: `remote/bootstrap.py` decides, this reads and writes."""

import contextlib
import secrets
from dataclasses import dataclass

from remote.bootstrap import Answer, Bootstrap, Have, Impossible, Need, Ready
from remote.bundle import bundle, first_stage
from remote.channel import ChannelClosedError, NodeChannel
from remote.session import Hello, NodeEvent, NodeSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The runner talks: the session, its hello, and whatever it said after that."""

    session: NodeSession
    hello: Hello
    rest: tuple[NodeEvent, ...]


class Push:
    """One runner's way onto one node.

    Args:
        channel: on which the fixed command runs.
        cluster: name of the cluster.
        epoch: the controller's generation.
        spool: directory of the spools on the node; None = the default.
    """

    def __init__(self, channel: NodeChannel, *, cluster: str, epoch: int, spool: str | None) -> None:
        nonce = secrets.token_hex(16)
        self._channel = channel
        self._first_stage = first_stage(nonce=nonce, cluster=cluster, spool=spool)
        self._boot = Bootstrap(nonce)
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
        self._write(self._first_stage)
        while not self._said:
            verdict = self._take(await self._read())
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
            return self._boot.end()

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

    def _write(self, data: bytes) -> None:
        """Send; when the command has ended already, what it said before is still to be read, and tells more."""
        with contextlib.suppress(ChannelClosedError):
            self._channel.write(data)
