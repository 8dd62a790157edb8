"""What jobs say on their report channel: lines of JSON, read without trust.

`docs/reference/job-protocol.md` is the specification. A job can say nothing here that concerns another job, and nothing
that it says is a decision: whether it failed and whether it runs again is judged elsewhere.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

MAX_LINE: Final = 65536  #: bytes with the line's end
MAX_DEPTH: Final = 8  #: the line's own object is the first
MAX_INTEGER: Final = 2**53  #: beyond it other readers of JSON lose digits
MAX_TEXT: Final = 8192  #: characters of a message; the rest is cut off
MAX_WORD: Final = 200  #: characters of a stage, a state, a tag, a name; the rest is cut off
MAX_VALUE: Final = 16384  #: bytes of JSON of a result, and of all of a job's data
MAX_NAMES: Final = 64  #: of data, and of metrics
MASK_LENGTHS: Final = range(4, 4097)  #: characters of what may be masked

_LEVELS: Final = {
    "debug": "debug", "trace": "debug",
    "info": "info", "notice": "info",
    "warning": "warning", "warn": "warning",
    "error": "error", "err": "error", "critical": "error", "fatal": "error",
}  # fmt: skip
_FOREIGN: Final = frozenset({"xy", "complete", "code", "description", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is. None = not said, so it stays as it was."""

    percent: float | None = None  #: 0 to 100
    stage: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A line for the run's log."""

    level: str  #: debug, info, warning or error
    message: str
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came out: any JSON value, null among them."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What a job says about its own end. `ok` false is a failure whatever the exit code; true mends no exit code."""

    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one line says; None, false and empty = nothing of this kind."""

    progress: Progress | None = None
    state: str | None = None
    log: Log | None = None
    data: Mapping[str, Any] | None = None
    result: Result | None = None
    metrics: Mapping[str, float] | None = None
    mask: str | None = field(default=None, repr=False)
    heartbeat: bool = False
    redo: bool = False
    finish: Finish | None = None
    ignored: tuple[str, ...] = ()  #: keys that mean nothing to us


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a line says nothing. The text holds none of the line's values: one may be a secret."""

    text: str


class _Refused(Exception):  # noqa: N818  never leaves this module
    pass


def parse(line: bytes) -> Report | Problem:
    """Return what a line (with or without its end) says. Never raises, whatever the bytes are."""
    try:
        if len(line) > MAX_LINE:
            raise _Refused(f"longer than {MAX_LINE} bytes")  # noqa: TRY301  all refusals go one way
        said = _from_json(line.decode("utf-8", "replace"))
        _check(said, 1)
        return _report(said)
    except _Refused as refused:
        return Problem(text=str(refused))
    except (ValueError, RecursionError):
        return Problem(text="no JSON")


def _report(said: object) -> Report:
    if not isinstance(said, dict):
        raise _Refused("no JSON object")
    known = {key: read(said[key], said) for key, read in _READERS.items() if key in said}
    finish = _finish(said)
    if finish is None and not known:
        raise _Refused(f"nothing known in it: {', '.join(map(_word, said)) or 'it is empty'}"[:MAX_WORD])
    names = {"status": "state", "success": "finish", "failure": "finish"}
    values: dict[str, Any] = {names.get(key, key): value for key, value in known.items()}
    if finish is not None:
        values["finish"] = finish
    ignored = tuple(_word(key) for key in said if key not in _READERS and not (key in _FOREIGN and _is_foreign(said)))
    return Report(**values, ignored=ignored)


def _is_foreign(said: Mapping[str, Any]) -> bool:
    return "xy" in said or "complete" in said


def _finish(said: Mapping[str, Any]) -> Finish | None:
    """Read the end of a job in the words of Cronicle (`complete`) and xyOps (`xy`)."""
    if not (said.get("complete") or ("xy" in said and "code" in said)):
        return None
    code = said.get("code")
    return Finish(ok=code in (None, 0, False, "", "0"), message=_text(said.get("description", "")))


def _progress(value: object, said: Mapping[str, Any]) -> Progress:
    if isinstance(value, dict):
        percent = value.get("percent")
        return Progress(
            percent=None if percent is None else _percent(percent, "progress.percent"),
            stage=_optional_word(value.get("stage")),
            message=None if value.get("message") is None else _text(value["message"]),
        )
    # A bare fraction is what Cronicle's and xyOps' plugins write; a whole number without `xy` is a percentage.
    fraction = isinstance(value, float) and value <= 1
    number = _number(value, "progress")
    return Progress(percent=_percent(number * 100 if fraction or "xy" in said else number, "progress"))


def _percent(value: object, name: str) -> float:
    return min(100.0, max(0.0, _number(value, name)))


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Refused(f"{name}: expected a number")
    return float(value)


def _text(value: object) -> str:
    if isinstance(value, (dict, list)):
        raise _Refused("expected text where an object or a list stands")
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _word(value: object) -> str:
    text = _text(value)
    return text if len(text) <= MAX_WORD else text[: MAX_WORD - 1] + "…"


def _optional_word(value: object) -> str | None:
    return None if value is None else _word(value)


def _log(value: object) -> Log:
    if not isinstance(value, dict):
        return Log(level="info", message=_text(value))
    if "message" not in value:
        raise _Refused("log: 'message' is missing")
    level = _LEVELS.get(_word(value.get("level", "info")).lower(), "info")
    return Log(level=level, message=_text(value["message"]), tag=_optional_word(value.get("tag")))


def _data(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Refused("data: expected an object")
    return {_word(name): member for name, member in value.items()}


def _metrics(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        raise _Refused("metrics: expected an object")
    return {_word(name): _number(member, f"metrics.{_word(name)}") for name, member in value.items()}


def _result(value: object) -> Result:
    if _size(value) > MAX_VALUE:
        raise _Refused(f"result: longer than {MAX_VALUE} bytes")
    return Result(value=value)


def _mask(value: object) -> str:
    if not isinstance(value, str) or len(value) not in MASK_LENGTHS:
        raise _Refused(f"mask: expected text of {MASK_LENGTHS.start} to {MASK_LENGTHS.stop - 1} characters")
    return value


_READERS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], object]]] = {
    "progress": _progress,
    "status": lambda value, _: _word(value),
    "state": lambda value, _: _word(value),
    "log": lambda value, _: _log(value),
    "data": lambda value, _: _data(value),
    "result": lambda value, _: _result(value),
    "metrics": lambda value, _: _metrics(value),
    "mask": lambda value, _: _mask(value),
    "heartbeat": lambda value, _: bool(value),
    "redo": lambda value, _: bool(value),
    "success": lambda value, _: Finish(ok=True, message=_text(value)),
    "failure": lambda value, _: Finish(ok=False, message=_text(value)),
}


def _check(value: object, depth: int) -> None:
    """Refuse what is nested too deep, and texts that cannot be written as UTF-8."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise _Refused("half of a character (a lone surrogate) in a text")
    elif isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH}")
        for member in value:
            _check(member, depth + 1)
        if isinstance(value, dict):
            for member in value.values():
                _check(member, depth + 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("a key stands twice in an object")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise _Refused("a whole number beyond 2^53")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Refused("a number that is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is no JSON")


_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_from_json: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode


def kept(before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a job's data (or metrics) with what it says now; None if that is more than is kept of a job."""
    whole = {**before, **new}
    return whole if len(whole) <= MAX_NAMES and _size(whole) <= MAX_VALUE else None


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
