"""Where the bench runs: an sshd of its own on loopback addresses, site directories, and the programs that it starts.

All tools meet the same server with the same algorithms (the server allows only these), a clean home directory and a
login shell without start-up files.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from orchestrator.client import Client, DaemonAbsentError
from remote.loopback import LoopbackNodes
from tests.bench.measure import TreeMemory, children

ROOT: Final = Path(__file__).parents[2]
ANYJOB: Final = Path(sys.executable).with_name("anyjob")
KEX: Final = "curve25519-sha256"
CIPHER: Final = "aes128-gcm@openssh.com"
_SETTINGS: Final = ("LogLevel ERROR", f"KexAlgorithms {KEX}", f"Ciphers {CIPHER}", "HostKeyAlgorithms ssh-ed25519")
_LINE: Final = b"%08d the quick brown fox jumps over the lazy dog, and again and again until 100 bytes are full ...\n"
_START_S: Final = 20.0

_SSH_CONFIG: Final = """\
Host *
  Port {port}
  User {user}
  IdentityFile {identity}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  Compression no
  PreferredAuthentications publickey
  GSSAPIAuthentication no
  KexAlgorithms {kex}
  Ciphers {cipher}
  HostKeyAlgorithms ssh-ed25519
"""
_MASTER: Final = """\
  ControlMaster auto
  ControlPath {directory}/c-%h
  ControlPersist 120
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program ended that was run to its end."""

    wall_s: float
    cpu_s: float  #: its own and that of the children it waited for
    peak_mb: float  #: of it and its descendants, added up
    out: bytes
    digest: str  #: sha256 of what it printed


class Testbed:
    """The nodes and a directory; a context manager that ends all that it started.

    Args:
        directory: a short path (it holds sockets), private to the bench.
        count: how many nodes.
        flood_bytes: size of the file that jobs print.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    def __init__(self, directory: Path, *, count: int, flood_bytes: int) -> None:
        self.directory = directory
        self.nodes = LoopbackNodes(directory / "ssh", count=count, settings=_SETTINGS)
        self.ssh_config = self._ssh_config("ssh_config", "")
        self.master_config = self._ssh_config("ssh_config.master", _MASTER)
        self.clush = shutil.which("clush", path=f"{ANYJOB.parent}:{os.environ.get('PATH', os.defpath)}")
        self._floods: dict[int, tuple[Path, str]] = {}
        self.flood_bytes = flood_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.nodes.stop()

    def addresses(self, count: int) -> tuple[str, ...]:
        """Return the first addresses."""
        return self.nodes.addresses[:count]

    def flood(self, size: int) -> tuple[Path, str]:
        """Return a file of that many bytes in lines of 100, and its sha256."""
        if size not in self._floods:
            path = self.directory / f"flood.{size}"
            digest = hashlib.sha256()
            with path.open("wb") as file:
                for start in range(0, size // 100, 10_000):
                    lines = b"".join(_LINE % number for number in range(start, min(start + 10_000, size // 100)))
                    file.write(lines)
                    digest.update(lines)
            self._floods[size] = path, digest.hexdigest()
        return self._floods[size]

    def close_masters(self) -> None:
        """End the connections that `ssh` keeps open behind `master_config`."""
        for path in self.directory.glob("c-*"):
            host = path.name.removeprefix("c-")
            run(["ssh", "-F", str(self.master_config), "-O", "exit", host], check=False)

    def _ssh_config(self, name: str, more: str) -> Path:
        nodes, path = self.nodes, self.directory / name
        fields = {"port": nodes.port, "user": nodes.user, "identity": nodes.identity, "known_hosts": nodes.known_hosts}
        path.write_text((_SSH_CONFIG + more).format(**fields, kex=KEX, cipher=CIPHER, directory=self.directory))
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """The sites of a bench."""

    live: "Site"  #: gets a daemon
    lone: "Site"  #: never has one
    memory: "Site"  #: gets a daemon; the nodes' spools are in memory


class Site:
    """A site directory on the testbed's nodes, with a daemon or without.

    All nodes keep their spools in one folder, for they are one machine: they share its disk and the spool's lock.
    """

    def __init__(self, bed: Testbed, name: str, *, spool: Path | None = None) -> None:
        self.directory = bed.directory / name
        self.directory.mkdir(mode=0o700)
        self.socket = self.directory / ".anyjob" / "anyjob.sock"
        self._daemon: subprocess.Popen[bytes] | None = None
        nodes = bed.nodes
        (self.directory / "anyjob.yaml").write_text(
            f"ssh:\n  known_hosts: ['{nodes.known_hosts}']\n  max_connections: 1000\n"
            f"remote:\n  spool: '{spool or self.directory / 'spool'}'\n"
        )
        lines = [f"  n{number:03d}: {{host: {host}}}\n" for number, host in enumerate(nodes.addresses, 1)]
        defaults = f"defaults: {{port: {nodes.port}, user: {nodes.user}, identity: '{nodes.identity}'}}\n"
        (self.directory / "inventory.yaml").write_text(defaults + "nodes:\n" + "".join(lines))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """The daemon and its Redis; none without a daemon."""
        return (self._daemon.pid, *children(self._daemon.pid)) if self._daemon else ()

    def command(self, *words: str) -> list[str]:
        """Return a command line."""
        return [str(ANYJOB), "--site", str(self.directory), *words]

    def restart(self) -> None:
        """Stop the daemon if there is one, and start a new one, which has no connection to any node."""
        self.stop()
        with (self.directory / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                self.command("daemon"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        limit = time.monotonic() + _START_S
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > limit:
                raise RuntimeError((self.directory / "daemon.log").read_text()[-2000:])
            time.sleep(0.01)

    def renew(self) -> None:
        """Forget all runs and start a new daemon: Redis keeps the output of ended jobs for a while."""
        self.stop()
        shutil.rmtree(self.socket.parent, ignore_errors=True)
        self.restart()

    def _answers(self) -> bool:
        try:
            Client.connect(self.socket).close()
        except DaemonAbsentError:
            return False
        return True

    def stop(self) -> None:
        """Stop the daemon, and its Redis with it."""
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGTERM)
            try:
                self._daemon.wait(_START_S)
            except subprocess.TimeoutExpired:
                for pid in (*children(self._daemon.pid), self._daemon.pid):
                    os.kill(pid, signal.SIGKILL)
                self._daemon.wait()
            self._daemon = None


def environment() -> dict[str, str]:
    """Return our environment without what would change how the tools behave."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANYJOB_", "SSH_", "CLUSTERSHELL"))
    }
    return kept | {"NO_COLOR": "1", "PYTHONPATH": str(ROOT)}


def run(command: Sequence[str], *, check: bool = True) -> Finished:
    """Run a program to its end and measure it.

    Raises:
        RuntimeError: it failed; the message has the end of what it said.
    """
    digest, pieces, size = hashlib.sha256(), [], 0
    began = time.perf_counter()
    with ExitStack() as stack:
        errors = stack.enter_context(_Errors())
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors.file, env=environment()
        )
        assert process.stdout is not None
        with TreeMemory(process.pid) as memory:
            while piece := os.read(process.stdout.fileno(), 1 << 20):
                digest.update(piece)
                size += len(piece)
                if size <= 1 << 20:
                    pieces.append(piece)
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode and check:
            raise RuntimeError(f"{command[:6]} exited with {process.returncode}: {errors.text()}")
    cpu = usage.ru_utime + usage.ru_stime
    out = b"".join(pieces)
    return Finished(wall_s=wall, cpu_s=cpu, peak_mb=memory.peak_mb, out=out, digest=digest.hexdigest())


class _Errors:
    """Standard error of a program, kept for the message."""

    def __enter__(self) -> Self:
        fd = os.memfd_create("stderr")
        self.file = os.fdopen(fd, "w+b")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def text(self) -> str:
        self.file.seek(0)
        return self.file.read()[-1000:].decode(errors="replace")
