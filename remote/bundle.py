"""The controller's half of getting the runner onto a node: the bundle, the first stage, and the one fixed command.

`docs/reference/node-protocol.md`, "Getting the runner there", has the conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

KNOWN_PYTHONS: Final = (
    "python3",
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    "/usr/libexec/platform-python",
    "python",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The runner as it is sent: `data` is compressed and `size` bytes long; `sha256` is of what it unpacks to."""

    data: bytes
    size: int
    sha256: str


def bundle() -> Bundle:
    """Return the runner of this version of AnyJob; the same bytes each time."""
    raise NotImplementedError


def command(pythons: Sequence[str] = KNOWN_PYTHONS) -> str:
    """Return what the controller executes on a node: run the first of `pythons` that the node has.

    Raises:
        ValueError: a name holds more than letters, digits and `_./+-`, or begins with `-`.
    """
    raise NotImplementedError


def first_stage(*, nonce: str, cluster: str, spool: str | None) -> bytes:
    """Return what the controller writes first on the channel's standard input.

    Args:
        nonce: 32 hex digits made for this connection.
        cluster: name of the cluster, which is a directory of the spool.
        spool: absolute directory on the node that holds the clusters' spools; None = the default for the login user.

    Raises:
        ValueError: an argument that is not of this form.
    """
    raise NotImplementedError
