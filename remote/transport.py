"""Connections to nodes: SSH, one channel per node, the runner at its other end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from inventory.route import Route
from remote.session import Hello, NodeEvent, NodeSession


@dataclass(frozen=True, slots=True, kw_only=True)
class SshOptions:
    """How nodes are logged in to, the same for all of them. Times in seconds."""

    known_hosts: tuple[Path, ...]  #: all of them count, as in OpenSSH; a missing file is an empty one
    user: str  #: login user where the route names none
    identity: tuple[Path, ...] = ()  #: private keys where the route names none
    use_agent: bool = False
    connect_timeout_s: float = 15.0  #: from the first packet to the runner's hello
    connect_tries: int = 3  #: within that time, for causes that may pass
    keepalive_s: float = 5.0  #: 3 without any answer: lost
    handshakes: int = 8  #: in flight per sshd; its MaxStartups drops from the tenth on
    spool: str | None = None  #: on the nodes, instead of the usual place
    cluster: str = "default"
    epoch: int = 0


class Link:
    """The conversation with one node that is connected. `session` makes the bytes that `send` takes."""

    node: str
    hello: Hello
    session: NodeSession

    @property
    def latency(self) -> float:
        """Seconds between the last ping and its answer."""
        raise NotImplementedError

    async def send(self, data: bytes) -> None:
        """Send and wait until the channel takes more.

        Raises:
            UnreachableError: `lost` or `protocol`.
        """
        raise NotImplementedError

    async def receive(self) -> list[NodeEvent]:
        """Wait for events and return all that have arrived (never an empty list).

        Raises:
            UnreachableError: `lost` or `protocol`, after everything that came before has been returned.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """End the connection. Jobs on the node go on."""
        raise NotImplementedError


class Transport:
    """All connections of a process; an asynchronous context manager that closes them."""

    def __init__(self, options: SshOptions) -> None:
        self.options = options

    async def connect(self, route: Route, *, connect_timeout_s: float | None = None) -> Link:
        """Connect to a node and bring the runner there.

        Raises:
            UnreachableError, UnfitError: with what, where and the way out.
        """
        raise NotImplementedError

    async def __aenter__(self) -> "Transport":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection and tunnel."""
        raise NotImplementedError


__all__: Sequence[str] = ("Link", "SshOptions", "Transport")
