"""Reads ClusterShell's groups in YAML: source → group → node set (`cluster: {web: "web[01-04]"}`)."""

import re
from typing import Final

from inventory.draft import Draft
from inventory.fields import group_error, name_error
from inventory.model import Origin
from inventory.nodeset import RangeError, expand
from inventory.section import Section
from inventory.yamlfile import Document, Value

_PARTS: Final = re.compile(r"(?:\[[^\]]*\]|[^\s,\[])+")


def looks_like(root: Value) -> bool:
    """Whether every source at the top is a mapping of groups to texts or lists of texts."""
    content = root.content
    return (
        isinstance(content, dict)
        and bool(content)
        and all(
            isinstance(source.content, dict)
            and all(isinstance(value.content, str | tuple) for value in source.content.values())
            for source in content.values()
        )
    )


def read(document: Document) -> Draft:
    """Read a document; its nodes have names and groups only. Mistakes are in the draft's `problems`."""
    draft = Draft()
    top = Section.of(document, draft.problems)
    for name, value in top.items():
        source = Section(value, file=top.file, field=name, problems=draft.problems)
        for group in dict(source.items()):
            _group(group, source, draft)
    return draft


def _group(name: str, source: Section, draft: Draft) -> None:
    origin = Origin(source.file, source.place(name)[0])
    mistake = group_error(name)
    if mistake:
        source.problem(name, mistake)
        return
    group = draft.group(name, origin)
    for part in (part for text in source.texts(name) or () for part in _PARTS.findall(text)):
        if part.startswith("@"):
            group.children[part.removeprefix("@")] = origin
            continue
        for node in _expanded(part, name, source):
            draft.node(node, origin)
            group.members[node] = origin


def _expanded(part: str, key: str, source: Section) -> list[str]:
    try:
        names = expand(part)
    except RangeError as error:
        source.problem(key, f"{part[:80]!r}: {error}")
        return []
    mistake = next(filter(None, map(name_error, names)), None)
    if mistake:
        source.problem(key, mistake, "only names, ranges and @groups are read")
        return []
    return names
