"""The command line starts fast: what is heavy is imported when it is needed, and not before."""

import subprocess
import sys

import pytest

from tests.unit.orchestrator.cli.conftest import ENTRY, CommandLine
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, ok

HEAVY = {
    "asyncio", "asyncssh", "paramiko", "redis", "rich", "msgspec", "yaml", "flask", "jinja2", "ClusterShell",
    "orchestrator.settings", "orchestrator.service",
}  # fmt: skip


def imported(code: str) -> set[str]:
    program = f"import sys; sys.path.insert(0, {str(ENTRY.parent)!r})\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    return set(done.stdout.decode().split())


@pytest.mark.parametrize(
    "module",
    [
        "orchestrator.cli",
        "orchestrator.cli.run",
        "orchestrator.cli.jobs",
        "orchestrator.cli.logs",
        "orchestrator.cli.nodes",
    ],
)
def test_no_heavy_module_is_imported_with_a_command(module: str) -> None:
    assert imported(f"import {module}") & HEAVY == set()


def test_no_heavy_module_is_imported_to_ask_the_daemon(anyjob: CommandLine, peer: ScriptedPeer) -> None:
    peer.on("runs", ok({"runs": [], "next": None}))
    code = f"""
import os
os.environ.update({anyjob.env!r})
os.chdir({str(anyjob.home)!r})
from orchestrator.cli import cli
cli(["ps"], standalone_mode=False)
"""
    assert imported(code) & HEAVY == set()
    assert peer.asked("runs")


def test_help_imports_no_command() -> None:
    code = """
from orchestrator.cli import cli
try:
    cli(["--help"], prog_name="anyjob")
except SystemExit:
    pass
"""
    found = imported(code)
    assert "orchestrator.cli.jobs" not in found
    assert "orchestrator.cli.serve" not in found
