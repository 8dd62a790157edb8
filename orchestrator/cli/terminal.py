"""What the person's terminal can show, decided from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, TextIO

_DEFAULT_COLUMNS: Final = 80
_CODES: Final = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold": "1",
    "dim": "2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """One of our output streams: whether a person looks at it, in colour, and how wide."""

    tty: bool
    colour: bool
    columns: int
    unicode: bool = False  #: whether it can show more than ASCII

    @classmethod
    def of(cls, stream: TextIO, env: Mapping[str, str], *, colour: bool | None = None) -> Self:
        """Look at `stream`. `colour` is the person's own word (`--no-color`), None = the environment decides."""
        tty = stream.isatty()
        columns = int(env["COLUMNS"]) if env.get("COLUMNS", "").isdecimal() else 0
        if not columns and tty:
            try:
                columns = os.get_terminal_size(stream.fileno()).columns
            except (OSError, ValueError):
                columns = 0
        wanted = wants_colour(env, tty=tty) if colour is None else colour
        unicode = (stream.encoding or "").lower().startswith("utf")
        return cls(tty=tty, colour=wanted, columns=columns or _DEFAULT_COLUMNS, unicode=unicode)

    @property
    def moves(self) -> bool:
        """Whether a line can be drawn over (a dumb terminal cannot)."""
        return self.tty and os.environ.get("TERM", "dumb") != "dumb"

    def paint(self, text: str, *styles: str) -> str:
        """Return `text` in colour, if there is colour."""
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"


def wants_colour(env: Mapping[str, str], *, tty: bool) -> bool:
    """Decide about colour: NO_COLOR, then CLICOLOR_FORCE and FORCE_COLOR, then CLICOLOR, then the terminal itself.

    https://no-color.org (set and not empty) and https://bixense.com/clicolors.
    """
    if env.get("NO_COLOR"):
        return False
    for name in ("CLICOLOR_FORCE", "FORCE_COLOR"):
        if env.get(name):
            return env[name] != "0"
    if env.get("CLICOLOR") == "0":
        return False
    return tty and env.get("TERM", "dumb") != "dumb"
