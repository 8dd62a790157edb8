"""The ad-hoc form."""

import pytest

from tests.unit.web.peer import RUN
from web.forms import MAX_FIELD, read, refused

GOOD = {"id": RUN, "csrf": "x", "target": "web01", "command": "uname -n", "run_as": "", "timeout": ""}


def test_a_good_form_is_a_request() -> None:
    form = read({**GOOD, "timeout": "90", "run_as": "deploy"})
    assert form.errors == {}
    assert form.body() == {
        "target": "web01", "argv": ["uname -n"], "run_as": "deploy", "timeout_s": 90.0, "source": "web",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", ""), ("target", "x" * (MAX_FIELD + 1)), ("command", "  "), ("command", "a\0b"),
        ("run_as", "-1"), ("run_as", "a b"), ("run_as", "root:"), ("timeout", "soon"), ("timeout", "0"),
        ("timeout", "-1"), ("timeout", "1e400"), ("timeout", "9" * 400), ("timeout", "९"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_field_and_makes_no_request(field: str, value: str) -> None:
    form = read({**GOOD, field: value})
    assert list(form.errors) == [field]
    with pytest.raises(ValueError, match="no request"):
        form.body()


def test_all_mistakes_are_told_at_once() -> None:
    assert set(read({"id": RUN, "run_as": "0", "timeout": "x"}).errors) == {"target", "command", "run_as", "timeout"}


@pytest.mark.parametrize("changes", [{"id": ""}, {"id": "x"}, {"id": RUN + "0"}, {"owner": "root"}, {"argv": "id"}])
def test_what_a_person_cannot_have_filled_in_is_refused(changes: dict[str, str]) -> None:
    assert "" in read({**GOOD, **changes}).errors


def test_the_daemons_refusal_goes_to_the_field_that_it_is_about() -> None:
    form = read(GOOD)
    assert refused(form, "bad_target", "no such node", ()).errors == {"target": "no such node"}
    assert refused(form, "bad_request", "two", ({"field": "argv", "message": "too long"},)).errors == {
        "command": "too long"
    }
    assert refused(form, "bad_file", "inventory.yaml:3: x", ({"file": "inventory.yaml", "message": "x"},)).errors == {
        "": "x"
    }
