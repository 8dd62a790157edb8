"""What a value of each kind of parameter may be: a JSON value, not what a person types (see `jobs.paramtext`).

A value is never repaired: it is taken as it is, or refused. Only `datetime` and `duration` come out in one form (ISO
8601; seconds) however they were written.
"""

import base64
import binascii
import datetime
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from inventory.fields import name_error, shown
from inventory.problems import did_you_mean
from inventory.section import parse_duration
from jobs.jobtype import Kind, Param
from jobs.moments import parse_moment
from jobs.pattern import Pattern

MAX_WHOLE: Final = 2**53 - 1  #: JSON readers of other languages keep whole numbers exactly up to here
MAX_SECONDS: Final = 10**9  #: of a duration
MAX_MATCHED: Final = 4096  #: characters of a value that has a pattern
MAX_CHARACTERS: Final = 1 << 20  #: of any text
MAX_SECRET: Final = 32 << 10  #: bytes of one secret: all of a job fit into one frame header
MAX_FILE: Final = 1 << 20  #: bytes of a file's content
MAX_ITEMS: Final = 10_000  #: of a list
MAX_FILE_NAME: Final = 255  #: bytes; what Linux allows

_UNUSABLE: Final = re.compile("[\0\ud800-\udfff]")
_FILE_NAME: Final = re.compile(
    r"[^/\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]+"
)
_NAMES: Final = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


class ValueRefusedError(ValueError):
    """A value that its parameter does not take; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a value is judged by beside its parameter."""

    nodes: Collection[str] = ()  #: names that `node` may have; empty = any name
    today: datetime.date | None = None  #: for times without a date; None = those are refused


def accept(param: Param, value: object, around: Around) -> Any:
    """Give a value as the job gets it.

    Raises:
        ValueRefusedError: The parameter does not take it. The text never has the value of a secret in it.
    """
    return _KINDS[param.kind](param, value, around)


def _text(param: Param, value: object, _around: Around) -> str:
    text = _usable(value, "text")
    _check_length(param, len(text), "characters", MAX_CHARACTERS)
    if param.required and not text:
        raise ValueRefusedError("must not be empty")
    _check_pattern(param, text)
    return text


def _secret(param: Param, value: object, _around: Around) -> str:
    """Like text, in words that do not tell the value."""
    if not isinstance(value, str):
        raise ValueRefusedError("expected text")
    if _UNUSABLE.search(value):
        raise ValueRefusedError("has a character that text cannot have")
    if len(value.encode()) > MAX_SECRET:
        raise ValueRefusedError(f"is longer than {MAX_SECRET} bytes")
    if param.required and not value:
        raise ValueRefusedError("must not be empty")
    _check_length(param, len(value), "characters", MAX_SECRET)
    if param.pattern is not None and not _matches(param.pattern, value):
        raise ValueRefusedError("does not have the form that is asked for")
    return value


def _whole(param: Param, value: object, _around: Around) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueRefusedError(f"expected a whole number, found {_found(value)}")
    if abs(value) > MAX_WHOLE:
        raise ValueRefusedError(f"expected a whole number up to {MAX_WHOLE}")
    _check_limits(param, value)
    return value


def _number(param: Param, value: object, _around: Around) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueRefusedError(f"expected a number, found {_found(value)}")
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        raise ValueRefusedError(f"expected a whole number up to {MAX_WHOLE}, or one with a point")
    if not math.isfinite(value):
        raise ValueRefusedError("expected a finite number")
    _check_limits(param, value)
    return value


def _flag(_param: Param, value: object, _around: Around) -> bool:
    if not isinstance(value, bool):
        raise ValueRefusedError(f"expected true or false, found {_found(value)}")
    return value


def _choice(param: Param, value: object, _around: Around) -> str:
    text = _usable(value, "one of the options")
    offered = [option.value for option in param.options]
    if param.dynamic is not None and not offered:  # not asked for yet: whoever asks judges
        _check_length(param, len(text), "characters", MAX_MATCHED)
    elif text not in offered:
        hint = did_you_mean(text, offered)
        some = ", ".join(map(shown, offered[:20])) + (", ..." if len(offered) > 20 else "")
        raise ValueRefusedError(f"expected one of {some}, found {shown(text)}{hint and '; ' + hint}")
    return text


def _choices(param: Param, value: object, around: Around) -> list[str]:
    chosen = [_choice_of(param, item, around) for item in _items(param, value)]
    if len(set(chosen)) < len(chosen):
        raise ValueRefusedError("has an option twice")
    return chosen


def _choice_of(param: Param, value: object, around: Around) -> str:
    if param.dynamic is not None and not param.options:
        text = _usable(value, "one of the options")
        if len(text) > MAX_MATCHED:
            raise ValueRefusedError(f"has an option of more than {MAX_MATCHED} characters")
        return text
    return _choice(param, value, around)


def _list(param: Param, value: object, around: Around) -> list[Any]:
    items = _items(param, value)
    inner = param.items
    if inner is None:
        raise ValueRefusedError("is a list of nothing known")
    taken = []
    for index, item in enumerate(items, 1):
        try:
            taken.append(accept(inner, item, around))
        except ValueRefusedError as error:
            raise ValueRefusedError(f"item {index}: {error}") from error
    return taken


def _items(param: Param, value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueRefusedError(f"expected a list, found {_found(value)}")
    _check_length(param, len(value), "items", MAX_ITEMS)
    if param.required and not value:
        raise ValueRefusedError("must not be empty")
    return list(value)


def _datetime(_param: Param, value: object, around: Around) -> str:
    text = _usable(value, "a date and time")
    moment = parse_moment(text, around.today)
    if moment is None:
        raise ValueRefusedError(f"expected a date and time such as 2026-01-31T10:15:00, found {shown(text)}")
    return moment


def _duration(param: Param, value: object, _around: Around) -> int | float:
    seconds: object = value
    if isinstance(value, str):
        seconds = parse_duration(value)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueRefusedError(f"expected a duration such as 30s, 5m or 1h30m, found {_found(value)}")
    if not 0 <= seconds <= MAX_SECONDS:  # NaN too
        raise ValueRefusedError(f"expected a duration of 0 to {MAX_SECONDS} seconds")
    _check_limits(param, seconds, " seconds")
    return int(seconds) if seconds == int(seconds) else seconds


def _node(_param: Param, value: object, around: Around) -> str:
    text = _usable(value, "the name of a node")
    mistake = name_error(text)
    if mistake:
        raise ValueRefusedError(mistake)
    if around.nodes and text not in around.nodes:
        hint = did_you_mean(text, around.nodes)
        raise ValueRefusedError(f"there is no node {shown(text)} here{hint and '; ' + hint}")
    return text


def _file(param: Param, value: object, _around: Around) -> dict[str, str]:
    if not isinstance(value, dict) or set(value) not in ({"name", "content"}, {"name", "base64"}):
        raise ValueRefusedError("expected a file: {name, content} with text, or {name, base64}")
    name, content = value["name"], value.get("content", value.get("base64"))
    if not isinstance(name, str) or not isinstance(content, str):
        raise ValueRefusedError("expected text as the name and the content of the file")
    if not _FILE_NAME.fullmatch(name) or name in {".", ".."} or len(name.encode()) > MAX_FILE_NAME:
        raise ValueRefusedError(f"{shown(name)} cannot be the name of a file: no /, no control characters")
    size = _size(content, encoded="base64" in value)
    _check_length(param, size, "bytes", MAX_FILE)
    return dict(value)


def _size(content: str, *, encoded: bool) -> int:
    if len(content) > 2 * MAX_FILE:
        return len(content)
    try:
        return len(base64.b64decode(content, validate=True) if encoded else content.encode())
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        wanted = "base64" if encoded else "text without surrogates"
        raise ValueRefusedError(f"the content is not {wanted}") from error


_KINDS: Final[Mapping[Kind, Callable[[Param, object, Around], Any]]] = {
    Kind.TEXT: _text,
    Kind.TEXTAREA: _text,
    Kind.INT: _whole,
    Kind.NUMBER: _number,
    Kind.FLAG: _flag,
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.DATETIME: _datetime,
    Kind.DURATION: _duration,
    Kind.NODE: _node,
    Kind.FILE: _file,
    Kind.SECRET: _secret,
    Kind.LIST: _list,
}


def _usable(value: object, wanted: str) -> str:
    if not isinstance(value, str):
        raise ValueRefusedError(f"expected {wanted}, found {_found(value)}")
    if _UNUSABLE.search(value):
        raise ValueRefusedError("has a character that text cannot have (NUL or half of a pair)")
    return value


def _found(value: object) -> str:
    if isinstance(value, str):
        return shown(value)
    return "nothing" if value is None else _NAMES.get(type(value), "something else")


def _check_length(param: Param, length: int, unit: str, limit: int) -> None:
    low, high = param.min_length or 0, limit if param.max_length is None else min(param.max_length, limit)
    if not low <= length <= high:
        wanted = f"{low} to {high}" if low else f"at most {high}"
        raise ValueRefusedError(f"expected {wanted} {unit}, found {length}")


def _check_limits(param: Param, value: float, unit: str = "") -> None:
    if param.min is not None and value < param.min:
        raise ValueRefusedError(f"expected at least {param.min:.15g}{unit}, found {value:.15g}")
    if param.max is not None and value > param.max:
        raise ValueRefusedError(f"expected at most {param.max:.15g}{unit}, found {value:.15g}")


def _check_pattern(param: Param, text: str) -> None:
    if param.pattern is not None and not _matches(param.pattern, text):
        help_ = f" ({param.help})" if param.help else ""
        raise ValueRefusedError(f"{shown(text)} does not match {param.pattern}{help_}")


def _matches(pattern: str, text: str) -> bool:
    return len(text) <= MAX_MATCHED and _pattern(pattern).matches(text)


@lru_cache(maxsize=256)
def _pattern(text: str) -> Pattern:
    return Pattern(text)
