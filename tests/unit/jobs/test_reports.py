import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.reports import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_LINE,
    MAX_NAMES,
    MAX_TEXT,
    MAX_VALUE,
    MAX_WORD,
    Finish,
    Log,
    Problem,
    Progress,
    Report,
    Result,
    kept,
    parse,
)


def said(line: object) -> Report | Problem:
    return parse(json.dumps(line).encode())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"progress": 40}', Report(progress=Progress(percent=40))),
        ('{"progress": 1}', Report(progress=Progress(percent=1))),
        ('{"progress": 99.5}', Report(progress=Progress(percent=99.5))),
        ('{"progress": {"percent": 0.5}}', Report(progress=Progress(percent=0.5))),
        ('{"progress": {"stage": "copy"}}', Report(progress=Progress(stage="copy"))),
        (
            '{"progress": {"percent": 3, "stage": "copy", "message": "a\\nb"}}',
            Report(progress=Progress(percent=3, stage="copy", message="a\nb")),
        ),
        ('{"state": "warming up"}', Report(state="warming up")),
        ('{"log": "hello"}', Report(log=Log(level="info", message="hello"))),
        (
            '{"log": {"level": "WARN", "tag": "db", "message": "slow"}}',
            Report(log=Log(level="warning", tag="db", message="slow")),
        ),
        ('{"log": {"level": "loud", "message": "x"}}', Report(log=Log(level="info", message="x"))),
        ('{"data": {"a": [1, {"b": null}]}}', Report(data={"a": [1, {"b": None}]})),
        ('{"result": null}', Report(result=Result(value=None))),
        ('{"result": [1, "x"]}', Report(result=Result(value=[1, "x"]))),
        ('{"metrics": {"rows": 12, "s": -1.5}}', Report(metrics={"rows": 12.0, "s": -1.5})),
        ('{"mask": "hunter22"}', Report(mask="hunter22")),
        ('{"heartbeat": true}', Report(heartbeat=True)),
        ('{"redo": true}', Report(redo=True)),
        ('{"success": "all there"}', Report(finish=Finish(ok=True, message="all there"))),
        ('{"failure": ""}', Report(finish=Finish(ok=False))),
        ('{"progress": 7, "state": "x"}\r\n', Report(progress=Progress(percent=7), state="x")),
    ],
)
def test_each_report_is_understood(line: str, expected: Report) -> None:
    assert parse(line.encode()) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"progress": 0.5}, Report(progress=Progress(percent=50))),
        ({"progress": 1.0}, Report(progress=Progress(percent=100))),
        ({"xy": 1, "progress": 0.25}, Report(progress=Progress(percent=25))),
        ({"xy": 1, "progress": 1}, Report(progress=Progress(percent=100))),
        ({"xy": 1, "status": "Copying"}, Report(state="Copying")),
        ({"complete": 1, "code": 0}, Report(finish=Finish(ok=True))),
        ({"complete": True}, Report(finish=Finish(ok=True))),
        ({"complete": 1, "code": 999, "description": "no disk"}, Report(finish=Finish(ok=False, message="no disk"))),
        ({"xy": 1, "code": 0, "description": "fine"}, Report(finish=Finish(ok=True, message="fine"))),
        ({"xy": 1, "code": "critical"}, Report(finish=Finish(ok=False))),
        ({"xy": 1, "data": {"a": 1}}, Report(data={"a": 1})),
        ({"progress": 0.5, "perf": {"db": 1}}, Report(progress=Progress(percent=50), ignored=("perf",))),
    ],
)
def test_the_forms_of_cronicle_and_xyops_are_understood(line: object, expected: Report) -> None:
    assert said(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", "no JSON"),
        (b"copying...", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "nothing known in it: it is empty"),
        (b'{"progres": 3}', "nothing known in it: progres"),
        (b'{"progress": "3"}', "progress: expected a number"),
        (b'{"progress": true}', "progress: expected a number"),
        (b'{"progress": {"percent": [1]}}', "progress.percent: expected a number"),
        (b'{"progress": NaN}', "NaN is no JSON"),
        (b'{"progress": -Infinity}', "-Infinity is no JSON"),
        (b'{"progress": 1e400}', "a number that is too large"),
        (b'{"result": 9007199254740993}', "a whole number beyond 2^53"),
        (b'{"result": ' + b"9" * 5000 + b"}", "a whole number beyond 2^53"),
        (b'{"state": {"a": 1}}', "expected text where an object or a list stands"),
        (b'{"log": {"level": "info"}}', "log: 'message' is missing"),
        (b'{"data": [1]}', "data: expected an object"),
        (b'{"metrics": {"rows": "many"}}', "metrics.rows: expected a number"),
        (b'{"metrics": {"rows": false}}', "metrics.rows: expected a number"),
        (b'{"mask": "abc"}', "mask: expected text of 4 to 4096 characters"),
        (b'{"mask": 12345}', "mask: expected text of 4 to 4096 characters"),
        (b'{"state": "a", "state": "b"}', "a key stands twice in an object"),
        (b'{"state": "\\ud83d"}', "half of a character (a lone surrogate) in a text"),
        (b'{"data": {"\\udead": 1}}', "half of a character (a lone surrogate) in a text"),
        (b'{"data":' + b'{"a":' * MAX_DEPTH + b"1" + b"}" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH}"),
        (b"[" * 60_000, "no JSON"),
        (b'{"a":' * 10_000, "no JSON"),
        (b'{"result": "' + b"x" * MAX_VALUE + b'"}', f"result: longer than {MAX_VALUE} bytes"),
        (b'{"log": "' + b"x" * MAX_LINE + b'"}', f"longer than {MAX_LINE} bytes"),
        (b"\x00\xff\xfe", "no JSON"),
    ],
)
def test_what_says_nothing_is_a_problem_with_its_cause(line: bytes, expected: str) -> None:
    assert parse(line) == Problem(text=expected)


def test_the_limits_themselves_are_allowed() -> None:
    assert said({"result": "x" * (MAX_VALUE - 2)}) == Report(result=Result(value="x" * (MAX_VALUE - 2)))
    assert said({"result": -MAX_INTEGER}) == Report(result=Result(value=-MAX_INTEGER))
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert said({"result": deep}) == Report(result=Result(value=deep))


def test_a_percentage_is_kept_between_0_and_100() -> None:
    assert said({"progress": -3}) == Report(progress=Progress(percent=0))
    assert said({"xy": 1, "progress": 1.0000001}) == Report(progress=Progress(percent=100))


def test_long_texts_are_cut_off_visibly() -> None:
    long = said({"log": "x" * 50_000, "state": "y" * 500})
    assert isinstance(long, Report)
    assert long.log is not None
    assert long.log.message == "x" * (MAX_TEXT - 1) + "…"
    assert long.state == "y" * (MAX_WORD - 1) + "…"


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert parse(b'{"state": "caf\xe9"}') == Report(state="caf\ufffd")


def test_what_nobody_knows_is_named_beside_what_is_known() -> None:
    assert said({"state": "x", "colour": "red"}) == Report(state="x", ignored=("colour",))


def test_a_problem_and_a_repr_never_show_what_is_to_be_masked() -> None:
    assert "hunter22" not in repr(said({"mask": "hunter22"}))
    assert "hunter22" not in repr(said({"mask": ["hunter22"]}))
    assert "hunter22" not in repr(parse(b'{"mask": "hunter22"'))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "progress",
        "state",
        "log",
        "data",
        "result",
        "metrics",
        "mask",
        "heartbeat",
        "redo",
        "success",
        "failure",
        "xy",
        "complete",
        "code",
        "description",
        "status",
        "other",
        "percent",
        "message",
        "level",
    ]
)


@given(st.binary(max_size=300) | st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON), max_size=4))
def test_nothing_makes_it_raise(line: Any) -> None:
    answer = parse(line) if isinstance(line, bytes) else said(line)
    assert isinstance(answer, Report | Problem)
    repr(answer).encode()  # whatever it is, it can be written


@given(JSON)
def test_a_result_comes_out_as_it_was_given_or_not_at_all(value: Any) -> None:
    answer = said({"result": value})
    assert isinstance(answer, Problem) or answer.result == Result(value=json.loads(json.dumps(value)))


def test_a_job_keeps_so_many_names_and_bytes_and_no_more() -> None:
    assert kept({"a": 1, "b": 2}, {"b": 3}) == {"a": 1, "b": 3}
    names = {str(number): number for number in range(MAX_NAMES)}
    assert kept(names, {"0": 1}) == {**names, "0": 1}
    assert kept(names, {"one more": 1}) is None
    assert kept({"a": "x" * 10_000}, {"b": "x" * 10_000}) is None
