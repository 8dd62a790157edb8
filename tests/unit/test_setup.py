"""The scripts behind the Makefile, where a machine lacks something."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without a virtual environment, and a PATH with the usual small programs but no apt-get and no sudo."""
    for name in ("Makefile", "pyproject.toml", ".ci/venv", "tests/install-deps.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "env", "make", "grep", "awk", "sha256sum", "cut", "rm", "dirname", "id", "tail", "mktemp"):
        found = shutil.which(name)
        assert found is not None, name
        (programs / name).symlink_to(found)
    return tmp_path


def python(checkout: Path, answers: str) -> None:
    """Put a `python3` there that answers as the shell code `answers` says."""
    (checkout / "bin/python3").write_text(f'#!/bin/sh\n{answers}\nexec {sys.executable} "$@"\n')
    (checkout / "bin/python3").chmod(0o755)


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(checkout / "bin"), "HOME": str(checkout)}
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_make_alone_shows_every_target(checkout: Path) -> None:
    shown = run(checkout, "make").stdout
    for target in ["help", "demo", "up", "test", "test-fast", "check", "fmt", "docs", "bench", "wheel"]:
        assert f"  make {target} " in shown


def test_a_python_that_is_too_old_is_told_with_its_version(checkout: Path) -> None:
    python(checkout, "case $* in *version_info*) exit 1;; -V) echo Python 3.9.2; exit;; esac")
    result = run(checkout, "make", "demo")
    assert result.returncode != 0
    assert "AnyJob needs Python 3.11 or newer; python3 is Python 3.9.2." in result.stderr


def test_no_python_at_all_is_told(checkout: Path) -> None:
    result = run(checkout, "make", "demo")
    assert result.returncode != 0
    assert "there is no python3" in result.stderr


def test_without_ensurepip_and_a_way_to_install_it_the_package_is_named(checkout: Path) -> None:
    python(checkout, "case $* in *ensurepip*) exit 1;; esac")
    result = run(checkout, ".ci/venv", "run")
    assert result.returncode != 0
    assert "Missing on this machine: python3-venv" in result.stderr
    assert not (checkout / ".venv").exists()


def test_what_the_tests_need_is_named_all_at_once(checkout: Path) -> None:
    python(checkout, "case $* in *ensurepip*) exit 1;; esac")
    result = run(checkout, "tests/install-deps.sh")
    assert result.returncode != 0
    missing = result.stderr.splitlines()[0].split(": ")[1].split()
    assert set(missing) >= {"redis-server", "chromium", "opendoas", "python3-venv"}


def test_nothing_is_installed_where_nothing_is_missing(checkout: Path) -> None:
    python(checkout, "")
    for name in ("sshd", "redis-server", "chromium", "sudo", "doas"):
        (checkout / "bin" / name).symlink_to("/bin/true")
    result = run(checkout, "tests/install-deps.sh")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_environment_that_is_fit_is_left_alone(checkout: Path) -> None:
    python(checkout, "")
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(checkout / "bin/python3")
    stamp = run(checkout, "sha256sum", "pyproject.toml").stdout[:16]
    (checkout / f".venv/.stamp-dev-{stamp}").touch()
    for level in ("run", "dev"):
        result = run(checkout, ".ci/venv", level)
        assert (result.returncode, result.stderr) == (0, "")
