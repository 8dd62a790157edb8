"""How a machine is reached. These two records are what the rest of AnyJob knows of a node once a run is planned."""

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One machine that is logged in to: a node, or a bastion on the way to it."""

    host: str
    port: int = 22
    user: str | None = None  #: login user; None = the setting `ssh.user`, else the daemon's own user
    identity: tuple[str, ...] = ()  #: absolute paths of private keys; none = the setting `ssh.identity`


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The way to a node. Two jobs with equal routes share one connection."""

    node: str
    address: Address
    jump: tuple[Address, ...] = ()  #: bastions, the first one first
    python: str | None = None  #: interpreter on the node; None = look for one
