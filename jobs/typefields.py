"""Reads one definition of a job type, field by field; every mistake becomes a problem with its place."""

import re
from collections.abc import Mapping
from typing import Any, Final

from inventory import targets
from inventory.fields import ORDERS, shown, text_error
from inventory.section import Section
from inventory.yamlfile import Value
from jobs.jobtype import JobType, Param, Retry
from jobs.props import SYSTEM
from jobs.retry import MAX_COUNT, outcome_error
from jobs.runas import account_error
from jobs.typeaction import check_templates, read_action
from jobs.typeparams import read_params

MAX_NODES: Final = 100_000
MAX_DURATION: Final = 10**8  #: seconds: three years
MAX_OUTPUT: Final = 1 << 44  #: bytes
RLIMITS: Final = ("as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack")
LEFTOVERS: Final = ("kill", "wait", "leave")
ON_OUTPUT_LIMIT: Final = ("gap", "block", "kill")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UMASK: Final = re.compile(r"0?[0-7]{3}|00?[0-7]{0,2}")
_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,15})\s*(?P<unit>[KMGT]i?B?)?", re.IGNORECASE)
_UNITS: Final = {"k": 10, "m": 20, "g": 30, "t": 40}


def read_type(section: Section, name: str, *, place: str, stock: bool) -> JobType | None:
    """Read a definition; None = it has no usable action. Problems of the section tell whether the type can be used."""
    section_of_texts = _texts(section)
    params = read_params(section, "params")
    own_props = "props" in section
    props = read_params(section, "props", taken=dict.fromkeys(SYSTEM, "belongs to AnyJob itself"))
    action = read_action(section, params)
    record: dict[str, Any] = {
        **section_of_texts,
        **_where(section),
        **_process(section, params),
        **_limits(section),
        "params": params,
        "props": props if own_props else None,
    }
    section.done()
    known = {key: value for key, value in record.items() if value is not None}
    if action is None:
        return None
    known.setdefault("label", name)
    return JobType(name=name, action=action, source=place, stock=stock, **known)


def _texts(section: Section) -> dict[str, Any]:
    texts = {key: section.text(key) for key in ("label", "group", "icon", "confirm")}
    for key, text in texts.items():
        mistake = None if text is None else text_error(text)
        if mistake:
            section.problem(key, mistake)
    description = section.text("description")
    if description and len(description) > 10_000:
        section.problem("description", "is longer than 10000 characters")
    disabled = section.value("disabled")
    reason = None
    if disabled is not None and disabled.content is not False:
        reason = "disabled in its definition" if disabled.content is True else section.text("disabled")
    redact = section.texts("redact")
    for pattern in redact or ():
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            section.problem("redact", f"{shown(pattern)} is not a regular expression: {error}")
    order = section.integer("order", low=ORDERS[0], high=ORDERS[1])
    return {**texts, "description": description, "disabled": reason, "redact": redact, "order": order}


def _where(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, field in (("nodes", "nodes"), ("except", "except_nodes"), ("default_nodes", "default_nodes")):
        words = section.texts(key)
        found[field] = ",".join(words) if words else None
        if words:
            try:
                targets.parse(found[field])
            except targets.TargetError as error:
                section.problem(key, f"{shown(found[field])} is not a target: {error.message}", error.hint)
    least = section.integer("min_nodes", low=1, high=MAX_NODES)
    most = section.integer("max_nodes", low=1, high=MAX_NODES)
    if least is not None and most is not None and least > most:
        section.problem("min_nodes", "is more than max_nodes")
    return {**found, "min_nodes": least, "max_nodes": most}


def _process(section: Section, params: tuple[Param, ...]) -> dict[str, Any]:
    run_as, cwd, umask = section.text("run_as"), section.text("cwd"), section.text("umask")
    mistake = None if run_as is None else account_error(run_as)
    if mistake:
        section.problem("run_as", mistake)
    if cwd is not None and (not cwd.startswith("/") or "\0" in cwd):
        section.problem("cwd", f"expected an absolute path on the node, found {shown(cwd)}")
    if umask is not None and not _UMASK.fullmatch(umask):
        section.problem("umask", f"expected octal digits such as 0027, found {shown(umask)}")
        umask = None
    return {
        "run_as": run_as,
        "cwd": cwd,
        "umask": None if umask is None else int(umask, 8),
        "env": _env(section.section("env"), params),
        "nice": section.integer("nice", low=-20, high=19),
        "rlimits": _rlimits(section.section("rlimits")),
    }


def _env(section: Section, params: tuple[Param, ...]) -> dict[str, str]:
    env: dict[str, str] = {}
    for name in dict(section.items()):
        text = section.text(name)
        if not _VARIABLE.fullmatch(name) or name.startswith("ANYJOB_"):
            section.problem(name, f"{shown(name)} cannot be a variable: letters, digits and _, not ANYJOB_...")
        elif text is not None:
            check_templates(section, name, (text,), params)
            env[name] = text
    return env


def _rlimits(section: Section) -> dict[str, tuple[int | None, int | None]]:
    limits: dict[str, tuple[int | None, int | None]] = {}
    for name in RLIMITS:
        value = section.value(name)
        if value is None:
            continue
        both = value.content if isinstance(value.content, tuple) else (value, value)
        sizes = [_limit(item) for item in both]
        if len(sizes) != 2 or -1 in sizes:
            section.problem(name, "expected a number, a size such as 512 MiB or 'unlimited', or [soft, hard]")
        elif sizes[1] is not None and (sizes[0] is None or sizes[0] > sizes[1]):
            section.problem(name, "the soft limit is above the hard one")
        else:
            limits[name] = (sizes[0], sizes[1])
    section.done(also=RLIMITS)
    return limits


def _limit(value: Value) -> int | None:
    """Give a limit; -1 = it is none."""
    if value.text == "unlimited":
        return None
    size = parse_size(value.text) if isinstance(value.content, str | int) else None
    return -1 if size is None else size


def parse_size(text: str) -> int | None:
    """Give the bytes of `4096`, `64K`, `512 MiB`; `10MB` is decimal. None for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    unit = (match["unit"] or "").lower()
    if not unit:
        return int(match["number"])
    decimal = unit.endswith("b") and "i" not in unit
    return int(match["number"]) * (1000 ** (_UNITS[unit[0]] // 10) if decimal else 1 << _UNITS[unit[0]])


def _limits(section: Section) -> dict[str, Any]:
    fields: Mapping[str, str] = {
        "timeout": "timeout_s",
        "inactivity": "inactivity_s",
        "start_timeout": "start_timeout_s",
    }
    limits: dict[str, Any] = {field: section.duration(key, low=0.1, high=MAX_DURATION) for key, field in fields.items()}
    limits["grace_s"] = section.duration("grace", low=0, high=86400)
    size = section.text("max_output")
    if size is not None:
        limits["max_output"] = parse_size(size)
        if limits["max_output"] is None or limits["max_output"] > MAX_OUTPUT:
            section.problem("max_output", f"expected a size such as 64 MiB, found {shown(size)}")
    limits["on_output_limit"] = section.choice("on_output_limit", ON_OUTPUT_LIMIT)
    limits["leftovers"] = section.choice("leftovers", LEFTOVERS)
    limits["retry"] = _retry(section)
    limits["success_codes"] = _codes(section)
    return limits


def _codes(section: Section) -> tuple[int, ...] | None:
    texts = section.texts("success_codes")
    if texts is None:
        return None
    if not texts or not all(re.fullmatch(r"[0-9]{1,3}", text) and int(text) <= 255 for text in texts):
        section.problem("success_codes", "expected exit codes from 0 to 255")
        return None
    return tuple(sorted({int(text) for text in texts}))


def _retry(section: Section) -> Retry | None:
    value = section.value("retry")
    if value is None:
        return None
    if not isinstance(value.content, dict):
        count = section.integer("retry", low=0, high=MAX_COUNT)
        return Retry(count=count) if count else None
    below = section.section("retry")
    below.require("count")
    on = below.texts("on")
    for word in on or ():
        mistake = outcome_error(word)
        if mistake:
            below.problem("on", mistake)
    fields = {
        "count": below.integer("count", low=1, high=MAX_COUNT),
        "delay_s": below.duration("delay", low=0, high=MAX_DURATION),
        "backoff": below.number("backoff", low=1, high=100),
        "max_delay_s": below.duration("max_delay", low=0, high=MAX_DURATION),
        "on": on,
    }
    below.done()
    known: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
    return Retry(**{"count": 1, **known})
