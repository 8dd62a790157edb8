"""The StartSpec: what the controller says about one job, checked before anything is claimed."""

import json

from .spool import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

MAX_SECONDS = 10 * 366 * 86400  # beyond ten years nobody means it


def check(spec: "Any") -> "Dict[str, Any]":
    """Return the spec if it is one.

    Raises:
        Refusal: `bad_spec`, with every mistake.
    """
    if not isinstance(spec, dict):
        raise Refusal("bad_spec", "spec: expected an object")
    problems = ["spec.%s: missing" % key for key in sorted(_KEYS.keys() - spec.keys())]
    problems += ["spec.%s: unknown" % key for key in sorted(spec.keys() - _KEYS.keys())]
    problems += [
        "spec.%s: expected %s" % (key, expected)
        for key, (expected, holds) in sorted(_KEYS.items())
        if key in spec and not holds(spec[key])
    ]
    if not problems and not spec["script"] and not _is_command(spec["argv"]):
        problems.append("spec.argv: expected a program, since there is no script")
    if problems:
        raise Refusal("bad_spec", "; ".join(problems))
    return spec


def canonical(spec: "Dict[str, Any]") -> bytes:
    """Return the one JSON text of a spec, by which two are compared."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def is_seconds(value: "Any") -> bool:
    """Tell whether this is a length of time."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS


def _is_text(value: "Any") -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_name(value: "Any") -> bool:
    return _is_text(value) and value != ""


def _is_words(value: "Any") -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_command(value: "Any") -> bool:
    return _is_words(value) and bool(value) and value[0] != ""


def _is_env(value: "Any") -> bool:
    if not isinstance(value, dict):
        return False
    return all(_is_name(name) and "=" not in name and _is_text(text) for name, text in value.items())


def _is_tty(value: "Any") -> bool:
    if not isinstance(value, dict) or value.keys() != {"rows", "cols", "term"}:
        return False
    return _is_count(value["rows"], 65535) and _is_count(value["cols"], 65535) and _is_name(value["term"])


def _is_count(value: "Any", limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit


def _is_bool(value: "Any") -> bool:
    return isinstance(value, bool)


def _or_null(holds: "Callable[[Any], bool]") -> "Callable[[Any], bool]":
    return lambda value: value is None or holds(value)


_KEYS: "Dict[str, Any]" = {
    "argv": ("a list of texts or null", _or_null(_is_words)),
    "interpreter": ("a list of texts, the first not empty, or null", _or_null(_is_command)),
    "script": ("true or false", _is_bool),
    "stdin": ("true or false", _is_bool),
    "env": ("an object of texts, no '=' in a name", _is_env),
    "cwd": ("an absolute path or null", _or_null(lambda value: _is_text(value) and value.startswith("/"))),
    "umask": ("0 to 511 (0o777)", lambda value: _is_count(value, 0o777)),
    "tty": ("rows, cols and term, or null", _or_null(_is_tty)),
    "user": ("a name or null", _or_null(_is_name)),
    "group": ("a name or null", _or_null(_is_name)),
    "timeout_s": ("seconds or null", _or_null(is_seconds)),
    "grace_s": ("seconds", is_seconds),
    "max_output": ("bytes, 0 or more", lambda value: _is_count(value, 2**53)),
}
