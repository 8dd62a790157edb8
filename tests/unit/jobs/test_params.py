"""The validator of parameters."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.jobtype import DynamicOptions, Kind, Option, Param
from jobs.params import ParamErrors, Values, validate
from jobs.paramtext import from_text, typed
from jobs.schema import values_schema

CANARY = "s3cr3t-canary-value"
HOSTILE = [
    "; id",
    "$(id)",
    "`id`",
    "a\nb",
    "--flag",
    "-rf",
    "@/etc/passwd",
    "{{ 7*7 }}",
    "'\"\\",
    "\u202ex",
    "\x1b[2J",
    "0",
    " ",
]


def param(kind: Kind = Kind.TEXT, name: str = "x", **fields: Any) -> Param:
    return Param(name=name, kind=kind, label=name, **fields)


def options(*values: str) -> tuple[Option, ...]:
    return tuple(Option(value=value, label=value.title()) for value in values)


def value(described: Param, given_value: object) -> Any:
    values = validate([described], {"x": given_value})
    return values.plain.get("x", values.secrets.get("x"))


def mistakes(described: list[Param], given_values: dict[str, Any], **around: Any) -> dict[str, str]:
    with pytest.raises(ParamErrors) as caught:
        validate(described, given_values, **around)
    return dict(caught.value.problems)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.TEXTAREA, Kind.SECRET])
def test_hostile_text_comes_out_as_it_went_in(kind: Kind, text: str) -> None:
    assert value(param(kind), text) == text


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (Kind.INT, 0),
        (Kind.NUMBER, 0),
        (Kind.FLAG, False),
        (Kind.TEXT, ""),
        (Kind.TEXTAREA, "a\n\nb\n"),
        (Kind.DURATION, 0),
    ],
)
def test_zero_false_empty_and_many_lines_are_values(kind: Kind, good: object) -> None:
    assert value(param(kind, default=None), good) == good


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (Kind.INT, True),
        (Kind.INT, "5"),
        (Kind.INT, 1.0),
        (Kind.INT, 2**53),
        (Kind.INT, [1]),
        (Kind.NUMBER, False),
        (Kind.NUMBER, float("nan")),
        (Kind.NUMBER, float("inf")),
        (Kind.NUMBER, 1e400),
        (Kind.NUMBER, 10**400),
        (Kind.NUMBER, "1"),
        (Kind.FLAG, 1),
        (Kind.FLAG, "true"),
        (Kind.FLAG, "0"),
        (Kind.TEXT, 5),
        (Kind.TEXT, {"a": 1}),
        (Kind.TEXT, ["a"]),
        (Kind.TEXT, "a\0b"),
        (Kind.TEXT, "\ud800"),
        (Kind.TEXT, True),
        (Kind.SECRET, 5),
        (Kind.SECRET, "a\0"),
        (Kind.SECRET, "x" * 40_000),
        (Kind.DATETIME, "now"),
        (Kind.DATETIME, 5),
        (Kind.DURATION, "soon"),
        (Kind.DURATION, -1),
        (Kind.DURATION, True),
        (Kind.DURATION, float("nan")),
        (Kind.DURATION, 1e10),
        (Kind.NODE, "-rf"),
        (Kind.NODE, "a/b"),
        (Kind.NODE, "../x"),
        (Kind.NODE, "all"),
        (Kind.NODE, "a" * 10_000),
        (Kind.FILE, "text"),
        (Kind.FILE, {"name": "../x", "content": ""}),
        (Kind.FILE, {"name": "a\nb", "content": ""}),
        (Kind.FILE, {"name": "a", "base64": "!"}),
        (Kind.FILE, {"name": "a"}),
        (Kind.FILE, {"name": "a", "content": "", "base64": ""}),
        (Kind.FILE, {"name": "a", "content": "x" * (1 << 21)}),
        (Kind.FILE, {"name": ".", "content": ""}),
        (Kind.LIST, "a"),
        (Kind.LIST, [[1]]),
        (Kind.LIST, [{}]),
        (Kind.LIST, ["a"] * 10_001),
        (Kind.CHOICE, "c"),
        (Kind.CHOICE, ["a"]),
        (Kind.CHOICES, ["a", "a"]),
        (Kind.CHOICES, "a"),
        (Kind.CHOICES, ["c"]),
    ],
)
def test_a_value_of_another_kind_is_refused(kind: Kind, bad: object) -> None:
    described = param(kind, options=options("a", "b"), items=param() if kind == Kind.LIST else None)
    assert list(mistakes([described], {"x": bad})) == ["x"]


def test_limits_lengths_and_patterns_hold() -> None:
    described = [
        param(Kind.INT, "i", min=1, max=3),
        param(Kind.TEXT, "t", min_length=2, max_length=3),
        param(Kind.TEXT, "p", pattern="[a-z]+", help="small letters"),
        param(Kind.DURATION, "d", max=60),
        param(Kind.LIST, "l", max_length=1, items=param(Kind.INT, max=5)),
        param(Kind.CHOICES, "c", options=options("a", "b"), min_length=2),
    ]
    good: dict[str, Any] = {"i": 3, "t": "ab", "p": "abc", "d": "1m", "l": [5], "c": ["b", "a"]}
    assert validate(described, good).plain == {**good, "d": 60}
    bad = {"i": 4, "t": "abcd", "p": "abc\n", "d": "61s", "l": [6], "c": ["a"]}
    found = mistakes(described, bad)
    assert list(found) == list(bad)
    assert "small letters" in found["p"]
    assert "item 1" in found["l"]
    assert mistakes(described, {"i": 0, "t": "a", "l": [1, 2]}).keys() == {"i", "t", "l"}


def test_a_pattern_and_a_long_value_are_refused_without_a_search() -> None:
    assert mistakes([param(pattern="(a+)+b")], {"x": "a" * 50_000})


def test_every_mistake_is_told_at_once() -> None:
    found = mistakes([param(name="unit", required=True), param(Kind.INT, "port")], {"port": "x", "unti": "nginx"})
    assert found == {
        "unti": "there is no parameter 'unti'; did you mean 'unit'?",
        "unit": "is required",
        "port": "expected a whole number, found 'x'",
    }


def test_defaults_are_filled_in_and_named() -> None:
    described = [param(name="a", default="A"), param(Kind.FLAG, "f", default=True), param(name="n")]
    values = validate(described, {"f": False})
    assert (values.plain, values.defaulted, values.absent) == ({"a": "A", "f": False}, ("a",), {"n"})


def test_null_is_the_same_as_not_given() -> None:
    assert mistakes([param(required=True)], {"x": None}) == {"x": "is required"}
    assert validate([param(default="d")], {"x": None}).plain == {"x": "d"}


def test_what_is_required_is_not_empty() -> None:
    assert mistakes([param(required=True)], {"x": ""}) == {"x": "must not be empty"}
    assert mistakes([param(Kind.LIST, items=param(), required=True)], {"x": []}) == {"x": "must not be empty"}


def modes() -> list[Param]:
    return [
        param(Kind.CHOICE, "mode", options=options("fast", "slow"), default="fast"),
        param(Kind.INT, "wait", visible_when={"mode": ("slow",)}, required=True),
        param(Kind.INT, "more", visible_when={"wait": (5,)}, default=1),
    ]


def test_a_hidden_parameter_is_not_required_and_has_no_default() -> None:
    values = validate(modes(), {})
    assert (values.plain, values.absent) == ({"mode": "fast"}, {"wait", "more"})


def test_a_value_that_another_value_hides_is_left_out_and_named() -> None:
    values = validate(modes(), {"wait": 5})
    assert (values.plain, values.hidden) == ({"mode": "fast"}, ("wait",))


def test_a_visible_parameter_is_required() -> None:
    assert mistakes(modes(), {"mode": "slow"}) == {"wait": "is required"}
    assert validate(modes(), {"mode": "slow", "wait": 5}).plain == {"mode": "slow", "wait": 5, "more": 1}


def test_a_mistake_in_a_condition_makes_no_further_one() -> None:
    assert list(mistakes(modes(), {"mode": "fats"})) == ["mode"]


def test_true_is_not_one() -> None:
    described = [param(Kind.INT, "n"), param(name="x", visible_when={"n": (True,)}, default="d")]
    assert validate(described, {"n": 1}).plain == {"n": 1}


def test_a_secret_is_in_no_representation_and_no_message() -> None:
    described = param(Kind.SECRET, pattern="[0-9]+")
    assert CANARY not in str(mistakes([described], {"x": CANARY}))
    for bad in (CANARY + "\0", CANARY * 3000, [CANARY], {CANARY: 1}):
        assert CANARY not in str(mistakes([param(Kind.SECRET, max_length=5)], {"x": bad}))
    values = validate([param(Kind.SECRET)], {"x": CANARY})
    assert values.secrets == {"x": CANARY}
    assert CANARY not in repr(values) + json.dumps(dict(values.plain))


def test_only_nodes_that_are_there_can_be_chosen() -> None:
    assert "did you mean 'web01'" in mistakes([param(Kind.NODE)], {"x": "web1"}, nodes=["web01"])["x"]
    assert validate([param(Kind.NODE)], {"x": "web01"}, nodes=["web01"]).plain == {"x": "web01"}


def test_options_that_a_program_lists_are_judged_by_who_asks_it() -> None:
    described = param(Kind.CHOICE, dynamic=DynamicOptions(command=("ls",)))
    assert value(described, "anything") == "anything"


def test_all_values_together_have_a_limit() -> None:
    described = [param(Kind.TEXTAREA, name) for name in ("a", "b")]
    assert "1048576 fit" in mistakes(described, {"a": "x" * 600_000, "b": "x" * 600_000})[""]
    assert validate(described, {"a": "x" * 1_000_000}).plain["a"] == "x" * 1_000_000
    assert "fit" in mistakes([param(Kind.SECRET, n) for n in "ab"], {"a": "x" * 30_000, "b": "x" * 30_000})[""]


@pytest.mark.parametrize(
    ("described", "text", "result"),
    [
        (param(Kind.INT), "5", 5),
        (param(Kind.INT), "5x", "5x"),
        (param(Kind.INT), "0", 0),
        (param(Kind.INT), "", ""),
        (param(Kind.NUMBER), "1e3", 1000.0),
        (param(Kind.NUMBER), "nan", "nan"),
        (param(Kind.FLAG), "Yes", True),
        (param(Kind.FLAG), "0", False),
        (param(Kind.FLAG), "maybe", "maybe"),
        (param(), "5", "5"),
        (param(), "", ""),
        (param(Kind.LIST, items=param(Kind.INT)), "1, 2", [1, 2]),
        (param(Kind.LIST, items=param()), '["a,b"]', ["a,b"]),
        (param(Kind.LIST, items=param()), "", []),
        (param(Kind.LIST, items=param()), "[", "["),
        (param(Kind.CHOICES), "a,b", ["a", "b"]),
        (param(Kind.FILE), "text", {"name": "x", "content": "text"}),
    ],
)
def test_what_a_person_types_becomes_a_value(described: Param, text: str, result: object) -> None:
    assert from_text(described, text) == result


def test_only_texts_of_known_names_are_turned() -> None:
    assert typed([param(Kind.INT)], {"x": "5", "y": "6"}) == {"x": 5, "y": "6"}
    assert typed([param(Kind.INT)], {"x": 5}) == {"x": 5}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["a", "b", "5m", "2026-01-31", "web01", "31012026"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "content", "base64", "z"]), inner, max_size=3)
    ),
    max_leaves=5,
)
LENGTHS = st.none() | st.integers(0, 4)
SIMPLE = st.builds(
    Param,
    name=st.just("x"),
    label=st.just("X"),
    kind=st.sampled_from([kind for kind in Kind if kind != Kind.LIST]),
    required=st.booleans(),
    pattern=st.sampled_from([None, "[a-z]+", r"\W*", "a|b"]),
    min=st.none() | st.integers(-3, 3),
    max=st.none() | st.integers(0, 9),
    min_length=LENGTHS,
    max_length=LENGTHS,
    options=st.just(options("a", "b")),
)
DESCRIBED = SIMPLE | st.builds(
    Param,
    name=st.just("x"),
    label=st.just("X"),
    kind=st.just(Kind.LIST),
    items=SIMPLE,
    required=st.booleans(),
    min_length=LENGTHS,
    max_length=LENGTHS,
)


@given(DESCRIBED, st.dictionaries(st.sampled_from(["x", "y"]), JSON, max_size=2))
def test_nothing_is_accepted_that_the_published_schema_refuses(described: Param, given_values: dict[str, Any]) -> None:
    schema = values_schema([described])
    jsonschema.Draft202012Validator.check_schema(schema)
    try:
        values = validate([described], given_values)
    except ParamErrors:
        return
    assert isinstance(values, Values)
    jsonschema.Draft202012Validator(schema).validate(given_values)
