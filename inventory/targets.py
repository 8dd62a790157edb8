"""The target language: text → tree. `inventory.selection` finds the nodes of a tree.

    chain   = operand { operator operand }          applied from left to right
    operand = "(" chain ")" | name | range | glob | "all" | "*" | group | label | regex | file
    operator = "," | ":" (union)  "&" (and)  "!" (minus)  "^" (either, not both)  ":&" ":!" ",&" ",!" (Ansible's)

As in ClusterShell no operator binds stronger than another: `a,b&c` is `(a,b)&c`. A chain with Ansible's `:&` or `:!`
is applied in Ansible's order instead: unions, then `&`, then `!`, wherever they stand; it may not have a bare `&`, `!`
or `^` beside them. `docs/reference/targets.md` is the description for users.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NoReturn

from inventory.fields import shown
from inventory.problems import InvalidFilesError
from inventory.yamlfile import MAX_BYTES, decode

MAX_LENGTH: Final = 1 << 20  #: characters; a list of 20,000 long names still fits
MAX_BRACKETS: Final = 50  #: open at once; keeps the recursion flat
_WINDOW: Final = 100  #: characters of a long expression that an error shows

_OPERATORS: Final = ",:&!^"
_STOPS: Final = _OPERATORS + "() \t\r\n"
_FILE_WORD: Final = re.compile(r"[A-Za-z0-9._*?-]*(?:\[[0-9,/-]*\][A-Za-z0-9._*?-]*)*")


class TargetError(ValueError):
    """A target expression that selects nothing usable. `start` and `end` are the place in `expression` (from 0)."""

    def __init__(self, message: str, expression: str, start: int, end: int, *, hint: str = "") -> None:
        self.message = message
        self.expression = expression
        self.start = start
        self.end = max(end, start + 1)
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        first = max(0, min(self.start - _WINDOW // 3, len(self.expression) - _WINDOW))
        line = "".join(character if character.isprintable() else "?" for character in self.expression[first:][:_WINDOW])
        carets = "^" * min(self.end - self.start, first + _WINDOW - self.start + 1)
        text = f"{self.message}; {self.hint}" if self.hint else self.message
        return f"{text}\n  {line}\n  {' ' * (self.start - first)}{carets}"


class Kind(StrEnum):
    """What a leaf of the tree is."""

    WORD = "word"  #: a name, a range of names or a glob
    GROUP = "group"  #: `@name`; may be a range or a glob too
    LABEL = "label"  #: `key=value`; the value may be a glob
    REGEX = "regex"  #: `~pattern`, anchored at the start as in Ansible
    FILE = "file"  #: `@./file`, `@/file` or `^file`


@dataclass(frozen=True, slots=True)
class Leaf:
    """One operand and its place; `text` has no sigil and no quotes, `quoted` says that it had some."""

    kind: Kind
    text: str
    start: int
    end: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands in the order in which they are applied: the first, then each with its operator `,` `&` `!` `^`."""

    first: "Leaf | Chain"
    rest: tuple[tuple[str, "Leaf | Chain"], ...]


Tree = Leaf | Chain


def parse(expression: str) -> Tree:
    """Read an expression, or raise `TargetError` with the place of the mistake."""
    if len(expression) > MAX_LENGTH:
        raise TargetError(f"is longer than {MAX_LENGTH} characters", expression, 0, 1)
    return _Parser(expression).parse()


def inline_files(expression: str, directory: Path) -> str:
    """Put the names of `@./file` and `^file` in their place, so that others need not read the caller's files.

    A file has names, ranges and globs, separated by white space or commas; `#` begins a comment. Relative names are
    relative to `directory`. An expression that cannot be read comes back unchanged, for `parse` to explain.

    Raises:
        TargetError: A file cannot be read or has something else in it.
    """
    try:
        leaves = [leaf for leaf in _leaves(parse(expression)) if leaf.kind is Kind.FILE]
    except TargetError:
        return expression
    for leaf in sorted(leaves, key=lambda found: -found.start):
        words = _file_words(expression, leaf, directory)
        expression = f"{expression[: leaf.start]}({','.join(words)}){expression[leaf.end :]}"
    return expression


def _leaves(tree: Tree) -> Iterator[Leaf]:
    if isinstance(tree, Leaf):
        yield tree
        return
    for operand in (tree.first, *(operand for _, operand in tree.rest)):
        yield from _leaves(operand)


def _file_words(expression: str, leaf: Leaf, directory: Path) -> list[str]:
    try:
        path = directory / Path(leaf.text).expanduser()
        with path.open("rb") as stream:
            text = decode(stream.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        message = f"{shown(leaf.text)} cannot be read: {error.strerror}"
        raise TargetError(message, expression, leaf.start, leaf.end) from error
    except InvalidFilesError as error:
        raise TargetError(str(error), expression, leaf.start, leaf.end) from error
    except (RuntimeError, ValueError) as error:  # no home of that user, a NUL in the name
        raise TargetError(f"{shown(leaf.text)} is not a path", expression, leaf.start, leaf.end) from error
    words = []
    for number, line in enumerate(text.split("\n"), 1):
        for word in re.findall(r"(?:\[[^\]]*\]|[^\s,\[])+|\[", line.partition("#")[0]):
            if not _FILE_WORD.fullmatch(word):
                message = f"{path}:{number}: {shown(word)} is not a name, a range or a glob"
                raise TargetError(message, expression, leaf.start, leaf.end)
            words.append(word)
    if not words:
        raise TargetError(f"{shown(leaf.text)} names no node", expression, leaf.start, leaf.end)
    return words


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._brackets = 0

    def parse(self) -> Tree:
        tree = self._chain()
        if self._at < len(self._text):
            self._fail("')' without '('", self._at)
        return tree

    def _chain(self) -> Tree:
        start = self._at
        ansible = self._peek() == "!"
        first = Leaf(Kind.WORD, "all", self._at, self._at) if ansible else self._operand()
        rest: list[tuple[str, Tree]] = []
        if ansible:  # "!a" is Ansible's short form of "all:!a"
            self._at += 1
            rest.append(("!", self._operand()))
        bare = False
        while self._peek() not in ("", ")"):
            operator = self._operator()
            bare = bare or operator in ("&", "!", "^")
            ansible = ansible or len(operator) > 1
            rest.append((operator[-1].replace(":", ","), self._operand()))
            if ansible and bare and len(rest) > 1:
                hint = "write a:&b or a&b throughout, or put brackets around a part"
                self._fail("mixes Ansible's operators with others", start, self._at, hint=hint)
        if ansible:
            rest.sort(key=lambda pair: ",&!".index(pair[0]))
        return Chain(first, tuple(rest)) if rest else first

    def _operator(self) -> str:
        character = self._peek()
        if character not in _OPERATORS:
            self._fail("expected an operator", self._at, hint="separate names with a comma")
        self._at += 1
        if character in ",:" and self._peek() in ("&", "!"):
            self._at += 1
            return character + self._text[self._at - 1]
        return character

    def _operand(self) -> Tree:
        character = self._peek()
        start = self._at
        if character == "(":
            return self._bracketed()
        if character == "" or character in ",:&!)":
            self._fail("expected a node, a group or a label here", start)
        if character == "~":
            return self._regex(start)
        if character in "@^":
            self._at += 1
            text, quoted = self._word(_STOPS.replace(":", ""))
            is_file = character == "^" or "/" in text
            if not is_file and ":" in text:
                self._at = start + 1
                text, quoted = self._word(_STOPS)
            if not text:
                self._fail("expected a name after it", start, hint="quote names with special characters")
            return Leaf(Kind.FILE if is_file else Kind.GROUP, text, start, self._at, quoted)
        return self._name(start)

    def _bracketed(self) -> Tree:
        start = self._at
        self._brackets += 1
        if self._brackets > MAX_BRACKETS:
            self._fail(f"more than {MAX_BRACKETS} brackets are open", start)
        self._at += 1
        tree = self._chain()
        if self._peek() != ")":
            self._fail("'(' without ')'", start, start + 1)
        self._at += 1
        self._brackets -= 1
        return tree

    def _name(self, start: int) -> Leaf:
        text, quoted = self._word(_STOPS + "=")
        if self._text[self._at : self._at + 1] != "=":
            return Leaf(Kind.WORD, text, start, self._at, quoted)
        self._at += 1
        value, quoted = self._word(_STOPS)
        return Leaf(Kind.LABEL, f"{text}={value}", start, self._at, quoted)

    def _word(self, stops: str) -> tuple[str, bool]:
        """Read up to a stop that stands in no bracket, or a quoted text."""
        quote = self._text[self._at : self._at + 1]
        if quote in ("'", '"') and quote:
            end = self._text.find(quote, self._at + 1)
            if end < 0:
                self._fail("the quote is not closed", self._at)
            text = self._text[self._at + 1 : end]
            self._at = end + 1
            return text, True
        start, inside = self._at, False
        while self._at < len(self._text):
            character = self._text[self._at]
            if not inside and character in stops:
                break
            inside = character == "[" or (inside and character != "]")
            self._at += 1
        return self._text[start : self._at], False

    def _regex(self, start: int) -> Leaf:
        self._at += 1
        if self._text[self._at : self._at + 1] in ("'", '"'):
            text, _ = self._word(_STOPS)
            return Leaf(Kind.REGEX, text, start, self._at, quoted=True)
        first, depth = self._at, 0
        while self._at < len(self._text):
            character = self._text[self._at]
            if depth == 0 and character in _STOPS.replace("(", "") and self._at > first:
                break
            depth += 1 if character in "([{" else -1 if character in ")]}" else 0
            self._at += 2 if character == "\\" else 1
        self._at = min(self._at, len(self._text))
        return Leaf(Kind.REGEX, self._text[first : self._at], start, self._at)

    def _peek(self) -> str:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _fail(self, message: str, start: int, end: int | None = None, *, hint: str = "") -> NoReturn:
        raise TargetError(message, self._text, start, start + 1 if end is None else end, hint=hint)
