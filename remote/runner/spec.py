"""The StartSpec: what the controller says about one job, checked before anything is claimed."""

import json

from .inputs import variable
from .rlimits import NUMBERS
from .spool import MAX_INPUT, Refusal, is_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

_HEXADECIMAL = frozenset("0123456789abcdef")
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
    if not problems and not spec["script"] and spec["bundle"] is None and not _is_command(spec["argv"]):
        problems.append("spec.argv: expected a program, since there is no script and no bundle")
    if not problems and spec["bundle"] is not None and (spec["script"] or spec["argv"] is not None):
        problems.append("spec.bundle: expected no argv and no script beside it")
    if not problems and spec["secret_files"] and not spec["secrets"]:
        problems.append("spec.secret_files: expected secrets")
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


def _is_nice(value: "Any") -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -20 <= value <= 19


def _is_rlimits(value: "Any") -> bool:
    if not isinstance(value, dict) or not value.keys() <= NUMBERS.keys():
        return False
    return all(
        isinstance(pair, list) and len(pair) == 2 and all(end is None or _is_count(end, 2**53) for end in pair)
        for pair in value.values()
    )


def _is_bundle(value: "Any") -> bool:
    if not isinstance(value, dict) or value.keys() != {"sha256", "size", "function"}:
        return False
    is_hash = _is_text(value["sha256"]) and len(value["sha256"]) == 64 and set(value["sha256"]) <= _HEXADECIMAL
    names = value["function"].split(":") if _is_text(value["function"]) else []
    return is_hash and _is_count(value["size"], MAX_INPUT) and value["size"] > 0 and len(names) == 2 and all(names)


def _is_file_names(value: "Any") -> bool:
    if not _is_words(value) or not all(is_token(name) for name in value):
        return False
    return len({variable(name) for name in value}) == len(value)


def _is_one_of(*words: str) -> "Callable[[Any], bool]":
    return lambda value: value in words


def _is_bool(value: "Any") -> bool:
    return isinstance(value, bool)


def _or_null(holds: "Callable[[Any], bool]") -> "Callable[[Any], bool]":
    return lambda value: value is None or holds(value)


_KEYS: "Dict[str, Any]" = {
    "argv": ("a list of texts or null", _or_null(_is_words)),
    "interpreter": ("a list of texts, the first not empty, or null", _or_null(_is_command)),
    "script": ("true or false", _is_bool),
    "bundle": ("sha256, size and function as module:function, or null", _or_null(_is_bundle)),
    "stdin": ("true or false", _is_bool),
    "params": ("true or false", _is_bool),
    "secrets": ("true or false", _is_bool),
    "secret_files": ("a list of different names that can be files", _is_file_names),
    "env": ("an object of texts, no '=' in a name", _is_env),
    "cwd": ("an absolute path or null", _or_null(lambda value: _is_text(value) and value.startswith("/"))),
    "umask": ("0 to 511 (0o777)", lambda value: _is_count(value, 0o777)),
    "nice": ("-20 to 19 or null", _or_null(_is_nice)),
    "rlimits": ("an object of [soft, hard], the names of %s" % ", ".join(sorted(NUMBERS)), _is_rlimits),
    "new_privs": ("true or false", _is_bool),
    "tty": ("rows, cols and term, or null", _or_null(_is_tty)),
    "user": ("a name or null", _or_null(_is_name)),
    "group": ("a name or null", _or_null(_is_name)),
    "timeout_s": ("seconds or null", _or_null(is_seconds)),
    "inactivity_s": ("seconds or null", _or_null(is_seconds)),
    "grace_s": ("seconds", is_seconds),
    "max_output": ("bytes, 0 or more", lambda value: _is_count(value, 2**53)),
    "on_output_limit": ("gap, block or kill", _is_one_of("gap", "block", "kill")),
    "leftovers": ("kill, wait or leave", _is_one_of("kill", "wait", "leave")),
}
