"""What an inventory is once it is read: nodes and groups with their effective values, and where each came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from inventory.problems import Problem
from inventory.route import RUN_AS, Address, Become, Route

if TYPE_CHECKING:
    from pathlib import Path

    from inventory.selection import Selection


class Origin(NamedTuple):
    """Where a value was written; `line` is None where a source has no lines (the output of a program)."""

    file: str
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine with its effective values.

    `identity` holds absolute paths. `jump` names nodes or `[user@]host[:port]`, the first hop first. `disabled` is the
    reason, None for a usable node. `groups` has parents and `all` too. `origin` has the place of each field, with
    `labels.KEY` and `vars.KEY` for theirs; a field that nobody wrote has none.
    """

    name: str
    host: str
    port: int = 22
    user: str | None = None
    identity: tuple[str, ...] = ()
    python: str | None = None
    become: Become | None = None
    jump: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    max_jobs: int | None = None
    order: int = 0
    disabled: str | None = None
    groups: frozenset[str] = frozenset()
    origin: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A named part of the inventory. `members` are all its nodes, those of its children too; `vars` only its own."""

    name: str
    members: tuple[str, ...]
    children: tuple[str, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All nodes (by `order`, then by natural name) and all groups. `warnings`: what was left out of sources."""

    nodes: Mapping[str, Node]
    groups: Mapping[str, Group]
    warnings: tuple[Problem, ...] = ()

    def select(
        self, expression: str, *, exclude: str | None = None, limit: str | None = None, files: "Path | None" = None
    ) -> tuple[Node, ...]:
        """Give the usable nodes of a target expression, each once, by `order`, then by natural name.

        Args:
            expression: In the target language (`docs/reference/targets.md`).
            exclude: Nodes to leave out.
            limit: Only nodes that are in this one too.
            files: Directory that `@./names` is relative to; None = files are refused, because they would be read on
                behalf of somebody else (`targets.inline_files` puts their names in place beforehand).

        Raises:
            TargetError: Syntax, an unknown name, a disabled node that is named, or nothing left.
        """
        return self.selection(expression, exclude=exclude, limit=limit, files=files).nodes

    def selection(
        self, expression: str, *, exclude: str | None = None, limit: str | None = None, files: "Path | None" = None
    ) -> "Selection":
        """Select as `select` does, and tell the disabled nodes that were left out."""
        from inventory.selection import choose  # noqa: PLC0415 - selection needs this module

        return choose(self, expression, exclude=exclude, limit=limit, files=files)

    def route(self, node: Node, *, login_user: str | None = None, run_as: str | None = None) -> Route:
        """Give the way to a node.

        Args:
            node: Where to.
            login_user: Replaces the node's own user, not that of its bastions.
            run_as: The job's user, whom the relay becomes where the node says `become: {user: "@run_as"}`. None, or
                the login user itself: nobody is become there.
        """
        from inventory.routing import hops  # noqa: PLC0415 - routing needs this module

        login = address(node, user=login_user)
        return Route(
            node=node.name,
            address=login,
            jump=hops(self.nodes, node),
            python=node.python,
            become=_become(node, login, run_as),
        )


def address(node: Node, *, user: str | None = None, port: int | None = None) -> Address:
    """Give where a node is logged in to; `user` and `port` replace the node's own."""
    return Address(host=node.host, port=port or node.port, user=user or node.user, identity=node.identity)


def _become(node: Node, login: Address, run_as: str | None) -> Become | None:
    if node.become is None or node.become.user != RUN_AS:
        return node.become
    if run_as is None or run_as == login.user:
        return None
    return Become(method=node.become.method, user=run_as)


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """Sort nodes by `order`, then by natural name (web2 before web10)."""
    from inventory.nodeset import natural  # noqa: PLC0415 - selection needs this module

    return sorted(nodes, key=lambda node: (node.order, natural(node.name)))
