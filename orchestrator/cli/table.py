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
    """Return lines with aligned columns.

    On a terminal the widest columns are cut until a line fits, but never the first, and a last column with nothing in
    it is left out. Elsewhere all columns are there, and whole.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[index].text) for row in cells)]) for index, name in enumerate(head)]
    if terminal.tty and not any(row[-1].text for row in cells):
        head, cells, widths = head[:-1], [row[:-1] for row in cells], widths[:-1]
    if terminal.tty:
        _fit(widths, terminal.columns - len(_GAP) * (len(head) - 1))
    lines = [_line([Cell(name, ("bold",)) for name in head], widths, terminal)]
    lines += [_line(row, widths, terminal) for row in cells]
    return "".join(f"{line}\n" for line in lines)


def _fit(widths: list[int], room: int) -> None:
    while sum(widths) > room and max(widths[1:]) > _NARROWEST:
        widths[1 + widths[1:].index(max(widths[1:]))] -= 1


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
