"""What can be wrong with a node, told so that a tired person can act on it.

```
NodeError                    about one node; the other nodes are not affected
├── UnreachableError         there is no conversation with it (network, host key, authentication, link lost)
└── UnfitError               it was reached, but the runner cannot work there
ProtocolError                the other end broke the node protocol; the transport turns it into `unreachable:protocol`
UnsendableError              what was asked for does not fit into the protocol
```

Library errors (asyncssh, sockets) are mapped to these once, at the border (`remote/diagnosis.py`).
"""

import enum
from typing import Final


class Unreachable(enum.StrEnum):
    """Why there is no conversation with a node."""

    DNS = "dns"  #: its name has no address
    REFUSED = "refused"  #: nobody listens on the port
    TIMEOUT = "timeout"  #: no answer within the time limit
    NO_ROUTE = "no_route"  #: the network does not know the way
    HOST_KEY = "host_key"  #: unknown, changed, revoked or uncertified host key; nothing was sent
    AUTH = "auth"  #: no usable key, or none was accepted
    PROTOCOL = "protocol"  #: what answered does not speak as agreed
    JUMP = "jump"  #: a bastion on the way is the problem
    TOO_MANY_CONNECTIONS = "too_many_connections"  #: sshd dropped the connection before the handshake
    LOST = "lost"  #: the connection was there and is gone


class Unfit(enum.StrEnum):
    """Why the runner cannot work on a node that was reached."""

    NO_PYTHON = "no_python"
    PYTHON_TOO_OLD = "python_too_old"
    NOISY_SHELL = "noisy_shell"  #: the login shell prints too much
    NO_SHELL = "no_shell"  #: the login shell does not run commands
    BECOME_FAILED = "become_failed"  #: sudo, doas or su did not give the other user's rights
    SPOOL_UNSAFE = "spool_unsafe"
    DISK_FULL = "disk_full"
    BUNDLE = "bundle"  #: the pushed runner did not arrive whole, or could not be compiled


_TRANSIENT: Final = frozenset(
    {
        Unreachable.DNS,
        Unreachable.REFUSED,
        Unreachable.TIMEOUT,
        Unreachable.NO_ROUTE,
        Unreachable.TOO_MANY_CONNECTIONS,
        Unreachable.LOST,
    }
)


class NodeError(Exception):
    """Something is wrong with one node. `str()` is the message for people: what, where, and the way out."""

    kind: str  #: the family, first half of `code`

    def __init__(self, node: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.node = node
        self.reason = reason
        self.message = message

    @property
    def code(self) -> str:
        """The machine-readable reason of a job that failed for this, for example `unreachable:host_key`."""
        return f"{self.kind}:{self.reason}"

    @property
    def retryable(self) -> bool:
        """Whether the same attempt may go well later without anybody doing anything."""
        return False

    def __reduce__(self) -> tuple[type["NodeError"], tuple[str, str, str]]:
        return type(self), (self.node, self.reason, self.message)


class UnreachableError(NodeError):
    """There is no conversation with a node, or there is none any more."""

    kind = "unreachable"

    def __init__(
        self, node: str, reason: Unreachable, message: str, *, cause: "UnreachableError | None" = None
    ) -> None:
        super().__init__(node, reason, message)
        self.reason: Unreachable = reason
        self.cause = cause  #: with `JUMP`: what is wrong with the bastion

    @property
    def retryable(self) -> bool:
        """Whether a later attempt may go well: a network may come back, a wrong key stays wrong."""
        if self.reason is Unreachable.JUMP and self.cause is not None:
            return self.cause.retryable
        return self.reason in _TRANSIENT


class UnfitError(NodeError):
    """A node was reached, but the runner cannot work there. Somebody has to change something on it."""

    kind = "unfit"

    def __init__(self, node: str, reason: Unfit, message: str) -> None:
        super().__init__(node, reason, message)
        self.reason: Unfit = reason


class ProtocolError(Exception):
    """The other end said something that the node protocol does not allow; the conversation is over."""


class UnsendableError(ValueError):
    """A command, its environment or its input does not fit into the node protocol: too large, or not text."""
