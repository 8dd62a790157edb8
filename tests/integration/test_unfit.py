"""Nodes that can be logged in to but not worked on, and servers that want to do harm."""

import contextlib
import hashlib
import os
import shutil
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from inventory.route import Address, Route
from remote.bundle import bundle
from remote.errors import Unfit, UnfitError, Unreachable, UnreachableError
from remote.transport import SshOptions, Transport
from tests.fixtures.sshd import Nodes
from tests.pair import hello

Start = Callable[..., Nodes]


async def verdict(nodes: Nodes, **changes: Any) -> UnfitError:
    async with Transport(nodes.options()) as transport:
        with pytest.raises(UnfitError) as caught:
            await transport.connect(nodes.route(**changes))
    assert caught.value.node == "node01"
    assert nodes.user in caught.value.message or "sshd" in caught.value.message
    return caught.value


def shell(directory: Path, text: str) -> str:
    """Write what stands in for the login shell; return the line of sshd_config that uses it."""
    path = directory / "shell"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"ForceCommand {path}"


RUN = 'exec sh -c "$SSH_ORIGINAL_COMMAND"'


async def test_a_node_without_python(sshd: Nodes) -> None:
    error = await verdict(sshd, python="python9.99")
    assert error.code == "unfit:no_python"
    assert "python9.99" in error.message
    assert "Install python3" in error.message


async def test_a_node_whose_path_has_no_python(start_sshd: Start, tmp_path: Path) -> None:
    nodes = start_sshd(shell(tmp_path, f'PATH={tmp_path}/none exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'))
    # Absolute paths of interpreters are looked for, too; without `sh` in the path there is no shell at all.
    error = await verdict(nodes)
    assert error.reason is Unfit.NO_SHELL
    assert "sh" in error.message


async def test_a_node_with_python_2_alone(sshd: Nodes, python2: str) -> None:
    error = await verdict(sshd, python=python2)
    assert error.code == "unfit:python_too_old"
    assert "2.7" in error.message
    assert not error.retryable


@pytest.fixture
def python2(tmp_path: Path) -> str:
    """Return a Python 2.7, or what answers as it does where there is none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [*map(str, root.glob("versions/2.7*/bin/python2.7")), shutil.which("python2.7")]
    if found[0] is not None:
        return found[0]
    stand_in = tmp_path / "python2.7"
    stand_in.write_text(
        "#!/bin/sh\nread -r line\nnonce=$(printf %s \"$line\" | sed -n 's/.*AJ1 \\([0-9a-f]*\\).*/\\1/p')\n"
        "printf '\\000AJ1 %s unfit python_too_old 2.7.18 /usr/bin/python2.7\\n' $nonce\n"
    )
    stand_in.chmod(0o755)
    return str(stand_in)


async def test_some_noise_of_the_login_shell_does_no_harm(start_sshd: Start, tmp_path: Path) -> None:
    nodes = start_sshd(shell(tmp_path, f"echo Welcome; echo warning >&2; printf '\\0AJ1 x'; {RUN}"))
    async with Transport(nodes.options()) as transport:
        assert (await transport.connect(nodes.route())).hello.user == nodes.user


@pytest.mark.parametrize("where", ["", ">&2"])
async def test_a_flood_of_noise_is_cut_off(start_sshd: Start, tmp_path: Path, where: str) -> None:
    nodes = start_sshd(shell(tmp_path, f"yes motd | head -c 1048576 {where}; {RUN}"))
    error = await verdict(nodes)
    assert error.code == "unfit:noisy_shell"
    assert "motd motd" in error.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo This account is not available.; exit 1", "This account is not available."),
        ("echo no shell for you >&2; exit 1", "no shell for you"),
        ("exit 0", "it printed nothing"),
        ("exec cat /dev/null", "it printed nothing"),
    ],
)
async def test_a_login_shell_that_runs_nothing(start_sshd: Start, tmp_path: Path, text: str, words: str) -> None:
    error = await verdict(start_sshd(shell(tmp_path, text)))
    assert error.code == "unfit:no_shell"
    assert words in error.message


async def test_a_server_that_allows_no_sessions(start_sshd: Start) -> None:
    error = await verdict(start_sshd("MaxSessions 0"))
    assert error.code == "unfit:no_shell"
    assert "MaxSessions" in error.message


async def test_a_login_shell_that_waits_ends_at_the_time_limit(start_sshd: Start, tmp_path: Path) -> None:
    nodes = start_sshd(shell(tmp_path, "cat >/dev/null"))
    async with Transport(nodes.options()) as transport:
        with pytest.raises(UnreachableError, match="went well") as caught:
            await transport.connect(nodes.route(), connect_timeout_s=1.5)
    assert caught.value.reason is Unreachable.TIMEOUT


@pytest.mark.parametrize(
    "program", [name for name in ("sh", "bash", "dash", "csh", "tcsh", "fish") if shutil.which(name)]
)
async def test_every_shell_of_this_machine_runs_the_command(start_sshd: Start, tmp_path: Path, program: str) -> None:
    nodes = start_sshd(shell(tmp_path, f'exec {program} -c "$SSH_ORIGINAL_COMMAND"'))
    async with Transport(nodes.options()) as transport:
        assert (await transport.connect(nodes.route())).hello.protocol == 1


# Servers that want to do harm


class _WithKey(asyncssh.SSHServer):
    """Lets any key in."""

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True


@asynccontextmanager
async def server(
    sshd: Nodes, tmp_path: Path, process: Any = None, **options: Any
) -> AsyncIterator[tuple[SshOptions, Route]]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        **{
            "server_factory": _WithKey,
            "server_host_keys": [key],
            "process_factory": process,
            "encoding": None,
            **options,
        },
    )
    port = acceptor.get_port()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
    try:
        yield (
            sshd.options(known_hosts=(known,), connect_tries=1),
            Route(node="evil", address=Address(host="127.0.0.1", port=port)),
        )
    finally:
        acceptor.close()
        await acceptor.wait_closed()


async def failure(options: SshOptions, route: Route, limit_s: float = 10.0) -> UnreachableError:
    async with Transport(options) as transport:
        with pytest.raises(UnreachableError) as caught:
            await transport.connect(route, connect_timeout_s=limit_s)
    return caught.value


@pytest.mark.parametrize(
    "offer",
    [
        {"compression_algs": ["zlib@openssh.com"]},
        {"compression_algs": ["zlib"]},
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"encryption_algs": ["aes128-cbc"], "mac_algs": ["hmac-sha2-256"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
    ],
    ids=lambda offer: next(iter(offer.values()))[0],
)
async def test_a_server_with_compression_or_weak_algorithms_alone_is_refused(
    sshd: Nodes, tmp_path: Path, offer: dict[str, Any]
) -> None:
    async with server(sshd, tmp_path, **offer) as (options, route):
        error = await failure(options, route)
    assert error.code == "unreachable:protocol"
    assert not error.retryable


async def test_a_server_that_opens_a_channel_of_its_own_is_dropped(sshd: Nodes, tmp_path: Path) -> None:
    async def process(session: asyncssh.SSHServerProcess[bytes]) -> None:
        connection = session.channel.get_connection()
        with contextlib.suppress(asyncssh.Error):
            await connection.create_connection(asyncssh.SSHTCPSession, "127.0.0.1", 22)

    async with server(sshd, tmp_path, process) as (options, route):
        error = await failure(options, route)
        assert error.reason in {Unreachable.LOST, Unreachable.PROTOCOL}
        assert "channel of its own" in error.message


@pytest.mark.parametrize("answer", [b"", b"\0\0\0\2\0\0", b"\0\xff\xff\xff\xff\xff", b"have a nice day"])
async def test_a_server_that_answers_with_something_else_is_no_runner(
    sshd: Nodes, tmp_path: Path, answer: bytes
) -> None:
    async def process(session: asyncssh.SSHServerProcess[bytes]) -> None:
        first = await session.stdin.readline()
        nonce = first.split(b"AJ1 ")[1][:32]
        session.stdout.write(b"\0AJ1 " + nonce + b" have 3.11.2 /p\n" + answer)
        session.exit(0)

    async with server(sshd, tmp_path, process) as (options, route), Transport(options) as transport:
        with pytest.raises((UnreachableError, UnfitError)) as caught:
            await transport.connect(route)
    assert caught.value.code in {"unreachable:protocol", "unfit:bundle"}


async def test_an_end_without_an_end_frame_is_never_an_outcome(sshd: Nodes, tmp_path: Path) -> None:
    """A channel that is closed with success, right after the hello, is a lost link."""

    async def process(session: asyncssh.SSHServerProcess[bytes]) -> None:
        first = await session.stdin.readline()
        nonce = first.split(b"AJ1 ")[1][:32]
        session.stdout.write(b"\0AJ1 " + nonce + b" have 3.11.2 /p\n" + hello())
        session.exit(0)

    async with server(sshd, tmp_path, process) as (options, route), Transport(options) as transport:
        link = await transport.connect(route)
        with pytest.raises(UnreachableError) as caught:
            await link.receive()
        assert caught.value.code == "unreachable:lost"


async def test_the_bundle_is_sent_whole_and_only_when_it_is_needed(sshd: Nodes, tmp_path: Path) -> None:
    received = bytearray()

    async def process(session: asyncssh.SSHServerProcess[bytes]) -> None:
        first = await session.stdin.readline()
        nonce = first.split(b"AJ1 ")[1][:32]
        session.stdout.write(b"\0AJ1 " + nonce + b" need 3.11.2 /p\n")
        while bundle().data not in received:
            received.extend(await session.stdin.read(1 << 16))
        session.stdout.write(b"\0AJ1 " + nonce + b" unfit bundle it was damaged\n")
        session.exit(0)

    async with server(sshd, tmp_path, process) as (options, route), Transport(options) as transport:
        with pytest.raises(UnfitError, match="it was damaged") as caught:
            await transport.connect(route)
    assert caught.value.code == "unfit:bundle"
    start = received.index(bundle().data)
    sent = zlib.decompress(bytes(received[start : start + bundle().size]))
    assert hashlib.sha256(sent).hexdigest() == bundle().sha256


async def test_a_flood_of_banners_before_the_login_is_cut_off(sshd: Nodes, tmp_path: Path) -> None:
    class Flood(_WithKey):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._conn = conn

        def begin_auth(self, username: str) -> bool:
            for _ in range(200):
                self._conn.send_auth_banner("x" * 1000 + "\n")
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return False

    async with server(sshd, tmp_path, server_factory=Flood) as (options, route):
        error = await failure(options, route)
    assert error.reason in {Unreachable.LOST, Unreachable.PROTOCOL}
