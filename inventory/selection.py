"""Finds the nodes of a target expression in an inventory."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inventory.fields import shown
from inventory.model import Inventory, Node, in_order
from inventory.nodeset import RangeError, expand, fold
from inventory.pattern import glob, is_glob, regex
from inventory.problems import did_you_mean
from inventory.targets import Chain, Kind, Leaf, TargetError, Tree, inline_files, parse

_EVERY: Final = frozenset({"all", "*"})
_ZEROS: Final = re.compile(r"(?<!\d)0+(?=\d)")
_SHOWN: Final = 3  #: disabled nodes that an error spells out with their reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The usable nodes in order, and the disabled ones that a group, glob or label would have brought."""

    nodes: tuple[Node, ...]
    skipped: tuple[Node, ...]


def choose(
    inventory: Inventory, expression: str, *, exclude: str | None, limit: str | None, files: Path | None
) -> Selection:
    """Select as `Inventory.select` describes it."""
    finder = _Finder(inventory, expression, files)
    found = set(finder.find())
    named = finder.named
    if limit is not None:
        limiter = _Finder(inventory, limit, files)
        found &= limiter.find()
        named |= limiter.named
    if exclude is not None:
        found -= _Finder(inventory, exclude, files).find(excluding=True)
    if not found:
        raise TargetError("selects no node", expression, 0, len(expression), hint=_emptied_by(exclude, limit))
    chosen = [inventory.nodes[name] for name in found]
    refused = in_order(node for node in chosen if node.disabled is not None and node.name in named)
    if refused:
        _refuse(refused, finder)
    usable = in_order(node for node in chosen if node.disabled is None)
    skipped = in_order(node for node in chosen if node.disabled is not None)
    if not usable:
        names = fold(node.name for node in skipped)
        message = f"selects only disabled nodes: {names} ({skipped[0].disabled})"
        raise TargetError(message, expression, 0, len(expression))
    return Selection(nodes=tuple(usable), skipped=tuple(skipped))


def _emptied_by(exclude: str | None, limit: str | None) -> str:
    causes = [name for name, text in (("the exclusion", exclude), ("the limit", limit)) if text is not None]
    return f"{' and '.join(causes)} may have left nothing" if causes else ""


def _refuse(refused: list[Node], finder: "_Finder") -> None:
    reasons = "; ".join(f"{node.name} is disabled: {node.disabled}" for node in refused[:_SHOWN])
    more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    hint = f"take it out with !{fold(node.name for node in refused)}, or name a group or a glob instead"
    start, end = finder.named.get(refused[0].name, (0, len(finder.text)))
    raise TargetError(reasons + more, finder.text, start, end, hint=hint)


class _Finder:
    """Evaluates one expression. `named` are the nodes that it names itself (not by group or glob), with the places."""

    def __init__(self, inventory: Inventory, expression: str, files: Path | None) -> None:
        self.text = expression if files is None else inline_files(expression, files)
        self.named: dict[str, tuple[int, int]] = {}
        self._inventory = inventory
        self._every = frozenset(inventory.nodes)

    def find(self, *, excluding: bool = False) -> frozenset[str]:
        return self._tree(parse(self.text), wanted=not excluding)

    def _tree(self, tree: Tree, *, wanted: bool) -> frozenset[str]:
        """`wanted` is false for what is taken away: that may match nothing, and may be disabled."""
        if isinstance(tree, Leaf):
            return self._leaf(tree, wanted=wanted)
        return self._chain(tree, wanted=wanted)

    def _chain(self, chain: Chain, *, wanted: bool) -> frozenset[str]:
        found = set(self._tree(chain.first, wanted=wanted))
        for operator, operand in chain.rest:
            names = self._tree(operand, wanted=wanted and operator != "!")
            match operator:
                case ",":
                    found |= names
                case "&":
                    found &= names
                case "!":
                    found -= names
                case _:
                    found ^= names
        return frozenset(found)

    def _leaf(self, leaf: Leaf, *, wanted: bool) -> frozenset[str]:
        match leaf.kind:
            case Kind.WORD:
                found = self._word(leaf, wanted=wanted)
            case Kind.GROUP:
                found = self._groups(leaf)
            case Kind.LABEL:
                return self._label(leaf, wanted=wanted)
            case Kind.REGEX:
                found = self._regex(leaf)
            case _:
                hint = "the one who asks has to put the names in its place"
                raise self._error(leaf, f"the file {shown(leaf.text)} is not read here", hint)
        if wanted and not found and leaf.kind is not Kind.GROUP:
            raise self._error(leaf, f"{shown(leaf.text)} matches no node")
        return found

    def _word(self, leaf: Leaf, *, wanted: bool) -> frozenset[str]:
        if leaf.text in _EVERY and not leaf.quoted:
            return self._every
        found: set[str] = set()
        unknown = []
        for word in self._expanded(leaf):
            if is_glob(word):
                found |= self._matching(glob(word).match)
            elif word in self._inventory.nodes:
                found.add(word)
                if wanted:
                    self.named[word] = (leaf.start, leaf.end)
            elif word in self._inventory.groups:
                found |= self._members(word)
            else:
                unknown.append(word)
        if unknown:
            raise self._unknown(leaf, unknown)
        return frozenset(found)

    def _unknown(self, leaf: Leaf, unknown: list[str]) -> TargetError:
        known = [*self._inventory.nodes, *self._inventory.groups]
        if not self._every:
            return self._error(leaf, f"unknown node {shown(unknown[0])}", "the inventory is empty")
        padded = {_ZEROS.sub("", name): name for name in known}
        alike = [padded.get(_ZEROS.sub("", name), "") for name in unknown]
        hint = f"did you mean {fold(alike)!r}?" if all(alike) else did_you_mean(unknown[0], known)
        plural = "s" if len(unknown) > 1 else ""
        nothing_near = "'anyjob nodes list' shows what there is"
        return self._error(leaf, f"unknown node{plural} {shown(fold(unknown))}", hint or nothing_near)

    def _groups(self, leaf: Leaf) -> frozenset[str]:
        if leaf.text in _EVERY:
            return self._every
        found: set[str] = set()
        for word in self._expanded(leaf):
            pattern = glob(word) if is_glob(word) else None
            names = [name for name in self._inventory.groups if pattern.match(name)] if pattern else [word]
            if not names or (pattern is None and word not in self._inventory.groups):
                raise self._error(leaf, f"unknown group {shown(word)}", self._group_hint(word))
            for name in names:
                found |= self._members(name)
        return frozenset(found)

    def _group_hint(self, word: str) -> str:
        if word in self._inventory.nodes:
            return f"{word} is a node: leave out the @"
        groups = self._inventory.groups
        return did_you_mean(word, groups) or f"groups are: {', '.join(list(groups)[:20])}"

    def _label(self, leaf: Leaf, *, wanted: bool) -> frozenset[str]:
        key, _, value = leaf.text.partition("=")
        nodes = self._inventory.nodes.values()
        values = {node.name: node.labels[key] for node in nodes if key in node.labels}
        if not values:
            keys = {label for node in nodes for label in node.labels}
            raise self._error(leaf, f"no node has a label {shown(key)}", did_you_mean(key, keys))
        pattern = re.compile(re.escape(value)) if leaf.quoted else glob(value)
        found = frozenset(name for name, text in values.items() if pattern.fullmatch(text))
        if wanted and not found:
            known = sorted(set(values.values()))
            hint = did_you_mean(value, known) or f"values are: {', '.join(known[:20])}"
            raise self._error(leaf, f"no node has {shown(leaf.text)}", hint)
        return found

    def _regex(self, leaf: Leaf) -> frozenset[str]:
        try:
            return self._matching(regex(leaf.text).match)
        except ValueError as error:
            raise self._error(leaf, str(error), "use groups, globs or labels instead") from error

    def _expanded(self, leaf: Leaf) -> list[str]:
        try:
            return expand(leaf.text)
        except RangeError as error:
            offset = leaf.end - len(leaf.text) - (1 if leaf.quoted else 0)
            raise TargetError(str(error), self.text, offset + error.start, offset + error.end) from error

    def _members(self, group: str) -> frozenset[str]:
        return frozenset(self._inventory.groups[group].members)

    def _matching(self, matches: Callable[[str], object]) -> frozenset[str]:
        return frozenset(name for name in self._inventory.nodes if matches(name))

    def _error(self, leaf: Leaf, message: str, hint: str = "") -> TargetError:
        return TargetError(message, self.text, leaf.start, leaf.end, hint=hint)
