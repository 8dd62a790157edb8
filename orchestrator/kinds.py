"""The kinds of values that settings have: how each is read from text or YAML, and how it is written for people.

A reader takes a plain YAML value (or the text of an environment variable) and returns the typed value, or raises
`ValueError` with what was expected. The message never holds the value: it may be a secret.
"""

import enum
import re
from collections.abc import Mapping
from typing import Final

_UNITS_S: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_UNITS_BYTES: Final[Mapping[str, int]] = {"": 1, "b": 1} | {
    spelling: int(base**power)
    for power, letter in enumerate("kmgt", start=1)
    for spelling, base in ((letter, 1024), (f"{letter}ib", 1024), (f"{letter}b", 1000))
}
_DURATION: Final = re.compile(r"(?:\d{1,12}(?:\.\d{1,6})?(?:ms|[smhdw])\s*)+", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?i?b?)", re.ASCII | re.IGNORECASE)
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})


class Kind(enum.StrEnum):
    """What sort of value a setting has; the name is what the documentation shows."""

    TEXT = "text"
    CHOICE = "choice"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DURATION = "duration"  #: seconds, as float
    SIZE = "size"  #: bytes, as int
    PATH = "path"
    PATHS = "list of paths"


def duration(value: object) -> float:
    """Return seconds: `30s`, `5m`, `1h30m`, `500ms`, `2d`, `1w`; a plain number is seconds.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text, re.ASCII):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError("expected a duration such as 30s, 5m or 1h30m")
    return float(sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(text)))


def size(value: object) -> int:
    """Return bytes: `512 MiB`, `1GiB`, `64k` (binary), `10 MB` (decimal); a plain number is bytes.

    Raises:
        ValueError: it is none of these.
    """
    match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    unit = match[2].lower() if match else "?"
    if match is None or unit not in _UNITS_BYTES:
        raise ValueError("expected a size such as 512 MiB or 1 GiB")
    return round(float(match[1]) * _UNITS_BYTES[unit])


def boolean(value: object) -> bool:
    """Return a truth value: `true` or `false`; as text also yes, no, on, off, 1, 0.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("expected true or false")
    return text in _TRUE


def integer(value: object) -> int:
    """Return a whole number.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,18}", str(value).strip(), re.ASCII):
        raise ValueError("expected a whole number")
    return int(str(value))


def text(value: object) -> str:
    """Return one line of text.

    Raises:
        ValueError: it is a list, a mapping, a truth value, empty, or has control characters.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("expected text")  # noqa: TRY004  every reader raises ValueError
    if not str(value).strip():
        raise ValueError("expected text, found nothing")
    if not str(value).isprintable():
        raise ValueError("expected one line of printable text")
    return str(value)


def texts(value: object) -> tuple[str, ...]:
    """Return a list of texts; one text is a list of one.

    Raises:
        ValueError: an item is no text.
    """
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(text(item) for item in items)


def show_duration(seconds: float) -> str:
    """Return a duration in the largest unit that divides it: 600 is `10m`, 0.25 is `250ms`."""
    for unit in ("w", "d", "h", "m", "s"):
        count = seconds / _UNITS_S[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return "0s" if seconds == 0 else f"{seconds * 1000:g}ms"


def show_size(count: int) -> str:
    """Return a size in the largest binary unit that divides it: 16777216 is `16 MiB`."""
    for unit, power in (("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power} {unit}"
    return str(count)
