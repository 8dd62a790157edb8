"""Reads an Ansible inventory in YAML: groups with `hosts`, `children` and `vars`."""

from pathlib import Path
from typing import Final

from inventory.ansible_vars import Place, take, take_group, yaml_variables
from inventory.draft import Draft
from inventory.fields import group_error, name_error
from inventory.model import Origin
from inventory.nodeset import RangeError, expand_ansible
from inventory.section import Section
from inventory.yamlfile import Document, Value

KEYS: Final = frozenset({"hosts", "children", "vars"})


def looks_like(root: Value) -> bool:
    """Whether every entry at the top is a group as Ansible writes it."""
    content = root.content
    if not isinstance(content, dict) or not content:
        return False
    return "all" in content or all(
        value.content is None or (isinstance(value.content, dict) and KEYS.issuperset(value.content))
        for value in content.values()
    )


def read(document: Document) -> Draft:
    """Read a document; mistakes are in the draft's `problems`."""
    draft = Draft()
    top = Section.of(document, draft.problems)
    for name, value in top.items():
        _group(name, value, top, draft)
    grouped = {node for name, group in draft.groups.items() if name != "all" for node in group.members}
    loose = [node for node in draft.nodes if node not in grouped]
    if loose:
        draft.group("ungrouped", draft.defined[loose[0]]).members |= {node: draft.defined[node] for node in loose}
    return draft


def _group(name: str, value: Value, parent: Section, draft: Draft) -> None:
    section = Section(value, file=parent.file, field=parent.path(name), problems=draft.problems)
    line = parent.place(name)[0]
    group = draft.group(name, Origin(parent.file, line))
    mistake = group_error(name)
    if mistake:
        parent.problem(name, mistake)
    hosts = _mapping(section, "hosts")
    for pattern, variables in hosts.items():
        for node in names(pattern, _place(hosts, pattern, draft)):
            group.members[node] = Origin(parent.file, hosts.place(pattern)[0])
            fields = draft.node(node, group.members[node])
            for key, item, place in yaml_variables(variables, hosts.path(pattern), parent.file, draft):
                take(fields, key, item, place)
    children = _mapping(section, "children")
    for child, inner in children.items():
        group.children[child] = Origin(parent.file, children.place(child)[0])
        _group(child, inner, children, draft)
    variables_value = section.value("vars")
    if variables_value is not None:
        for key, item, place in yaml_variables(variables_value, section.path("vars"), parent.file, draft):
            take_group(group, key, item, place)
    section.done()


def _mapping(section: Section, key: str) -> Section:
    """Give `hosts` or `children`; Ansible takes a single name for a mapping with that name alone."""
    value = section.value(key)
    if value is not None and isinstance(value.content, str):
        empty = Value(content=None, line=value.line, column=value.column, keys={})
        value = Value(
            content={value.text: empty},
            line=value.line,
            column=value.column,
            keys={value.text: (value.line, value.column)},
        )
        return Section(value, file=section.file, field=section.path(key), problems=section.problems)
    return section.section(key)


def _place(section: Section, key: str, draft: Draft) -> Place:
    line, column = section.place(key)
    base = Path(section.file).absolute().parent
    return Place(draft=draft, file=section.file, line=line, column=column, field=section.path(key), base=base)


def names(pattern: str, place: Place) -> list[str]:
    """Expand a host pattern; what cannot be a node's name becomes a problem."""
    try:
        found = expand_ansible(pattern)
    except RangeError as error:
        place.problem(f"{pattern[:80]!r}: {error}")
        return []
    for name in found:
        mistake = name_error(name)
        if mistake:
            hint = "give it a name, and the address as ansible_host" if ":" in name else ""
            place.problem(mistake, hint)
            return []
    return found
