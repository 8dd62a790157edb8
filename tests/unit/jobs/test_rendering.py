"""Templates of job types."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.jobtype import CommandAction, Kind, Param, PythonAction, ScriptAction
from jobs.params import Values
from jobs.rendering import Facts, Rendered, RenderError, check, render, render_env

FACTS = Facts(node="web01", run="R", job="J", user="ann", attempt=2, run_as="deploy", props={"ticket": "OPS-1"})
HOSTILE = ["; id", "$(id)", "a b\nc", "--flag", "{{ 7*7 }}", "{% raw %}", "'\"\\", "", "\u202e"]


def rendered(*argv: str, **params: Any) -> list[str]:
    absent = frozenset(name for name, value in params.items() if value is None)
    plain = {name: value for name, value in params.items() if value is not None}
    return list(render(CommandAction(argv=argv), Values(plain=plain, absent=absent), FACTS).argv)


def param(name: str, kind: Kind = Kind.TEXT) -> Param:
    return Param(name=name, kind=kind, label=name)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_one_argument_whatever_is_in_it(value: str) -> None:
    assert rendered("p", "{{ params.x }}", "--x={{ params.x }}", x=value) == ["p", value, f"--x={value}"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_a_list_is_as_many_arguments(values: list[str]) -> None:
    assert rendered("p", "{{ params.x }}", "end", x=values) == ["p", *values, "end"]


def test_nothing_is_no_argument_and_an_empty_text_is_one() -> None:
    assert rendered("p", "{{ params.x }}", "{{ '-v' if params.f }}", "{{ params.e }}", x=None, f=False, e="") == [
        "p",
        "",
    ]


def test_values_are_written_as_in_json() -> None:
    assert rendered("p", "{{ params.i }}", "{{ params.n }}", "{{ params.f }}", i=0, n=1.5, f=True) == [
        "p",
        "0",
        "1.5",
        "true",
    ]


def test_facts_are_known() -> None:
    template = "{{ node }} {{ run }} {{ job }} {{ attempt }} {{ user }} {{ run_as }} {{ props.ticket }}"
    assert rendered("p", template) == ["p", "web01 R J 2 ann deploy OPS-1"]
    assert rendered("p", "{{ props.other }}") == ["p"]


def test_a_parameter_may_be_called_as_something_of_python() -> None:
    assert rendered("p", "{{ params.items }}", "{{ params.values }}", items="a", values="b") == ["p", "a", "b"]


def test_white_space_around_an_expression_stays() -> None:
    assert rendered("p", " {{ params.x }}", "{{ params.x }}\n", x="v") == ["p", " v", "v\n"]


def test_every_argument_that_cannot_be_filled_in_is_told() -> None:
    with pytest.raises(RenderError) as caught:
        rendered(
            "p",
            "x{{ params.n }}",
            "a{{ params.l }}",
            "{{ 1/0 }}",
            "{{ ''.__class__ }}",
            "{{ params.no }}",
            n=None,
            l=[],
        )
    assert [field for field, _ in caught.value.problems] == [f"command[{n}]" for n in range(2, 7)]
    assert "no value" in caught.value.problems[0][1]
    assert "join" in caught.value.problems[1][1]


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ params.x.__init__.__globals__ }}",
        "{{ (lambda).x }}",
        "{{ cycler.__init__ }}",
        "{{ range(10**9)|list }}",
        "{{ self.__init__ }}",
        "{% set y = params %}{{ y }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ params|attr('__class__') }}",
        "{{ ''|attr('__class__') }}",
        "{{ params._values }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(attack: str) -> None:
    if not check(attack, [param("x")]):
        with pytest.raises(RenderError):
            rendered("p", attack, x="v")


def test_a_secret_or_a_file_cannot_be_an_argument() -> None:
    params = [param("s", Kind.SECRET), param("f", Kind.FILE)]
    for template in ("{{ params.s }}", "{{ params['s'] }}", "{% if params.s %}x{% endif %}", "{{ params.f }}"):
        assert "list of processes" in check(template, params)[0], template
    for template in ("{{ params }}", "{{ params[node] }}", "{% for p in params %}{% endfor %}", "{{ params|list }}"):
        assert check(template, params), template


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ params.y }}", "there is no parameter 'y'"),
        ("{{ x }}", "params.NAME"),
        ("{{ params.x", "is not a template"),
        ("{{ params.x|nope }}", "No filter named"),
        ("x" * 70_000, "longer"),
    ],
)
def test_a_mistake_in_a_template_is_found_before_any_value_is_known(template: str, message: str) -> None:
    assert message in check(template, [param("x")])[0]


def test_good_templates_are_good() -> None:
    for template in (
        "plain",
        "{{ params.x }}",
        "{{ params.x|upper }}-{{ node }}",
        "{% for a in params.x %}{{ a }}{% endfor %}",
    ):
        assert check(template, [param("x")]) == [], template


def test_a_script_is_never_a_template_and_its_arguments_are() -> None:
    action = ScriptAction(text="echo {{ params.x }}", interpreter=("bash",), args=("{{ params.x }}",))
    assert render(action, Values(plain={"x": "v"}), FACTS) == Rendered(
        argv=("v",), script="echo {{ params.x }}", interpreter=("bash",)
    )
    assert render(PythonAction(root="/x", module="m"), Values(plain={}), FACTS) == Rendered(argv=())


def test_what_does_not_fit_or_runs_nothing_is_refused() -> None:
    for argv, params in (
        (("p", "{{ params.x }}"), {"x": "v" * 50_000}),
        (("{{ params.x }}",), {"x": ""}),
        (("p", "a\0"), {}),
    ):
        with pytest.raises(RenderError):
            rendered(*argv, **params)


def test_parameters_are_variables_too_and_secrets_are_not() -> None:
    plain = {
        "unit": "ngi nx",
        "n": 0,
        "f": True,
        "l": ["a", "b"],
        "big": "x" * 5000,
        "file": {"name": "a", "content": ""},
    }
    env = render_env({"A": "{{ params.unit }}@{{ node }}"}, Values(plain=plain, secrets={"s": "canary"}), FACTS)
    assert env == {
        "A": "ngi nx@web01",
        "ANYJOB_PARAM_UNIT": "ngi nx",
        "ANYJOB_PARAM_N": "0",
        "ANYJOB_PARAM_F": "1",
        "ANYJOB_PARAM_L": '["a", "b"]',
    }
    with pytest.raises(RenderError) as caught:
        render_env({"A": "{{ 1/0 }}", "B": "{{ 'x' * 50000 }}"}, Values(plain={}), FACTS)
    assert [field for field, _ in caught.value.problems] == ["env.A", "env"]
