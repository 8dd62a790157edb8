"""What Ansible's variables mean for us: connection variables become fields, the others stay variables.

Templates are never evaluated: in a connection variable they are a mistake, elsewhere they are plain text. Passwords are
left out with a warning, so that they do not travel to screens and logs.
"""

import re
import shlex
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inventory.become import truth
from inventory.draft import Draft, DraftGroup, Fields, Setting
from inventory.fields import (
    PORTS,
    absolute_path,
    host_error,
    parse_hops,
    python_error,
    shown,
    user_error,
)
from inventory.model import Origin
from inventory.problems import InvalidFilesError, Problem
from inventory.route import Method
from inventory.yamlfile import Value
from inventory.yamlfile import read as read_yaml

TAGS: Final = frozenset({"!vault", "!unsafe"})
_SUFFIXES: Final = ("", ".yml", ".yaml", ".json")

_MEANING: Final[Mapping[str, str]] = {
    "ansible_host": "host",
    "ansible_ssh_host": "host",
    "ansible_port": "port",
    "ansible_ssh_port": "port",
    "ansible_user": "user",
    "ansible_ssh_user": "user",
    "ansible_private_key_file": "identity",
    "ansible_ssh_private_key_file": "identity",
    "ansible_python_interpreter": "python",
    "ansible_ssh_common_args": "jump",
    "ansible_ssh_extra_args": "jump",
    "ansible_become": "become.on",
    "ansible_become_method": "become.method",
    "ansible_become_user": "become.user",
}
_SECRET: Final = re.compile(r"ansible_(ssh_|become_|sudo_|su_)?(pass|password|private_key_passphrase)")
_TEMPLATE: Final = re.compile(r"\{\{|\{%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where variables stand: the file and its directory, the line, and the path that problems show."""

    draft: Draft
    file: str
    line: int | None
    column: int | None = None
    field: str
    base: Path  #: what relative names of files are relative to

    @property
    def origin(self) -> Origin:
        """The place as an origin."""
        return Origin(self.file, self.line)

    def problem(self, message: str, hint: str = "") -> None:
        """Record a mistake here."""
        self.draft.problems.append(self._tell(message, hint))

    def warning(self, message: str, hint: str = "") -> None:
        """Record what is left out here."""
        self.draft.warnings.append(self._tell(message, hint))

    def _tell(self, message: str, hint: str) -> Problem:
        return Problem(file=self.file, line=self.line, column=self.column, field=self.field, message=message, hint=hint)


def take(fields: Fields, key: str, value: Any, place: Place) -> None:
    """Add one variable to the fields of a node or of a group."""
    if _SECRET.fullmatch(key):
        place.warning("passwords are not used and were left out", "log in with a key")
        return
    if key == "ansible_connection" and str(value) not in ("ssh", "smart", "paramiko", "paramiko_ssh"):
        place.warning(f"the connection {shown(str(value))} is not supported: the node is reached by SSH")
        return
    if key not in _MEANING:
        fields[f"vars.{key}"] = Setting(value, place.origin)
        return
    if value is None or value == "":
        return
    text = str(value)
    if isinstance(value, list | dict) or (isinstance(value, bool) and key != "ansible_become"):
        place.problem(f"expected text, found {type(value).__name__}")
    elif _TEMPLATE.search(text):
        place.problem(f"{shown(text)} is a template, and templates are not evaluated", "write the value itself")
    else:
        _take_connection(fields, _MEANING[key], text, place)


def take_group(group: DraftGroup, key: str, value: Any, place: Place, *, late: bool = False) -> None:
    """Add one variable to a group; `late` for those of `group_vars/`."""
    if key == "ansible_group_priority" and str(value).lstrip("-").isdecimal():
        group.priority = int(str(value)[:9])
        return
    take(group.late_fields if late else group.fields, key, value, place)


def _take_connection(fields: Fields, name: str, text: str, place: Place) -> None:
    if name == "jump":
        jump = _jump(text, place)
        if jump:
            fields["jump"] = Setting(jump, place.origin)
        return
    if name == "python" and text.startswith("auto"):
        return
    if name == "become.method" and text not in set(Method):
        place.warning(f"the method {shown(text)} is not supported, so nobody is become", f"use {', '.join(Method)}")
        fields[name] = Setting(None, place.origin)
        return
    try:
        fields[name] = Setting(_READ[name](text, place.base), place.origin)
    except ValueError as error:
        place.problem(str(error))


def _checked(check: Callable[[str], str | None]) -> Callable[[str, Path], str]:
    def read(text: str, _base: Path) -> str:
        mistake = check(text)
        if mistake:
            raise ValueError(mistake)
        return text

    return read


def _port(text: str, _base: Path) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not PORTS[0] <= int(text) <= PORTS[1]:
        raise ValueError(f"expected a port from {PORTS[0]} to {PORTS[1]}, found {shown(text)}")
    return int(text)


def _identity(text: str, base: Path) -> tuple[str, ...]:
    return (absolute_path(text, base),)


_READ: Final[Mapping[str, Callable[[str, Path], Any]]] = {
    "host": _checked(host_error),
    "port": _port,
    "user": _checked(user_error),
    "python": _checked(python_error),
    "identity": _identity,
    "become.on": lambda text, _: truth(text),
    "become.method": lambda text, _: Method(text),
    "become.user": _checked(user_error),
}


def _jump(text: str, place: Place) -> tuple[str, ...]:
    """Find `-J hops` and `-o ProxyJump=hops`; all other options of ssh are left out with a warning."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        place.problem(f"{shown(text)}: {error}")
        return ()
    found, ignored = "", []
    while words:
        word = words.pop(0)
        option = word[2:] or (words.pop(0) if words else "") if word[:2] in ("-J", "-o") else ""
        key, _, value = option.replace(" ", "=", 1).partition("=")
        if word.startswith("-J"):
            found = option
        elif word.startswith("-o") and key.lower() == "proxyjump":
            found = value
        else:
            ignored.append(f"-o {option}" if option else word)
    if ignored:
        place.warning(f"options of ssh that are not used: {shown(' '.join(ignored))}")
    try:
        return tuple(hop.strip() for hop in found.split(",")) if parse_hops(found) else ()
    except ValueError as error:
        place.problem(f"ProxyJump: {error}")
        return ()


def read_directories(base: Path, draft: Draft) -> None:
    """Read `group_vars/` and `host_vars/` of a directory, for the groups and nodes that the draft has."""
    for path, name in _entries(base / "group_vars", {"all", *draft.groups}):
        group = draft.group(name, Origin(str(path), None))
        for key, value, place in _variables(path, draft):
            take_group(group, key, value, place, late=True)
    for path, name in _entries(base / "host_vars", draft.nodes):
        for key, value, place in _variables(path, draft):
            take(draft.nodes[name], key, value, place)


def _entries(directory: Path, known: Container[str]) -> list[tuple[Path, str]]:
    if not directory.is_dir():
        return []
    entries = []
    for path in sorted(directory.iterdir()):
        if path.name in known:
            inner = sorted(path.rglob("*")) if path.is_dir() else []
            files = [file for file in inner if file.is_file() and _is_variables_file(file)] if inner else [path]
            entries += [(file, path.name) for file in files if file.is_file()]
        elif path.stem in known and path.is_file() and _is_variables_file(path):
            entries.append((path, path.stem))
    return entries


def _is_variables_file(path: Path) -> bool:
    return not path.name.startswith(".") and not path.name.endswith("~") and path.suffix in _SUFFIXES


def _variables(path: Path, draft: Draft) -> list[tuple[str, Any, Place]]:
    try:
        document = read_yaml(path, tags=TAGS)
    except InvalidFilesError as error:
        draft.problems += error.problems
        return []
    if isinstance(document.root.content, dict):
        return yaml_variables(document.root, "", str(path), draft)
    if document.root.content is not None:
        message = f"expected a mapping of variables, found {document.root.kind}"
        draft.problems.append(Problem(file=str(path), line=document.root.line, message=message))
    return []


def yaml_variables(value: Value, field: str, file: str, draft: Draft) -> list[tuple[str, Any, Place]]:
    """Give the variables of a YAML mapping with their places; encrypted ones are left out with a warning."""
    variables = []
    content = value.content if isinstance(value.content, dict) else {}
    for key, item in content.items():
        path = f"{field}.{key}" if field else key
        place = Place(
            draft=draft, file=file, line=item.line, column=item.column, field=path, base=Path(file).absolute().parent
        )
        if item.tag == "!vault":
            place.warning("an encrypted value was left out", "AnyJob does not open Ansible's vault")
        else:
            variables.append((key, item.plain(), place))
    return variables
