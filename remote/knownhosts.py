"""Which host keys are trusted: the known_hosts files of OpenSSH (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"), as data.

All files count together, as in OpenSSH; `@revoked` in any of them wins. A line is split when its file is read, and its
key is decoded only when its host is asked for, so that a file with 100,000 lines costs no connection anything.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Marker = Literal["", "@cert-authority", "@revoked"]

_PATTERN: Final = re.compile(r"[*?!]")
_MAX_BYTES: Final = 64 << 20  #: of one file; a device or a mistake, not a known_hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A public host key. Two of them are equal when they are the same key."""

    algorithm: str  #: for example `ssh-ed25519`
    blob: bytes  #: the key in SSH's wire format (RFC 4253, section 6.6)

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` and the `ssh` program show."""
        return fingerprint(self.blob)

    @property
    def text(self) -> str:
        """The key as it stands in a file."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a file, for the hosts that it names."""

    file: Path
    line: int  #: 1-based
    marker: Marker
    key: HostKey

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.file}:{self.line}"


def fingerprint(blob: bytes) -> str:
    """Return the SHA-256 fingerprint of a public key as OpenSSH writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def address(host: str, port: int) -> str:
    """Return how known_hosts names a server: `host`, or `[host]:port` off the standard port."""
    return host if port == 22 else f"[{host}]:{port}"


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    marker: Marker
    hosts: str
    data: str


class _File:
    """One parsed file: exact names in a dictionary, the rest in a list."""

    def __init__(self, text: str) -> None:
        self._exact: dict[str, list[_Line]] = defaultdict(list)
        self._others: list[_Line] = []
        for number, raw in enumerate(text.splitlines(), 1):
            line = _split(number, raw)
            if line is None:
                continue
            if line.hosts.startswith("|") or _PATTERN.search(line.hosts):
                self._others.append(line)
            else:
                for host in line.hosts.lower().split(","):
                    self._exact[host].append(line)

    def find(self, name: str) -> Iterator[_Line]:
        yield from self._exact.get(name, ())
        yield from (line for line in self._others if _names(line.hosts, name))


class KnownHosts:
    """Several known_hosts files, read again when they change."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = tuple(files)
        self._parsed: dict[Path, tuple[tuple[int, int, int], _File]] = {}

    def lookup(self, host: str, port: int) -> Sequence[Entry]:
        """Return what the files say about a server, the first file first.

        The server goes by the host that the inventory gives it, never by the address that this resolves to: a name
        that is made to resolve to another machine's address would be trusted with that machine's key.
        A key that is known for the host without a port counts for a non-standard port, too, when the port itself is
        not known; so do OpenSSH and its users' files.
        """
        found = list(self.named(address(host.lower(), port)))
        if port != 22 and not any(entry.marker != "@revoked" for entry in found):
            found += self.lookup(host, 22)
        return list(dict.fromkeys(found))

    def named(self, name: str) -> Sequence[Entry]:
        """Return the lines that name exactly this server (see `address`), plainly, hashed or by a pattern."""
        found = ((file, line, parse_key(line.data)) for file in self.files for line in self._read(file).find(name))
        return [
            Entry(file=file, line=line.number, marker=line.marker, key=key)
            for file, line, key in found
            if key is not None
        ]

    def _read(self, path: Path) -> _File:
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return _File("")
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        cached = self._parsed.get(path)
        if cached is None or cached[0] != stamp:
            with path.open("rb") as stream:
                text = stream.read(_MAX_BYTES).decode("utf-8", "replace")
            cached = self._parsed[path] = (stamp, _File(text))
        return cached[1]


def parse_key(data: str) -> HostKey | None:
    """Return the key in `algorithm base64 comment`, or None when there is none (OpenSSH skips such a line, too)."""
    words = data.split(None, 2)
    if len(words) < 2:
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    # The blob repeats the algorithm, with its length before it: what disagrees was damaged.
    name = words[0].encode()
    if blob[: 4 + len(name)] != len(name).to_bytes(4, "big") + name:
        return None
    return HostKey(algorithm=words[0], blob=blob)


def _split(number: int, raw: str) -> _Line | None:
    line = raw.strip()
    if not line or line.startswith("#"):
        return None
    marker: Marker = ""
    if line.startswith("@"):
        word, _, line = line.partition(" ")
        if word == "@cert-authority":
            marker = "@cert-authority"
        elif word == "@revoked":
            marker = "@revoked"
        else:
            return None
    hosts, _, data = line.strip().partition(" ")
    return _Line(number, marker, hosts, data) if data else None


def _names(hosts: str, name: str) -> bool:
    """Whether the first field of a line (hashed, or a list of patterns) names this server."""
    if hosts.startswith("|"):
        return _hash_matches(hosts, name)
    patterns = hosts.lower().split(",")
    if any(pattern.startswith("!") and _glob(pattern[1:], name) for pattern in patterns):
        return False
    return any(not pattern.startswith("!") and _glob(pattern, name) for pattern in patterns)


def _hash_matches(hosts: str, name: str) -> bool:
    try:
        _, magic, salt, digest = hosts.split("|")
        made = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return magic == "1" and hmac.compare_digest(made, base64.b64decode(digest))
    except (ValueError, binascii.Error):
        return False


def _glob(pattern: str, name: str) -> bool:
    """Match with `*` and `?` alone: brackets stand for themselves, they belong to `[host]:port`."""
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None
