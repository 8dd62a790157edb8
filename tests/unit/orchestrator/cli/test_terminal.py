import io

import pytest

from orchestrator.cli.terminal import Terminal, wants_colour


@pytest.mark.parametrize(
    ("env", "tty", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, True, False),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"CLICOLOR_FORCE": "1", "CLICOLOR": "0"}, False, True),
        ({"FORCE_COLOR": "0", "TERM": "xterm"}, True, False),
        ({"TERM": "xterm", "CLICOLOR": "0"}, True, False),
        ({"TERM": "xterm", "CLICOLOR": "1"}, True, True),
    ],
)
def test_colour_is_decided_in_the_agreed_order(env: dict[str, str], tty: bool, colour: bool) -> None:
    assert wants_colour(env, tty=tty) is colour


def test_the_persons_own_word_wins() -> None:
    assert Terminal.of(io.StringIO(), {"FORCE_COLOR": "1"}, colour=False).colour is False


def test_columns_is_the_width() -> None:
    assert Terminal.of(io.StringIO(), {"COLUMNS": "132"}).columns == 132


@pytest.mark.parametrize("value", ["", "wide", "-1", "0"])
def test_a_useless_columns_is_not_taken(value: str) -> None:
    assert Terminal.of(io.StringIO(), {"COLUMNS": value}).columns == 80


def test_without_colour_nothing_is_painted() -> None:
    assert Terminal(tty=True, colour=False, columns=80).paint("x", "red") == "x"
