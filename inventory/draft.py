"""What readers find in their sources, before it is put together: fields with their places, nothing inherited yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inventory.model import Origin
from inventory.problems import Problem


class Setting(NamedTuple):
    """A checked value of a field and where it was written."""

    value: Any
    origin: Origin


Fields = dict[str, Setting]
"""By field: `host`, `port`, ..., and `labels.KEY` and `vars.KEY` one by one, so that they merge one by one,
and so do the parts `become.on`, `become.method` and `become.user` (`inventory/become.py`).

Types: host, user, python, disabled: text; port, max_jobs, order: int; identity, jump: tuples of text; None = none,
where a field takes back what a group says (`disabled: false`, `jump: none` is the empty tuple).
"""


@dataclass(slots=True, kw_only=True)
class DraftGroup:
    """A group as sources tell it: members and children by name, and the fields that its members inherit."""

    origin: Origin
    members: dict[str, Origin] = field(default_factory=dict)
    children: dict[str, Origin] = field(default_factory=dict)
    fields: Fields = field(default_factory=dict)
    late_fields: Fields = field(default_factory=dict)  #: of `group_vars/`: these win over `fields` of every group
    priority: int = 1  #: Ansible's, among groups of the same depth

    def merge(self, other: "DraftGroup") -> None:
        """Add what a later source says."""
        self.members |= other.members
        self.children |= other.children
        self.fields |= other.fields
        self.late_fields |= other.late_fields
        self.priority = max(self.priority, other.priority)


@dataclass(slots=True, kw_only=True)
class Draft:
    """All that some sources tell. A node's `Fields` may be empty; `defined` has the place of each node."""

    nodes: dict[str, Fields] = field(default_factory=dict)
    defined: dict[str, Origin] = field(default_factory=dict)
    groups: dict[str, DraftGroup] = field(default_factory=dict)
    defaults: Fields = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def node(self, name: str, origin: Origin) -> Fields:
        """Give the fields of a node, which exists from now on."""
        self.defined.setdefault(name, origin)
        return self.nodes.setdefault(name, {})

    def group(self, name: str, origin: Origin) -> DraftGroup:
        """Give a group, which exists from now on."""
        return self.groups.setdefault(name, DraftGroup(origin=origin))

    def merge(self, other: "Draft") -> None:
        """Add what a later source says: its fields win one by one."""
        for name, fields in other.nodes.items():
            self.node(name, other.defined[name]).update(fields)
        for name, group in other.groups.items():
            self.group(name, group.origin).merge(group)
        self.defaults |= other.defaults
        self.problems += other.problems
        self.warnings += other.warnings


def branch(fields: Mapping[str, Setting], prefix: str) -> dict[str, Any]:
    """Give the values below `labels.` or `vars.` by key."""
    return {key[len(prefix) :]: setting.value for key, setting in fields.items() if key.startswith(prefix)}
