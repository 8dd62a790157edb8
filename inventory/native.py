"""Reads our own format: `nodes`, `groups`, `defaults` (see `docs/reference/inventory.md`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from inventory import become
from inventory.draft import Draft, Fields, Setting
from inventory.fields import (
    MAX_JOBS,
    ORDERS,
    PORTS,
    absolute_path,
    group_error,
    host_error,
    label_error,
    name_error,
    parse_hops,
    python_error,
    shown,
    text_error,
    user_error,
)
from inventory.model import Origin
from inventory.nodeset import RangeError, expand
from inventory.section import Section
from inventory.yamlfile import Document, Value

_DISABLED: Final = "disabled in the inventory"
_NUMBERS: Final = {"port": PORTS, "max_jobs": MAX_JOBS, "order": ORDERS}


def read(document: Document) -> Draft:
    """Read a document of our own format; mistakes are in the draft's `problems`."""
    draft = Draft()
    top = Section.of(document, draft.problems)
    draft.defaults |= _fields(top.section("defaults"))
    _nodes(top.section("nodes"), draft)
    groups = top.section("groups")
    for name, value in groups.items():
        _group(name, Section(value, file=groups.file, field=groups.path(name), problems=draft.problems), draft)
        mistake = group_error(name)
        if mistake:
            groups.problem(name, mistake)
    top.done()
    return draft


def _nodes(nodes: Section, draft: Draft) -> None:
    """Ranges first, so that a node's own entry wins over the range that it is a part of, wherever it stands."""
    entries = sorted(nodes.items(), key=lambda entry: "[" not in entry[0])
    for key, value in entries:
        names = _names(nodes, key, key)
        section = Section(value, file=nodes.file, field=nodes.path(key), problems=draft.problems)
        hosts = _hosts(section, len(names)) if "[" in key else None
        fields = _fields(section, host=hosts is None)
        origin = Origin(nodes.file, nodes.place(key)[0])
        for index, name in enumerate(names):
            own = draft.node(name, origin)
            own |= fields
            if hosts:
                own["host"] = Setting(hosts[index], Origin(nodes.file, section.place("host")[0]))


def _group(name: str, section: Section, draft: Draft) -> None:
    group = draft.group(name, Origin(section.file, section.place("")[0]))
    if name == "all":
        for key in ("nodes", "children"):
            if key in section:
                section.problem(key, "the group all has every node by itself", "remove this field")
    for text, line in _lines(section, "nodes"):
        group.members |= dict.fromkeys(_names(section, "nodes", text), Origin(section.file, line))
    for child, line in _lines(section, "children"):
        group.children[child] = Origin(section.file, line)
    group.fields |= _fields(section.section("defaults"))
    group.fields |= _vars(section)
    section.done()


def _lines(section: Section, key: str) -> list[tuple[str, int]]:
    """Give the texts of a list (commas outside of brackets separate too) with their lines."""
    value = section.value(key)
    if value is None or section.texts(key) is None:
        return []
    items = value.content if isinstance(value.content, tuple) else (value,)
    return [(part.strip(), item.line) for item in items for part in _split(item.text) if part.strip()]


def _split(text: str) -> list[str]:
    """Split at commas that stand in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _names(section: Section, key: str, text: str) -> list[str]:
    try:
        names = expand(text)
    except RangeError as error:
        section.problem(key, f"{shown(text)}: {error}")
        return []
    mistake = next(filter(None, map(name_error, names)), None)
    if mistake is None:
        return names
    section.problem(key, mistake)
    return []


def _hosts(section: Section, count: int) -> list[str] | None:
    """Give one host for each node of a range (`host: 10.0.0.[1-40]`), or None where it is not a range."""
    host = section.text("host")
    if host is None or "[" not in host:
        return None
    try:
        hosts = expand(host)
    except RangeError as error:
        section.problem("host", f"{shown(host)}: {error}")
        return None
    mistake = next(filter(None, map(host_error, hosts)), None)
    if mistake is None and count and len(hosts) != count:
        mistake = f"{len(hosts)} hosts for {count} nodes"
    if mistake:
        section.problem("host", mistake)
        return None
    return hosts


def _fields(section: Section, *, host: bool = True) -> Fields:
    """Read the fields of a node, or the defaults for nodes."""
    base = Path(section.file).parent
    found: dict[str, Any] = {
        "user": _checked(section, "user", user_error),
        "python": _checked(section, "python", python_error),
        "jump": _jump(section),
        "identity": _identity(section, base),
        **{key: section.integer(key, low=low, high=high) for key, (low, high) in _NUMBERS.items()},
    }
    if host:
        found["host"] = _checked(section, "host", host_error)
    fields = {key: _setting(section, key, value) for key, value in found.items() if value is not None}
    if "disabled" in section:
        fields["disabled"] = _setting(section, "disabled", _disabled(section))
    fields |= become.native(section)
    fields |= _labels(section.section("labels"))
    fields |= _vars(section)
    section.done(also=("host",))
    return fields


def _setting(section: Section, key: str, value: Any) -> Setting:
    return Setting(value, Origin(section.file, section.place(key)[0]))


def _checked(section: Section, key: str, check: Callable[[str], str | None]) -> str | None:
    text = section.text(key)
    mistake = None if text is None else check(text)
    if mistake is None:
        return text
    section.problem(key, mistake)
    return None


def _jump(section: Section) -> tuple[str, ...] | None:
    texts = section.texts("jump")
    if texts is None:
        return None
    parts = [part.strip() for text in texts for part in text.split(",")]
    try:
        return () if parts == ["none"] else tuple(part for part in parts if parse_hops(part))
    except ValueError as error:
        section.problem("jump", str(error), "name nodes, or [user@]host[:port], with commas between several")
        return None


def _identity(section: Section, base: Path) -> tuple[str, ...] | None:
    texts = section.texts("identity")
    if texts is None:
        return None
    try:
        return tuple(absolute_path(text, base) for text in texts)
    except ValueError as error:
        section.problem("identity", str(error))
        return None


def _disabled(section: Section) -> str | None:
    value = section.value("disabled")
    if value is not None and isinstance(value.content, bool):
        return _DISABLED if value.content else None
    reason = section.text("disabled")
    if reason in ("yes", "no", "on", "off"):
        section.problem("disabled", f"expected true, false or a reason, found {reason!r}", "write true or false")
    mistake = None if reason is None else text_error(reason)
    if mistake:
        section.problem("disabled", mistake)
    return reason or _DISABLED


def _labels(section: Section) -> Fields:
    labels: Fields = {}
    for key, value in section.items():
        text = _label(section, key, value)
        if text is not None:
            labels[f"labels.{key}"] = _setting(section, key, text)
    return labels


def _label(section: Section, key: str, value: Value) -> str | None:
    if isinstance(value.content, tuple | dict | None):
        section.problem(key, f"expected text, found {value.kind}")
        return None
    mistake = label_error(key) or text_error(value.text)
    if mistake is None:
        return value.text
    section.problem(key, mistake)
    return None


def _vars(section: Section) -> Fields:
    values = section.section("vars")
    return {f"vars.{key}": _setting(values, key, value.plain()) for key, value in values.items()}
