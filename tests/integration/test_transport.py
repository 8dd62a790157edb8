"""Connections that work: to a real OpenSSH sshd, with every kind of key, through bastions, many at once."""

import asyncio
import itertools
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from inventory.route import Route
from remote.errors import Unreachable, UnreachableError
from remote.session import Ended, NodeEvent, OutputChunk, StartSpec
from remote.transport import Link, SshOptions, Transport
from tests.fixtures.sshd import Nodes

_numbers = itertools.count()


async def run(link: Link, *argv: str, stdin: bytes | None = None) -> tuple[Ended, bytes]:
    """Run a command through a link; return its end and its standard output."""
    token = f"job{os.getpid()}-{next(_numbers)}.1"
    await link.send(link.session.start(token, StartSpec(argv=argv), stdin=stdin))
    output, event = b"", None
    while not isinstance(event, Ended):
        for event in await link.receive():
            output += event.data if isinstance(event, OutputChunk) else b""
    await link.send(link.session.forget(token))
    return event, output


async def failure(options: SshOptions, route: Route) -> UnreachableError:
    async with Transport(options) as transport:
        with pytest.raises(UnreachableError) as caught:
            await transport.connect(route)
    return caught.value


async def test_a_job_runs_over_a_connection(sshd: Nodes) -> None:
    async with Transport(sshd.options()) as transport:
        link = await transport.connect(sshd.route())
        assert link.node == "node01"
        assert link.hello.user == sshd.user
        end, output = await run(link, "printf", "a\\0b")
        assert (end.outcome.kind, end.outcome.code, output) == ("exited", 0, b"a\0b")
        assert await link.measure() == link.latency


async def test_further_jobs_open_no_connection(sshd: Nodes) -> None:
    async with Transport(sshd.options()) as transport:
        link = await transport.connect(sshd.route(1))
        before = sshd.connections
        for number in range(3):
            assert (await run(link, "echo", str(number)))[1] == f"{number}\n".encode()
        assert sshd.connections == before


async def test_the_runner_is_sent_once_and_found_again(start_sshd: Callable[..., Nodes]) -> None:
    nodes = start_sshd()
    for _ in range(2):
        async with Transport(nodes.options()) as transport:
            await run(await transport.connect(nodes.route()), "true")
    assert len(list((nodes.directory / "spool/test/runner").iterdir())) == 1


async def test_much_output_arrives_whole_and_a_slow_reader_bounds_what_waits(sshd: Nodes) -> None:
    async with Transport(sshd.options()) as transport:
        link = await transport.connect(sshd.route(2))
        await link.send(link.session.start("big.1", StartSpec(argv=["head", "-c", "30000000", "/dev/zero"])))
        async with asyncio.timeout(30):
            while not link._channel._reading_paused:
                await asyncio.sleep(0.01)
        assert link._channel._waiting_bytes <= (4 << 20)
        size, events = 0, list[NodeEvent]()
        while not (events and isinstance(events[-1], Ended)):
            events = await link.receive()
            size += sum(len(event.data) for event in events if isinstance(event, OutputChunk))
        assert size == 30_000_000
        await link.send(link.session.forget("big.1"))


async def test_large_input_is_sent_as_the_node_takes_it(sshd: Nodes) -> None:
    async with Transport(sshd.options()) as transport:
        link = await transport.connect(sshd.route(3))
        data = os.urandom(8 << 20)
        assert (await run(link, "cat", stdin=data))[1] == data


async def test_many_connections_make_few_handshakes_at_once(start_sshd: Callable[..., Nodes]) -> None:
    """With sshd's own MaxStartups (10:30:100) 64 at once would lose some; the log shows how many were unfinished."""
    nodes = start_sshd("MaxStartups 10:30:100")
    route = nodes.route()
    async with Transport(nodes.options(connect_tries=1, connect_timeout_s=60.0)) as transport:
        links = await asyncio.gather(*(transport.connect(route) for _ in range(64)))
        assert len({id(link) for link in links}) == 64
    pending = most = 0
    for word in re.findall(r"Connection from|Accepted publickey", nodes.log.read_text()):
        pending += 1 if word == "Connection from" else -1
        most = max(most, pending)
    # One more than the limit: the connection by which the fixture waited for sshd never logs in.
    assert 1 < most <= 9


async def test_all_nodes_behind_a_bastion_share_one_tunnel(start_sshd: Callable[..., Nodes], sshd: Nodes) -> None:
    bastion = start_sshd()
    files = (sshd.known_hosts, bastion.known_hosts)
    jump = (bastion.address(identity=(str(bastion.identity),)),)
    before = bastion.logged("Accepted publickey")
    async with Transport(sshd.options(known_hosts=files)) as transport:
        links = await asyncio.gather(*(transport.connect(sshd.route(number, jump=jump)) for number in range(10)))
        assert bastion.logged("Accepted publickey") == before + 1
        outputs = await asyncio.gather(*(run(link, "echo", link.node) for link in links))
        assert [output for _, output in outputs] == [f"{link.node}\n".encode() for link in links]
        for link in links:
            await link.close()
        assert transport._tunnels._tunnels == {}
        again = await transport.connect(sshd.route(0, jump=jump))
        assert (await run(again, "echo", "again"))[1] == b"again\n"
        assert bastion.logged("Accepted publickey") == before + 2


async def test_two_bastions_in_a_row(start_sshd: Callable[..., Nodes], sshd: Nodes) -> None:
    first, second = start_sshd(), start_sshd()
    files = (sshd.known_hosts, first.known_hosts, second.known_hosts)
    jump = tuple(nodes.address(identity=(str(nodes.identity),)) for nodes in (first, second))
    async with Transport(sshd.options(known_hosts=files)) as transport:
        link = await transport.connect(sshd.route(jump=jump))
        assert (await run(link, "echo", "through"))[1] == b"through\n"
        await link.close()
        assert transport._tunnels._tunnels == {}


async def test_a_certificate_beside_the_key_is_used(start_sshd: Callable[..., Nodes], tmp_path: Path) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "ca.pub").write_bytes(authority.export_public_key())
    nodes = start_sshd(f"TrustedUserCAKeys {tmp_path}/ca.pub", "AuthorizedKeysFile none")
    identity = tmp_path / "key"
    identity.touch(mode=0o600)
    identity.write_bytes(key.export_private_key())
    certificate = authority.generate_user_certificate(key, "test", principals=[nodes.user])
    (tmp_path / "key-cert.pub").write_bytes(certificate.export_certificate())
    async with Transport(nodes.options(identity=(identity,))) as transport:
        assert (await run(await transport.connect(nodes.route()), "echo", "hi"))[1] == b"hi\n"


async def test_an_agent_is_used_only_when_the_options_say_so(
    sshd: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await asyncio.create_subprocess_exec(
        "ssh-agent", "-D", "-a", str(tmp_path / "agent"), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not (tmp_path / "agent").exists():
                await asyncio.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        add = await asyncio.create_subprocess_exec("ssh-add", "-q", str(sshd.identity))
        assert await add.wait() == 0
        error = await failure(sshd.options(identity=()), sshd.route())
        assert error.reason is Unreachable.AUTH
        async with Transport(sshd.options(identity=(), use_agent=True)) as transport:
            assert (await run(await transport.connect(sshd.route()), "echo", "hi"))[1] == b"hi\n"
    finally:
        agent.terminate()
        await agent.wait()


async def test_the_users_ssh_configuration_is_not_read(
    sshd: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        f"Match exec 'touch {tmp_path}/pwned'\nHost *\n  ProxyCommand touch {tmp_path}/pwned\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Transport(sshd.options()) as transport:
        await transport.connect(sshd.route())
    assert not (tmp_path / "pwned").exists()


async def test_one_key_is_signed_with_at_once(start_sshd: Callable[..., Nodes]) -> None:
    nodes = start_sshd("LogLevel DEBUG2")
    async with Transport(nodes.options()) as transport:
        await transport.connect(nodes.route())
    requests = re.findall(r"userauth-request for user \S+ service ssh-connection method (\S+)", nodes.log.read_text())
    assert requests == ["publickey"]
    assert nodes.logged("userauth_pubkey: publickey test") == 0


async def test_several_keys_are_tried_in_turn(sshd: Nodes, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_bytes(asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key())
    async with Transport(sshd.options(identity=(other, sshd.identity))) as transport:
        assert (await transport.connect(sshd.route())).hello.user == sshd.user


async def test_jobs_go_on_when_the_link_is_closed_and_are_followed_again(sshd: Nodes, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    async with Transport(sshd.options()) as transport:
        link = await transport.connect(sshd.route(4))
        await link.send(link.session.start("stay.1", StartSpec(argv=["sh", "-c", f"echo one; cat {go}; echo two"])))
        output = b""
        while output != b"one\n":
            output += b"".join(event.data for event in await link.receive() if isinstance(event, OutputChunk))
        await link.close()
        link = await transport.connect(sshd.route(4))
        await link.send(link.session.tail("stay.1", 4, 0))
        await asyncio.to_thread(go.write_bytes, b"")
        events: list[NodeEvent] = []
        while not (events and isinstance(events[-1], Ended)):
            events += await link.receive()
        assert b"".join(event.data for event in events if isinstance(event, OutputChunk)) == b"two\n"
        await link.send(link.session.forget("stay.1"))


def relay_of(link: Link, nodes: Nodes) -> int:
    """Return the relay's process: the one whose grandparent is a listening sshd and that runs our program."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
            environment = (path.parent / "environ").read_bytes()
        except OSError:
            continue
        if b"posix.read(0,1)" in words and f"HOME={nodes.home}".encode() in environment:
            return int(path.parent.name)
    raise AssertionError("no relay")


async def test_a_stopped_relay_is_lost_after_three_intervals(start_sshd: Callable[..., Nodes]) -> None:
    nodes = start_sshd()
    async with Transport(nodes.options(keepalive_s=0.3)) as transport:
        link = await transport.connect(nodes.route())
        await link.measure()
        relay = relay_of(link, nodes)
        os.kill(relay, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(UnreachableError, match="no answer to a ping") as caught:
                    await link.receive()
        finally:
            os.kill(relay, signal.SIGKILL)
        assert caught.value.reason is Unreachable.LOST
        assert caught.value.retryable


async def test_an_idle_link_whose_reader_is_slow_is_not_lost(sshd: Nodes) -> None:
    async with Transport(sshd.options(keepalive_s=0.1)) as transport:
        link = await transport.connect(sshd.route(5))
        await asyncio.sleep(1.0)  # ten intervals in which nobody takes the answers
        assert not link.is_lost
        assert (await run(link, "echo", "hi"))[1] == b"hi\n"


async def test_a_killed_relay_is_a_lost_link(start_sshd: Callable[..., Nodes]) -> None:
    nodes = start_sshd()
    async with Transport(nodes.options()) as transport:
        link = await transport.connect(nodes.route())
        os.kill(relay_of(link, nodes), signal.SIGKILL)
        with pytest.raises(UnreachableError) as caught:
            await link.receive()
        assert caught.value.code == "unreachable:lost"
        with pytest.raises(UnreachableError):
            await link.send(b"")
        assert (await run(await transport.connect(nodes.route()), "echo", "hi"))[1] == b"hi\n"
