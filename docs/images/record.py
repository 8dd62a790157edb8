"""Makes `demo.svg`, the picture of the README: runs the demo on a pseudo-terminal and draws what the terminal shows.

`python docs/images/record.py`, from anywhere, with the virtual environment's Python.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
COLUMNS: Final = 100
CELL: Final = (8.4, 19.0)  # of a character, in pixels
MARGIN: Final = 18.0
BAR: Final = 34.0  # of a window
_CONTROL: Final = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|(.)", re.DOTALL)
_FILL: Final = {
    "": "#d5dbe6", "31": "#ff7b86", "32": "#8fd18b", "33": "#e8c47c", "34": "#82aaff", "35": "#d0a3f0",
    "36": "#6fd3dd", "2": "#8a94a8", "1": "#ffffff",
}  # fmt: skip


class Cell(NamedTuple):
    """A character on the screen and its style, as the terminal was told it."""

    text: str
    style: str


Screen = list[list[Cell]]


class Display:
    """As much of a terminal as the command line uses: colours, new lines, and drawing over the last line."""

    def __init__(self) -> None:
        self.lines: Screen = [[]]
        self._column = 0
        self._style = ""

    def feed(self, text: str) -> None:
        """Show what was written."""
        for match in _CONTROL.finditer(text):
            numbers, command, character = match.groups()
            if command == "m":
                self._style = "" if numbers in ("", "0") else numbers
            elif command == "K":
                del self.lines[-1][self._column :]
            elif character == "\n":
                self.lines.append([])
            elif character == "\r":
                self._column = 0
            elif character:
                self.lines[-1][self._column : self._column + 1] = [Cell(character, self._style)]
                self._column += 1

    def text(self, line: int) -> str:
        """Return a line without its colours."""
        return "".join(cell.text for cell in self.lines[line])


def record() -> tuple[Screen, Screen]:
    """Run the demo; return the screen while the first nodes have ended, and the screen at the end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    kept = ("HOME", "PATH", "USER", "LOGNAME")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
    }
    command = [str(Path(sys.executable).parent.relative_to(ROOT) / "anyjob"), "demo"]
    demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)  # noqa: S603
    os.close(theirs)
    display, live = Display(), Display().lines
    display.feed("$ make demo\r\n")
    for data in _read(ours):
        display.feed(data.decode())
        if len(live) == 1 and re.search(r" 1 done .*running", display.text(-1)):
            live = [list(line) for line in display.lines]
    if demo.wait() != 0 or len(live) == 1:
        raise SystemExit("the demo did not go as it should")
    return live, display.lines[:-1]


def _read(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # EIO: the last one who had the terminal open is gone
            return
        yield data


def window(lines: Screen, top: float) -> tuple[str, float]:
    """Draw a terminal's window; return it and where it ends."""
    height = BAR + len(lines) * CELL[1] + MARGIN
    width = COLUMNS * CELL[0] + 2 * MARGIN
    parts = [f'<rect x="0" y="{top:g}" width="{width:g}" height="{height:g}" rx="9" fill="#161b26"/>']
    parts += [
        f'<circle cx="{20 + 19 * number}" cy="{top + 17:g}" r="5.5" fill="{fill}"/>'
        for number, fill in enumerate(("#ff6159", "#ffbd2e", "#28c941"))
    ]
    for row, line in enumerate(lines):
        parts += _row(line, top + BAR + (row + 0.75) * CELL[1])
    return "\n".join(parts), top + height


def _row(line: list[Cell], y: float) -> Iterator[str]:
    column = 0
    for style, group in groupby(line, key=lambda cell: cell.style):
        text = "".join(cell.text for cell in group)
        weight = ' font-weight="600"' if style == "1" else ""
        for word in re.finditer(
            r"\S+", text
        ):  # each in its place, whatever font there is and whatever becomes of spaces
            x, length = MARGIN + (column + word.start()) * CELL[0], len(word[0]) * CELL[0]
            yield (
                f'<text x="{x:.1f}" y="{y:.1f}" textLength="{length:.1f}" fill="{_FILL[style]}"{weight}>'
                f"{escape(word[0])}</text>"
            )
        column += len(text)


def main() -> None:
    """Write the picture."""
    live, end = record()
    table = next(row for row, line in enumerate(end) if "".join(cell.text for cell in line).startswith("NODE "))
    first, below = window(live, 0)
    second, below = window(end[table - 3 :], below + 14)
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * CELL[0] + 2 * MARGIN:g} {below:g}" '
        "font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" "
        'font-size="14">\n'
        "<title>anyjob demo: a script on three nodes, live; the summary; equal answers folded; the history</title>\n"
        f"{first}\n{second}\n</svg>\n"
    )
    (ROOT / "docs/images/demo.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
