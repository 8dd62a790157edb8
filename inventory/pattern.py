"""Globs and regular expressions over names, with a bound on the time that they take."""

import fnmatch
import re
from typing import Final

_MAX_LENGTH: Final = 200
_MAX_REPEATS: Final = 3  #: each one that backtracks multiplies the time by the length of a name (253 at most)

_PIECE: Final = re.compile(
    r"""
      (?P<escape> \\. )
    | (?P<set> \[ \^? \]? (?: \\. | [^\]\\] )* \] )
    | (?P<open> \( (?: \?: )? )
    | (?P<close> \) )
    | (?P<repeat> (?: [*+] | \{ [0-9]* ,? [0-9]* \} ) \?? )
    | (?P<maybe> \?\?? )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def is_glob(text: str) -> bool:
    """Whether a text has `*` or `?` in it."""
    return "*" in text or "?" in text


def glob(text: str) -> re.Pattern[str]:
    """Compile `*` and `?`; everything else stands for itself."""
    return re.compile(fnmatch.translate(text.replace("[", "[[]")))


def regex(text: str) -> re.Pattern[str]:
    r"""Compile a regular expression of a person, without what can take exponential time.

    Allowed are characters, sets, `.`, `\d \w \s`, anchors, `|`, groups that are not repeated but by `?`, and at most
    three of `*`, `+`, `{n,m}`. So a match takes at most the cube of a name's length.

    Raises:
        ValueError: It has something else, or is not a regular expression.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"the regular expression is longer than {_MAX_LENGTH} characters")
    repeats, before = 0, ""
    for piece in _PIECE.finditer(text):
        kind = piece.lastgroup or ""
        if kind == "repeat":
            repeats += 1
            if before == "close":
                raise ValueError(f"a group cannot be repeated by {piece[0]!r}")
        elif (kind == "maybe" and before == "open") or (kind == "escape" and piece[0][1] in "123456789"):
            raise ValueError("look-around and references to groups are not supported")
        elif kind == "set" and re.search(r"\[|--|&&|~~|\|\|", piece[0][1:]):
            raise ValueError(f"the set {piece[0]} is ambiguous; escape what is meant literally")
        before = kind
    if repeats > _MAX_REPEATS:
        raise ValueError(f"more than {_MAX_REPEATS} of '*', '+' and '{{n,m}}'")
    try:
        return re.compile(text)
    except (re.error, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {error}") from error
