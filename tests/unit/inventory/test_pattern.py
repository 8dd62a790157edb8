import pytest

from inventory.pattern import glob, is_glob, regex


def test_a_glob_has_two_wildcards_and_no_more():
    assert is_glob("web*")
    assert is_glob("web?1")
    assert not is_glob("web[1]")
    assert glob("web?1*").match("web11.x")
    assert glob("a[b]").match("a[b]")
    assert not glob("a.c").match("abc")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r"web\d+", "web12"),
        (r"(web|db)[0-9]", "db3"),
        (r"^a.*z$", "a-z"),
        (r"(?:web)?1", "1"),
        (r"w{1,2}eb", "wweb"),
        (r"[^a]b", "cb"),
    ],
)
def test_ordinary_expressions_match(text: str, name: str):
    assert regex(text).match(name)


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+$",
        "(a|a)*$",
        "(a*){2,}",
        "(a*){,5}",
        "(a){1000}",
        "a*a*a*a*b",
        r"(a)\1",
        "(?=a)b",
        "(?P<x>a)",
        "(?i)a",
        "(",
        "a**",
        "[[a]",
        "x" * 201,
        "a{99999999999}",
    ],
)
def test_what_could_take_long_or_is_malformed_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages differ, that there is one is the promise
        regex(text)
