"""The daemon as a process: start, stop, reload, what it tells systemd, limits, and the loss of Redis."""

import os
import signal
import socket
from pathlib import Path

import pytest

from orchestrator.client import ApiError, Client, new_run_id
from tests.fixtures.stack import Site, wait_for


def client(site: Site) -> Client:
    """Connect to the site's daemon."""
    return Client.connect(site.directory / ".anyjob" / "anyjob.sock")


def states(site: Site, run: str) -> dict[str, str]:
    """Return each node's state."""
    return {job["node"]: job["state"] for job in site.run("-o", "json", "show", run, check=0).json["jobs"]}


def test_sigterm_ends_it_cleanly_and_its_redis_too(live: Site) -> None:
    owner = (live.directory / ".anyjob" / "redis" / "redis.sock").exists()
    assert owner
    assert live.stop() == 0
    assert not (live.directory / ".anyjob" / "anyjob.sock").exists()
    assert not (live.directory / ".anyjob" / "redis" / "redis.sock").exists()


def test_it_tells_systemd_when_it_serves_and_when_it_stops(site: Site, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        site.environment["NOTIFY_SOCKET"] = address
        site.start()
        assert manager.recv(100).startswith(b"READY=1")
        site.stop()
        assert manager.recv(100) == b"STOPPING=1"


def test_sighup_reads_the_inventory_again(live: Site) -> None:
    live.inventory({"renamed": "127.0.1.1"})
    assert live.daemon is not None
    live.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "configuration reloaded" in live.log(), "the reload is logged")
    assert live.run("exec", "-w", "renamed", "--", "echo", "x", check=0).out == b"renamed: x\n"


def test_a_broken_inventory_at_a_reload_changes_nothing(live: Site) -> None:
    (live.directory / "inventory.yaml").write_text("nodes:\n  x: {hots: y}\n")
    assert live.daemon is not None
    live.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "configuration not reloaded" in live.log(), "the refusal is logged")
    assert live.run("exec", "-w", "node01", "--", "echo", "x", check=0).out == b"node01: x\n"


def test_a_run_submitted_twice_is_one_run(live: Site) -> None:
    run = new_run_id()
    request = {"target": "node01", "argv": ["true", "x"]}
    with client(live) as peer:
        first = peer.call("submit", id=run, request=request)
        second = peer.call("submit", id=run, request=request)
    assert first["id"] == second["id"] == run
    assert len(live.run("-o", "json", "history", check=0).json["runs"]) == 1


def test_what_the_local_api_refuses_it_refuses_with_a_code(live: Site) -> None:
    cases: list[tuple[str, dict[str, object], str]] = [
        ("nosuch", {}, "bad_request"),
        ("__init__", {}, "bad_request"),
        ("submit", {"id": "short", "request": {"target": "all", "argv": ["a", "b"]}}, "bad_request"),
        ("submit", {"id": new_run_id(), "request": {"target": "all"}}, "bad_request"),
        ("submit", {"id": new_run_id(), "request": {"target": "all", "argv": ["a", "b"], "owner": "x"}}, "bad_request"),
        ("submit", {"id": new_run_id(), "request": {"target": "nosuch", "argv": ["a", "b"]}}, "bad_target"),
        ("submit", {"id": new_run_id(), "request": {"target": 5, "argv": ["a", "b"]}}, "bad_request"),
        ("run", {"id": "01JD"}, "not_found"),
        ("run", {"id": "x"}, "not_found"),
        ("output", {"id": "0" * 26, "stream": "stdout"}, "not_found"),
        ("output", {"id": "0" * 26, "stream": "../x"}, "bad_request"),
        ("follow", {"id": "0" * 26, "offsets": {"a": {"stdout": -1}}}, "bad_request"),
        ("nodes", {"inventory": ["/nonexistent/hosts"]}, "bad_file"),
        ("cancel", {"id": "0" * 26}, "not_found"),
    ]
    with client(live) as peer:
        for op, fields, code in cases:
            with pytest.raises(ApiError) as refused:
                peer.call(op, **fields)
            assert (op, refused.value.code) == (op, code)
        assert peer.call("ping")["pid"] == (live.daemon.pid if live.daemon else None)


def test_another_account_is_not_served(live: Site) -> None:
    path = live.directory / ".anyjob" / "anyjob.sock"
    for directory in (path.parent, live.directory, *live.directory.parents[:3]):
        directory.chmod(0o755)
    path.chmod(0o666)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        try:
            with Client.connect(path) as peer:
                peer.call("ping")
        except ApiError as error:
            os._exit(7 if error.code == "forbidden" else 1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_node_runs_no_more_jobs_at_once_than_it_may(live: Site) -> None:
    live.inventory({"node01": "127.0.1.1"}, max_jobs="1")
    live.run("reload", check=0)
    slow = live.run("-o", "json", "exec", "-w", "node01", "-d", "--", "sleep 86397", check=0).json["id"]
    wait_for(lambda: states(live, slow) == {"node01": "running"}, "the first runs")
    queued = live.run("-o", "json", "exec", "-w", "node01", "-d", "--", "echo", "mine", check=0).json["id"]
    assert states(live, queued) == {"node01": "queued"}
    live.run("cancel", slow, "--grace", "0s", check=0)
    live.run("wait", queued, check=0)
    assert live.run("logs", queued, "--no-prefix").out == b"mine\n"


def test_a_run_has_no_more_jobs_under_way_than_its_fanout(live: Site) -> None:
    mark = live.directory / "marks"
    mark.mkdir()
    script = f"cd {mark}; touch $ANYJOB_NODE; ls | wc -l; sleep 0.2; rm $ANYJOB_NODE"
    answer = live.run("exec", "-w", "all", "--fanout", "1", "--no-prefix", "--", script, check=0)
    assert answer.out.split() == [b"1", b"1", b"1"]


def test_a_job_that_waits_too_long_for_its_start_expires(site: Site) -> None:
    site.settings((site.directory / "anyjob.yaml").read_text() + "limits:\n  start_timeout: 1s\n")
    site.inventory({"node01": "127.0.1.1"}, max_jobs="1")
    site.start()
    slow = site.run("-o", "json", "exec", "-w", "node01", "-d", "--", "sleep 86396", check=0).json["id"]
    late = site.run("-o", "json", "exec", "-w", "node01", "-d", "--", "true", check=0).json["id"]
    assert site.run("wait", late).code == 3
    job = site.run("-o", "json", "show", late, check=0).json["jobs"][0]
    assert (job["state"], job["reason"]) == ("expired", "start_timeout")
    site.run("cancel", slow, "--grace", "0s", check=0)


def test_a_job_and_its_output_outlive_a_killed_redis(live: Site) -> None:
    script = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done"
    run = live.run("-o", "json", "exec", "-w", "all", "-d", "--", script, check=0).json["id"]
    wait_for(lambda: live.run("logs", f"{run}-1", "--no-prefix").out.startswith(b"1\n"), "the job runs")
    with client(live) as peer:
        server = int(str(peer.call("stats")["redis_pid"]))
    os.kill(server, signal.SIGKILL)
    assert live.run("wait", run).code == 0
    for job in (1, 2, 3):
        assert live.run("logs", f"{run}-{job}", "--no-prefix", check=0).out == b"1\n2\n3\n4\n5\n6\n"


def test_a_second_exec_opens_no_new_connection(live: Site, sshd: object) -> None:
    live.run("exec", "-w", "all", "--", "true", check=0)
    before = sshd.connections  # type: ignore[attr-defined]
    live.run("exec", "-w", "all", "--", "true", check=0)
    assert sshd.connections == before  # type: ignore[attr-defined]


def test_an_ansible_inventory_of_64_addresses_gives_64_results(live: Site, sshd: object) -> None:
    lines = [
        f"h{number:02} ansible_host={address} ansible_port={live.port} ansible_user={live.user}"
        f" ansible_ssh_private_key_file={live.identity}"
        for number, address in enumerate(sshd.addresses, start=1)  # type: ignore[attr-defined]
    ]
    (live.directory / "hosts.ini").write_text("[web]\n" + "\n".join(lines) + "\n")
    answer = live.run("exec", "-i", "hosts.ini", "-w", "@web", "--", "uname", "-n", check=0)
    assert sorted(line.split(b":")[0] for line in answer.out.splitlines()) == [
        f"h{n:02}".encode() for n in range(1, 65)
    ]
