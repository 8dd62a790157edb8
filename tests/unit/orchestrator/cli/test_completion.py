"""Completion as the shells call it."""

import subprocess

import pytest

from tests.unit.orchestrator.cli.conftest import ENTRY, CommandLine
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, ok


def completed(anyjob: CommandLine, *words: str) -> list[str]:
    result = anyjob(
        _ANYJOB_COMPLETE="bash_complete", COMP_WORDS=" ".join(["anyjob", *words]), COMP_CWORD=str(len(words))
    )
    assert result.stderr == b""
    return [line.partition(",")[2] for line in result.stdout.decode().split()]


def test_commands_are_completed(anyjob: CommandLine) -> None:
    assert completed(anyjob, "ca") == ["cancel"]


def test_the_last_name_of_a_target_is_completed(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("complete", ok({"items": ["web01", "web02"]}), ok({"items": []}))
    assert completed(anyjob, "exec", "-w", "db1,we") == ["db1,web01", "db1,web02"]
    assert [(call["kind"], call["prefix"]) for call in peer.asked("complete")] == [("node", "we"), ("group", "we")]


def test_behind_an_at_sign_only_groups_are_completed(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("complete", ok({"items": ["web", "wiki"]}))
    assert completed(anyjob, "exec", "-w", "all!@w") == ["all!@web", "all!@wiki"]
    assert [call["kind"] for call in peer.asked("complete")] == ["group"]


@pytest.mark.parametrize("command", ["show", "logs", "follow", "wait", "cancel"])
def test_ids_of_runs_are_completed(anyjob: CommandLine, peer: ScriptedPeer, command: str) -> None:
    peer.on("complete", ok({"items": ["01JD0A"]}))
    assert completed(anyjob, command, "01") == ["01JD0A"]


def test_without_a_daemon_there_is_silence(anyjob: CommandLine) -> None:
    assert completed(anyjob, "exec", "-w", "we") == []
    assert completed(anyjob, "show", "01") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_in_contrib_are_what_the_command_prints(anyjob: CommandLine, shell: str) -> None:
    result = anyjob("completion", shell)
    kept = (ENTRY.parent / f"contrib/completions/anyjob.{shell}").read_bytes()
    assert (result.stdout, result.returncode) == (kept, 0)


def test_the_script_for_bash_is_a_script_for_bash() -> None:
    subprocess.run(["bash", "-n", ENTRY.parent / "contrib/completions/anyjob.bash"], check=True)
