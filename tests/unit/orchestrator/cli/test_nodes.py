"""`nodes list|show|check` against a scripted peer, `nodes trust` also against a real SSH server."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tests.unit.orchestrator.cli.conftest import CommandLine
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, frame, ok, sends


def node(name: str = "web01", **facts: Any) -> dict[str, Any]:
    return {
        "name": name, "host": "127.0.0.1", "port": 22, "user": "root", "labels": {"dc": "fra"}, "vars": {"a": [1]},
        "groups": ["all", "web"], "max_jobs": None, "order": 0, "disabled": None, "python": None, "identity": [],
        "jump": [], **facts,
    }  # fmt: skip


def knows(peer: ScriptedPeer, *nodes: dict[str, Any], problems: tuple[str, ...] = ()) -> None:
    peer.on("nodes", ok({"nodes": list(nodes), "groups": {}, "problems": list(problems)}))


def test_list_shows_addresses_groups_labels_and_why_one_is_disabled(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    knows(peer, node(), node("db1", host="fe80::1", port=2222, groups=["all"], labels={}, disabled="new disk"))
    result = anyjob("nodes", "list", "all", "-i", "hosts.ini")
    assert result.stdout.decode().splitlines() == [
        "NODE   ADDRESS              GROUPS  LABELS",
        "web01  root@127.0.0.1       web     dc=fra",
        "db1    root@[fe80::1]:2222  -       -       disabled: new disk",
    ]
    call = peer.asked("nodes")[0]
    assert (call["target"], call["inventory"]) == ("all", [str(anyjob.home / "hosts.ini")])


def test_warnings_of_the_inventory_are_told_beside_the_result(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    knows(peer, node(), problems=("hosts.ini:3:1: odd\x1b[2J",))
    assert anyjob("nodes", "list").stderr == b"warning: hosts.ini:3:1: odd\\x1b[2J\n"


def test_show_tells_what_is_set(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    knows(peer, node(python="/usr/bin/python3"))
    text = anyjob("nodes", "show", "web01").stdout.decode()
    assert "  python     /usr/bin/python3\n" in text
    assert "  vars.a     [1]\n" in text
    assert "jump" not in text


CHECKED = {
    **node(), "reachable": True, "reason": None, "message": None, "latency_ms": 1.25, "python": "3.11.2",
    "python_path": "/usr/bin/python3", "login": "root", "spool_free": 10 << 30, "clock_offset_s": -0.5,
    "can_become": {"deploy": "yes"},
}  # fmt: skip
REFUSED = {**node("db1"), "reachable": False, "reason": "refused", "message": "127.0.0.1:22 refuses"}


def checks(peer: ScriptedPeer, *found: dict[str, Any]) -> None:
    peer.on("check", sends(*(frame({"t": "node"}, one) for one in found), frame({"t": "end"})))


def test_check_tells_of_each_node_and_is_4_when_one_cannot_be_used(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    checks(peer, CHECKED, REFUSED)
    result = anyjob("nodes", "check", "--become", "deploy")
    lines = [line.split() for line in result.stdout.decode().splitlines()[1:]]
    assert lines == [
        ["db1", "refused", "-", "-", "-", "-", "-", "127.0.0.1:22", "refuses"],
        [
            "web01",
            "ok",
            "1.2",
            "ms",
            "3.11.2",
            "/usr/bin/python3",
            "root",
            "10.0",
            "GiB",
            "-0.5",
            "s",
            "deploy:",
            "yes",
        ],
    ]
    assert result.returncode == 4
    assert peer.asked("check")[0]["users"] == ["deploy"]


def test_check_is_0_when_all_can_be_used(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    checks(peer, CHECKED)
    result = anyjob("nodes", "check", "-o", "ndjson")
    assert (result.returncode, json.loads(result.stdout)["node"]) == (0, "web01")


class SshServer:
    """Shows a host key to whoever comes, and no more."""

    def __init__(self) -> None:
        self.key: paramiko.PKey = paramiko.ECDSAKey.generate()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for transport in self._open:
            transport.close()
            transport.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            self._open.append(transport)
            transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())


@pytest.fixture
def server() -> Iterator[SshServer]:
    server = SshServer()
    yield server
    server.close()


@pytest.fixture
def known_hosts(anyjob: CommandLine) -> Path:
    return anyjob.home / ".ssh/known_hosts"


def test_trust_shows_the_fingerprint_and_writes_the_key(
    anyjob: CommandLine, peer: ScriptedPeer, server: SshServer, known_hosts: Path
) -> None:
    knows(peer, node(port=server.port))
    result = anyjob("nodes", "trust", "web01", "--yes")
    assert result.returncode == 0, result.stderr
    assert server.key.fingerprint in result.stdout.decode()
    assert known_hosts.read_text() == f"[127.0.0.1]:{server.port} {server.key.get_name()} {server.key.get_base64()}\n"


def test_trust_without_a_person_or_yes_writes_nothing(
    anyjob: CommandLine, peer: ScriptedPeer, server: SshServer, known_hosts: Path
) -> None:
    knows(peer, node(port=server.port))
    result = anyjob("nodes", "trust", "web01")
    assert result.returncode == 2
    assert "nobody can be asked here" in result.stderr.decode()
    assert not known_hosts.exists()


def test_a_key_that_has_changed_is_shown_loudly_and_needs_replace(
    anyjob: CommandLine, peer: ScriptedPeer, server: SshServer, known_hosts: Path
) -> None:
    knows(peer, node(port=server.port))
    anyjob("nodes", "trust", "web01", "--yes")
    old, server.key = known_hosts.read_text(), paramiko.ECDSAKey.generate()
    refused = anyjob("nodes", "trust", "web01", "--yes")
    assert refused.returncode == 1
    assert "CHANGED" in refused.stdout.decode()
    assert f"at {known_hosts}:1" in refused.stdout.decode()
    assert "use --replace" in refused.stderr.decode()
    assert known_hosts.read_text() == old
    replaced = anyjob("nodes", "trust", "web01", "--yes", "--replace")
    assert replaced.returncode == 0, replaced.stderr
    assert server.key.get_base64() in known_hosts.read_text()
    assert old not in known_hosts.read_text()


def test_a_key_that_is_known_is_left_alone(anyjob: CommandLine, peer: ScriptedPeer, server: SshServer) -> None:
    knows(peer, node(port=server.port))
    anyjob("nodes", "trust", "web01", "--yes")
    result = anyjob("nodes", "trust", "web01", "-o", "json")
    assert (result.returncode, json.loads(result.stdout)["nodes"][0]["keys"][0]["state"]) == (0, "known")


def test_a_node_behind_a_jump_host_is_told_and_not_scanned(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    knows(peer, node(jump=["bastion"]))
    result = anyjob("nodes", "trust", "web01", "--yes")
    assert result.returncode == 1
    assert "behind a jump host" in result.stdout.decode()
