"""Puts drafts together: groups are inherited, names are checked against each other, cycles are refused.

A node's value of a field is the one that is written nearest to it. From weak to strong: the top-level `defaults`; the
group `all`; groups from the outermost parent to the innermost child (the same depth: by Ansible's priority, then by
name, the later one wins); `group_vars/` in the same order; the node itself.
"""

import graphlib
from collections.abc import Iterable, Mapping

from inventory.become import resolved
from inventory.draft import Draft, DraftGroup, Fields, branch
from inventory.model import Group, Inventory, Node, Origin, in_order
from inventory.nodeset import natural
from inventory.problems import InvalidFilesError, Problem, did_you_mean
from inventory.routing import JumpCycleError, hops

ALL = "all"
UNGROUPED = "ungrouped"  #: Ansible's group of the nodes that are in no other


def build(draft: Draft) -> Inventory:
    """Make the inventory of a draft.

    Raises:
        InvalidFilesError: The problems of the draft, unknown members and children, cycles of groups or of bastions.
    """
    problems = [*draft.problems, *_unknown_names(draft)]
    depths = _depths(draft.groups, problems)
    if problems:
        raise InvalidFilesError(problems)
    members = _members(draft, depths)
    memberships = _memberships(members)
    layers = sorted(draft.groups, key=lambda name: (depths[name], draft.groups[name].priority, name))
    rank = {name: place for place, name in enumerate(layers)}
    nodes = {
        node.name: node
        for node in in_order(
            _node(draft, name, sorted(memberships.get(name, ()), key=rank.__getitem__)) for name in draft.nodes
        )
    }
    groups = {ALL: Group(name=ALL, members=tuple(nodes))}
    groups |= {name: _group(draft.groups[name], name, members[name]) for name in sorted(draft.groups, key=natural)}
    _refuse_jump_cycles(nodes)
    return Inventory(nodes=nodes, groups=groups, warnings=tuple(draft.warnings))


def _unknown_names(draft: Draft) -> list[Problem]:
    problems = []
    for name, group in draft.groups.items():
        for word, origin in group.members.items():
            if word not in draft.nodes:
                problems.append(
                    _unknown(f"groups.{name}.nodes", f"there is no node {word!r}", origin, word, draft.nodes)
                )
        for word, origin in group.children.items():
            if word == ALL:
                message = "the group 'all' cannot be a child"
                problems.append(_unknown(f"groups.{name}.children", message, origin, word, ()))
            elif word not in draft.groups:
                message = f"there is no group {word!r}"
                problems.append(_unknown(f"groups.{name}.children", message, origin, word, draft.groups))
    return problems


def _unknown(field: str, message: str, origin: Origin, word: str, known: Iterable[str]) -> Problem:
    return Problem(file=origin.file, line=origin.line, field=field, message=message, hint=did_you_mean(word, known))


def _depths(groups: Mapping[str, DraftGroup], problems: list[Problem]) -> dict[str, int]:
    """Give how many parents stand above each group, at most; a cycle becomes a problem."""
    parents: dict[str, list[str]] = {name: [] for name in groups}
    for name, group in groups.items():
        for child in group.children:
            if child in parents:
                parents[child].append(name)
    try:
        order = list(graphlib.TopologicalSorter(parents).static_order())
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        origin = groups[cycle[0]].children[cycle[1]]
        message = f"the groups contain each other: {' > '.join(cycle)}"
        field = f"groups.{cycle[0]}.children"
        problems.append(Problem(file=origin.file, line=origin.line, field=field, message=message))
        return {}
    depths: dict[str, int] = {}
    for name in order:
        above = max((depths[parent] for parent in parents[name]), default=0)
        depths[name] = 0 if name == ALL else above + 1
    return depths


def _members(draft: Draft, depths: Mapping[str, int]) -> dict[str, dict[str, None]]:
    """Give the nodes of each group with those of its children."""
    members: dict[str, dict[str, None]] = {}
    for name in sorted(draft.groups, key=lambda group: -depths[group]):
        group = draft.groups[name]
        members[name] = dict.fromkeys(group.members)
        for child in group.children:
            members[name] |= members[child]
    if ALL in members:
        members[ALL] = dict.fromkeys(draft.nodes)
    if UNGROUPED in members:
        grouped = {node for name, nodes in members.items() if name not in (ALL, UNGROUPED) for node in nodes}
        members[UNGROUPED] = dict.fromkeys(node for node in draft.nodes if node not in grouped)
    return members


def _memberships(members: Mapping[str, Mapping[str, None]]) -> dict[str, list[str]]:
    memberships: dict[str, list[str]] = {}
    for name, nodes in members.items():
        for node in nodes:
            memberships.setdefault(node, []).append(name)
    return memberships


def _node(draft: Draft, name: str, groups: list[str]) -> Node:
    """Lay the fields over each other; `groups` come weakest first."""
    fields: Fields = dict(draft.defaults)
    for group in groups:
        fields |= draft.groups[group].fields
    for group in groups:
        fields |= draft.groups[group].late_fields
    fields |= draft.nodes[name]
    fields |= resolved(fields)
    plain = {key: setting.value for key, setting in fields.items() if "." not in key and setting.value is not None}
    origin = {key: setting.origin for key, setting in fields.items() if not key.startswith("become.")}
    return Node(
        name=name,
        labels=branch(fields, "labels."),
        vars=branch(fields, "vars."),
        groups=frozenset((ALL, *groups)),
        origin={"name": draft.defined[name], **origin},
        **{"host": name, **plain},
    )


def _group(draft: DraftGroup, name: str, members: Mapping[str, None]) -> Group:
    own = branch({**draft.fields, **draft.late_fields}, "vars.")
    ordered = tuple(sorted(members, key=natural))
    return Group(name=name, members=ordered, children=tuple(draft.children), vars=own)


def _refuse_jump_cycles(nodes: Mapping[str, Node]) -> None:
    found: dict[frozenset[str], Problem] = {}
    for node in nodes.values():
        try:
            hops(nodes, node)
        except JumpCycleError as error:
            origin: Origin = nodes[error.cycle[0]].origin["jump"]
            message = f"the bastions lead in a circle: {error}"
            problem = Problem(file=origin.file, line=origin.line, field="jump", message=message)
            found.setdefault(frozenset(error.cycle), problem)
    if found:
        raise InvalidFilesError(found.values())
