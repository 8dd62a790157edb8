"""Reads the descriptions of parameters and props: a mapping from their names to what they are."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from inventory.fields import shown, text_error
from inventory.section import Section
from inventory.yamlfile import Value
from jobs.jobtype import DynamicOptions, Kind, Option, Param
from jobs.paramkinds import Around, ValueRefusedError, accept
from jobs.pattern import Pattern, PatternError

MAX_PARAMS: Final = 200
MAX_OPTIONS: Final = 5000
MAX_HELP: Final = 10_000  #: characters
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_TEXTS: Final = frozenset({Kind.TEXT, Kind.TEXTAREA, Kind.SECRET})
_COUNTED: Final = frozenset({*_TEXTS, Kind.CHOICES, Kind.LIST, Kind.FILE})
_LIMITED: Final = frozenset({Kind.INT, Kind.NUMBER, Kind.DURATION})
_OPTIONED: Final = frozenset({Kind.CHOICE, Kind.CHOICES})
_INNER: Final = frozenset(set(Kind) - {Kind.LIST, Kind.CHOICES, Kind.SECRET, Kind.FILE})
_NOT_DEFAULTED: Final = frozenset({Kind.SECRET})
_NOT_IMPLICIT: Final = frozenset({Kind.SECRET, Kind.FILE})
_DECISIVE: Final = frozenset(set(Kind) - {Kind.SECRET, Kind.FILE, Kind.LIST, Kind.CHOICES, Kind.DATETIME})
#: field → kinds that have it; the others are had by all
FIELDS: Final[Mapping[str, frozenset[Kind]]] = {
    "pattern": _TEXTS,
    "min": _LIMITED,
    "max": _LIMITED,
    "min_length": _COUNTED,
    "max_length": _COUNTED,
    "options": _OPTIONED,
    "of": frozenset({Kind.LIST}),
    "default": frozenset(set(Kind) - _NOT_DEFAULTED),
    "implicit": frozenset(set(Kind) - _NOT_IMPLICIT),
}


def read_params(parent: Section, key: str, *, taken: Mapping[str, str] | None = None) -> tuple[Param, ...]:
    """Read `params` or `props` of a section; mistakes go to its problems.

    Args:
        parent: Where the mapping is.
        key: Its name there.
        taken: Names that cannot be used → why.
    """
    value = parent.value(key)
    if value is not None and isinstance(value.content, tuple):
        parent.problem(key, "expected a mapping, found a list", "write 'NAME: {kind: text}' below it")
        return ()
    section = parent.section(key)
    params: list[Param] = []
    spellings: dict[str, str] = {}
    for name, description in section.items():
        mistake = _name_error(name, spellings, taken or {})
        if mistake:
            section.problem(name, mistake)
            continue
        spellings[name.upper()] = name
        inner = Section(description, file=section.file, field=section.path(name), problems=section.problems)
        params.append(_param(inner, name, params))
    if len(params) > MAX_PARAMS:
        parent.problem(key, f"more than {MAX_PARAMS} of them")
    return tuple(params)


def _name_error(name: str, spellings: Mapping[str, str], taken: Mapping[str, str]) -> str | None:
    if not _NAME.fullmatch(name):
        return f"{shown(name)} cannot be a name: letters, digits and _, at most 64, the first a letter"
    if name.upper() in spellings:
        return f"differs from {spellings[name.upper()]!r} only in capital letters"
    return taken.get(name)


def _param(section: Section, name: str, earlier: Sequence[Param]) -> Param:
    param = _described(section, name)
    visible = section.section("visible_when")
    conditions = {other: _condition(visible, other, value, earlier) for other, value in visible.items()}
    section.done(also=FIELDS)
    return msgspec.structs.replace(param, visible_when=conditions)


def _described(section: Section, name: str) -> Param:
    """Read what the items of a list have too."""
    kind = Kind(section.choice("kind", [str(kind) for kind in Kind]) or Kind.TEXT)
    own = {field for field, kinds in FIELDS.items() if kind in kinds}
    for field in FIELDS:
        if field not in own and section.value(field) is not None:
            section.problem(field, f"a parameter of kind {kind} has no {field!r}", _instead(kind, field))
    options, dynamic = _options(section) if "options" in own else ((), None)
    param = Param(
        name=name,
        kind=kind,
        label=_line(section, "label") or name,
        help=_help(section),
        required=section.boolean("required") or False,
        pattern=_pattern(section) if "pattern" in own else None,
        options=options,
        dynamic=dynamic,
        implicit="implicit" in own and (section.boolean("implicit") or False),
        access=_line(section, "access"),
        items=_items(section, name) if "of" in own else None,
        **_limits(section, kind, own),
    )
    return msgspec.structs.replace(param, default=_default(section, param) if "default" in own else None)


def _line(section: Section, key: str) -> str | None:
    text = section.text(key)
    mistake = None if text is None else text_error(text)
    if mistake:
        section.problem(key, mistake)
    return text


def _help(section: Section) -> str:
    text = section.text("help") or ""
    if len(text) > MAX_HELP:
        section.problem("help", f"is longer than {MAX_HELP} characters")
    return text


def _instead(kind: Kind, field: str) -> str:
    if kind == Kind.LIST and field in {"pattern", "min", "max", "options"}:
        return f"write it for the items: 'of: {{kind: text, {field}: ...}}'"
    if kind == Kind.SECRET and field == "default":
        return "a secret does not belong into a file"
    others = sorted(str(other) for other in FIELDS[field])
    return f"kinds that have it: {', '.join(others)}" if len(others) < 6 else ""


def _limits(section: Section, kind: Kind, own: set[str]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if "min" in own:
        read = section.duration if kind == Kind.DURATION else section.number
        limits |= {"min": read("min"), "max": read("max")}
    if "min_length" in own:
        limits |= {key: section.integer(key, low=0, high=1 << 20) for key in ("min_length", "max_length")}
    for low, high in (("min", "max"), ("min_length", "max_length")):
        if None not in {limits.get(low), limits.get(high)} and limits[low] > limits[high]:
            section.problem(low, f"is more than {high}")
    return limits


def _pattern(section: Section) -> str | None:
    text = section.text("pattern")
    try:
        return None if text is None else Pattern(text).text
    except PatternError as error:
        section.problem("pattern", str(error), "see the reference of parameters for what a pattern may have")
        return None


def _items(section: Section, name: str) -> Param | None:
    value = section.value("of")
    if value is None:
        return Param(name=name, kind=Kind.TEXT, label=name)
    if isinstance(value.content, str):
        kind = section.choice("of", sorted(_INNER))
        inner = None if kind is None else Param(name=name, kind=Kind(kind), label=name)
    else:
        below = section.section("of")
        inner = _described(below, name)
        below.done(also=FIELDS)
    if inner is not None and inner.kind not in _INNER:
        section.problem("of", f"a list cannot have items of kind {inner.kind}", f"kinds: {', '.join(sorted(_INNER))}")
        return None
    if inner is not None and inner.kind == Kind.CHOICE and not inner.options and inner.dynamic is None:
        section.problem("of", "is missing options")
    return inner


def _options(section: Section) -> tuple[tuple[Option, ...], DynamicOptions | None]:
    value = section.value("options")
    if value is None:
        section.problem("options", "is missing: a choice has options", "options: [one, two]")
        return (), None
    if isinstance(value.content, dict):
        return (), _dynamic(section.section("options"))
    if not isinstance(value.content, tuple) or not 0 < len(value.content) <= MAX_OPTIONS:
        section.problem("options", f"expected a list of 1 to {MAX_OPTIONS} options, or a mapping with a command")
        return (), None
    options = tuple(_option(section, item) for item in value.content)
    if len({option.value for option in options}) < len(options):
        section.problem("options", "has a value twice")
    return options, None


def _option(section: Section, item: Value) -> Option:
    if not isinstance(item.content, dict):  # the value alone
        item = Value(content={"value": item}, line=item.line, column=item.column, keys={})
    below = Section(item, file=section.file, field=section.path("options"), problems=section.problems)
    below.require("value")
    text = below.text("value") or ""
    label = _line(below, "label") or text
    below.done()
    return Option(value=text, label=label)


def _dynamic(section: Section) -> DynamicOptions | None:
    command, script = section.texts("command") or (), section.text("script")
    if bool(command) == (script is not None):
        section.problem("command", "expected either a command (a list) or a script that prints one option per line")
    place = section.choice("on", ("controller", "node"))
    timeout, cache = section.duration("timeout", low=0.1, high=300), section.duration("cache", low=0, high=86400)
    section.done()
    options = DynamicOptions(command=command, script=script, on=place or "controller")
    if timeout is not None:
        options = msgspec.structs.replace(options, timeout_s=timeout)
    return options if cache is None else msgspec.structs.replace(options, cache_s=cache)


def _default(section: Section, param: Param) -> Any:
    value = section.value("default")
    if value is None:
        return False if param.kind == Kind.FLAG and not param.required else None
    return _taken(section, "default", param, value)


def _taken(section: Section, key: str, param: Param, value: Value) -> Any:
    try:
        return accept(param, _plain(param, value), Around())
    except ValueRefusedError as error:
        section.problem(key, str(error))
        return None


def _plain(param: Param, value: Value) -> Any:
    """A number in a file is text where text is wanted: as it was written."""
    if isinstance(value.content, tuple):
        return [_plain(param.items or param, item) for item in value.content]
    numeric = param.kind in {Kind.INT, Kind.NUMBER, Kind.DURATION}
    if isinstance(value.content, int | float) and not isinstance(value.content, bool) and not numeric:
        return value.text
    return value.plain()


def _condition(section: Section, other: str, value: Value, earlier: Sequence[Param]) -> tuple[Any, ...]:
    param = next((param for param in earlier if param.name == other), None)
    if param is None or param.kind not in _DECISIVE:
        names = ", ".join(param.name for param in earlier if param.kind in _DECISIVE) or "none"
        section.problem(other, f"expected an earlier parameter of a simple kind ({names})")
        return ()
    values = value.content if isinstance(value.content, tuple) else (value,)
    return tuple(_taken(section, other, param, item) for item in values)
