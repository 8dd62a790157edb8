"""Reads an Ansible inventory in INI form; a plain list of hosts is one without sections.

    db1 ansible_host=10.0.0.9            a host and its variables
    [web]                                a group
    web[01:20]:2222                      a range, with a port
    [web:vars]                           variables of the group
    [europe:children]                    groups in a group

Lines of a list may also be `user@host`, and ranges may be written as `web[01-20]`.
"""

import ast
import math
import re
import shlex
import warnings
from pathlib import Path
from typing import Any, Final

from inventory.ansible_vars import Place, take, take_group
from inventory.ansible_yaml import names
from inventory.draft import Draft, Setting
from inventory.fields import PORTS, group_error, shown, user_error
from inventory.nodeset import RangeError, expand
from inventory.problems import did_you_mean

_SECTION: Final = re.compile(r"\[([^:\]]*)(?::([^\]]*))?\]\s*(?:[#;].*)?")
_KINDS: Final = ("children", "vars")
_PORT: Final = re.compile(r"(.*[^:]):([0-9]+)")
_LITERAL_START: Final = frozenset("'\"[{(-+.0123456789")
_MAX_LITERAL: Final = 10_000  #: characters; keeps Python's parser from deep nesting


def read(text: str, file: str) -> Draft:
    """Read the text of a file; mistakes are in the draft's `problems`."""
    reader = _Reader(file)
    for number, line in enumerate(text.split("\n"), 1):
        reader.line(line.strip(), number)
    reader.refuse_undeclared()
    return reader.draft


class _Reader:
    def __init__(self, file: str) -> None:
        self.draft = Draft()
        self._file = file
        self._base = Path(file).absolute().parent
        self._group = "ungrouped"
        self._kind: str | None = None
        self._declared = {"all", "ungrouped"}
        self._mentioned: dict[str, Place] = {}

    def refuse_undeclared(self) -> None:
        """A group that only a `:vars` section or a `:children` section mentions is a spelling mistake."""
        for name, place in self._mentioned.items():
            if name not in self._declared:
                place.problem(f"there is no group {shown(name)}", did_you_mean(name, self._declared))

    def line(self, line: str, number: int) -> None:
        if not line or line[0] in "#;":
            return
        place = Place(draft=self.draft, file=self._file, line=number, field="", base=self._base)
        section = _SECTION.fullmatch(line)
        if section:
            self._section(section[1].strip(), section[2], place)
        elif self._kind == "vars":
            self._variable(line, place)
        elif self._kind == "children":
            self._child(line.partition("#")[0].strip(), place)
        else:
            self._host(line, place)

    def _section(self, name: str, kind: str | None, place: Place) -> None:
        self._group, self._kind = name, kind.strip() if kind else None
        mistake = group_error(name)
        if mistake:
            place.problem(mistake)
        if self._kind is not None and self._kind not in _KINDS:
            hint = did_you_mean(self._kind, _KINDS) or "a section is [group], [group:children] or [group:vars]"
            place.problem(f"unknown kind of section {shown(self._kind)}", hint)
        self.draft.group(name, place.origin)
        if self._kind == "vars":
            self._mentioned.setdefault(name, place)
        else:
            self._declared.add(name)

    def _variable(self, line: str, place: Place) -> None:
        key, equals, value = line.partition("=")
        key = key.strip()
        if not equals or not key:
            place.problem(f"{shown(line)} is not of the form key=value")
            return
        inner = _at(place, f"{self._group}.{key}")
        take_group(self.draft.groups[self._group], key, _literal(value.strip()), inner)

    def _child(self, name: str, place: Place) -> None:
        mistake = group_error(name)
        if mistake:
            place.problem(mistake)
            return
        self._mentioned.setdefault(name, place)
        self.draft.group(name, place.origin)
        self.draft.groups[self._group].children[name] = place.origin

    def _host(self, line: str, place: Place) -> None:
        try:
            pattern, *words = shlex.split(line, comments=True)
        except ValueError as error:
            place.problem(f"{shown(line)}: {error}")
            return
        user, port, pattern = self._address(pattern, place)
        group = self.draft.group(self._group, place.origin)
        for name in _expanded(pattern, place):
            group.members[name] = place.origin
            fields = self.draft.node(name, place.origin)
            if user:
                fields["user"] = Setting(user, place.origin)
            if port:
                fields["port"] = Setting(port, place.origin)
            for word in words:
                key, equals, value = word.partition("=")
                if equals and key:
                    take(fields, key, _literal(value), _at(place, f"{name}.{key}"))
                else:
                    place.problem(
                        f"expected key=value after the host, found {shown(word)}", "quote a value with spaces"
                    )

    def _address(self, pattern: str, place: Place) -> tuple[str | None, int | None, str]:
        """Split `user@host:port`; colons in brackets belong to a range."""
        user, at, rest = pattern.rpartition("@")
        mistake = user_error(user) if at else None
        if mistake:
            place.problem(mistake)
        match = _PORT.fullmatch(rest)
        if match is None or ":" in re.sub(r"\[[^\]]*\]", "", match[1]):
            return user or None, None, rest
        if not PORTS[0] <= int(match[2][:9]) <= PORTS[1]:
            place.problem(f"the port {match[2][:9]} is not from {PORTS[0]} to {PORTS[1]}")
            return user or None, None, match[1]
        return user or None, int(match[2]), match[1]


def _expanded(pattern: str, place: Place) -> list[str]:
    if "[" in pattern and ":" not in pattern:
        try:
            return [name for one in expand(pattern) for name in names(one, place)]
        except RangeError as error:
            place.problem(f"{shown(pattern)}: {error}")
            return []
    return names(pattern, place)


def _at(place: Place, field: str) -> Place:
    return Place(draft=place.draft, file=place.file, line=place.line, field=field, base=place.base)


def _literal(text: str) -> Any:
    """Read a value as Ansible does: a Python literal where it is one, else text. Only what JSON can say stays."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    if not text or text[0] not in _LITERAL_START or len(text) > _MAX_LITERAL:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in the text of others
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text
    return value if _is_plain(value) else text


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
