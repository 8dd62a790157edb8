"""Nodes on this machine's loopback addresses: for `anyjob demo`, for trying things out, and for the tests.

The machine's own `sshd` runs in the foreground as the current user, with a configuration, keys and a home directory
made for it alone; nothing of the machine's SSH set-up is read or changed. Where there is no `sshd`, a small server in
this process stands in for it (`remote/loopback_server.py`). It all ends with `stop()`, or with this process.
"""

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import asyncssh

from remote.loopback_server import LoopbackServer

_MAX_LISTEN: Final = 16  #: addresses that one sshd listens on (its MAX_LISTEN_SOCKS)
_START_S: Final = 10.0
_PRIVSEP: Final = Path("/run/sshd")  #: sshd as root wants this empty directory

#: Runs sshd in its place, and ends it when standard input ends, which is when this process does, however it dies.
_WATCHED: Final = 'exec 3<&0 </dev/null; (read -r _line <&3; kill $$) & exec 3<&-; exec "$@"'

_CONFIG: Final = """\
{extra}
Port {port}
{listen}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
X11Forwarding no
AllowAgentForwarding no
PrintMotd no
PrintLastLog no
MaxStartups 300:30:600
MaxSessions 100
LogLevel VERBOSE
SetEnv HOME={home}
"""


class LoopbackNodes:
    """SSH servers on 127.0.1.1, 127.0.1.2 and so on, all on one port; a context manager.

    Args:
        directory: for keys, configuration and log; made if need be, 0700.
        count: how many addresses.
        addresses: these instead.
        settings: lines of sshd_config that go before all others, so that they win.
        sshd: the server's program; None = look for it, "" = use the small server in this process.

    Raises:
        RuntimeError: when the servers do not start; the message has the end of their log.
    """

    def __init__(
        self,
        directory: Path,
        *,
        count: int = 3,
        addresses: Sequence[str] = (),
        settings: Sequence[str] = (),
        sshd: str | None = None,
    ) -> None:
        self.addresses = tuple(addresses) or tuple(f"127.0.{1 + n // 254}.{1 + n % 254}" for n in range(count))
        self.user = getpass.getuser()
        self.directory = directory.absolute()
        self.identity = self.directory / "id_ed25519"
        self.known_hosts = self.directory / "known_hosts"
        self.log = self.directory / "sshd.log"
        self.home = self.directory / "home"
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self.port = _free_port(self.addresses)
        self._settings = tuple(settings)
        self._running: list[subprocess.Popen[bytes]] = []
        self._server: LoopbackServer | None = None
        self._make_keys()
        program = find_sshd() if sshd is None else sshd
        try:
            if program:
                self._start_sshd(program)
            else:
                self._server = LoopbackServer(self.addresses, self.port, self.directory)
            self._wait_until_they_answer()
        except BaseException:
            self.stop()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """The listening sshd processes; none with the small server."""
        return tuple(process.pid for process in self._running)

    def stop(self) -> None:
        """End the servers and the connections that are open. Harmless when repeated."""
        sessions = [child for process in self._running for child in _sessions(process.pid)]
        for process in self._running:
            if process.stdin is not None:
                process.stdin.close()  # its watcher ends it
        for process in self._running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self._running.clear()
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_keys(self) -> None:
        keys = {}
        for name in ("host_key", self.identity.name):
            path = self.directory / name
            keys[name] = asyncssh.generate_private_key("ssh-ed25519", comment="anyjob loopback")
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(keys[name].export_private_key("openssh"))
        public = keys[self.identity.name].export_public_key().decode()
        (self.directory / "authorized_keys").write_text(public)
        host_key = " ".join(keys["host_key"].export_public_key().decode().split()[:2])
        self.known_hosts.write_text("".join(f"[{host}]:{self.port} {host_key}\n" for host in self.addresses))

    def _start_sshd(self, program: str) -> None:
        if os.geteuid() == 0 and not _PRIVSEP.exists():
            _PRIVSEP.mkdir(mode=0o755)
        extra = [*self._settings, *(["PerSourcePenalties no"] if _version(program) >= (9, 8) else [])]
        with self.log.open("wb") as log:
            for first in range(0, len(self.addresses), _MAX_LISTEN):
                config = self.directory / f"sshd_config.{first // _MAX_LISTEN}"
                config.write_text(
                    _CONFIG.format(
                        extra="\n".join(extra),
                        port=self.port,
                        listen="\n".join(f"ListenAddress {host}" for host in self.addresses[first:][:_MAX_LISTEN]),
                        directory=self.directory,
                        home=self.home,
                    )
                )
                self._running.append(_start(program, config, log.fileno()))

    def _wait_until_they_answer(self) -> None:
        limit = time.monotonic() + _START_S
        for host in self.addresses[::_MAX_LISTEN]:
            while not _greets(host, self.port):
                if time.monotonic() > limit or any(process.poll() is not None for process in self._running):
                    said = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
                    raise RuntimeError(f"no SSH server came up on {host}:{self.port}: {said.strip()}")
                time.sleep(0.02)


def find_sshd() -> str:
    """Return the absolute path of this machine's sshd (it runs itself again, so it needs one), or ""."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin:/sbin") or ""


def _start(program: str, config: Path, log: int) -> subprocess.Popen[bytes]:
    # A session of its own, so that Ctrl-C in a terminal ends those who use it first.
    return subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _WATCHED, "sh", program, "-D", "-e", "-f", str(config)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _version(program: str) -> tuple[int, int]:
    done = subprocess.run([program, "-V"], capture_output=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    found = re.search(rb"OpenSSH_(\d+)\.(\d+)", done.stderr + done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _free_port(addresses: Sequence[str]) -> int:
    """Return a port that is free on all addresses."""
    while True:
        sockets: list[socket.socket] = []
        try:
            port = 0
            for host in addresses:
                sockets.append(socket.socket())
                sockets[-1].bind((host, port))
                port = sockets[0].getsockname()[1]
        except OSError:
            continue
        else:
            return port
        finally:
            for one in sockets:
                one.close()


def _greets(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1) as sock:
            return sock.recv(4) == b"SSH-"
    except OSError:
        return False


def _sessions(pid: int) -> list[int]:
    """Return the processes that serve the connections of one sshd (its watcher is its child, too)."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [child for child in children if Path(f"/proc/{child}/comm").read_text().startswith("sshd")]
    except OSError:
        return []
