"""The embedded server: private, alone, as long-lived as its owner, its data longer."""

import asyncio
import os
import signal
import stat
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.client import Redis
from redis.exceptions import RedisError

from orchestrator.store.embedded import EmbeddedRedis
from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.servers import servers

ROOT = Path(__file__).parents[3]


async def ask(server: EmbeddedRedis, *command: str) -> Any:
    client = Redis.from_url(server.url, protocol=2)
    try:
        return await client.execute_command(*command)
    finally:
        await client.aclose()


async def values_of(server: EmbeddedRedis) -> object:
    """Return the two values, or None while nobody answers."""
    try:
        return await ask(server, "MGET", "a", "b")
    except (RedisError, OSError):
        return None


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    while lives(pid):
        await asyncio.sleep(0.01)


async def test_nobody_else_can_reach_it(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "r")
    await server.start()
    info = await ask(server, "INFO", "server")
    assert info["tcp_port"] == 0
    assert info["process_id"] == server.pid
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "r" / "redis.sock").stat().st_mode) == 0o600
    await server.stop()


async def test_its_data_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "r")
    await server.start()
    await ask(server, "SET", "a", "1")
    await server.stop()
    assert server.pid is None
    await server.start()
    assert await ask(server, "GET", "a") == b"1"
    await ask(server, "SET", "b", "2")
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    while server.pid == killed:
        await asyncio.sleep(0.01)
    while (values := await values_of(server)) is None:
        await asyncio.sleep(0.01)
    assert values == [b"1", b"2"]
    await server.stop()
    await gone(killed)


async def test_a_second_owner_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    first, second = EmbeddedRedis(tmp_path / "r"), EmbeddedRedis(tmp_path / "r")
    await first.start()
    with pytest.raises(StoreUnavailableError, match=rf"in use by process {os.getpid()}: stop it"):
        await second.start()
    assert await ask(first, "PING")
    await first.stop()
    await second.start()
    await second.stop()


OWNER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from orchestrator.store.embedded import EmbeddedRedis

async def main():
    server = EmbeddedRedis(Path({folder!r}))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("at_once", [False, True])
async def test_it_ends_with_an_owner_that_is_killed_and_the_next_owner_has_its_data(
    tmp_path: Path, at_once: bool
) -> None:
    code = textwrap.dedent(OWNER).format(root=str(ROOT), folder=str(tmp_path / "r"))
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    pid = int(await owner.stdout.readline())
    server = EmbeddedRedis(tmp_path / "r")
    await ask(server, "SET", "a", "1")
    owner.kill()
    await owner.wait()
    if not at_once:
        await gone(pid)
    await server.start()
    assert not lives(pid)
    assert await ask(server, "GET", "a") == b"1"
    await server.stop()


async def test_a_path_too_long_for_a_socket_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"data_dir: .* too long a path.*Set data_dir to a shorter one"):
        await EmbeddedRedis(tmp_path / ("x" * 100)).start()


async def test_data_of_a_newer_server_are_not_given_to_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "server").write_text("valkey 99\n")
    with pytest.raises(
        StoreUnavailableError, match=r"come from valkey 99, and .* may not read them. Install valkey-server"
    ):
        await EmbeddedRedis(tmp_path / "r").start()
    assert (tmp_path / "r" / "server").read_text() == "valkey 99\n"
    (tmp_path / "r" / "server").unlink()
    again = EmbeddedRedis(tmp_path / "r")
    await again.start()
    await again.stop()


async def test_data_of_valkey_are_given_to_valkey_even_where_redis_is_preferred(tmp_path: Path) -> None:
    valkeys = [server for server in servers() if server.kind == "valkey"]
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "server").write_text("valkey 9\n")
    server = EmbeddedRedis(tmp_path / "r")
    await server.start()
    assert server.server == valkeys[0]
    await server.stop()


async def test_a_server_that_does_not_start_points_to_its_log(tmp_path: Path) -> None:
    (tmp_path / "r" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "r" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StoreUnavailableError, match=r"did not start: see .*redis\.log"):
        await EmbeddedRedis(tmp_path / "r").start()
    assert (tmp_path / "r" / "owner").read_text() == ""


async def test_a_ctrl_c_on_the_owners_terminal_does_not_reach_it(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "r")
    await server.start()
    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)
    await server.stop()
