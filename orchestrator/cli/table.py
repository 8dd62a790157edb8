"""Plain text tables. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.cli.escapes import plain
from orchestrator.cli.terminal import Terminal

_GAP = "  "
_NARROWEST = 10


class Cell(NamedTuple):
    """A text and its colours."""

    text: str
    styles: tuple[str, ...] = ()


Row = Sequence[Cell | str]


def table(head: Sequence[str], rows: Sequence[Row], terminal: Terminal) -> str:
    """Return lines with aligned columns. On a terminal the last column is cut at the edge, otherwise nothing is cut."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[index].text) for row in cells)]) for index, name in enumerate(head)]
    if terminal.tty:
        used = sum(widths[:-1]) + len(_GAP) * (len(head) - 1)
        widths[-1] = max(_NARROWEST, min(widths[-1], terminal.columns - used))
    lines = [_line([Cell(name, ("bold",)) for name in head], widths, terminal)]
    lines += [_line(row, widths, terminal) for row in cells]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: Cell | str) -> Cell:
    cell = Cell(value) if isinstance(value, str) else value
    return Cell(plain(cell.text), cell.styles)


def _line(cells: Sequence[Cell], widths: Sequence[int], terminal: Terminal) -> str:
    texts = []
    for index, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = cell.text if len(cell.text) <= width else cell.text[: width - 1] + "…"
        padding = "" if index == len(cells) - 1 else " " * (width - len(text))
        texts.append(terminal.paint(text, *cell.styles) + padding)
    return _GAP.join(texts).rstrip()
