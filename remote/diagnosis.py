"""What went wrong on the way to a node: the errors of sockets and asyncssh, told as `UnreachableError`. Pure."""

import errno
import os
import re
import socket
from dataclasses import dataclass
from typing import Final

import asyncssh

from remote.bootstrap import printed
from remote.errors import Unreachable, UnreachableError
from remote.handshake import Witness
from remote.hostkeys import Server, refusal
from remote.knownhosts import HostKey, KnownHosts, address

_REASONS: Final = {
    errno.ECONNREFUSED: Unreachable.REFUSED,
    errno.EHOSTUNREACH: Unreachable.NO_ROUTE,
    errno.ENETUNREACH: Unreachable.NO_ROUTE,
    errno.EADDRNOTAVAIL: Unreachable.NO_ROUTE,
    errno.EACCES: Unreachable.NO_ROUTE,
    errno.EPERM: Unreachable.NO_ROUTE,
    errno.ETIMEDOUT: Unreachable.TIMEOUT,
}
_HINTS: Final = {
    Unreachable.REFUSED: "Nothing listens there: is sshd running, and is `port` right?",
    Unreachable.NO_ROUTE: "Check `host`, and the network between here and there",
    Unreachable.TIMEOUT: "The machine may be off, or a firewall drops the packets",
    Unreachable.LOST: "The connection broke",
}
_FROM_BASTION: Final = {  # what sshd says when it cannot open a direct-tcpip channel (RFC 4254, section 5.1)
    asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED: Unreachable.JUMP,
    asyncssh.OPEN_CONNECT_FAILED: Unreachable.REFUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to connect and log in."""

    server: Server
    user: str
    keys: tuple[str, ...]  #: paths of the private keys that were tried
    use_agent: bool
    limit_s: float
    via: str | None = None  #: the bastion
    known_hosts: KnownHosts

    @property
    def where(self) -> str:
        """The server and the way to it, for people."""
        place = address(self.server.host, self.server.port)
        return f"{place} (by {self.via})" if self.via else place


def diagnose(error: BaseException, attempt: Attempt, seen: Witness) -> UnreachableError:
    """Return what an error of a handshake means for people."""
    reason, text = _explain(error, attempt, seen)
    return UnreachableError(attempt.server.node, reason, text)


def _explain(  # noqa: PLR0911  one line per cause
    error: BaseException, attempt: Attempt, seen: Witness
) -> tuple[Unreachable, str]:
    where = attempt.where
    match error:
        case TimeoutError():
            return Unreachable.TIMEOUT, _silence(attempt, seen)
        case socket.gaierror():
            return Unreachable.DNS, f"the name {attempt.server.host} has no address: {error.strerror}. Check `host`"
        case asyncssh.HostKeyNotVerifiable():
            return Unreachable.HOST_KEY, _host_key(error, attempt, seen)
        case asyncssh.PermissionDenied():
            return Unreachable.AUTH, _denied(attempt)
        case asyncssh.DisconnectError() if "authentication failures" in str(error).lower():
            return Unreachable.AUTH, _denied(attempt)
        case asyncssh.ChannelOpenError():
            reason = _FROM_BASTION.get(error.code, Unreachable.JUMP)
            return reason, f"the bastion could not reach {where}: {printed(error.reason.encode())}"
        case asyncssh.ConnectionLost() | ConnectionError() if seen.connected:
            return _hung_up(where, seen)
        case OSError() if not isinstance(error, asyncssh.Error):
            return _socket(error, where)
        case asyncssh.ConnectionLost():
            return _hung_up(where, seen)
        case _:
            said = printed(str(error).encode()) or type(error).__name__
            return Unreachable.PROTOCOL, f"{where} does not speak SSH as it must: {said}"


def _socket(error: OSError, where: str) -> tuple[Unreachable, str]:
    number = error.errno
    if number is None:  # several addresses were tried; asyncio puts all errors into one text
        found = re.search(r"\[Errno (\d+)\]", str(error))
        number = int(found[1]) if found else 0
    reason = _REASONS.get(number, Unreachable.NO_ROUTE)
    cause = f"{os.strerror(number).lower()}. " if number else ""
    return reason, f"cannot connect to {where}: {cause}{_HINTS[reason]}"


def _silence(attempt: Attempt, seen: Witness) -> str:
    where, limit = attempt.where, f"{attempt.limit_s:g} s"
    if not seen.connected:
        return f"no answer from {where} within {limit}. {_HINTS[Unreachable.TIMEOUT]}"
    if not seen.greeting:
        return (
            f"{where} accepts connections but says nothing for {limit}. "
            "Is it an SSH server? It may be overloaded, or a firewall answers in its place"
        )
    if not seen.authenticating:
        return f"the key exchange with {where} did not end within {limit}. The machine or the network is overloaded"
    return f"the login at {where} did not end within {limit}. Look into its PAM modules and its name service"


def _hung_up(where: str, seen: Witness) -> tuple[Unreachable, str]:
    """Say what it means that the server closed the connection during the handshake."""
    said = printed(seen.greeting)
    if b"SSH-" in seen.greeting:
        return Unreachable.LOST, f"{where} closed the connection during the handshake. Its log tells why"
    if not said or "not allowed at this time" in said.lower() or "maxstartups" in said.lower():
        return (
            Unreachable.TOO_MANY_CONNECTIONS,
            f"{where} closed the connection without a greeting. Its sshd takes no more logins now (MaxStartups, "
            "PerSourcePenalties), or something before it drops the connection",
        )
    return Unreachable.PROTOCOL, f"{where} is no SSH server: it answered '{said}'. Check `port`"


def _denied(attempt: Attempt) -> str:
    tried = [*attempt.keys, *(["the keys of the agent"] if attempt.use_agent else [])]
    return (
        f"{attempt.where} lets {attempt.user} in with none of: {', '.join(tried)}. "
        f"Put the public key into ~{attempt.user}/.ssh/authorized_keys there, or set `user` and `identity`"
    )


def _host_key(error: asyncssh.HostKeyNotVerifiable, attempt: Attempt, seen: Witness) -> str:
    shown = seen.shown
    if shown is not None:
        key = HostKey(algorithm=shown.algorithm.decode(), blob=shown.public_data)
        return refusal(attempt.known_hosts, attempt.server, key, is_authority=seen.shown_is_authority)
    # asyncssh refuses revoked keys, and certificates that are expired or name another host, without asking.
    algorithm = seen.host_key_blob[4 : 4 + int.from_bytes(seen.host_key_blob[:4])].decode("ascii", "replace")
    key = HostKey(algorithm=algorithm, blob=seen.host_key_blob)
    if "-cert-" in algorithm or "revoked" not in str(error):
        return (
            f"the host key of {attempt.where} is not accepted: {error.reason}. "
            "Have its certificate signed anew, or remove the revoked key"
        )
    return refusal(attempt.known_hosts, attempt.server, key)
