"""The demo's nodes: with the machine's sshd and without, and nothing left of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from remote.hostkeys import ScanError, scan
from remote.knownhosts import KnownHosts
from remote.loopback import LoopbackNodes, find_sshd
from remote.session import Ended, NodeEvent, OutputChunk, StartSpec
from remote.transport import Transport
from tests.fixtures.sshd import Nodes

ROOT = Path(__file__).parents[2]


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    limit = time.monotonic() + 20
    while any(map(is_running, pids)):
        assert time.monotonic() < limit, f"still there: {[pid for pid in pids if is_running(pid)]}"
        time.sleep(0.02)


async def run_everywhere(nodes: Nodes) -> list[bytes]:
    outputs: list[bytes] = []
    async with Transport(nodes.options()) as transport:
        for number in range(len(nodes.addresses)):
            link = await transport.connect(nodes.route(number))
            await link.send(link.session.start(f"l{number}.1", StartSpec(argv=["sh", "-c", "echo $HOME; exit 3"])))
            events: list[NodeEvent] = []
            while not (events and isinstance(events[-1], Ended)):
                events += await link.receive()
            assert isinstance(events[-1], Ended)
            assert events[-1].outcome.code == 3
            outputs.append(b"".join(event.data for event in events if isinstance(event, OutputChunk)))
            await link.send(link.session.forget(f"l{number}.1"))
            await link.close()
    return outputs


@pytest.mark.parametrize("program", [None, ""], ids=["sshd", "without sshd"])
async def test_jobs_run_on_the_nodes_and_nothing_is_left(tmp_path: Path, program: str | None) -> None:
    nodes = Nodes(tmp_path / "nodes", count=3, sshd=program)
    pids = list(nodes.pids)
    assert bool(pids) == (program is None)
    outputs = await run_everywhere(nodes)
    assert len(outputs) == 3
    nodes.stop()
    nodes.stop()
    wait_until_gone(pids)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((nodes.addresses[0], nodes.port)).close()


def test_more_addresses_than_one_sshd_can_hold_all_answer(sshd: Nodes) -> None:
    assert len(sshd.addresses) == 64
    assert len(sshd.pids) == 4
    for host in sshd.addresses:
        with socket.create_connection((host, sshd.port), timeout=10) as sock:
            assert sock.recv(4) == b"SSH-"


def test_what_others_must_not_read_is_private(sshd: Nodes) -> None:
    assert sshd.directory.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o777 for path in (sshd.identity, sshd.directory / "host_key")} == {0o600}


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Bad configuration option: Nonsense"):
        LoopbackNodes(tmp_path, settings=["Nonsense yes"])


def test_the_nodes_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from remote.loopback import LoopbackNodes; "
        "nodes = LoopbackNodes(Path(sys.argv[1]), count=20); print(*nodes.pids, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        pids = [int(word) for word in owner.stdout.readline().split()]
    assert len(pids) == 2
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until_gone(pids)


def test_sshd_is_found_beside_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert os.access(find_sshd(), os.X_OK)


def test_a_scan_shows_the_keys_that_openssh_shows(start_sshd: Callable[..., Nodes], tmp_path: Path) -> None:
    lines = []
    for kind in ("ecdsa", "rsa"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / kind], check=True)
        lines.append(f"HostKey {tmp_path / kind}")
    nodes = start_sshd(*lines)
    found = scan(nodes.addresses[0], nodes.port)
    assert [key.algorithm for key in found] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    shown = subprocess.run(
        ["ssh-keyscan", "-p", str(nodes.port), nodes.addresses[0]], capture_output=True, text=True, check=True
    )
    assert {key.text for key in found} == {
        line.split(" ", 1)[1] for line in shown.stdout.splitlines() if line[0] != "#"
    }
    [known] = KnownHosts([nodes.known_hosts]).lookup(nodes.addresses[0], nodes.port)
    assert known.key in found


def test_a_scan_of_nothing_says_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ScanError, match="refused"):
            scan("127.0.0.1", unused.getsockname()[1])


def test_a_scan_of_a_silent_server_ends_at_its_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ScanError):
            scan("127.0.0.1", silent.getsockname()[1], timeout_s=0.3)


def test_a_scan_loads_paramiko_and_nothing_before_it_does() -> None:
    code = "import sys, remote.hostkeys; assert not {'paramiko', 'asyncssh'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
