import pytest

from inventory.problems import Problem
from inventory.section import Section, parse_duration
from inventory.yamlfile import parse


def section(text: str) -> Section:
    return Section.of(parse(text.encode(), "f.yaml"), [])


def told(section: Section) -> list[str]:
    return [str(problem) for problem in section.problems]


def test_fields_of_every_kind_are_read():
    top = section("t: 3.10\nl: [a, 7]\none: x\nb: true\ni: 5\nn: 1.5\nd: 1h30m\nc: red\np: {x: [1]}\ns: {k: v}\n")
    assert (top.text("t"), top.texts("l"), top.texts("one")) == ("3.10", ("a", "7"), ("x",))
    assert (top.boolean("b"), top.integer("i"), top.number("n"), top.duration("d")) == (True, 5, 1.5, 5400.0)
    assert (top.choice("c", ["red", "blue"]), top.plain("p")) == ("red", {"x": [1]})
    assert top.section("s").text("k") == "v"
    top.done()
    assert top.problems == []


def test_an_absent_or_null_field_is_none_without_a_problem():
    top = section("a:\n")
    assert [top.text("a"), top.integer("b"), top.texts("c"), top.plain("d"), top.section("e").text("f")] == [None] * 5
    assert "a" not in top
    assert top.problems == []


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("a: 0755", "integer", "expected a whole number, found '0755'; a number does not start with 0"),
        ("a: 22:22", "integer", "expected a whole number, found '22:22'; numbers to the base 60"),
        ("a: '22'", "integer", "expected a whole number, found '22'; write it without quotes"),
        ("a: true", "integer", "expected a whole number, found 'true'"),
        ("a: 1.5", "integer", "expected a whole number, found '1.5'"),
        ("a: 99999999999999999999", "integer", "the number is too large"),
        ("a: no", "boolean", "expected true or false, found 'no'; write true or false"),
        ("a: 1", "boolean", "expected true or false, found '1'"),
        ("a: 1e999", "number", "expected a number, found '1e999'"),
        ("a: true", "text", "expected text, found 'true'; quote it"),
        ("a: [x]", "text", "expected text, found a list"),
        ("a: 5 minutes", "duration", "expected a duration, found '5 minutes'; write it as 30s"),
        ("a: x", "plain", "expected a mapping, found 'x'"),
        ("a: [x, {}]", "texts", "expected text, found a mapping"),
    ],
)
def test_a_wrong_kind_is_a_problem_with_place_and_way_out(text: str, kind: str, problem: str):
    top = section(text)
    getattr(top, kind)("a")
    assert len(top.problems) == 1
    assert told(top)[0].startswith("f.yaml:1:")
    assert problem in told(top)[0]


def test_limits_are_inclusive_and_told():
    top = section("a: 1\nb: 65535\nc: 65536\nd: 5s\n")
    assert (top.integer("a", low=1, high=65535), top.integer("b", low=1, high=65535)) == (1, 65535)
    assert top.integer("c", low=1, high=65535) is None
    assert top.duration("d", low=10) is None
    assert told(top) == [
        "f.yaml:3:4: c: expected a whole number from 1 to 65535, found '65536'",
        "f.yaml:4:4: d: expected a duration of at least 10 seconds, found '5s'",
    ]


def test_an_unknown_key_gets_a_suggestion():
    top = section("ssh:\n  prot: 1\n  zzz: 2\n")
    ssh = top.section("ssh")
    ssh.integer("port")
    ssh.done()
    top.done()
    assert told(top) == [
        "f.yaml:2:3: ssh.prot: unknown field; did you mean 'port'?",
        "f.yaml:3:3: ssh.zzz: unknown field; known here: port",
    ]


def test_a_section_that_is_no_mapping_is_a_problem():
    top = section("ssh: [1]\n")
    top.section("ssh").done()
    assert told(top) == ["f.yaml:1:6: ssh: expected a mapping, found a list; write 'key: value' lines"]


def test_required_fields_that_are_missing_are_told():
    top = section("a: 1\n")
    top.require("a", "b")
    assert top.problems == [Problem(file="f.yaml", line=1, column=1, field="b", message="is missing")]


def test_a_choice_that_is_misspelt_gets_a_suggestion():
    top = section("a: jsn\n")
    assert top.choice("a", ["json", "text"]) is None
    assert told(top) == ["f.yaml:1:4: a: expected one of json, text, found 'jsn'; did you mean 'json'?"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1.5s", 1.5), ("90", 90), ("0s", 0)],
)
def test_durations_are_seconds(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5x", "-5s", "5 s", "30m1h", "1e3", "9" * 5000, "٣s"])
def test_what_is_no_duration_is_none(text: str):
    assert parse_duration(text) is None
