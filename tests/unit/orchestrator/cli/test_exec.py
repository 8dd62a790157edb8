"""`anyjob exec` as a process, against a scripted peer."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.orchestrator.cli.conftest import CommandLine
from tests.unit.orchestrator.cli.runs import RUN, as_bytes, end, event, job, output, run, snapshot
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, error, ok, sends


def ends(peer: ScriptedPeer, *jobs: dict[str, Any], state: str, printed: bytes = b"") -> None:
    """Let the next submit end at once, with these jobs."""
    done = run(*jobs, state=state)
    peer.on("submit", ok(done))
    pieces = [snapshot(done), *([output(printed)] if printed else [])]
    pieces += [event(one["state"], node=one["node"], index=one["index"], exit_code=one["exit_code"]) for one in jobs]
    peer.on("follow", sends(as_bytes(*pieces, end(done))))


def test_what_is_asked_for_is_what_was_typed(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded")
    words = (
        "exec -w web[01-20] -g db -a -x web03 -l @up -i hosts.ini -f 5 --timeout 1h30m --grace 3s --env A=b=c --env B= "
        "--cwd /srv --run-as deploy:www -u root --connect-timeout 4s --"
    )
    result = anyjob(*words.split(), "ls", "-l", "--", "a b", "@x")
    assert result.returncode == 0, result.stderr
    (call,) = peer.asked("submit")
    assert re.fullmatch("[0-9A-Z]{26}", call["id"])
    assert call["request"] == {
        "target": "(all),(web[01-20]),(@db)", "exclude": "web03", "limit": "@up",
        "inventory": [str(anyjob.home / "hosts.ini")], "argv": ["ls", "-l", "--", "a b", "@x"],
        "interpreter": None, "script_size": 0, "stdin_size": 0, "script_name": None, "env": {"A": "b=c", "B": ""},
        "cwd": "/srv", "tty": None, "run_as": "deploy:www", "timeout_s": 5400.0, "grace_s": 3.0, "fanout": 5,
        "login_user": "root", "connect_timeout_s": 4.0, "source": "cli",
    }  # fmt: skip


def test_one_target_is_sent_as_it_is(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded")
    anyjob("exec", "-w", "@web&dc=fra!web03", "uname", "-n")
    request = peer.asked("submit")[0]["request"]
    assert (request["target"], request["argv"]) == ("@web&dc=fra!web03", ["uname", "-n"])


def test_files_in_targets_are_read_where_they_were_typed(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded")
    (anyjob.home / "up.txt").write_text("web[01-02]  # the new ones\ndb1\n")
    anyjob("exec", "-w", "web*&@./up.txt", "-l", "^up.txt", "-x", "^up.txt!db1", "true")
    request = peer.asked("submit")[0]["request"]
    assert request["target"] == "web*&(web[01-02],db1)"
    assert (request["limit"], request["exclude"]) == ("(web[01-02],db1)", "(web[01-02],db1)!db1")


def test_a_file_in_a_target_that_cannot_be_read_is_told_as_the_daemon_tells(
    anyjob: CommandLine, peer: ScriptedPeer
) -> None:
    for words in (("exec", "-w", "@./gone", "true"), ("nodes", "list", "@./gone")):
        result = anyjob(*words)
        assert result.returncode == 1
        assert result.stderr.decode().splitlines() == [
            "error: './gone' cannot be read: No such file or directory", "  @./gone", "  ^^^^^^^",
        ]  # fmt: skip
        told = json.loads(anyjob("-o", "json", *words).stderr)
        assert told["error"]["code"] == "bad_target"
    assert peer.calls == []


def test_script_and_standard_input_are_the_payload(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded")
    (anyjob.home / "backup.sh").write_bytes(b"#!/bin/sh\ncat\n")
    words = ("exec", "-w", "db1", "--script", "backup.sh", "--interpreter", "sh -e", "--stdin", "--", "--full")
    anyjob(*words, stdin=b"in\0put")
    request = peer.asked("submit")[0]["request"]
    assert peer.payloads[0] == b"#!/bin/sh\ncat\nin\0put"
    assert (request["script_size"], request["stdin_size"], request["script_name"]) == (14, 6, "backup.sh")
    assert (request["argv"], request["interpreter"]) == (["--full"], ["sh", "-e"])


def test_a_hundred_thousand_arguments_arrive(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded")
    argv = ["echo", *(str(number) for number in range(100_000))]
    assert anyjob("exec", "-w", "web01", "--", *argv).returncode == 0
    assert peer.asked("submit")[0]["request"]["argv"] == argv


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["exec", "--", "true"], "which nodes?"),
        (["exec", "-w", "web01"], "what shall be run?"),
        (["exec", "-w", "web01", "--env", "A", "--", "true"], "expected KEY=VALUE"),
        (["exec", "-w", "web01", "--timeout", "soon", "--", "true"], "expected a duration"),
        (["exec", "-w", "web01", "--script", "none.sh"], "does not exist"),
        (["exec", "-w", "web01", "--interpreter", "sh", "--", "true"], "--interpreter needs --script"),
        (["exec", "-w", "web01", "--fanout", "0", "--", "true"], "not in the range"),
        (["exec", "-w", "web01", "-o", "xml", "--", "true"], "not one of"),
        (["exce"], "Did you mean exec?"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_and_is_2(anyjob: CommandLine, words: list[str], told: str) -> None:
    result = anyjob(*words)
    assert (result.returncode, result.stdout) == (2, b"")
    assert told in result.stderr.decode()


def test_bytes_that_are_no_text_are_refused_with_the_way_out(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    result = anyjob("exec", "-w", "web01", "--", "echo", os.fsdecode(b"caf\xe9"))
    assert result.returncode == 2
    assert "caf\\xe9: not UTF-8. Put such bytes into a --script" in result.stderr.decode()


def test_output_goes_out_and_all_else_goes_to_standard_error(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    jobs = (job("web01", "succeeded"), job("web02", "failed", 2, exit_code=3))
    ends(peer, *jobs, state="failed", printed=b"hello\n")
    result = anyjob("exec", "-a", "--", "true")
    assert result.stdout == b"web01: hello\n"
    assert result.stderr.decode().splitlines() == [
        "web02: exited with exit code 3",
        "NODE   STATE      EXIT  TIME   MESSAGE",
        "web01  succeeded  0     1.0 s",
        "web02  failed     3     1.0 s",
        "2 nodes: 1 succeeded, 1 failed in 2.0 s",
    ]
    assert result.returncode == 2


def test_one_success_says_nothing_but_its_output(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded", printed=b"hello\n")
    result = anyjob("exec", "-w", "web01", "--", "true")
    assert (result.stdout, result.stderr, result.returncode) == (b"web01: hello\n", b"", 0)


def test_one_node_gives_its_own_exit_code(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="failed", exit_code=42), state="failed")
    assert anyjob("exec", "-w", "web01", "--", "true").returncode == 42


def test_rc_mode_max_gives_the_largest(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), job("web02", "failed", 2, exit_code=42), state="failed")
    assert anyjob("exec", "-a", "--rc-mode", "max", "--", "true").returncode == 42


@pytest.mark.parametrize("flag", ["--raw", "--no-prefix"])
def test_bytes_come_out_as_they_came(anyjob: CommandLine, peer: ScriptedPeer, flag: str) -> None:
    data = bytes(range(256)) * 3
    ends(peer, job(state="succeeded"), state="succeeded", printed=data)
    assert anyjob("exec", "-w", "web01", flag, "--", "cat").stdout == data


def test_json_is_one_document(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded", printed=b"hello\n")
    result = anyjob("-o", "json", "exec", "-w", "web01", "--", "true")
    assert json.loads(result.stdout)["jobs"][0]["stdout"] == "hello\n"


def test_ndjson_names_the_node_on_every_line(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    ends(peer, job(state="succeeded"), state="succeeded", printed=b"hello\n")
    result = anyjob("exec", "-w", "web01", "-o", "ndjson", "--", "true")
    assert [json.loads(line)["node"] for line in result.stdout.splitlines()] == ["web01"] * 3


def test_detached_it_prints_the_id_and_follows_nothing(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("submit", ok(run(job())))
    result = anyjob("exec", "-w", "web01", "-d", "--", "sleep", "9")
    assert (result.stdout.decode(), result.returncode) == (f"{RUN}\n", 0)
    assert f"anyjob follow {RUN}" in result.stderr.decode()
    assert peer.asked("follow") == []


def test_list_nodes_starts_nothing(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("plan", ok({"nodes": ["web01", "web02"], "folded": "web[01-02]", "count": 2, "title": "true"}))
    result = anyjob("exec", "-w", "web[01-02]", "-n")
    assert (result.stdout, result.stderr) == (b"web01\nweb02\n", b"web[01-02] (2)\n")
    assert [call["op"] for call in peer.calls] == ["plan"]


def test_a_refusal_is_told_with_every_problem_and_is_1(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    problems = [
        {"file": "/s/inventory.yaml", "line": 3, "column": 5, "field": "nodes.a.port", "message": "expected a port",
         "hint": "use identity for a key"},
        {"file": "/s/inventory.yaml", "line": 9, "column": 1, "field": None, "message": "a tab\x1b[2J"},
    ]  # fmt: skip
    peer.on("submit", error("bad_file", "the inventory has 2 mistakes", problems))
    result = anyjob("exec", "-a", "--", "true")
    assert result.returncode == 1
    assert result.stderr.decode().splitlines() == [
        "error: the inventory has 2 mistakes",
        "  /s/inventory.yaml:3:5: nodes.a.port: expected a port; use identity for a key",
        "  /s/inventory.yaml:9:1: a tab\\x1b[2J",
    ]


def test_a_refusal_for_programs_is_an_object(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("submit", error("bad_target", "unknown node"))
    result = anyjob("exec", "-a", "-o", "json", "--", "true")
    assert json.loads(result.stderr) == {"error": {"code": "bad_target", "message": "unknown node", "problems": []}}


def test_with_a_configured_redis_and_no_daemon_it_says_so(anyjob: CommandLine) -> None:
    result = anyjob("exec", "-a", "--", "true", ANYJOB_REDIS_URL="redis://127.0.0.1:1/0")
    assert result.returncode == 1
    assert re.search(r"error: no daemon answers on .*anyjob\.sock .*anyjob daemon", result.stderr.decode())


def test_detach_needs_a_daemon_that_stays(anyjob: CommandLine) -> None:
    result = anyjob("exec", "-a", "-d", "--", "true")
    assert result.returncode == 1
    assert "no daemon answers" in result.stderr.decode()


def test_a_site_that_was_named_and_is_none_is_told(anyjob: CommandLine, tmp_path: Path) -> None:
    result = anyjob("--site", str(tmp_path), "ps")
    assert result.returncode == 1
    assert "anyjob init" in result.stderr.decode()


def test_the_daemon_of_a_site_is_found_in_its_directory(anyjob: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "anyjob.yaml").write_text("# nothing set\n")
    peer = ScriptedPeer(tmp_path / ".anyjob/anyjob.sock")
    try:
        peer.on("runs", ok({"runs": [], "next": None}))
        assert anyjob("--site", str(tmp_path), "ps").stdout == b"nothing runs now\n"
    finally:
        peer.close()


def test_the_daemon_of_a_site_is_found_where_its_settings_say(anyjob: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "anyjob.yaml").write_text("data_dir: elsewhere\n")
    peer = ScriptedPeer(tmp_path / "elsewhere/anyjob.sock")
    try:
        peer.on("runs", ok({"runs": [], "next": None}))
        assert anyjob("ps", "--site", str(tmp_path)).stdout == b"nothing runs now\n"
    finally:
        peer.close()
