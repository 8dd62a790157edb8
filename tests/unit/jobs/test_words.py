"""Words of a command line."""

from typing import Any

import pytest

from jobs.jobtype import Kind, Option, Param
from jobs.words import WordErrors, Words, read_words


def param(name: str, kind: Kind = Kind.TEXT, **fields: Any) -> Param:
    return Param(name=name, kind=kind, label=name, **fields)


MODES = tuple(Option(value=value, label=value) for value in ("fast", "slow"))
PARAMS = (
    param("port", Kind.INT, implicit=True),
    param("mode", Kind.CHOICE, options=MODES, implicit=True),
    param("unit", implicit=True, pattern="[a-z.]+"),
    param("force", Kind.FLAG),
    param("tags", Kind.LIST, items=param("tags")),
    param("note", Kind.TEXTAREA),
)
PROPS = (param("ticket", implicit=True, pattern="[A-Z]+-[0-9]+"), param("silent", Kind.FLAG), param("unit"))


def read(*words: str, **more: Any) -> Words:
    return read_words(words, params=PARAMS, props=PROPS, is_target=lambda word: word.startswith("web"), **more)


def mistakes(*words: str, **more: Any) -> dict[str, str]:
    with pytest.raises(WordErrors) as caught:
        read(*words, **more)
    return dict(caught.value.problems)


def test_bare_words_are_the_target_and_then_implicit_values_by_kind() -> None:
    got = read("web[01-02]", "nginx.service", "fast", "80", "OPS-7")
    assert got.target == "web[01-02]"
    assert got.params == {"unit": "nginx.service", "mode": "fast", "port": 80}
    assert got.props == {"ticket": "OPS-7"}


def test_a_name_decides_before_anything_else() -> None:
    got = read("unit=web01", "nodes=db01", "silent=yes", "note=a=b\nc", "ticket=web02")
    assert (got.target, got.params) == ("db01", {"unit": "web01", "note": "a=b\nc"})
    assert got.props == {"silent": True, "ticket": "web02"}


@pytest.mark.parametrize(
    ("word", "value"), [("force", True), ("!force", False), ("no-force", False), ("force=0", False)]
)
def test_a_flag_is_set_and_unset_by_its_name(word: str, value: bool) -> None:
    assert read(word).params == {"force": value}


def test_zero_and_empty_and_many_lines_are_values() -> None:
    assert read("port=0", "note=", "unit=0").params == {"port": 0, "note": "", "unit": "0"}


def test_lists_grow_and_other_values_do_not() -> None:
    assert read("tags=a,b", "tags=c").params == {"tags": ["a", "b", "c"]}
    assert "given twice" in mistakes("port=1", "port=2")["port="]
    assert "given twice" in mistakes("nodes=a", "nodes=b")["nodes="]


def test_a_known_target_leaves_words_that_look_like_one_to_the_parameters() -> None:
    assert read("web", target="db01").params == {"unit": "web"}


def test_a_second_target_is_never_ignored() -> None:
    assert "has a value already" in mistakes("web01", "web", "web")["web"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("NGINX", "unit does not take it"),
        ("Force", "did you mean 'force'"),
        ("!mode", "did you mean 'mode'"),
        ("", "it selects no node"),
        ("-rf", "NAME=VALUE"),
        ("@/etc/passwd", "NAME=VALUE"),
    ],
)
def test_a_word_that_means_nothing_is_told_what_it_could_have_been(word: str, hint: str) -> None:
    assert hint in mistakes(word, "port=1")[word]


def test_a_misspelt_name_is_not_a_value() -> None:
    assert mistakes("untt=x") == {"untt=": "there is no parameter or prop 'untt'; did you mean 'unit'?"}


def test_every_word_is_judged_and_a_secret_is_not_repeated() -> None:
    found = mistakes("pasword=hunter2", "XX", "YY")
    assert list(found) == ["pasword=", "XX", "YY"]
    assert "hunter2" not in str(found)
    assert "nginx" not in repr(read("unit=nginx"))
