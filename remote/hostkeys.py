"""Host keys for people: scan what a server shows, trust it, and say what is wrong when a connection was refused.

Scanning is paramiko's, synchronous: it is called by command line and web forms, which have no event loop, and it is an
implementation independent of the one that later checks the key. paramiko is loaded when a scan begins, not before.
"""

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from remote.knownhosts import Entry, HostKey, KnownHosts, address

if TYPE_CHECKING:
    from paramiko import Transport

#: One key of each kind that today's servers have, the preferred kind first. RSA is asked for with SHA-2 only.
_KINDS: Final = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256",),
    ("ecdsa-sha2-nistp384",),
    ("ecdsa-sha2-nistp521",),
    ("rsa-sha2-512", "rsa-sha2-256"),
)


class ScanError(Exception):
    """A server showed no host key: it is not there, or it is no SSH server."""


class ChangedKeyError(Exception):
    """A file knows another key of the same kind for this server, and nobody said that it may be replaced."""

    def __init__(self, name: str, known: Sequence[Entry]) -> None:
        where = ", ".join(f"{entry.key.fingerprint} at {entry.place}" for entry in known)
        super().__init__(f"{name} is known with another key ({where})")
        self.known = known


def scan(host: str, port: int = 22, timeout_s: float = 10.0) -> list[HostKey]:
    """Return the host keys that a server shows, one of each kind. Nothing is sent but the key exchange.

    Args:
        host: name or address.
        port: TCP port.
        timeout_s: for each of the (up to five) connections.

    Raises:
        ScanError: when it shows none.
    """
    found: list[HostKey] = []
    problem: Exception | None = None
    for kind in _KINDS:
        try:
            key = _scan_kind(host, port, kind, timeout_s)
        except (OSError, EOFError) as error:
            problem = error
            break
        if key is not None and key not in found:
            found.append(key)
    if found:
        return found
    raise ScanError(
        f"{address(host, port)} shows no host key"
        + (f": {problem}" if str(problem or "") else " (is this an SSH server?)")
    )


def _scan_kind(host: str, port: int, kind: tuple[str, ...], timeout_s: float) -> HostKey | None:
    """Return the server's key of one kind, or None when it has none."""
    import paramiko  # noqa: PLC0415  0.1 s, only for a scan

    with socket.create_connection((host, port), timeout=timeout_s) as sock, _transport(sock) as transport:
        transport.banner_timeout = transport.handshake_timeout = timeout_s
        transport.get_security_options().key_types = kind
        try:
            transport.start_client(timeout=timeout_s)
            key = transport.get_remote_server_key()
        except paramiko.ssh_exception.IncompatiblePeer:
            return None
        except paramiko.SSHException as error:
            raise OSError(f"it did not shake hands within {timeout_s:g} s ({error})") from error
        return HostKey(algorithm=key.get_name(), blob=key.asbytes())


@contextlib.contextmanager
def _transport(sock: socket.socket) -> Iterator["Transport"]:
    import paramiko  # noqa: PLC0415

    transport = paramiko.Transport(sock)
    try:
        yield transport
    finally:
        transport.close()


def trust(file: Path, host: str, port: int, keys: Iterable[HostKey], *, replace: bool = False) -> list[HostKey]:
    """Write keys of one server into a known_hosts file (0600, in one step) and return those that were new.

    Keys of another kind that the file has for the server stay, unless they are replaced.

    Raises:
        ChangedKeyError: when the file has another key of the same kind and `replace` is not set.
    """
    with _only_writer(file):
        return _trust(file, address(host.lower(), port), list(dict.fromkeys(keys)), replace=replace)


@contextlib.contextmanager
def _only_writer(file: Path) -> Iterator[None]:
    """Let one process at a time change a file, so that two of them lose nothing of each other's."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _trust(file: Path, name: str, wanted: Sequence[HostKey], *, replace: bool) -> list[HostKey]:
    # Not `lookup`: a key that is known for the host without its port must not be taken for the port's own.
    known = [entry for entry in KnownHosts([file]).named(name) if not entry.marker]
    kinds = {key.algorithm for key in wanted}
    stale = [entry for entry in known if entry.key.algorithm in kinds and entry.key not in wanted]
    if stale and not replace:
        raise ChangedKeyError(name, stale)
    have = {entry.key for entry in known}
    fresh = [key for key in wanted if key not in have]
    if fresh or stale:
        _rewrite(file, stale, name, fresh)
    return fresh


def _rewrite(file: Path, stale: Sequence[Entry], name: str, fresh: Sequence[HostKey]) -> None:
    """Take `name` from the stale lines and append the fresh keys; a reader sees the old file or the new one."""
    # What is written is the file that a symbolic link points to, not the link.
    target = Path(os.path.realpath(file))
    old = target.read_text("utf-8", "surrogateescape").splitlines() if target.exists() else []
    numbers = {entry.line for entry in stale}
    kept = [_without(line, name) if number in numbers else line for number, line in enumerate(old, 1)]
    lines = [line for line in kept if line is not None] + [f"{name} {key.text}" for key in fresh]
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="surrogateescape", dir=target.parent, prefix=".known_hosts.", delete=False
    ) as stream:  # made with mode 0600
        temporary = Path(stream.name)
        try:
            stream.writelines(f"{line}\n" for line in lines)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _without(line: str, name: str) -> str | None:
    """Return a line that no longer names this server, or None when it named no other."""
    hosts, _, data = line.strip().partition(" ")
    others = [host for host in hosts.split(",") if host.lower() != name]
    if len(others) < len(hosts.split(",")):
        return f"{','.join(others)} {data}" if others else None
    # A hash stands for one name; a pattern gets the exception that OpenSSH knows.
    return None if hosts.startswith("|") else f"{hosts},!{name} {data}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Whose host key it is about."""

    node: str  #: for the command to run
    host: str
    port: int


def refusal(known: KnownHosts, server: Server, shown: HostKey, *, is_authority: bool = False) -> str:
    """Say why a host key was not accepted: what was shown, what is known and where, and the way out.

    Args:
        known: the files that were looked into.
        server: whose key it is.
        shown: the key that the server showed, or the key of the authority that signed its certificate.
        is_authority: whether it is the latter.
    """
    where = address(server.host, server.port)
    entries = known.lookup(server.host, server.port)
    shown_as = f"{shown.algorithm} {shown.fingerprint}"
    revoked = [entry for entry in entries if entry.marker == "@revoked" and entry.key == shown]
    if revoked:
        return f"{where} shows the key {shown_as}, which is revoked at {revoked[0].place}. Give it a new host key."
    if is_authority:
        return (
            f"{where} shows a certificate signed by {shown_as}, and no @cert-authority line names that authority. "
            f"Add it to {known.files[0]} if you trust it."
        )
    old = [entry for entry in entries if not entry.marker]
    same = [entry for entry in old if entry.key.algorithm == shown.algorithm] or old
    if same:
        return (
            f"THE HOST KEY HAS CHANGED: {where} shows {shown_as}, known is {same[0].key.algorithm} "
            f"{same[0].key.fingerprint} at {same[0].place}. It was installed anew, or somebody stands in between. "
            f"If the change is right, run: anyjob nodes trust --replace {server.node}"
        )
    files = ", ".join(map(str, known.files)) or "no known_hosts file is configured"
    return (
        f"the host key of {where} is not known: it shows {shown_as} (looked into {files}). "
        f"Compare the fingerprint, then run: anyjob nodes trust {server.node}"
    )
