"""Patterns of parameters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pattern import Pattern, PatternError

ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", r"[\d_-]", r"\.", "-", r"\x41", "[a-c]"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
    ),
    max_leaves=6,
)
VALUES = st.text(alphabet="aabbc01 _-.A\n", max_size=12)


@given(PATTERNS, VALUES)
def test_it_decides_as_python_does(text: str, value: str) -> None:
    assert Pattern(text).matches(value) == (re.fullmatch(text, value, re.ASCII) is not None)


@given(PATTERNS, VALUES)
def test_its_portable_form_means_the_same(text: str, value: str) -> None:
    pattern = Pattern(text)
    assert pattern.matches(value) == (re.fullmatch(pattern.portable, value) is not None)


def test_the_portable_form_means_the_same_for_letters_of_all_scripts() -> None:
    for text in (r"\W", r"[^\w]", r"\D", ".", r"[^\s\S]?", r"[\s\S]"):
        for value in ("é", "٣", "\u2028", "\U0001f600", "a", "1", "\n"):
            pattern = Pattern(text)
            assert pattern.matches(value) == (re.fullmatch(pattern.portable, value) is not None), (text, value)


def test_anchors_at_the_ends_say_what_is_so_anyway() -> None:
    assert Pattern("^ab$").matches("ab")
    assert not Pattern("^ab$").matches("ab\n")


@pytest.mark.parametrize("text", ["(a+)+$", "(a|a)*b", "(.*a){12}", "a*a*a*a*a*a*a*b"])
def test_no_pattern_makes_a_long_value_take_long(text: str) -> None:
    pattern = Pattern(text)
    assert not pattern.matches("a" * 50_000 + "!")
    assert len(pattern._memory) <= 4096


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r"(a)\1", r"\1"),
        ("(?=a)", "(?"),
        ("(?i)a", "(?"),
        (r"\bword", r"\b"),
        ("a**", "two repeats"),
        ("*a", "repeats nothing"),
        ("(a", "( without a )"),
        ("a)", ") without a ("),
        ("[a", "ends too early"),
        ("[]", "empty"),
        ("[z-a]", "ends before"),
        ("a^b", "inside"),
        ("a{2", "ends too early"),
        ("a{x}", "repeat"),
        ("a{3,2}", "repeat"),
        ("((((a{99}){99}){99}){99})", "repeats too much"),
        ("(" * 200 + "a" + ")" * 200, "groups"),
        ("a" * 1001, "longer"),
        ("\\", "ends too early"),
        (r"\x4", "hexadecimal"),
    ],
)
def test_what_cannot_be_decided_in_one_pass_is_refused(text: str, message: str) -> None:
    with pytest.raises(PatternError, match=re.escape(message)):
        Pattern(text)
