"""Another user's rights on the way to a node: real accounts, real sudo, doas and su."""

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.route import Become, Method, Route
from remote.errors import Unfit, UnfitError
from remote.push import Password
from remote.session import Ended, OutputChunk, StartSpec
from remote.transport import SshOptions, Transport
from tests.fixtures.sshd import Nodes

LOGIN, APP = "ajtlogin", "ajtapp"
PASSWORD = "canary correct horse"
RULES = Path("/etc/sudoers.d/ajt")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A node with the login user's account on it."""

    nodes: Nodes
    options: SshOptions

    def route(self, become: Become | None, *, user: str = LOGIN, python: str | None = None) -> Route:
        return Route(
            node="node01", address=self.nodes.address(user=user), become=become, python=python or "/usr/bin/python3"
        )


@pytest.fixture(scope="module")
def accounts() -> Iterator[None]:
    for name in (LOGIN, APP):
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    subprocess.run(["chpasswd"], input=f"{LOGIN}:{PASSWORD}\n{APP}:{PASSWORD} 2\n", text=True, check=True)
    yield
    for name in (LOGIN, APP):
        subprocess.run(["userdel", "--remove", "--force", name], check=True, capture_output=True)


@pytest.fixture
def place(accounts: None, start_sshd: Callable[..., Nodes]) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="ajt") as name:
        keys = Path(name) / "authorized_keys"
        nodes = start_sshd(f"AuthorizedKeysFile {keys}", "SetEnv LANG=C.UTF-8")
        shutil.copy(nodes.directory / "authorized_keys", keys)
        keys.chmod(0o644)  # sshd reads it as the account
        keys.parent.chmod(0o755)
        yield Place(nodes=nodes, options=nodes.options(spool=None, cluster="ajt"))
    shutil.rmtree("/var/lib/anyjob/ajt", ignore_errors=True)


@pytest.fixture
def sudoers() -> Iterator[Callable[..., None]]:
    def write(*lines: str) -> None:
        RULES.write_text("".join(f"{line}\n" for line in lines))
        RULES.chmod(0o440)
        subprocess.run(["visudo", "-c", "-q"], check=True)

    yield write
    RULES.unlink(missing_ok=True)


@pytest.fixture
def doas_rules() -> Iterator[Callable[[str], None]]:
    path = Path("/etc/doas.conf")
    before = path.read_bytes() if path.exists() else None

    def write(text: str) -> None:
        path.write_text(text + "\n")
        path.chmod(0o600)

    yield write
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)


def told(password: str | None) -> Password:
    async def fetch() -> str | None:
        return password

    return fetch


@contextmanager
def startup_file(text: str) -> Iterator[None]:
    """Give the login user bash, which reads this before each command that comes by SSH."""
    file = Path(pwd.getpwnam(LOGIN).pw_dir) / ".bashrc"
    file.write_text(text + "\n")
    subprocess.run(["usermod", "--shell", "/bin/bash", LOGIN], check=True)
    yield
    subprocess.run(["usermod", "--shell", "/bin/sh", LOGIN], check=True)
    file.unlink()


async def relay_user(place: Place, route: Route, *, password: Password | None = None) -> tuple[str, bytes]:
    """Return who the relay is and what `id` says in a job."""
    async with Transport(place.options) as transport:
        link = await transport.connect(route, password=password)
        await link.send(link.session.start("a.1", StartSpec(argv=["id", "-un"])))
        output = b""
        while True:
            for event in await link.receive():
                if isinstance(event, OutputChunk):
                    output += event.data
                elif isinstance(event, Ended):
                    await link.send(link.session.forget("a.1"))
                    return link.hello.user, output


async def refusal(place: Place, route: Route, *, password: Password | None = None) -> UnfitError:
    async with Transport(place.options) as transport:
        with pytest.raises(UnfitError) as caught:
            await transport.connect(route, password=password)
    assert caught.value.node == "node01"
    assert not caught.value.retryable
    assert PASSWORD not in caught.value.message
    return caught.value


SUDO, DOAS, SU = (Become(method=method) for method in Method)
SUDO_APP, DOAS_APP, SU_APP = (Become(method=method, user=APP) for method in Method)


async def test_nobody_is_become_where_nothing_says_so(place: Place) -> None:
    assert await relay_user(place, place.route(None)) == (LOGIN, f"{LOGIN}\n".encode())


async def test_sudo_without_a_password_makes_the_relay_root(place: Place, sudoers: Callable[..., None]) -> None:
    sudoers(f"{LOGIN} ALL=(ALL) NOPASSWD: ALL")
    assert await relay_user(place, place.route(SUDO)) == ("root", b"root\n")


async def test_a_rule_for_one_target_user_is_enough_for_that_user(place: Place, sudoers: Callable[..., None]) -> None:
    sudoers(f"{LOGIN} ALL=({APP}) NOPASSWD: ALL")
    assert await relay_user(place, place.route(SUDO_APP)) == (APP, f"{APP}\n".encode())
    error = await refusal(place, place.route(SUDO))
    assert error.code == "unfit:become_failed"
    assert "password" in error.message
    assert "sudo -l" in error.message


async def test_the_login_user_itself_needs_no_rule(place: Place) -> None:
    route = place.route(Become(method=Method.SUDO, user=LOGIN))
    assert (await relay_user(place, route))[0] == LOGIN


async def test_doas_gives_a_users_rights(place: Place, doas_rules: Callable[[str], None]) -> None:
    doas_rules(f"permit nopass {LOGIN} as {APP}")
    assert (await relay_user(place, place.route(DOAS_APP)))[0] == APP
    error = await refusal(place, place.route(DOAS))
    assert "the rules of doas do not let" in error.message


async def test_doas_that_wants_a_password_is_told_apart(place: Place, doas_rules: Callable[[str], None]) -> None:
    doas_rules(f"permit {LOGIN} as {APP}")
    error = await refusal(place, place.route(DOAS_APP), password=told(PASSWORD))
    assert "from terminals only" in error.message
    assert f"permit nopass {LOGIN} as {APP}" in error.message


async def test_root_becomes_anybody_by_su_even_one_without_a_shell(place: Place) -> None:
    assert (await relay_user(place, place.route(SU_APP, user="root")))[0] == APP
    subprocess.run(["usermod", "--shell", "/usr/sbin/nologin", APP], check=True)
    try:
        assert (await relay_user(place, place.route(SU_APP, user="root")))[0] == APP
    finally:
        subprocess.run(["usermod", "--shell", "/bin/sh", APP], check=True)


async def test_su_takes_the_targets_password(place: Place) -> None:
    assert (await relay_user(place, place.route(SU_APP), password=told(f"{PASSWORD} 2")))[0] == APP
    assert "does not accept the password" in (await refusal(place, place.route(SU_APP), password=told("x"))).message
    assert "was given none" in (await refusal(place, place.route(SU_APP))).message


@pytest.mark.parametrize("lecture", ["never", "always"])
async def test_sudo_gets_its_password_when_it_asks(
    place: Place, sudoers: Callable[..., None], lecture: str, tmp_path: Path
) -> None:
    long = tmp_path / "lecture"
    long.write_text("Think before you type: \n" * 1000)
    sudoers(f"Defaults lecture={lecture}, lecture_file={long}", f"{LOGIN} ALL=(ALL) ALL")
    assert await relay_user(place, place.route(SUDO), password=told(PASSWORD)) == ("root", b"root\n")


async def test_a_password_that_nobody_asks_for_is_not_fetched(place: Place, sudoers: Callable[..., None]) -> None:
    sudoers(f"{LOGIN} ALL=(ALL) NOPASSWD: ALL")

    async def forbidden() -> str | None:
        raise AssertionError

    assert (await relay_user(place, place.route(SUDO), password=forbidden))[0] == "root"


@pytest.mark.parametrize(
    ("rule", "become", "password", "words"),
    [
        ("{0} ALL=(ALL) ALL", SUDO, None, "wants a password and was given none"),
        ("{0} ALL=(ALL) ALL", SUDO, told(None), "wants a password and was given none"),
        ("{0} ALL=(ALL) ALL", SUDO, told("wrong"), "does not accept the password"),
        ("{0} ALL=(ALL) ALL", SUDO, told("two\nlines"), "does not accept the password"),
        (f"{{0}} ALL=({APP}) ALL", SUDO, told(PASSWORD), f"the rules of sudo do not let {LOGIN} become root"),
        ("Defaults requiretty\n{0} ALL=(ALL) NOPASSWD: ALL", SUDO, None, f"Defaults:{LOGIN} !requiretty"),
        ("{0} ALL=(ALL) NOPASSWD: ALL", Become(user="ajtnobody"), None, "there is no user ajtnobody there"),
    ],
)
async def test_each_refusal_of_sudo_has_its_own_words(  # noqa: PLR0917  a table
    place: Place, sudoers: Callable[..., None], rule: str, become: Become, password: Password | None, words: str
) -> None:
    sudoers(rule.format(LOGIN))
    error = await refusal(place, place.route(become), password=password)
    assert error.reason is Unfit.BECOME_FAILED
    assert words in error.message


async def test_a_node_without_sudo_is_told(place: Place) -> None:
    path = Path(pwd.getpwnam(LOGIN).pw_dir) / "bin"
    path.mkdir(exist_ok=True)
    for name in ("env", "sh"):
        (path / name).symlink_to(f"/bin/{name}")
    with startup_file(f"PATH={path}"):
        error = await refusal(place, place.route(SUDO))
    assert error.reason is Unfit.BECOME_FAILED
    assert "there is no sudo in its path" in error.message


async def test_a_login_user_without_a_shell_is_no_fault_of_sudo(place: Place, sudoers: Callable[..., None]) -> None:
    sudoers(f"{LOGIN} ALL=(ALL) NOPASSWD: ALL")
    subprocess.run(["usermod", "--shell", "/usr/sbin/nologin", LOGIN], check=True)
    try:
        error = await refusal(place, place.route(SUDO))
    finally:
        subprocess.run(["usermod", "--shell", "/bin/sh", LOGIN], check=True)
    assert error.reason is Unfit.NO_SHELL
    assert "currently not available" in error.message


async def test_an_interpreter_that_is_missing_is_told_apart_from_a_refusal(
    place: Place, sudoers: Callable[..., None]
) -> None:
    sudoers(f"Defaults secure_path={'/nowhere:/bin'}", f"{LOGIN} ALL=({APP}) NOPASSWD: ALL")
    error = await refusal(place, place.route(SUDO_APP, python="python9.99"))
    assert error.reason is Unfit.NO_PYTHON
    assert f"as {APP} by sudo, which may have another PATH" in error.message


async def test_noise_before_sudo_changes_nothing(place: Place, sudoers: Callable[..., None]) -> None:
    sudoers(f"{LOGIN} ALL=(ALL) ALL")
    with startup_file("for i in $(seq 500); do echo 'Welcome: \0AJ1 '; echo 'Password: ' >&2; done"):
        assert (await relay_user(place, place.route(SUDO), password=told(PASSWORD)))[0] == "root"


async def test_the_password_is_in_no_command_line_and_no_environment(
    place: Place, sudoers: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    sudoers(f"{LOGIN} ALL=(ALL) ALL")
    caplog.set_level("DEBUG")
    seen: list[bytes] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        seen.append((process / name).read_bytes())
                    except OSError:
                        continue

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        await relay_user(place, place.route(SUDO), password=told(PASSWORD))
    finally:
        stop.set()
        sampler.join()
    assert any(b"AnyJob-password:" in text for text in seen)
    canary = PASSWORD.encode()
    assert not any(canary in text or canary.replace(b" ", b"\0") in text for text in seen)
    assert PASSWORD not in caplog.text
    spools = [Path("/var/lib/anyjob/ajt"), Path(pwd.getpwnam(LOGIN).pw_dir)]
    files = [file for spool in spools for file in spool.rglob("*") if file.is_file()]
    assert not any(canary in file.read_bytes() for file in files)


async def test_a_program_in_sudos_place_that_echoes_the_password_does_not_get_it_into_the_error(place: Place) -> None:
    trap = Path(pwd.getpwnam(LOGIN).pw_dir) / "sudo"
    trap.write_text('#!/bin/sh\nprintf AnyJob-password: >&2\nread -r it\necho "got $it" >&2\n')
    trap.chmod(0o755)
    with startup_file('PATH="$HOME:$PATH"'):
        error = await refusal(place, place.route(SUDO), password=told(PASSWORD))
    trap.unlink()
    assert "got *****" in error.message


async def test_a_job_goes_on_when_the_connection_that_became_root_ends(
    place: Place, sudoers: Callable[..., None], tmp_path: Path
) -> None:
    sudoers("Defaults use_pty", f"{LOGIN} ALL=(ALL) NOPASSWD: ALL")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with Transport(place.options) as transport:
        link = await transport.connect(place.route(SUDO))
        await link.send(link.session.start("stay.1", StartSpec(argv=["sh", "-c", f"read x <{gate}; echo $x"])))
        await link.receive()
        await link.close()
        link = await transport.connect(place.route(SUDO))
        await link.send(link.session.tail("stay.1", 0, 0))
        gate.write_text("after\n")
        output = b""
        while b"after\n" not in output:
            for event in await link.receive():
                output += event.data if isinstance(event, OutputChunk) else b""
        await link.send(link.session.forget("stay.1"))
