from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.fields import (
    Hop,
    absolute_path,
    group_error,
    host_error,
    label_error,
    name_error,
    parse_hop,
    parse_hops,
    python_error,
    shown,
    text_error,
    user_error,
)

HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "-rf",
    "-oProxyCommand=id",
    "a;id",
    "a b",
    "a\nb",
    "a\0b",
    "$(id)",
    "`id`",
    "a\u202eb",
    "\u0430dmin",
    "a" * 10_000,
    "\ud800",
]


@pytest.mark.parametrize("text", [*HOSTILE, "all", "_a", "web[1]", "a:b", "user@a"])
def test_a_hostile_node_name_is_refused(text: str):
    assert name_error(text)


@pytest.mark.parametrize("text", ["a", "web-01.example.com", "A_b", "1", "10.0.0.1", "a" * 253])
def test_a_usual_node_name_is_accepted(text: str):
    assert name_error(text) is None


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_groups_hosts_users_and_labels_are_refused(text: str):
    assert group_error(text)
    assert host_error(text)
    assert user_error(text)
    assert label_error(text) or text == "a/b"


@pytest.mark.parametrize("text", ["web1.x", "10.0.0.1", "2001:db8::1", "fe80::1%eth0", "::1", "my_host"])
def test_names_and_addresses_are_hosts(text: str):
    assert host_error(text) is None


@pytest.mark.parametrize("text", ["web1:22", "[::1]", "::1%-x", "::1%a b", "1:2:3", "fe80::1%"])
def test_what_looks_like_an_address_but_is_none_is_refused(text: str):
    assert host_error(text)


@pytest.mark.parametrize("text", ["root", "www-data", "svc$", "user@corp.example", "CORP\\user", "1000"])
def test_usual_users_are_accepted(text: str):
    assert user_error(text) is None


@pytest.mark.parametrize("text", ["python3", "/usr/bin/python3.11", "~/venv/bin/python"])
def test_interpreters_are_paths_or_names(text: str):
    assert python_error(text) is None


@pytest.mark.parametrize("text", ["", "-c", "python3 -c 'x'", "/usr/bin/env python3", "a;b", "a\nb"])
def test_an_interpreter_with_arguments_is_refused(text: str):
    assert python_error(text)


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("gw", Hop("gw", None, None)),
        ("admin@gw:2222", Hop("gw", 2222, "admin")),
        ("[2001:db8::1]:22", Hop("2001:db8::1", 22, None)),
        ("u@corp@gw", None),
        ("gw:0", None),
        ("gw:99999", None),
        ("@gw", None),
        ("gw:", None),
        ("2001:db8::1", None),
        ("-x", None),
        ("a b", None),
        ("", None),
    ],
)
def test_a_hop_is_user_host_and_port(text: str, hop: Hop | None):
    if hop is None:
        with pytest.raises(ValueError, match="not"):
            parse_hop(text)
    else:
        assert parse_hop(text) == hop


def test_several_hops_are_separated_by_commas_and_none_is_none():
    assert parse_hops("a, b@c:1") == (Hop("a", None, None), Hop("c", 1, "b"))
    assert parse_hops("none") == parse_hops("") == ()


def test_a_key_stands_beside_its_file_or_in_the_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/ada")
    base = Path("/etc/anyjob")
    assert absolute_path("keys/id", base) == "/etc/anyjob/keys/id"
    assert absolute_path("/k", base) == "/k"
    assert absolute_path("~/.ssh/id", base) == "/home/ada/.ssh/id"


@pytest.mark.parametrize("text", ["", "a\nb", "~nobody-of-this-name/x"])
def test_a_key_that_is_no_path_is_refused(text: str):
    with pytest.raises(ValueError, match=r"path|home"):
        absolute_path(text, Path("/"))


def test_a_reason_may_have_any_letter_but_no_control_character():
    assert text_error("größer, 日本") is None
    assert text_error("a\x1b[31m")
    assert text_error("a\u202eb")
    assert text_error("x" * 1001)


@given(st.text())
def test_hostile_text_is_shown_in_ascii_and_short(text: str):
    assert shown(text).isascii()
    assert shown(text).isprintable()
