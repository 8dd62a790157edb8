"""Reads what an Ansible inventory program prints: groups with hosts, children, vars, and `_meta.hostvars`."""

import json
import math
from pathlib import Path
from typing import Any, Final, NoReturn

from inventory.ansible_vars import Place, take, take_group
from inventory.draft import Draft
from inventory.fields import group_error, name_error, shown
from inventory.problems import InvalidFilesError, Problem

MAX_BYTES: Final = 64 << 20  #: 100,000 hosts with 600 bytes of variables each
_MAX_DEPTH: Final = 32
_KEYS: Final = frozenset({"hosts", "children", "vars"})


def decode(data: bytes, file: str) -> dict[str, Any]:
    """Decode JSON strictly: UTF-8, no NaN or infinity, no duplicate keys, nested 32 levels deep at most, an object.

    Raises:
        InvalidFilesError: It is something else.
    """
    try:
        return _decode(data)
    except json.JSONDecodeError as error:
        problem = Problem(file=file, line=error.lineno, column=error.colno, message=f"is not JSON: {error.msg}")
    except UnicodeDecodeError as error:
        problem = Problem(file=file, message=f"byte 0x{data[error.start]:02x} is not UTF-8")
    except RecursionError:
        problem = Problem(file=file, message=f"is nested deeper than {_MAX_DEPTH} levels")
    except ValueError as error:
        problem = Problem(file=file, message=str(error)[:200])
    raise InvalidFilesError([problem])


def _decode(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        _refuse(f"is larger than {MAX_BYTES} bytes")
    text = data.decode("utf-8-sig")
    value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float)
    _check(value, 1)
    if not isinstance(value, dict):
        _refuse("is not a JSON object")
    return value


def looks_like(top: dict[str, Any]) -> bool:
    """Whether this is what a program prints, and not an inventory of another kind that is written as JSON."""
    if "_meta" in top:
        return True
    return any(top.values()) and all(
        isinstance(group, list)
        or (
            isinstance(group, dict)
            and _KEYS.issuperset(group)
            and not any(isinstance(group.get(key), dict) for key in ("hosts", "children"))
        )
        for group in top.values()
    )


def read(top: dict[str, Any], file: str) -> Draft:
    """Read the decoded output; mistakes are in the draft's `problems`."""
    draft = Draft()
    for name, group in top.items():
        if name == "_meta":
            continue
        place = _place(draft, file, name)
        mistake = group_error(name)
        if mistake:
            place.problem(mistake)
        elif isinstance(group, list):
            _group(name, {"hosts": group}, place)
        elif isinstance(group, dict):
            _group(name, group, place)
        else:
            place.problem("expected a group: an object, or a list of hosts")
    hostvars = _object_at(top.get("_meta"), "hostvars")
    for name, variables in hostvars.items():
        place = _place(draft, file, f"_meta.hostvars.{name}")
        if not _usable(name, place):
            continue
        fields = draft.node(name, place.origin)
        for key, value in variables.items() if isinstance(variables, dict) else ():
            take(fields, key, value, _place(draft, file, f"{place.field}.{key}"))
    return draft


def hosts(top: dict[str, Any]) -> list[str]:
    """Give the names of all hosts, each once."""
    groups = [{"hosts": group} if isinstance(group, list) else group for name, group in top.items() if name != "_meta"]
    names = [name for group in groups if isinstance(group, dict) for name in _list_at(group, "hosts")]
    return list(dict.fromkeys(str(name) for name in names))


def _group(name: str, content: dict[str, Any], place: Place) -> None:
    draft, file = place.draft, place.file
    group = draft.group(name, place.origin)
    for host in _list_at(content, "hosts"):
        if _usable(host, place):
            draft.node(host, place.origin)
            group.members[host] = place.origin
    for child in _list_at(content, "children"):
        group.children[str(child)] = place.origin
    for key, value in _object_at(content, "vars").items():
        take_group(group, key, value, _place(draft, file, f"{name}.vars.{key}"))


def _usable(name: Any, place: Place) -> bool:
    mistake = name_error(name) if isinstance(name, str) else f"the host {shown(str(name))} is not text"
    if mistake:
        place.problem(mistake)
    return mistake is None


def _place(draft: Draft, file: str, field: str) -> Place:
    return Place(draft=draft, file=file, line=None, field=ascii(field)[1:-1][:200], base=Path(file).absolute().parent)


def _list_at(content: dict[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    return value if isinstance(value, list) else []


def _object_at(content: Any, key: str) -> dict[str, Any]:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, dict) else {}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            _refuse(f"the key {shown(key)} is given twice")
        content[key] = value
    return content


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(f"the number {text[:40]} is too large")
    return number


def _check(value: Any, depth: int) -> None:
    """Refuse deep nesting, and text that no UTF-8 can hold."""
    if depth > _MAX_DEPTH:
        _refuse(f"is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            _refuse("half a surrogate pair is not text")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


def _refuse(message: str) -> NoReturn:
    raise ValueError(message if message not in ("NaN", "Infinity", "-Infinity") else f"{message} is not JSON")
