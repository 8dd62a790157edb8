"""The command line on a real daemon with real nodes: what the scripted peer cannot show."""

import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

from tests.fixtures.stack import ANYJOB, Site, wait_for


def run_id(site: Site, *words: str) -> str:
    return site.run("exec", *words, check=0).out.decode().strip()


def test_equal_output_of_all_nodes_is_one_block(live: Site) -> None:
    answer = live.run("exec", "-a", "-G", "--", "echo same; echo bad >&2", check=0)
    rule = "-" * 15
    assert answer.out.decode() == f"{rule}\nnode[01-03] (3)\n{rule}\nsame\n"
    assert f"{rule}\nnode[01-03] (3)\n{rule}\nbad\n" in answer.err.decode()


def test_a_detached_run_is_waited_for_and_its_logs_are_all_there(live: Site) -> None:
    run = run_id(live, "-w", "node[01-02]", "-d", "--", "seq 5; echo last >&2; exit 3")
    assert live.run("wait", run, "--timeout", "60s").code == 3
    for node in ("node01", "node02"):
        answer = live.run("logs", run, "--node", node, "--no-prefix", check=0)
        assert (answer.out, answer.err) == (b"1\n2\n3\n4\n5\n", b"last\n")
    assert live.run("logs", run[-8:], "--node", "node01", "--tail", "2", check=0).out == b"node01: 4\nnode01: 5\n"


def test_logs_are_byte_exact(live: Site) -> None:
    data = os.urandom(300_000)
    run = json.loads(live.run("exec", "-w", "node01", "--stdin", "-o", "json", "--", "cat", stdin=data).out)["id"]
    assert live.run("logs", run, "--raw", check=0).out == data


def test_logs_that_follow_end_with_the_run(live: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = run_id(live, "-w", "node01", "-d", "--", f"echo begun; until test -e {gate}; do sleep 0.05; done; echo done")
    process = live.popen("logs", run, "-f", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"node01: begun\n"
    gate.touch()
    assert process.communicate(timeout=60) == (b"node01: done\n", None)
    assert process.returncode == 0


def test_ctrl_c_asks_and_a_cancel_reaches_the_node(live: Site) -> None:
    ours, theirs = pty.openpty()
    words = ("exec", "-w", "node01", "--", "echo pid $$; exec sleep 300")
    process = live.popen(*words, stdin=theirs, stdout=theirs, stderr=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    seen = ""
    try:
        while not re.search(r"pid \d+", seen):
            seen += os.read(ours, 65536).decode()
        process.send_signal(signal.SIGINT)
        while "[d]etach, [c]ancel" not in seen:
            seen += os.read(ours, 65536).decode()
        os.write(ours, b"c\n")
        while True:
            try:
                seen += os.read(ours, 65536).decode()
            except OSError:
                break
        assert process.wait(60) == 5
    finally:
        os.close(ours)
    pid = re.search(r"pid (\d+)", seen)
    assert pid is not None
    assert not Path(f"/proc/{pid[1]}").exists()
    assert "cancelled" in live.run("history", "--limit", "1", check=0).out.decode()


def test_a_closed_pipe_leaves_the_run_and_tells_its_id(live: Site) -> None:
    command = f"{shlex.join(ANYJOB)} --site {live.directory} exec -w node01 -- yes | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=100, check=False)
    assert (result.returncode, result.stdout) == (141, b"node01: y\n")
    told = re.fullmatch(r"run (\w{26}) goes on: anyjob follow \1\n", result.stderr.decode())
    assert told is not None
    assert json.loads(live.run("-o", "json", "show", told[1], check=0).out)["state"] == "running"
    live.run("cancel", told[1], "--grace", "0s", check=0)
    assert live.run("wait", told[1], "--timeout", "60s").code == 5


def test_without_a_daemon_a_closed_pipe_ends_the_job(site: Site) -> None:
    command = f"{shlex.join(ANYJOB)} --site {site.directory} exec -w node01 -- 'echo $$; exec yes' | head -n 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=100, check=False)
    pid = result.stdout.decode().removeprefix("node01: ").strip()
    assert "was cancelled, because its output was closed" in result.stderr.decode()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the job has ended")


def test_names_of_nodes_are_completed(live: Site) -> None:
    words = f"anyjob --site {live.directory} exec -w db,node"
    env = {"_ANYJOB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "5"}
    result = subprocess.run(ANYJOB, env=os.environ | env, capture_output=True, timeout=60, check=True)
    assert result.stdout.decode().split() == [f"plain,db,node0{number}" for number in (1, 2, 3)]


def test_a_node_that_is_trusted_can_be_used(site: Site) -> None:
    own = site.directory / "known_hosts"
    site.settings(f"ssh:\n  known_hosts: ['{own}']\nremote:\n  spool: '{site.directory / 'spool'}'\n")
    site.start()
    refused = site.run("exec", "-w", "node01", "--", "true")
    assert refused.code == 4
    assert "anyjob nodes trust node01" in refused.err.decode()
    site.run("nodes", "trust", "node01", "--yes", check=0)
    site.run("exec", "-w", "node01", "--", "true", check=0)
    assert site.run("exec", "-w", "node02", "--", "true").code == 4


def test_check_tells_of_every_node(live: Site) -> None:
    nodes = live.run("nodes", "check", "-o", "json", "--become", "root", check=0).json["nodes"]
    assert [(node["node"], node["reachable"]) for node in nodes] == [(f"node0{n}", True) for n in (1, 2, 3)]
    assert all(node["python"] and node["spool_free"] > 0 for node in nodes)


def test_one_job_of_a_run_is_cancelled_alone(live: Site) -> None:
    run = run_id(live, "-w", "node[01-02]", "-d", "--", "exec sleep 300")
    live.run("cancel", f"{run}-1", check=0)

    def state(node: str) -> str:
        jobs = live.run("-o", "json", "show", run).json["jobs"]
        return str(next(job["state"] for job in jobs if job["node"] == node))

    wait_for(lambda: state("node01") == "cancelled", "node01 is cancelled")
    assert state("node02") in ("running", "claimed", "dispatching")
    live.run("cancel", run, check=0)
    live.run("wait", run, "--timeout", "60s")


def test_the_id_of_a_job_names_that_job_alone(live: Site) -> None:
    run = run_id(live, "-w", "node[01-02]", "-d", "--", "echo from $ANYJOB_NODE; test $ANYJOB_NODE = node01")
    assert live.run("wait", run, "--timeout", "60s").code == 2
    followed = live.run("follow", f"{run[-6:]}-1", check=0)
    assert followed.out == b"node01: from node01\n"
    assert live.run("logs", "-f", f"{run}-2", check=0).out == b"node02: from node02\n"
    assert live.run("wait", f"{run}-1", check=0).out.decode() == f"{run} succeeded: 1 node: 1 succeeded\n"
    assert live.run("wait", f"{run}-2").code == 1
    shown = live.run("-o", "json", "show", f"{run}-2", check=0).json
    assert (shown["state"], shown["nodes"], shown["counts"]) == ("failed", "node02", {"failed": 1})
    assert [job["node"] for job in shown["jobs"]] == ["node02"]


def test_ids_of_jobs_are_completed_behind_their_run(live: Site) -> None:
    run = run_id(live, "-w", "node[01-02]", "-d", "--", "true")
    for begun, offered in ((run[:20], [run]), (f"{run}-", [f"{run}-1", f"{run}-2"])):
        env = {"_ANYJOB_COMPLETE": "bash_complete", "COMP_WORDS": f"anyjob --site {live.directory} follow {begun}"}
        done = subprocess.run(
            ANYJOB, env=os.environ | env | {"COMP_CWORD": "4"}, capture_output=True, timeout=60, check=True
        )
        assert done.stdout.decode().split() == [f"plain,{item}" for item in offered]
    live.run("wait", run, check=0)


def test_what_cannot_be_served_is_told_in_one_line(live: Site, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in (("web",), ("demo", "--keep", "--directory", str(site.directory / "demo"))):
            answer = live.run(*words, check=1, env={"ANYJOB_WEB_PORT": port})
            assert (
                answer.err.decode()
                == f"error: 127.0.0.1:{port}: Address already in use; choose another port, or 0 for a free one\n"
            )
    second = live.run("up", check=1).err.decode()
    assert second.startswith("error: ")
    assert "is in use by process" in second
    assert second.count("\n") == 1


def test_pages_without_a_daemon_tell_how_to_start_one(site: Site) -> None:
    answer = site.run("web", check=1)
    assert "start one with: anyjob daemon" in answer.err.decode()


def test_without_a_daemon_two_commands_share_one_and_the_first_waits_for_the_second(site: Site, tmp_path: Path) -> None:
    gates = [tmp_path / name for name in ("first", "second")]
    scripts = [f"echo begun; until test -e {gate}; do sleep 0.05; done" for gate in gates]
    first = site.popen("exec", "-w", "node01", "--", scripts[0], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert first.stdout is not None
    assert first.stdout.readline() == b"node01: begun\n"
    second = site.popen("exec", "-w", "node02", "--", scripts[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert second.stdout is not None
    assert second.stdout.readline() == b"node02: begun\n"
    gates[0].touch()
    assert first.stderr is not None
    assert first.stderr.readline().startswith(b"another command uses the daemon of this one")
    gates[1].touch()
    for process in (second, first):
        process.communicate(timeout=60)
        assert process.returncode == 0
