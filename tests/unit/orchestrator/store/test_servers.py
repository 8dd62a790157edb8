from pathlib import Path

import pytest

from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.servers import find_server, inspect, servers

REDIS = "Redis server v={} sha=00000000:0 malloc=libc bits=64 build=1"
VALKEY = "Valkey server v={} sha=00000000:1 malloc=libc bits=64 build=1"


def install(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def test_a_server_tells_its_kind_and_version(tmp_path: Path) -> None:
    server = inspect(install(tmp_path, "x", VALKEY.format("8.0.12")))
    assert server is not None
    assert (server.kind, server.version, server.text) == ("valkey", (8, 0, 12), "valkey 8.0.12")


@pytest.mark.parametrize("says", ["", "Redis server v=", "nginx 1.2.3"])
def test_what_is_no_server_is_none(tmp_path: Path, says: str) -> None:
    assert inspect(install(tmp_path, "x", says)) is None
    assert inspect(tmp_path / "missing") is None


def test_valkey_is_preferred_to_redis_and_both_to_the_one_that_came_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    install(tmp_path, "redis-server", REDIS.format("7.4.0"))
    install(tmp_path, "valkey-server", VALKEY.format("8.1.0"))
    kinds = [(server.kind, server.version) for server in servers()]
    assert kinds[:2] == [("valkey", (8, 1, 0)), ("redis", (7, 4, 0))]
    assert kinds[2][0] == "valkey"


def test_a_server_older_than_7_0_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    install(tmp_path, "redis-server", REDIS.format("6.2.14"))
    assert find_server().path.parent != tmp_path


def test_a_machine_without_any_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(StoreUnavailableError, match=r"valkey-server.*redis-server 7\.0.*redis\.url"):
        find_server()
