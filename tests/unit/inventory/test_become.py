from pathlib import Path

import pytest

from inventory.effective import build
from inventory.model import Inventory
from inventory.native import read
from inventory.problems import InvalidFilesError
from inventory.route import Become, Method
from inventory.sources import load
from inventory.yamlfile import parse


def site(text: str) -> Inventory:
    return build(read(parse(text.encode(), "inv.yaml")))


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ("sudo", Become()),
        ("su", Become(method=Method.SU)),
        ("none", None),
        ("false", None),
        ("{method: doas, user: www}", Become(method=Method.DOAS, user="www")),
        ("{user: www}", Become(user="www")),
        ("{}", Become()),
        ('{user: "@run_as"}', Become(user="@run_as")),
    ],
)
def test_the_forms_of_the_field(written: str, meaning: Become | None) -> None:
    assert site(f"nodes: {{a: {{become: {written}}}}}").nodes["a"].become == meaning


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("sudoo", "did you mean 'sudo'?"),
        ("true", "become: expected text"),
        ("[sudo]", "become: expected text, found a list"),
        ("{methd: su}", "become.methd: unknown field"),
        ("{method: pbrun}", "become.method: expected one of sudo, doas, su"),
        ("{user: -u}", "become.user: '-u' is not a user name"),
        ('{user: "@me"}', "or '@run_as' for whoever the job runs as"),
    ],
)
def test_a_mistake_is_told_with_its_place(written: str, message: str) -> None:
    with pytest.raises(InvalidFilesError) as caught:
        site(f"nodes: {{a: {{become: {written}}}}}")
    assert message in str(caught.value)
    assert str(caught.value).startswith("inv.yaml:1:")


def test_the_field_is_inherited_whole_and_can_be_taken_back() -> None:
    found = site(
        "defaults: {become: {method: su, user: www}}\n"
        "nodes:\n  a: {}\n  b: {become: none}\n  c: {}\n"
        "groups: {g: {nodes: c, defaults: {become: {user: db}}}}"
    )
    assert [node.become for node in found.nodes.values()] == [
        Become(method=Method.SU, user="www"),
        None,
        Become(method=Method.SUDO, user="db"),
    ]
    assert found.nodes["a"].origin["become"].line == 1
    assert found.nodes["b"].origin["become"].line == 4


def test_ansibles_parts_come_from_wherever_they_are_written(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.ini"
    hosts.write_text(
        "a ansible_become=yes\nb ansible_become=true ansible_become_user=db\nc\nd ansible_become=no\n"
        "e ansible_become=yes ansible_become_method=enable\n[all:vars]\nansible_become_method=su\n"
    )
    found = load([hosts], cache_dir=tmp_path)
    assert [node.become for node in found.nodes.values()] == [
        Become(method=Method.SU),
        Become(method=Method.SU, user="db"),
        None,
        None,
        None,
    ]
    assert "the method 'enable' is not supported, so nobody is become" in str(found.warnings[0])


@pytest.mark.parametrize(("value", "message"), [("perhaps", "expected yes or no"), ("'{{ x }}'", "is a template")])
def test_ansibles_variable_that_is_no_truth_is_a_mistake(tmp_path: Path, value: str, message: str) -> None:
    hosts = tmp_path / "hosts.ini"
    hosts.write_text(f"a ansible_become={value}\n")
    with pytest.raises(InvalidFilesError, match=message):
        load([hosts], cache_dir=tmp_path)


def test_a_route_to_the_jobs_user_differs_per_user() -> None:
    found = site('nodes: {a: {user: deploy, become: {user: "@run_as"}}, b: {become: sudo}}')
    a, b = found.nodes.values()
    assert found.route(a, run_as="www").become == Become(user="www")
    assert found.route(a, run_as="db") != found.route(a, run_as="www")
    assert found.route(a).become is None
    assert found.route(a, run_as="deploy").become is None
    assert found.route(b, run_as="www") == found.route(b)
