"""The words of a command line or of a chat → target, params and props: `restart web[01-09] nginx wait=5m !force`.

Each word is tried in this order, and the first that fits takes it:

1. `name=value`: a parameter, else a prop, else `nodes=TARGET`; any other name is an error;
2. `flag`: true; `!flag` or `no-flag`: false; of a parameter, else of a prop;
3. a target, if there is none yet and every part of the word is a node or group that is known;
4. the first implicit parameter without a value that takes the word;
5. the first implicit prop without a value that takes the word.

What is left is an error that says what it could have been. A name that comes twice is one too, except for lists: those
grow. Values are not judged here beyond that: `jobs.params.validate` does it.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from inventory.fields import shown
from inventory.problems import did_you_mean
from jobs.jobtype import Kind, Param
from jobs.paramkinds import Around, ValueRefusedError, accept
from jobs.paramtext import from_text

NODES: Final = "nodes"  #: the name of the target, unless a parameter or prop has it
_NAMED: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)
_GROWING: Final = frozenset({Kind.LIST, Kind.CHOICES})


class WordErrors(ValueError):  # noqa: N818  it is many
    """Words that mean nothing; `problems` holds every (word, message). The value of a secret is never in it."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{shown(word)}: {message}" for word, message in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the words mean. Values may be secret, so they are not in the representation."""

    target: str | None
    params: dict[str, Any] = field(repr=False)
    props: dict[str, Any] = field(repr=False)


def read_words(  # noqa: PLR0913  everything that words are matched with, named
    words: Sequence[str],
    *,
    params: Sequence[Param],
    props: Sequence[Param] = (),
    is_target: Callable[[str], bool] = lambda _word: False,
    target: str | None = None,
    nodes: Collection[str] = (),
) -> Words:
    """Match words.

    Args:
        words: As a shell has split them.
        params: Of the job type.
        props: That may be set.
        is_target: Whether a word selects nodes of the inventory; asked only while there is no target.
        target: If it is known already; then no word is one.
        nodes: Names that a parameter of kind `node` may have; empty = every name.

    Raises:
        WordErrors: With every word that means nothing.
    """
    matching = _Matching(params, props, is_target, target, Around(nodes=nodes))
    for word in words:
        matching.take(word)
    if matching.problems:
        raise WordErrors(matching.problems)
    return Words(target=matching.target, params=matching.values[0], props=matching.values[1])


class _Matching:
    def __init__(
        self,
        params: Sequence[Param],
        props: Sequence[Param],
        is_target: Callable[[str], bool],
        target: str | None,
        around: Around,
    ) -> None:
        self.offered = ({param.name: param for param in params}, {prop.name: prop for prop in props})
        self.values: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self.is_target = is_target
        self.target = target
        self.around = around
        self.problems: list[tuple[str, str]] = []

    def take(self, word: str) -> None:
        named = _NAMED.fullmatch(word)
        if named is not None:
            self._named(named["name"], named["value"])
        elif not (self._flag(word) or self._nodes(word) or self._implicit(word)):
            self.problems.append((word, self._could_be(word)))

    def _named(self, name: str, text: str) -> None:
        for offered, values in zip(self.offered, self.values, strict=True):
            if name in offered:
                self._set(offered[name], values, from_text(offered[name], text))
                return
        if name == NODES:
            if self.target is not None:
                self.problems.append((f"{NODES}=", "the target is given twice"))
            self.target = text
            return
        known = [*self.offered[0], *self.offered[1]]
        hint = did_you_mean(name, known) or f"known here: {', '.join([*known, NODES])}"
        self.problems.append((f"{name}=", f"there is no parameter or prop {name!r}; {hint}"))

    def _set(self, param: Param, values: dict[str, Any], value: Any) -> None:
        if param.name not in values:
            values[param.name] = value
        elif param.kind in _GROWING and isinstance(value, list) and isinstance(values[param.name], list):
            values[param.name] = [*values[param.name], *value]
        else:
            self.problems.append((f"{param.name}=", f"{param.name} is given twice"))

    def _flag(self, word: str) -> bool:
        for prefix, value in (("", True), ("!", False), ("no-", False)):
            name = word.removeprefix(prefix)
            if prefix and name == word:
                continue
            for offered, values in zip(self.offered, self.values, strict=True):
                if name in offered and offered[name].kind == Kind.FLAG:
                    self._set(offered[name], values, value)
                    return True
        return False

    def _nodes(self, word: str) -> bool:
        if self.target is not None or not word or not self.is_target(word):
            return False
        self.target = word
        return True

    def _implicit(self, word: str) -> bool:
        for offered, values in zip(self.offered, self.values, strict=True):
            for param in offered.values():
                if param.implicit and param.name not in values and self._takes(param, word):
                    values[param.name] = from_text(param, word)
                    return True
        return False

    def _takes(self, param: Param, word: str) -> bool:
        try:
            accept(param, from_text(param, word), self.around)
        except ValueRefusedError:
            return False
        return True

    def _could_be(self, word: str) -> str:
        reasons = []
        if self.target is None:
            reasons.append("it selects no node")
        for offered, values in zip(self.offered, self.values, strict=True):
            for param in offered.values():
                if param.implicit:
                    used = param.name in values
                    reasons.append(f"{param.name} {'has a value already' if used else 'does not take it'}")
        known = [*self.offered[0], *self.offered[1]]
        hint = did_you_mean(word.lstrip("!"), known) or f"write NAME=VALUE ({', '.join([*known, NODES])})"
        return "; ".join([*reasons, hint])
