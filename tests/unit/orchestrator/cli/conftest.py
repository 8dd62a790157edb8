"""The command line as a process of its own, beside a scripted peer where it looks for the daemon."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer

ENTRY = Path(__file__).resolve().parents[4] / "anyjob_boot.py"


class CommandLine:
    """Runs `anyjob` in an empty directory with an environment of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
        }
        self.socket = home / "state/anyjob/anyjob.sock"

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, str(ENTRY), *words]

    def __call__(self, *words: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(*words),
            env=self.env | env,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def anyjob(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("c"))


@pytest.fixture
def peer(anyjob: CommandLine) -> Iterator[ScriptedPeer]:
    peer = ScriptedPeer(anyjob.socket)
    yield peer
    peer.close()
