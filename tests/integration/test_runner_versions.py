"""The runner's own tests, under every interpreter of this machine that it supports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interpreters import find_interpreters

ROOT = Path(__file__).parents[2]
TESTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("tests/unit/remote/runner/test_*.py")
)
INTERPRETERS = find_interpreters()


def test_the_current_interpreter_is_among_those_that_are_tested() -> None:
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in INTERPRETERS
    assert len(TESTS) > 5


@pytest.mark.parametrize("python", INTERPRETERS.values(), ids=INTERPRETERS.keys())
def test_the_runner_keeps_its_promises_on(python: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [python, "-B", "-W", "error", "-m", "unittest", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-8000:]
