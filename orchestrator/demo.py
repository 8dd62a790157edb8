"""`anyjob demo`: a site with three nodes on this machine, made for the occasion, and a tour of the command line on it.

Nothing is simulated: real SSH servers (the machine's sshd where there is one), a real Redis, the real daemon. All of
it lives in one directory and ends with the demo.
"""

import contextlib
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.setting_groups import Web
from remote.loopback import LoopbackNodes

NODES = ("db01", "web01", "web02")
_SCRIPT = """\
#!/bin/sh
# A pretended release: what a node does, it tells; the third step differs a little from node to node.
say() { printf '%s\\n' "$*"; sleep 0.${PAUSE:-4}; }
say "release $1 begins on $(uname -s) $(uname -r)"
say "free space: $(df -Pk / | awk 'NR==2 {printf "%.1f GB", $4 / 1048576}')"
case $ANYJOB_NODE in
  db*) say "taking a snapshot of the database" ;;
  *)   say "draining connections" ; say "restarting the service" ;;
esac
say "checking health: ok"
printf 'release %s done on %s\\n' "$1" "$ANYJOB_NODE"
"""
_INVENTORY = """\
# The demo's inventory: three addresses of this machine. Write your own like this one.
defaults:
  port: {port}
  user: {user}
  identity: {identity}

nodes:
{nodes}
groups:
  web:
    nodes: web[01-02]
"""
_SETTINGS = """\
# The demo's settings; `anyjob config show` tells them all.
ssh:
  known_hosts: [{known_hosts}]
remote:
  spool: {spool}
"""


@contextlib.contextmanager
def site(directory: Path) -> Iterator[Path]:
    """Start three nodes and write a site for them into `directory`; yield the site. The nodes stop with the block."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    nodes = LoopbackNodes(directory / "nodes", count=len(NODES))
    with nodes:
        place = directory / "site"
        (place / "jobs.d").mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [f"  {name}:\n    host: {host}\n" for name, host in zip(NODES, nodes.addresses, strict=True)]
        (place / "inventory.yaml").write_text(
            _INVENTORY.format(port=nodes.port, user=nodes.user, identity=_quoted(nodes.identity), nodes="".join(lines))
        )
        (place / "anyjob.yaml").write_text(
            _SETTINGS.format(known_hosts=_quoted(nodes.known_hosts), spool=_quoted(directory / "spool"))
        )
        (place / "release.sh").write_text(_SCRIPT)
        yield place


def web_port() -> int:
    """Return the usual port of the web pages, or 0 (any free one) where that is taken: a demo is never in the way."""
    usual = Web().port
    try:
        socket.create_server(("127.0.0.1", usual)).close()
    except OSError:
        return 0
    return usual


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def tour(place: Path, *, echo: "Echo") -> int:
    """Run the tour's commands on the site, each as one would type it; return the first exit code that is not 0."""
    commands = (
        ("The same script on three nodes at once, live:", ("exec", "-w", "all", "--script", "release.sh", "2.4")),
        ("One command, equal answers folded:", ("exec", "-w", "all", "-G", "--", "uname", "-sr")),
        ("Every run is kept, with all it printed:", ("history",)),
    )
    for title, words in commands:
        echo.heading(title, f"anyjob {shlex.join(words)}")
        code = anyjob(place, words)
        if code:
            return code
    return 0


def anyjob(place: Path, words: Sequence[str]) -> int:
    """Run an AnyJob command on a site, in its directory, and return its exit code."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANYJOB_")}
    command = [sys.executable, str(Path(sys.argv[0]).resolve()), "--site", str(place), *words]
    return subprocess.run(command, cwd=place, env=environment, check=False).returncode  # noqa: S603  our own words


class Echo:
    """What the demo says between its commands."""

    def __init__(self, *, colour: bool) -> None:
        self._bold, self._dim, self._plain = ("\033[1m", "\033[2m", "\033[0m") if colour else ("", "", "")

    def say(self, text: str = "") -> None:
        """Print one line."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def heading(self, text: str, command: str) -> None:
        """Print what comes, and how it is typed."""
        self.say(f"\n{self._bold}{text}{self._plain}")
        self.say(f"{self._dim}$ {command}{self._plain}")
