"""The bundle, the first stage and the command, run by real shells and interpreters."""

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from remote.bundle import KNOWN_PYTHONS, bundle, command, first_stage
from remote.runner.frames import Decoder, encode
from tests.interpreters import OLDEST, find_interpreters

NONCE = "0123456789abcdef" * 2
SHELLS = [shell for shell in ("bash", "dash", "csh", "tcsh", "fish", "ksh", "zsh") if shutil.which(shell)]
INTERPRETERS = find_interpreters()


class Login:
    """What sshd would do: the command, run by a login shell."""

    def __init__(self, spool: Path, *, python: str = sys.executable, shell: str = "sh", **options: object) -> None:
        self.process = subprocess.Popen(
            [shutil.which(shell) or shell, "-c", command([python])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            **options,  # type: ignore[call-overload]
        )
        self.send(first_stage(nonce=NONCE, cluster="test", spool=str(spool)))

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def answer(self) -> list[str]:
        """Return the words of the marker line."""
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            byte = self.process.stdout.read(1)
            assert byte, line
            line += byte
        mark, nonce, *words = line.decode().rstrip("\n").split(" ", 4)
        assert (mark, nonce) == ("\0AJ1", NONCE)
        return words

    def frame(self) -> dict[str, object]:
        """Return the header of the first frame; there is none before we say hello."""
        assert self.process.stdout is not None
        decoder = Decoder()
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data
            for frame in decoder.feed(data):
                return frame.header

    def end(self) -> bytes:
        """Close standard input and return the rest of the output."""
        rest, _ = self.process.communicate(timeout=60)
        assert isinstance(rest, bytes)
        return rest


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Callable[..., Login]]:
    logins: list[Login] = []

    def start(**options: object) -> Login:
        logins.append(Login(tmp_path / "spool", **options))  # type: ignore[arg-type]
        return logins[-1]

    yield start
    for one in logins:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def test_the_bundle_is_the_runner_and_always_the_same() -> None:
    runner = bundle()
    bundle.cache_clear()
    assert bundle() == runner
    text = zlib.decompress(runner.data)
    assert (len(runner.data), sha256(text).hexdigest()) == (runner.size, runner.sha256)
    sources = json.loads(text)
    assert "anyjob_runner.main" in sources
    assert sources["anyjob_runner.frames"] == Path("remote/runner/frames.py").read_text("utf-8")


def test_the_bundle_and_the_first_stage_are_small() -> None:
    stage = len(first_stage(nonce=NONCE, cluster="test", spool=None))
    print(f"bundle: {bundle().size:,} bytes, first stage: {stage:,} bytes")
    assert bundle().size <= 50_000
    assert stage <= 12_000


def test_the_command_holds_only_words_and_one_quoted_string() -> None:
    words, quoted, rest = command(KNOWN_PYTHONS).split("'")
    assert (words, rest) == ("sh -c ", "")
    assert not set(quoted) & set("!\n`\\\\".replace("\\", ""))
    assert "\\\\" not in quoted, "fish reads two backslashes as one"
    program = re.search(r'-c "([^"]*)"', quoted)
    assert program is not None
    assert not set(program[1]) & set("$`\\\"'!")


@pytest.mark.parametrize("python", ["", "-x", "a b", "a;b", "$(id)", "a'b", 'a"b', "a\nb", "ä"])
def test_a_python_that_is_no_name_or_path_is_refused(python: str) -> None:
    with pytest.raises(ValueError, match="python: expected"):
        command([python])


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "x"},
        {"nonce": "A" * 32},
        {"cluster": "../x"},
        {"cluster": "a b"},
        {"spool": "here"},
        {"spool": "/a\nb"},
    ],
)
def test_a_first_stage_of_another_form_is_refused(changes: dict[str, str]) -> None:
    arguments: dict[str, str | None] = {"nonce": NONCE, "cluster": "test", "spool": None, **changes}
    with pytest.raises(ValueError, match=next(iter(changes))):
        first_stage(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_reads_the_command_alike(login: Callable[..., Login], shell: str) -> None:
    first = login(shell=shell)
    assert first.answer()[0] == "need"
    first.send(bundle().data)
    assert first.frame()["t"] == "hello"
    first.end()
    assert first.process.returncode == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_without_an_interpreter_the_shell_says_so(shell: str) -> None:
    line = command(["no-such-python", "/no/such/python"])
    said = subprocess.run([shell, "-c", line], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert said.stdout == b"\0AJ1 - nopython\n"


def test_the_first_interpreter_that_is_there_is_taken(tmp_path: Path) -> None:
    line = command(["no-such-python", sys.executable, "/no/such/python"])
    stage = first_stage(nonce=NONCE, cluster="test", spool=str(tmp_path / "spool"))
    said = subprocess.run(["sh", "-c", line], input=stage, capture_output=True, check=True)
    assert said.stdout.startswith(b"\0AJ1 " + NONCE.encode() + b" need ")


@pytest.mark.parametrize("python", INTERPRETERS.values(), ids=INTERPRETERS.keys())
def test_every_interpreter_gets_the_runner_once_and_runs_it(
    login: Callable[..., Login], tmp_path: Path, python: str
) -> None:
    for word in ("need", "have"):
        one = login(python=python)
        assert one.answer()[0] == word
        if word == "need":
            one.send(bundle().data)
        hello = one.frame()
        one.send(encode({"t": "hello", "cluster": "test", "epoch": 1}))
        assert (hello["protocol"], hello["spool"]) == (1, str(tmp_path / "spool/test"))
        one.end()
        assert one.process.returncode == 0
    assert len(list((tmp_path / "spool/test/runner").iterdir())) == 1


@pytest.fixture(params=[*OLDEST, "3.5"])
def too_old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Version and path. No machine has all of them: the current interpreter calls itself 3.5."""
    version: str = request.param
    if version in OLDEST:
        return version, OLDEST[version]
    path = tmp_path / "python3.5"
    pretend = f"sys.version_info = (3, 5); sys.version = '3.5.10'; sys.executable = '{path}'"
    program = f"import sys; {pretend}; exec(sys.argv[1])"
    path.write_text(f'#!/bin/sh\nshift 4\nexec {sys.executable} -E -s -S -c "{program}" "$1"\n')
    path.chmod(0o755)
    return version, str(path)


def test_an_interpreter_that_is_too_old_says_so(login: Callable[..., Login], too_old: tuple[str, str]) -> None:
    version, python = too_old
    said = login(python=python).answer()
    assert said[:2] == ["unfit", "python_too_old"]
    assert said[2].startswith(version)
    assert python in said[2]


def test_a_damaged_cache_is_fetched_again(login: Callable[..., Login], tmp_path: Path) -> None:
    one = login()
    one.send(bundle().data)
    one.end()
    (cached,) = (tmp_path / "spool/test/runner").iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-9] + b"damaged!!")
    again = login()
    assert again.answer()[0] == "need"
    again.send(bundle().data)
    assert again.frame()["t"] == "hello"
    again.end()
    assert cached.stat().st_size == len(whole)


def test_a_damaged_bundle_is_not_run(login: Callable[..., Login], tmp_path: Path) -> None:
    other = zlib.compress(b"{}")
    for data in (bytes(bundle().size), other + bytes(bundle().size - len(other))):
        one = login()
        assert one.answer()[0] == "need"
        one.send(data)
        assert one.answer()[:2] == ["unfit", "bundle"]
        assert one.end() == b""
    assert not (tmp_path / "spool/test/runner").exists()


def test_an_unsafe_spool_is_told(login: Callable[..., Login], tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o777)
    said = login().answer()
    assert said[:2] == ["unfit", "spool_unsafe"]
    assert f"chmod go-w {tmp_path}/spool" in said[2]


def test_a_spool_that_cannot_be_made_is_told(login: Callable[..., Login], tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("")
    said = login().answer()
    assert said[:2] == ["unfit", "spool_unsafe"]
    assert "not a directory" in said[2]


@pytest.mark.parametrize("cut", [0, 10, 200, 3000])
def test_an_end_in_the_middle_of_the_first_stage_is_the_end(cut: int, tmp_path: Path) -> None:
    stage = first_stage(nonce=NONCE, cluster="test", spool=str(tmp_path / "spool"))[:cut]
    said = subprocess.run(["sh", "-c", command([sys.executable])], input=stage, capture_output=True, check=True)
    assert (said.stdout, said.stderr) == (b"", b"")


def test_nothing_in_the_home_directory_is_imported(login: Callable[..., Login], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    touched = tmp_path / "touched"
    for name in ("os", "posix", "sys", "json", "zlib", "select", "sitecustomize", "usercustomize", "encodings", "re"):
        (home / f"{name}.py").write_text(f"open({str(touched)!r}, 'w').close()\n")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(home),
        "PYTHONSTARTUP": str(home / "os.py"),
        "PYTHONUSERBASE": str(home),
    }
    one = login(cwd=home, env=env)
    assert one.answer()[0] == "need"
    one.send(bundle().data)
    assert one.frame()["t"] == "hello"
    one.end()
    assert not touched.exists()


def test_nothing_of_the_connection_is_in_an_argument(login: Callable[..., Login], tmp_path: Path) -> None:
    one = login()
    one.answer()
    line = Path(f"/proc/{one.process.pid}/cmdline").read_text()
    assert NONCE not in line
    assert str(tmp_path) not in line
