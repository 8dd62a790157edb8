"""What the pages show."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jobs.lifecycle import ACTIVE, State
from web import views
from web.shown import last_lines, shown

STATIC = Path(views.__file__).parent / "static"


def job(state: str, **columns: Any) -> dict[str, Any]:
    return {
        "node": "web01",
        "state": state,
        "reason": None,
        "message": None,
        "exit_code": None,
        "signal": None,
    } | columns


def test_every_state_has_a_shape_of_its_own_a_place_and_a_colour() -> None:
    css = (STATIC / "anyjob.css").read_text()
    assert set(views.MARKS) == set(views.ORDER) == set(State)
    assert len(set(views.MARKS.values())) == len(State)
    for state in State:
        assert f".s-{state}" in css


def test_the_browser_knows_the_same_states_shapes_and_order() -> None:
    text = (STATIC / "states.js").read_text()
    table = re.search(r"const STATES = (\[.*?\]);", text, re.DOTALL)[1].replace(",\n]", "]")
    assert json.loads(table) == [[state, views.MARKS[state]] for state in views.ORDER]
    active = re.search(r"const ACTIVE = new Set\((.*?)\);", text)[1]
    assert set(json.loads(active)) == ACTIVE


def test_the_parts_of_the_bar_fill_it() -> None:
    parts = views.segments({"succeeded": 1, "failed": 2, "running": 0})
    assert [(part.state, part.number) for part in parts] == [("failed", 2), ("succeeded", 1)]
    assert sum(part.width for part in parts) == pytest.approx(100, abs=0.01)
    assert views.segments({}) == []


def test_troubles_are_told_once_per_reason_the_largest_first() -> None:
    jobs = [job("failed", exit_code=3, node=f"web{n:02}") for n in range(14)]
    jobs += [job("start_failed", reason="unfit:no_python", message="db01: no python3", node="db01")]
    jobs += [job("succeeded"), job("cancelled"), job("running", link="unknown", node="far"), job("running")]
    first, *rest = views.troubles(jobs)
    assert (first.reason, first.number) == ("exit 3", 14)
    assert first.nodes.endswith("web11 and 2 more")
    assert [(t.reason, t.nodes) for t in rest] == [("unfit:no_python", "db01"), ("link: unknown", "far")]


def test_times_and_sizes_are_words() -> None:
    assert [views.duration(0, t) for t in (0.04, 59.9, 60, 3599.4, 7260, -5)] == [
        "0.0 s", "59.9 s", "1 min 00 s", "59 min 59 s", "2 h 01 min", "0.0 s",
    ]  # fmt: skip
    assert views.duration(None, 1) == views.duration(1, None) == ""
    assert [views.size(n) for n in (0, 1023, 1024, 5 << 20, 3 << 40)] == [
        "0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3072.0 GiB",
    ]  # fmt: skip
    assert views.moment(0) == "1970-01-01 00:00:00 UTC"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"10%\r50%\r100%\n", ["100%"]),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b(B", ["red x"]),
        (b"a\x08b\x00\x7f\x85", ["a␈b␀␡�"]),
        ("x\u202ey\u200b".encode(), ["x⟨U+202E⟩y⟨U+200B⟩"]),
        (b"\x1b]52;c;AAAA", ["␛]52;c;AAAA"]),
        (b"\xff\xfe", ["��"]),
    ],
)
def test_output_is_plain_lines(data: bytes, lines: list[str]) -> None:
    assert last_lines(data, 10) == lines


def test_tabs_and_line_ends_stay_and_every_other_control_character_is_seen() -> None:
    text = "".join(map(chr, range(256)))
    assert [char for char in shown(text) if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0] == ["\t", "\n"]


def test_a_files_name_is_harmless() -> None:
    assert views.file_name("01", '../a"\r\nb;c', "stdout") == "01-.._a___b_c-stdout.log"
