import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.escapes import Neutraliser, plain

HOSTILE = {
    "clipboard": b"\x1b]52;c;cm0gLXJmIC8=\x07",
    "title report": b"\x1b[21t",
    "clear": b"\x1b[2J\x1b[H",
    "device control": b"\x1bP$q\x1b\\",
    "application command": b"\x1b_x\x1b\\",
    "8-bit CSI": b"\x9b2J",
    "C1 in UTF-8": "\x9b2J".encode(),
    "bidirectional": "\u202eevil\u2066".encode(),
    "bell and backspace": b"\x07\x08\x7f\x00",
    "colour that is none": b"\x1b[31;?1049hm",
    "escape at the end": b"\x1b",
    "unfinished colour": b"\x1b[31",
}
#: what a terminal obeys: any control character but TAB and LF, and marks that turn the text around
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
SGR = re.compile(r"\x1b\[[0-9;:]*m")


def neutralised(data: bytes, *, cut: int | None = None, colour: bool = False) -> str:
    safe = Neutraliser(colour=colour)
    pieces = [data] if cut is None else [data[:cut], data[cut:]]
    return (b"".join(safe.feed(piece) for piece in pieces) + safe.finish()).decode()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("colour", [True, False])
def test_nothing_that_commands_a_terminal_passes_however_it_is_cut(name: str, colour: bool) -> None:
    data = b"before " + HOSTILE[name] + b" after\n"
    for cut in range(len(data) + 1):
        shown = neutralised(data, cut=cut, colour=colour)
        assert not COMMANDS.search(SGR.sub("", shown) if colour else shown), (cut, shown)
        assert shown.startswith("before ")


@given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
def test_no_bytes_at_all_command_a_terminal(data: bytes, cut: int, colour: bool) -> None:
    shown = neutralised(data, cut=cut, colour=colour)
    assert not COMMANDS.search(SGR.sub("", shown) if colour else shown)


@given(st.text(), st.integers(0, 100))
def test_a_cut_changes_nothing(text: str, cut: int) -> None:
    data = text.encode()
    assert neutralised(data, cut=cut) == neutralised(data)


def test_ordinary_text_is_left_alone() -> None:
    text = "plain\tüñí 漢字 🙂\nnext\n"
    assert neutralised(text.encode()) == text


def test_what_was_there_is_still_readable() -> None:
    assert neutralised(b"a\x1b[2Jb\x07c\x9bd\n") == "a^[[2Jb^Gc\\x9bd\n"
    assert neutralised("x\u202ey\n".encode()) == "x\\u202ey\n"


def test_carriage_returns_end_lines() -> None:
    assert neutralised(b"10%\r20%\rdone\r\nnext\r\n") == "10%\n20%\ndone\nnext\n"


def test_a_carriage_return_and_its_newline_may_come_apart() -> None:
    assert neutralised(b"line\r\nnext\n", cut=5) == "line\nnext\n"


def test_colours_pass_where_they_are_wanted_and_end_with_their_line() -> None:
    safe = Neutraliser(colour=True)
    assert safe.feed(b"\x1b[31mred\n") == b"\x1b[31mred\x1b[0m\n"
    assert safe.feed(b"plain\n") == b"plain\n"


def test_a_colour_that_is_begun_in_one_piece_ends_with_its_line_in_another() -> None:
    safe = Neutraliser(colour=True)
    assert safe.feed(b"\x1b[31mre") == b"\x1b[31mre"
    assert safe.feed(b"d\n") == b"d\x1b[0m\n"
    assert safe.feed(b"plain\n") == b"plain\n"


def test_a_colour_that_nobody_ends_is_ended() -> None:
    assert neutralised(b"\x1b[31mred", colour=True) == "\x1b[31mred\x1b[0m"


def test_colours_are_taken_out_where_there_is_no_colour() -> None:
    assert neutralised(b"\x1b[01;31mred\x1b[0m\n") == "red\n"


def test_a_text_for_one_line_stays_on_one_line() -> None:
    assert plain("a\nb\rc\x1b[2J\u202e") == "a\\nb\\rc\\x1b[2J\\u202e"
