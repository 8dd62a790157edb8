"""Logging in to an SSH server: keys, known hosts, and tries within a time limit, at most a few at once per server."""

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncssh

from inventory.route import Address
from remote.diagnosis import Attempt, diagnose
from remote.errors import Unreachable, UnreachableError
from remote.handshake import Connection, Witness, handshake
from remote.hostkeys import Server
from remote.keys import Identity, IdentityError, KeyRing
from remote.knownhosts import Entry, KnownHosts, address

_PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0)  #: between tries, ± half of it, so that many nodes do not come back at once

#: Causes that are tried again at once: what they wait for passes within a second, if at all.
_TRIED_AGAIN: Final = frozenset(
    {Unreachable.TOO_MANY_CONNECTIONS, Unreachable.REFUSED, Unreachable.LOST, Unreachable.DNS}
)

_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256")  #: the signatures of an `ssh-rsa` key; its SHA-1 is not accepted
_HOST_KEYS: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", *_RSA)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshOptions:
    """How nodes are logged in to, the same for all of them. Times in seconds."""

    known_hosts: tuple[Path, ...]  #: all of them count, as in OpenSSH; a missing file is an empty one
    user: str  #: login user where the route names none
    identity: tuple[Path, ...] = ()  #: private keys where the route names none
    use_agent: bool = False
    connect_timeout_s: float = 15.0  #: from the first packet to the runner's hello; a bastion has as much again
    connect_tries: int = 3  #: within that time, for causes that may pass
    keepalive_s: float = 5.0  #: 3 without any answer: lost
    handshakes: int = 8  #: in flight per sshd; its MaxStartups drops from the tenth on
    spool: str | None = None  #: on the nodes, instead of the usual place
    cluster: str = "default"
    epoch: int = 0


class LoggedIn(NamedTuple):
    """A connection, and what is left of its time."""

    connection: Connection
    attempt: Attempt
    deadline: float  #: loop time until which the node has to be ready


class Logins:
    """All that logins share: loaded keys, parsed known_hosts, and the slots of each server."""

    def __init__(self, options: SshOptions) -> None:
        self.options = options
        self._known_hosts = KnownHosts(options.known_hosts)
        self._keys = KeyRing()
        self._slots: dict[tuple[str | None, str, int], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(options.handshakes)
        )

    async def log_in(
        self, node: str, to: Address, limit_s: float, *, tunnel: Connection | None = None, via: Address | None = None
    ) -> LoggedIn:
        """Connect and log in.

        Args:
            node: whom errors are about.
            to: server, user and keys.
            limit_s: for all tries together; it begins when the server has a slot for us.
            tunnel: the connection to a bastion to go through.
            via: that bastion.

        Raises:
            UnreachableError
        """
        identities = self._identities(node, to)
        attempt = self._attempt(node, to, limit_s, identities, via)
        options = self._asyncssh(to, limit_s, identities, attempt)
        one_key = len(identities) == 1 and identities[0].certificate is None and not self.options.use_agent
        slots = self._slots[attempt.via, to.host, to.port]
        deadline: float | None = None
        for number in range(max(1, self.options.connect_tries)):
            async with slots:
                now = asyncio.get_running_loop().time()
                deadline = deadline or now + limit_s
                result = await _try(options, tunnel, attempt, deadline, sign_at_once=one_key)
            if isinstance(result, Connection):
                return LoggedIn(result, attempt, deadline)
            pause_s = _PAUSES_S[min(number, len(_PAUSES_S) - 1)] * random.uniform(0.5, 1.5)  # noqa: S311  no secret
            is_late = asyncio.get_running_loop().time() + pause_s > deadline
            if number + 1 >= self.options.connect_tries or result.reason not in _TRIED_AGAIN or is_late:
                raise result
            await asyncio.sleep(pause_s)
        raise AssertionError("unreachable: the last try returns or raises")

    def _identities(self, node: str, to: Address) -> list[Identity]:
        paths = [Path(path) for path in to.identity] or list(self.options.identity)
        try:
            identities = self._keys.load(paths, use_agent=self.options.use_agent)
        except IdentityError as error:
            raise UnreachableError(node, Unreachable.AUTH, f"cannot log in to {to.host}: {error}") from None
        if not identities and not self.options.use_agent:
            raise UnreachableError(
                node,
                Unreachable.AUTH,
                f"cannot log in to {to.host}: there is no private key. Set `identity` of the node or ssh.identity",
            )
        return identities

    def _attempt(
        self, node: str, to: Address, limit_s: float, identities: Sequence[Identity], via: Address | None
    ) -> Attempt:
        return Attempt(
            server=Server(node=node, host=to.host, port=to.port),
            user=to.user or self.options.user,
            keys=tuple(str(identity.path) for identity in identities),
            use_agent=self.options.use_agent,
            limit_s=limit_s,
            via=address(via.host, via.port) if via else None,
            known_hosts=self._known_hosts,
        )

    def _asyncssh(
        self, to: Address, limit_s: float, identities: Sequence[Identity], attempt: Attempt
    ) -> dict[str, Any]:
        entries = self._known_hosts.lookup(to.host, to.port)
        trusted = _trusted(entries)
        return {
            "host": to.host,
            "port": to.port,
            "username": attempt.user,
            "client_keys": [
                (identity.key, identity.certificate) if identity.certificate else identity.key
                for identity in identities
            ],
            "agent_path": os.environ.get("SSH_AUTH_SOCK") if self.options.use_agent else None,
            "known_hosts": lambda _host, _ip, _port: trusted,
            "server_host_key_algs": _host_key_algorithms(entries),
            "keepalive_interval": self.options.keepalive_s,
            "keepalive_count_max": 3,
            "login_timeout": limit_s,
        }


async def _try(
    options: dict[str, Any], tunnel: Connection | None, attempt: Attempt, deadline: float, *, sign_at_once: bool
) -> Connection | UnreachableError:
    seen = Witness()
    try:
        async with asyncio.timeout_at(deadline):
            return await handshake(options, tunnel, seen, sign_at_once=sign_at_once)
    except Exception as error:  # a hostile server can provoke any error in the library
        return diagnose(error, attempt, seen)


def _trusted(entries: Sequence[Entry]) -> tuple[list[asyncssh.SSHKey], ...]:
    """Return host keys, authorities' keys and revoked keys."""
    keys: dict[str, list[asyncssh.SSHKey]] = {"": [], "@cert-authority": [], "@revoked": []}
    for entry in entries:
        try:
            keys[entry.marker].append(asyncssh.import_public_key(entry.key.text))
        except asyncssh.KeyImportError:  # a kind that asyncssh does not know
            continue
    return tuple(keys.values())


def _host_key_algorithms(entries: Sequence[Entry]) -> list[str]:
    """Return what the server may prove itself with: what is known first, the rest so that a change can be told."""
    known = [entry.key.algorithm for entry in entries if not entry.marker]
    wanted: list[str] = [
        name for kind in known for name in (_RSA if kind == "ssh-rsa" else (kind,)) if name in _HOST_KEYS
    ]
    if any(entry.marker == "@cert-authority" for entry in entries):
        wanted = [f"{name}-cert-v01@openssh.com" for name in _HOST_KEYS] + wanted
    return list(dict.fromkeys([*wanted, *_HOST_KEYS]))
