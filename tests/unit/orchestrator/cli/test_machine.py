import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.machine import KEPT_MAX, Document, Ndjson
from orchestrator.cli.screen import Screen
from tests.unit.orchestrator.cli.runs import as_frame, end, event, job, output, run, snapshot

DONE = run(job(state="succeeded"), job("web02", "failed", 2), state="failed")


def written(screen: Screen, *messages: dict[str, Any]) -> str:
    writes = [write for message in messages for write in screen.feed(as_frame(message))] + screen.finish()
    return b"".join(write.data for write in writes).decode()


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_is_an_object_that_names_its_node() -> None:
    messages = (
        snapshot(run(job(), job("web02", index=2))),
        output(b"one\ntwo\n"),
        output(b"err\n", node="web02", index=2, stream="stderr"),
        event("succeeded"),
        end(DONE),
    )
    found = objects(written(Ndjson(), *messages))
    assert [(one["type"], one["node"]) for one in found] == [
        ("output", "web01"), ("output", "web01"), ("output", "web02"), ("event", "web01"),
        ("result", "web01"), ("result", "web02"),
    ]  # fmt: skip
    assert [one["line"] for one in found[:3]] == ["one", "two", "err"]
    assert [one["stream"] for one in found[:3]] == ["stdout", "stdout", "stderr"]


@given(st.lists(st.text(max_size=40), max_size=10), st.integers(1, 7))
def test_any_text_in_any_pieces_comes_out_as_its_lines(lines: list[str], size: int) -> None:
    text = "\n".join(lines)
    data = text.encode()
    messages = [output(data[begin : begin + size], offset=begin) for begin in range(0, len(data), size)]
    expected = text.split("\n") if text else []
    if expected and not expected[-1]:
        expected.pop()
    assert [one["line"] for one in objects(written(Ndjson(), *messages))] == expected


def test_lines_that_look_like_json_stay_text() -> None:
    line = '"}\\n", {"node": "web02"} \\'
    assert [one["line"] for one in objects(written(Ndjson(), output(line.encode() + b"\n")))] == [line]


def test_no_control_character_reaches_the_terminal() -> None:
    text = written(Ndjson(), output("\x1b[2J\x9b\u202e\n".encode()))
    assert text.isascii()
    assert text.rstrip("\n").isprintable()


def test_the_document_is_the_run_with_what_its_jobs_printed() -> None:
    messages = (output(b"one\n"), output(b"two\n", offset=4), output(b"e", node="web02", index=2, stream="stderr"))
    document = json.loads(written(Document(), *messages, end(DONE)))
    assert document["state"] == "failed"
    assert [(one["stdout"], one["stderr"]) for one in document["jobs"]] == [("one\ntwo\n", ""), ("", "e")]


def test_output_too_long_for_a_document_is_null_there() -> None:
    messages = [output(b"x" * KEPT_MAX), output(b"y", offset=KEPT_MAX)]
    document = json.loads(written(Document(), *messages, end(DONE)))
    assert document["jobs"][0]["stdout"] is None
    assert json.loads(written(Document(), messages[0], end(DONE)))["jobs"][0]["stdout"] == "x" * KEPT_MAX
