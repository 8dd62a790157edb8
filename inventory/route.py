"""How a machine is reached. These records are what the rest of AnyJob knows of a node once a run is planned."""

import enum
from typing import Final

import msgspec

RUN_AS: Final = "@run_as"  #: in the inventory: become whoever the job runs as


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One machine that is logged in to: a node, or a bastion on the way to it."""

    host: str
    port: int = 22
    user: str | None = None  #: login user; None = the setting `ssh.user`, else the daemon's own user
    identity: tuple[str, ...] = ()  #: absolute paths of private keys; none = the setting `ssh.identity`


class Method(enum.StrEnum):
    """The program of the node that gives another user's rights."""

    SUDO = "sudo"
    DOAS = "doas"
    SU = "su"


class Become(msgspec.Struct, frozen=True, kw_only=True):
    """What a login user does to get another user's rights: the whole relay then runs as that user."""

    method: Method = Method.SUDO
    user: str = "root"  #: in an inventory also `RUN_AS`; in a `Route` always a name


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The way to a node. Two jobs with equal routes share one connection."""

    node: str
    address: Address
    jump: tuple[Address, ...] = ()  #: bastions, the first one first
    python: str | None = None  #: interpreter on the node; None = look for one
    become: Become | None = None  #: who the relay runs as there; None = the login user
