"""Connections that must not be made, and those that cannot be: each told apart, in its time, with a way out."""

import asyncio
import base64
import hashlib
import hmac
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from inventory.route import Address, Route
from remote.errors import Unreachable, UnreachableError
from remote.knownhosts import parse_key
from remote.transport import SshOptions, Transport
from tests.fixtures.sshd import Nodes


async def failure(options: SshOptions, route: Route, limit_s: float | None = None) -> UnreachableError:
    async with Transport(options) as transport:
        with pytest.raises(UnreachableError) as caught:
            await transport.connect(route, connect_timeout_s=limit_s)
    assert caught.value.node == route.node
    return caught.value


async def connects(options: SshOptions, route: Route) -> None:
    async with Transport(options) as transport:
        await transport.connect(route)


def host_key(nodes: Nodes) -> asyncssh.SSHKey:
    return asyncssh.read_private_key(nodes.directory / "host_key")


def public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])


def fingerprint(text: str) -> str:
    key = parse_key(text)
    assert key is not None
    return key.fingerprint


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


# Host keys


async def test_an_unknown_host_key_is_refused_before_anything_is_sent(sshd: Nodes, known: Path) -> None:
    before = sshd.logged("userauth-request") + sshd.logged("Accepted") + sshd.logged("Failed")
    error = await failure(sshd.options(known_hosts=(known,)), sshd.route())
    assert error.code == "unreachable:host_key"
    assert not error.retryable
    for part in ("not known", fingerprint(public(host_key(sshd))), str(known), "anyjob nodes trust node01"):
        assert part in error.message
    assert sshd.logged("userauth-request") + sshd.logged("Accepted") + sshd.logged("Failed") == before


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_changed_host_key_shows_both_keys_and_the_line(sshd: Nodes, known: Path, algorithm: str) -> None:
    old = public(asyncssh.generate_private_key(algorithm))
    known.write_text(f"# site\n[{sshd.addresses[0]}]:{sshd.port} {old}\n")
    error = await failure(sshd.options(known_hosts=(known,)), sshd.route())
    assert error.reason is Unreachable.HOST_KEY
    for part in (
        "CHANGED",
        fingerprint(old),
        fingerprint(public(host_key(sshd))),
        f"{known}:2",
        "trust --replace node01",
    ):
        assert part in error.message


async def test_a_revoked_host_key_is_refused_though_another_file_knows_it(sshd: Nodes, known: Path) -> None:
    known.write_text(f"@revoked * {public(host_key(sshd))}\n")
    error = await failure(sshd.options(known_hosts=(sshd.known_hosts, known)), sshd.route())
    assert error.reason is Unreachable.HOST_KEY
    assert f"revoked at {known}:1" in error.message


async def test_hashed_known_hosts_are_understood(sshd: Nodes, known: Path) -> None:
    name, salt = f"[{sshd.addresses[0]}]:{sshd.port}", os.urandom(20)
    digest = base64.b64encode(hmac.new(salt, name.encode(), hashlib.sha1).digest()).decode()
    known.write_text(f"|1|{base64.b64encode(salt).decode()}|{digest} {public(host_key(sshd))}\n")
    await connects(sshd.options(known_hosts=(known,)), sshd.route())
    assert (await failure(sshd.options(known_hosts=(known,)), sshd.route(1))).reason is Unreachable.HOST_KEY


@pytest.fixture
def certified(start_sshd: Callable[..., Nodes], tmp_path: Path) -> Callable[..., tuple[Nodes, str]]:
    """Start a server whose host key an authority has signed; return it and the authority's public key."""

    def start(**terms: Any) -> tuple[Nodes, str]:
        authority = asyncssh.generate_private_key("ssh-ed25519")
        key = asyncssh.generate_private_key("ssh-ed25519")
        path = tmp_path / "signed"
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())
        terms = {"principals": ["127.0.1.1"], **terms}
        certificate = authority.generate_host_certificate(key, "test", **terms)
        path.with_suffix(".crt").write_bytes(certificate.export_certificate())
        nodes = start_sshd(f"HostKey {path}", f"HostCertificate {path}.crt")
        (tmp_path / "signed.pub").write_text(public(key))
        return nodes, public(authority)

    return start


async def test_a_host_certificate_of_a_known_authority_is_enough(certified: Any, known: Path) -> None:
    nodes, authority = certified()
    known.write_text(f"@cert-authority [127.0.1.*]:* {authority}\n")
    await connects(nodes.options(known_hosts=(known,)), nodes.route())


@pytest.mark.parametrize(
    "terms", [{"valid_before": "20200101", "valid_after": "20190101"}, {"principals": ["other.example.org"]}]
)
async def test_an_expired_or_foreign_host_certificate_is_refused(certified: Any, known: Path, terms: Any) -> None:
    nodes, authority = certified(**terms)
    known.write_text(f"@cert-authority * {authority}\n")
    error = await failure(nodes.options(known_hosts=(known,)), nodes.route())
    assert error.reason is Unreachable.HOST_KEY
    assert "certificate" in error.message


async def test_a_certificate_of_another_authority_is_refused(certified: Any, known: Path) -> None:
    nodes, authority = certified()
    known.write_text(f"@cert-authority * {public(asyncssh.generate_private_key('ssh-ed25519'))}\n")
    error = await failure(nodes.options(known_hosts=(known,)), nodes.route())
    assert error.reason is Unreachable.HOST_KEY
    assert fingerprint(authority) in error.message


@pytest.mark.parametrize("revoked", ["authority", "key"])
async def test_a_certificate_with_something_revoked_in_it_is_refused(
    certified: Any, known: Path, tmp_path: Path, revoked: str
) -> None:
    nodes, authority = certified()
    bad = authority if revoked == "authority" else (tmp_path / "signed.pub").read_text()
    known.write_text(f"@cert-authority * {authority}\n@revoked * {bad}\n")
    error = await failure(nodes.options(known_hosts=(known,)), nodes.route())
    assert error.reason is Unreachable.HOST_KEY
    assert "revoked" in error.message


# Logins


async def test_a_key_that_the_server_does_not_take_is_named(sshd: Nodes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.touch(mode=0o600)
    path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    error = await failure(sshd.options(identity=(path,)), sshd.route())
    assert error.code == "unreachable:auth"
    assert str(path) in error.message
    assert not error.retryable


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
async def test_a_key_that_others_can_read_is_not_used(sshd: Nodes, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "open"
    path.write_bytes(sshd.identity.read_bytes())
    path.chmod(mode)
    before = sshd.connections
    error = await failure(sshd.options(identity=(path,)), sshd.route())
    assert error.reason is Unreachable.AUTH
    assert f"chmod 600 {path}" in error.message
    assert sshd.connections == before


async def test_a_key_with_a_passphrase_says_what_to_do(sshd: Nodes, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    path.touch(mode=0o600)
    path.write_bytes(asyncssh.read_private_key(sshd.identity).export_private_key("openssh", passphrase="secret"))
    error = await failure(sshd.options(identity=(path,)), sshd.route())
    assert error.reason is Unreachable.AUTH
    assert "ssh-agent" in error.message
    await connects(sshd.options(identity=(path, sshd.identity)), sshd.route())


@pytest.mark.parametrize("content", [None, b"no key"])
async def test_a_missing_or_broken_key_is_named(sshd: Nodes, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.touch(mode=0o600)
        path.write_bytes(content)
    error = await failure(sshd.options(identity=(path,)), sshd.route())
    assert error.reason is Unreachable.AUTH
    assert str(path) in error.message


async def test_without_any_key_the_setting_is_named(sshd: Nodes) -> None:
    error = await failure(sshd.options(identity=()), sshd.route())
    assert error.reason is Unreachable.AUTH
    assert "ssh.identity" in error.message


# The network


def at(port: int, host: str = "127.0.0.1") -> Route:
    return Route(node="web01", address=Address(host=host, port=port))


@contextmanager
def listening(backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(backlog)
        yield server


async def test_a_port_without_a_listener_is_refused(sshd: Nodes) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await failure(sshd.options(), at(unused.getsockname()[1]))
    assert error.code == "unreachable:refused"
    assert error.retryable


async def test_a_name_without_an_address_is_told(sshd: Nodes) -> None:
    error = await failure(sshd.options(connect_tries=1), at(22, "no-such-name.invalid"))
    assert error.reason is Unreachable.DNS
    assert "no-such-name.invalid" in error.message


async def test_a_server_that_says_nothing_ends_at_the_time_limit(sshd: Nodes) -> None:
    with listening() as server:
        began = time.monotonic()
        error = await failure(sshd.options(), at(server.getsockname()[1]), limit_s=0.3)
    assert error.code == "unreachable:timeout"
    assert "says nothing" in error.message
    assert 0.3 <= time.monotonic() - began


async def test_an_address_that_never_answers_ends_at_the_time_limit(sshd: Nodes) -> None:
    with listening(backlog=0) as server:
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:  # a full backlog drops further SYNs, as a firewall does
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        error = await failure(sshd.options(), at(server.getsockname()[1]), limit_s=0.3)
        for filler in fillers:
            filler.close()
    assert error.reason is Unreachable.TIMEOUT
    assert "no answer" in error.message


@asynccontextmanager
async def speaking(greeting: bytes) -> AsyncIterator[int]:
    """A server that says one thing to whoever comes, and hangs up when it was answered."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greeting:
            await reader.readline()
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("greeting", "reason", "words"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", Unreachable.PROTOCOL, "HTTP/1.0 400 Bad Request"),
        (b"", Unreachable.TOO_MANY_CONNECTIONS, "MaxStartups"),
        (b"Exceeded MaxStartups\r\n", Unreachable.TOO_MANY_CONNECTIONS, "MaxStartups"),
        (b"SSH-1.5-old\r\n", Unreachable.PROTOCOL, "version"),
        (b"SSH-2.0-hangs-up\r\n", Unreachable.LOST, "during the handshake"),
        (b"SSH-2.0-\xff\r\n", Unreachable.PROTOCOL, "SSH"),
        (b"x" * 100_000, Unreachable.PROTOCOL, ""),
    ],
)
async def test_what_is_no_ssh_server_is_told_by_what_it_said(
    sshd: Nodes, greeting: bytes, reason: Unreachable, words: str
) -> None:
    async with speaking(greeting) as port:
        error = await failure(sshd.options(connect_tries=1), at(port))
    assert error.reason is reason
    assert words in error.message


async def test_a_dropped_connection_is_tried_again_within_the_limit(sshd: Nodes, known: Path) -> None:
    """The first two connections are dropped as by a full sshd; the third is passed on."""
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        if len(serving) > 2:
            inner_reader, inner_writer = await asyncio.open_connection(sshd.addresses[0], sshd.port)
            await asyncio.gather(_carry(reader, inner_writer), _carry(inner_reader, writer), return_exceptions=True)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known.write_text(f"[127.0.0.1]:{port} {public(host_key(sshd))}\n")
    async with server:
        await connects(sshd.options(known_hosts=(known,)), at(port))
    await asyncio.gather(*serving)
    assert len(serving) == 3


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
    finally:
        writer.close()


# Bastions


async def test_an_unknown_bastion_is_the_bastions_problem(start_sshd: Callable[..., Nodes], sshd: Nodes) -> None:
    bastion = start_sshd()
    error = await failure(sshd.options(), sshd.route(jump=(bastion.address(),)))
    assert error.code == "unreachable:jump"
    assert error.cause is not None
    assert error.cause.reason is Unreachable.HOST_KEY
    assert not error.retryable
    assert "not known" in error.message


async def test_a_bastion_that_forwards_nothing_is_told(start_sshd: Callable[..., Nodes], sshd: Nodes) -> None:
    bastion = start_sshd("AllowTcpForwarding no")
    files = (sshd.known_hosts, bastion.known_hosts)
    jump = (bastion.address(identity=(str(bastion.identity),)),)
    error = await failure(sshd.options(known_hosts=files), sshd.route(jump=jump))
    assert error.reason is Unreachable.JUMP
    assert "bastion" in error.message


async def test_a_closed_port_behind_a_bastion_is_refused(sshd: Nodes) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        route = Route(
            node="web01", address=Address(host="127.0.0.1", port=unused.getsockname()[1]), jump=(sshd.address(),)
        )
        error = await failure(sshd.options(), route)
    assert error.reason is Unreachable.REFUSED


async def test_the_bastions_own_key_is_not_taken_for_a_nodes(start_sshd: Callable[..., Nodes], sshd: Nodes) -> None:
    """A node behind a bastion is known by its own name only, not by the address that the packets come from."""
    target = start_sshd()
    jump = (sshd.address(),)
    options = sshd.options(identity=(sshd.identity, target.identity))
    assert (await failure(options, target.route(jump=jump))).reason is Unreachable.HOST_KEY
