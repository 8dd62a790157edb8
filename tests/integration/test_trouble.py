"""Nodes in trouble among healthy ones: each ends in a state that says why, and the others are not affected."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stack import Answer, Site

HEALTHY = "127.0.1.1"


def mixed(site: Site, **odd: str) -> None:
    """Write an inventory of one healthy node `good` and one odd one `odd` with these fields."""
    fields = {"port": str(site.port), "user": site.user, "identity": f"'{site.identity}'"}
    nodes = {"good": {**fields, "host": HEALTHY}, "odd": {**fields, "host": HEALTHY, **odd}}
    text = "nodes:\n" + "".join(
        f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in values.items())
        for name, values in nodes.items()
    )
    (site.directory / "inventory.yaml").write_text(text)


def reasons(answer: Answer) -> dict[str, tuple[str, str | None]]:
    """Return state and reason of each node."""
    return {job["node"]: (job["state"], job["reason"]) for job in answer.json["jobs"]}


def run_both(site: Site) -> Answer:
    """Run a trivial command on all nodes."""
    return site.run("-o", "json", "exec", "-w", "all", "--connect-timeout", "4s", "--", "true")


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HEALTHY, 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts and never says a word."""
    with socket.create_server((HEALTHY, 0)) as server:
        yield int(server.getsockname()[1])


def test_a_refused_port(site: Site, closed_port: int) -> None:
    mixed(site, port=str(closed_port))
    answer = run_both(site)
    assert answer.code == 4
    assert reasons(answer) == {"good": ("succeeded", None), "odd": ("start_failed", "unreachable:refused")}


def test_a_black_hole(site: Site, silent_port: int) -> None:
    mixed(site, port=str(silent_port))
    answer = run_both(site)
    assert answer.code == 4
    assert reasons(answer) == {"good": ("succeeded", None), "odd": ("start_failed", "unreachable:timeout")}


def test_an_unknown_host_key_stops_before_anything_is_sent(site: Site, start_sshd: Callable[..., Any]) -> None:
    other = start_sshd()
    mixed(site, host=other.addresses[0], port=str(other.port))
    answer = run_both(site)
    assert answer.code == 4
    assert reasons(answer)["odd"] == ("start_failed", "unreachable:host_key")
    assert "anyjob nodes trust" in next(job["message"] for job in answer.json["jobs"] if job["node"] == "odd")
    assert other.logged("Accepted publickey") == 0


def test_a_wrong_login_key(site: Site, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    mixed(site, identity=f"'{tmp_path / 'other'}'")
    answer = run_both(site)
    assert answer.code == 4
    assert reasons(answer) == {"good": ("succeeded", None), "odd": ("start_failed", "unreachable:auth")}


def test_a_key_file_that_others_can_read(site: Site, tmp_path: Path) -> None:
    (tmp_path / "loose").write_bytes(site.identity.read_bytes())
    (tmp_path / "loose").chmod(0o644)
    mixed(site, identity=f"'{tmp_path / 'loose'}'")
    answer = run_both(site)
    assert reasons(answer)["odd"] == ("start_failed", "unreachable:auth")
    assert "chmod" in next(job["message"] for job in answer.json["jobs"] if job["node"] == "odd")


def test_a_node_without_python(site: Site) -> None:
    mixed(site, python="/nonexistent/python3")
    answer = run_both(site)
    assert reasons(answer) == {"good": ("succeeded", None), "odd": ("start_failed", "unfit:no_python")}


def test_a_full_disk_refuses_the_start(site: Site) -> None:
    spool = site.directory / "spool"
    spool.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(spool)], check=True)
    try:
        subprocess.run(["dd", "if=/dev/zero", f"of={spool}/filler", "bs=4k"], check=False, capture_output=True)
        answer = site.run("-o", "json", "exec", "-w", "node01", "--", "true")
    finally:
        subprocess.run(["umount", "-l", str(spool)], check=True)
    state, reason = reasons(answer)["node01"]
    assert state == "start_failed"
    assert reason in ("disk_full", "unfit:disk_full")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("node04", "node04"),
        ("nod01", "node01"),
        ("@nosuch", "nosuch"),
        ("node01!node01", "selects no node"),
        ("node[01", "["),
    ],
)
def test_a_target_that_means_nothing_is_an_error_and_nothing_runs(site: Site, target: str, told: str) -> None:
    answer = site.run("exec", "-w", target, "--", "true")
    assert answer.code == 1
    assert told in answer.err.decode()
    assert site.run("-o", "json", "history").json["runs"] == []


def test_a_disabled_node_says_its_reason(site: Site) -> None:
    mixed(site, disabled='"disk is being replaced"')
    assert b"disk is being replaced" in site.run("exec", "-w", "odd", "--", "true").err
    assert site.run("exec", "-w", "all", "--", "echo", "x", check=0).out == b"good: x\n"


def test_a_broken_file_stops_the_start_and_a_reload_keeps_the_old_one(live: Site) -> None:
    good = (live.directory / "inventory.yaml").read_text()
    (live.directory / "inventory.yaml").write_text(good + "  node04:\n    hots: x\n    port: 99999\n")
    answer = live.run("reload")
    assert answer.code == 1
    told = answer.err.decode()
    assert "inventory.yaml:" in told
    assert "hots" in told
    assert live.run("exec", "-w", "node01", "--", "echo", "on", check=0).out == b"node01: on\n"
    checked = live.run("config", "check")
    assert checked.code == 1
    live.stop()
    assert live.run("daemon").code == 1
