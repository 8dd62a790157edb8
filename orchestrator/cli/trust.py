"""Scanning host keys for `anyjob nodes trust`: several nodes at once, compared with what the site's file knows."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.cli.invocation import Invocation
from remote import hostkeys
from remote.knownhosts import Entry, HostKey, KnownHosts

_AT_ONCE: Final = 16
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one node shows, and what is known of it."""

    node: str
    host: str
    port: int
    keys: tuple[HostKey, ...]
    known: tuple[Entry, ...]
    problem: str = ""  #: why there are no keys

    @property
    def fresh(self) -> list[HostKey]:
        """The keys that are not known yet."""
        known = {entry.key for entry in self.known}
        return [key for key in self.keys if key not in known]

    @property
    def changed(self) -> list[HostKey]:
        """The keys of a kind of which another one is known."""
        return [key for key in self.fresh if self._other(key)]

    def verdict(self, key: HostKey) -> tuple[str, tuple[str, ...]]:
        """Return a key's state and its colours."""
        if key not in self.fresh:
            return "known", ("green",)
        return ("CHANGED", ("red", "bold")) if self._other(key) else ("new", ("yellow",))

    def note(self, key: HostKey) -> str:
        """Return which other key is known in a key's place."""
        other = self._other(key) if key in self.fresh else []
        return f"KNOWN IS {other[0].key.fingerprint} at {other[0].place}" if other else ""

    def fields(self) -> dict[str, Any]:
        """Return the finding for `--output json`."""
        keys = [
            {"kind": key.algorithm, "fingerprint": key.fingerprint, "state": self.verdict(key)[0].lower()}
            for key in self.keys
        ]
        return {"node": self.node, "host": self.host, "port": self.port, "keys": keys, "problem": self.problem or None}

    def _other(self, key: HostKey) -> list[Entry]:
        return [entry for entry in self.known if entry.key.algorithm == key.algorithm and entry.key != key]


def known_hosts_file(invocation: Invocation) -> Path:
    """Return the file that trusted keys are written to: the first of the setting `ssh.known_hosts`."""
    return Path(invocation.settings().ssh.known_hosts[0])


def scan(nodes: Sequence[Mapping[str, Any]], file: Path) -> list[Finding]:
    """Ask every node for its keys. A node behind a jump host cannot be asked from here, and says so."""
    known = KnownHosts([file])
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda node: _scan(node, known), nodes))


def store(findings: Sequence[Finding], file: Path, *, replace: bool) -> None:
    """Write the keys of these nodes. Raises ChangedKeyError unless `replace`."""
    for finding in findings:
        hostkeys.trust(file, finding.host, finding.port, finding.keys, replace=replace)


def _scan(node: Mapping[str, Any], known: KnownHosts) -> Finding:
    host, port = node["host"], node["port"]
    keys: tuple[HostKey, ...] = ()
    problem = ""
    if node["jump"]:
        problem = "behind a jump host: scan it from there, with ssh-keyscan, and add the line to known_hosts"
    else:
        try:
            keys = tuple(hostkeys.scan(host, port, _PATIENCE_S))
        except hostkeys.ScanError as error:
            problem = str(error)
    entries = tuple(entry for entry in known.lookup(host, port) if not entry.marker)
    return Finding(node=node["name"], host=host, port=port, keys=keys, known=entries, problem=problem)
