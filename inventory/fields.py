"""What the fields of a node may hold. Each check gives the mistake as text, or None.

Names, addresses and users end up in command lines, file names, keys and on screens, so they are held to small
alphabets: no control characters, no leading dash, no path separators, nothing that changes the writing direction.
"""

import ipaddress
import re
from pathlib import Path
from typing import Final, NamedTuple

RESERVED: Final = frozenset({"all"})  #: the target that means every node
PORTS: Final = (1, 65535)
MAX_JOBS: Final = (1, 100_000)
ORDERS: Final = (-1_000_000, 1_000_000)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_GROUP: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@\\+$-]{0,127}")
_PYTHON: Final = re.compile(r"[A-Za-z0-9_/~][A-Za-z0-9._/+~-]{0,511}")
_LABEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,252}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]")
_HOP: Final = re.compile(r"(?:(?P<user>[^@]*)@)?(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?")


def name_error(name: str) -> str | None:
    """Say what is wrong with the name of a node."""
    if name in RESERVED:
        return f"the name {name!r} means every node and cannot be a node's own"
    if _NAME.fullmatch(name):
        return None
    return f"{shown(name)} cannot be a node's name: letters, digits, '.', '_' and '-', the first a letter or digit"


def group_error(name: str) -> str | None:
    """Say what is wrong with the name of a group."""
    if _GROUP.fullmatch(name):
        return None
    return f"{shown(name)} cannot be a group's name: letters, digits, '.', '_' and '-', the first not '.' or '-'"


def host_error(host: str) -> str | None:
    """Say what is wrong with an address: a DNS name, an IPv4 or an IPv6 literal (without brackets)."""
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            return f"{shown(host)} is neither a host name nor an IPv6 address; a port goes into the field port"
        zone = address.scope_id
        return None if zone is None or _HOST.fullmatch(zone) else f"{shown(host)} has an unusable zone"
    if _HOST.fullmatch(host):
        return None
    return f"{shown(host)} is not a host name or an address"


def user_error(user: str) -> str | None:
    """Say what is wrong with a login user."""
    return None if _USER.fullmatch(user) else f"{shown(user)} is not a user name"


def python_error(python: str) -> str | None:
    """Say what is wrong with an interpreter: an absolute path, or a name that is looked up on the node."""
    return None if _PYTHON.fullmatch(python) else f"{shown(python)} is not a path of an interpreter"


def label_error(key: str) -> str | None:
    """Say what is wrong with the key of a label."""
    return None if _LABEL.fullmatch(key) else f"{shown(key)} cannot be a label's key"


def text_error(text: str) -> str | None:
    """Say that a text for people or a label's value has control characters or is too long (1,000 characters)."""
    if len(text) > 1000:
        return "is longer than 1000 characters"
    return f"{shown(text)} has control characters" if _CONTROL.search(text) else None


class Hop(NamedTuple):
    """One machine as `jump` names it: a node of the inventory or an address."""

    host: str
    port: int | None
    user: str | None


def parse_hops(text: str) -> tuple[Hop, ...]:
    """Read `[user@]host[:port]` with commas between several; `none` = no hop. IPv6 addresses stand in brackets.

    Raises:
        ValueError: One of them is not of that form; the text says which.
    """
    if text.strip() in ("", "none"):
        return ()
    return tuple(parse_hop(part.strip()) for part in text.split(","))


def parse_hop(text: str) -> Hop:
    """Read one `[user@]host[:port]`, or raise `ValueError`."""
    match = _HOP.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not of the form [user@]host[:port]")
    host = match["v6"] if match["v6"] is not None else match["host"]
    port = int(match["port"]) if match["port"] else None
    mistake = host_error(host) or (user_error(match["user"]) if match["user"] is not None else None)
    if mistake is None and port is not None and not PORTS[0] <= port <= PORTS[1]:
        mistake = f"the port {port} is not from {PORTS[0]} to {PORTS[1]}"
    if mistake:
        raise ValueError(mistake)
    return Hop(host, port, match["user"])


def absolute_path(text: str, base: Path) -> str:
    """Give the absolute path of a key or another file: `~` is the home, anything relative stands in `base`.

    Raises:
        ValueError: Empty, with control characters, or the home of an unknown user.
    """
    if not text or text_error(text):
        raise ValueError(f"{shown(text)} is not a path")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"the home directory in {shown(text)} is not known") from error
    return str(Path(base.absolute(), path))


def shown(text: str) -> str:
    """Quote hostile text for a message: escapes instead of control characters, and not more than 80 characters."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
