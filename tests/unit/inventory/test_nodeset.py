import pytest
from ClusterShell.NodeSet import NodeSet
from hypothesis import given
from hypothesis import strategies as st

from inventory.nodeset import MAX_NAMES, RangeError, expand, expand_ansible, fold, natural

PREFIXES = st.sampled_from(["web", "db-", "r1n", "x", ""])
NAMES = st.builds(
    "{}{}{}".format, PREFIXES, st.from_regex(r"[0-9]{1,3}", fullmatch=True), st.sampled_from(["", ".dc1", "a"])
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web1", ["web1"]),
        ("web[1-3]", ["web1", "web2", "web3"]),
        ("web[08-11]", ["web08", "web09", "web10", "web11"]),
        ("web[1,5-6]", ["web1", "web5", "web6"]),
        ("n[0-20/10]", ["n0", "n10", "n20"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
        ("web[1-2].example.com", ["web1.example.com", "web2.example.com"]),
        ("10.0.0.[9-10]", ["10.0.0.9", "10.0.0.10"]),
    ],
)
def test_a_range_stands_for_its_names(text: str, names: list[str]):
    assert expand(text) == names
    assert sorted(NodeSet(text)) == sorted(names)


@pytest.mark.parametrize(
    "text",
    ["web[", "web]", "web[]", "web[1-]", "web[-1]", "web[a-c]", "web[1-003]", "web[3-1]", "web[1-5/0]", "w[[1-2]]"],
)
def test_a_malformed_range_is_refused_at_its_place(text: str):
    with pytest.raises(RangeError) as caught:
        expand(text)
    assert 0 <= caught.value.start < caught.value.end <= len(text) + 1


@pytest.mark.parametrize(
    "text",
    ["w[1-100001]", "w[1-999999999999999999]", "w[1-1000][1-1000]", "w" + "[1-2]" * 60, "[1" + ",1" * 200_000 + "]"],
)
def test_a_huge_range_is_refused_before_it_is_built(text: str):
    with pytest.raises(RangeError, match=f"more than {MAX_NAMES} names"):
        expand(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web[01:03]", ["web01", "web02", "web03"]),
        ("db-[a:c]", ["db-a", "db-b", "db-c"]),
        ("n[0:10:5].x", ["n0.x", "n5.x", "n10.x"]),
        ("plain", ["plain"]),
    ],
)
def test_ansible_ranges_stand_for_their_names(text: str, names: list[str]):
    assert expand_ansible(text) == names


@pytest.mark.parametrize("text", ["w[1-3]", "w[c:a]", "w[a:3]", "w[A:c]", "w[a:c:0]", "w[1:]", "w[:]"])
def test_a_malformed_ansible_range_is_refused(text: str):
    with pytest.raises(RangeError):
        expand_ansible(text)


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], ""),
        (["web1"], "web1"),
        (["web01", "web02", "web03", "web05"], "web[01-03,05]"),
        (["db1", "web2", "web10", "web1", "web1"], "db1,web[1-2,10]"),
        (["n0", "n5", "n10"], "n[0,5,10]"),
        (["w1", "w01", "w10"], "w1,w[01,10]"),
        (["r1n1", "r1n2", "r2n1", "r2n2"], "r[1-2]n[1-2]"),
        (["web01.dc1", "web02.dc1"], "web[01-02].dc1"),
        (["alpha", "beta"], "alpha,beta"),
    ],
)
def test_names_fold_to_the_short_form(names: list[str], folded: str):
    assert fold(names) == folded


@given(st.sets(NAMES, max_size=40))
def test_folding_loses_and_invents_no_name(names: set[str]):
    parts = str(fold(names))
    assert set(NodeSet(parts)) == names
    assert {name for part in _split(parts) for name in expand(part)} == names


@given(st.lists(st.text(max_size=12), max_size=10))
def test_odd_names_never_raise_and_stay_visible(names: list[str]):
    folded = fold(names)
    assert all(name in folded for name in names if not any(character.isdigit() for character in name))


def test_addresses_and_logins_are_listed_as_they_are():
    assert fold(["2001:db8::1", "root@web1", "web1"]) == "2001:db8::1,root@web1,web1"


def test_numbers_that_no_range_can_say_are_listed():
    names = ["n" + "9" * 30, "n" + "9" * 29 + "8"]
    assert fold(names) == ",".join(sorted(names))


def test_ten_thousand_names_of_two_dimensions_fold_to_one():
    assert fold(expand("r[001-100]n[1-100]")) == "r[001-100]n[1-100]"


def test_natural_order_counts():
    assert sorted(["web10", "web2", "db1", "web02"], key=natural) == ["db1", "web02", "web2", "web10"]


def _split(folded: str) -> list[str]:
    return [str(part) for part in NodeSet(folded).nsiter()] if folded else []
