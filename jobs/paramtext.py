"""Turns what a person types into the value of a parameter, so that command line, forms and chats read words alike."""

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from jobs.jobtype import Kind, Param

_FLAGS: Final = MappingProxyType(
    {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}
)


def from_text(param: Param, text: str) -> Any:
    """Turn what a person typed into a value; what cannot be turned stays text, and `accept` says what is wrong.

    Lists and several choices are separated by commas, or written as a JSON list.
    """
    if param.kind in {Kind.INT, Kind.NUMBER}:
        return _number_from(param.kind, text)
    if param.kind == Kind.FLAG:
        return _FLAGS.get(text.strip().lower(), text)
    if param.kind == Kind.FILE:
        return {"name": param.name, "content": text}
    if param.kind in {Kind.CHOICES, Kind.LIST}:
        return _list_from(param, text)
    return text


def _number_from(kind: Kind, text: str) -> Any:
    word = text.strip()
    if re.fullmatch(r"[-+]?[0-9]{1,20}", word):
        return int(word)
    if kind == Kind.NUMBER and re.fullmatch(r"[-+]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,3})?", word):
        return float(word)
    return text


def _list_from(param: Param, text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    if not text:
        return []
    words = [word.strip() for word in text.split(",")]
    return words if param.items is None else [from_text(param.items, word) for word in words]


def typed(params: Iterable[Param], given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn texts into values, for a face that knows only texts; what has an unknown name stays as it is."""
    known = {param.name: param for param in params}
    return {
        name: from_text(known[name], value) if name in known and isinstance(value, str) else value
        for name, value in given.items()
    }
