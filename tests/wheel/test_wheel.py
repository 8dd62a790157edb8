"""The wheel as its users get it: built, installed into a new environment, and run beside hostile modules."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("inventory", "jobs", "remote", "orchestrator", "web")


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANYJOB"))}
    return subprocess.run(
        command, env=kept | env, cwd=env.get("HOME", "/"), capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT)
    assert built.returncode == 0, built.stderr
    (path,) = directory.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel, and our dependencies without our checkout."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    installed = run(directory / "bin/python", "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    assert installed.returncode == 0, installed.stderr
    (packages,) = (directory / "lib").glob("python*/site-packages")
    # A path in a .pth file does not make the .pth files in there count, so the checkout stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    expected = {f"anyjob.app/{path.relative_to(ROOT)}" for path in files if "__pycache__" not in path.parts}
    assert expected <= inside
    assert any(name.endswith(".lua") for name in expected)


def test_the_wheel_brings_no_generic_name(wheel: Path) -> None:
    top = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} <= {"anyjob_boot.py", "anyjob.app", "anyjob.py"}


@pytest.mark.parametrize("name", PACKAGES)
def test_our_packages_cannot_be_imported_by_others(name: str, environment: Path) -> None:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is not None)"
    assert run(environment / "bin/python", "-c", code).returncode == 0


def test_it_runs_beside_modules_of_the_same_names(environment: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in PACKAGES:
        (hostile / f"{name}.py").write_text("raise SystemExit('the wrong module was imported')\n")
    env = {"PYTHONPATH": str(hostile), "HOME": str(tmp_path)}
    version = run(environment / "bin/anyjob", "--version", **env)
    assert (version.returncode, version.stderr) == (0, "")
    made = run(environment / "bin/anyjob", "init", tmp_path / "site", **env)
    assert (made.returncode, made.stderr) == (0, "")
    checked = run(environment / "bin/anyjob", "--site", tmp_path / "site", "config", "check", **env)
    assert checked.returncode == 0, checked.stdout + checked.stderr
