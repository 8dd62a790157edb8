import operator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.effective import build
from inventory.model import Inventory
from inventory.native import read
from inventory.nodeset import expand
from inventory.targets import TargetError
from inventory.yamlfile import parse

TEXT = b"""
nodes:
  web[01-20]: {labels: {env: prod}}
  web07: {disabled: broken disk}
  web08: {labels: {env: stage}}
  db[1-3]: {labels: {env: prod, role: sql}}
  db: {}
  old[1-2]: {disabled: true}
  first: {order: -1}
groups:
  web: {nodes: "web[01-20]"}
  db: {nodes: "db[1-3]"}
  old: {nodes: "old[1-2]"}
  rack1: {nodes: [web01, db1]}
  rack2: {nodes: [web02, db2]}
  none: {}
"""


def inventory(text: bytes = TEXT) -> Inventory:
    return build(read(parse(text, "inventory.yaml")))


SITE = inventory()
WEB = {*expand("web[01-06]"), *expand("web[08-20]")}


def names(expression: str, **options: str) -> set[str]:
    return {node.name for node in SITE.select(expression, **options)}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("web01", {"web01"}),
        ("web[01-03]", {"web01", "web02", "web03"}),
        ("web01,web01,web[01-02]", {"web01", "web02"}),
        ("@web", WEB),
        ("web", WEB),
        ("db", {"db"}),
        ("@db", {"db1", "db2", "db3"}),
        ("all", WEB | {"db", "db1", "db2", "db3", "first"}),
        ("*", WEB | {"db", "db1", "db2", "db3", "first"}),
        ("@*", WEB | {"db", "db1", "db2", "db3", "first"}),
        ("@rack*", {"web01", "web02", "db1", "db2"}),
        ("@rack[1-2]", {"web01", "web02", "db1", "db2"}),
        ("rack[1-2]", {"web01", "web02", "db1", "db2"}),
        ("db?", {"db1", "db2", "db3"}),
        ("web[0-1]1", {"web01", "web11"}),
        ("env=stage", {"web08"}),
        ("env=st*", {"web08"}),
        ("role=*", {"db1", "db2", "db3"}),
        ("env=prod&@db", {"db1", "db2", "db3"}),
        ("@web&@rack1", {"web01"}),
        ("@rack1!web01", {"db1"}),
        ("@rack1^@web!web[02-20]", {"db1"}),
        ("db1,web*&@rack1", {"db1", "web01"}),
        ("db1,(web*&@rack1)", {"db1", "web01"}),
        ("rack1:rack2:&web", {"web01", "web02"}),
        ("rack1:!web:rack2", {"db1", "db2"}),
        ("!web:!db*", {"first"}),
        ("~web(01|02)$", {"web01", "web02"}),
        ("~d", {"db", "db1", "db2", "db3"}),
        ("web01!nothing*", {"web01"}),
        ("@none,web01", {"web01"}),
        ("web[01-08]!web07", {*expand("web[01-06]"), "web08"}),
    ],
)
def test_an_expression_selects_its_nodes(expression: str, found: set[str]):
    assert names(expression) == found


def test_limit_and_exclude_narrow_a_selection():
    assert names("@web", limit="@rack*", exclude="web02") == {"web01"}


def test_nodes_come_by_order_and_then_by_natural_name():
    assert [node.name for node in SITE.select("db[1-3],first,web10,web02")] == [
        "first",
        *expand("db[1-3]"),
        "web02",
        "web10",
    ]


def test_disabled_nodes_of_a_group_are_left_out_and_told():
    selection = SITE.selection("@web")
    assert [node.name for node in selection.skipped] == ["web07"]
    assert "web07" not in {node.name for node in selection.nodes}


@pytest.mark.parametrize(
    ("expression", "start", "words"),
    [
        ("wbe01", 0, "unknown node 'wbe01'; did you mean 'web01'?"),
        ("db1,web[1-3]", 4, "unknown nodes 'web[1-3]'; did you mean 'web[01-03]'?"),
        ("web[01-22]", 0, "unknown nodes 'web[21-22]'"),
        ("db1!wbe01", 4, "unknown node 'wbe01'"),
        ("zzz", 0, "'anyjob nodes list' shows what there is"),
        ("@wbe", 0, "unknown group 'wbe'; did you mean 'web'?"),
        ("@web01", 0, "web01 is a node: leave out the @"),
        ("@x*", 0, "unknown group 'x*'; groups are: all"),
        ("evn=prod", 0, "no node has a label 'evn'; did you mean 'env'?"),
        ("env=pord", 0, "no node has 'env=pord'; did you mean 'prod'?"),
        ("db1,zz*", 4, "'zz*' matches no node"),
        ("~zz", 0, "'zz' matches no node"),
        ("~(a+)+", 0, "a group cannot be repeated"),
        ("web01&web02", 0, "selects no node"),
        ("@none", 0, "selects no node"),
        ("db1,web[1-", 7, "'[' without ']'"),
        ("@web[1-", 4, "'[' without ']'"),
        ("web07", 0, "web07 is disabled: broken disk; take it out with !web07"),
        ("db1,web[06-08]", 4, "web07 is disabled: broken disk"),
        ("@web&web07", 5, "web07 is disabled: broken disk"),
        ("@old", 0, "selects only disabled nodes: old[1-2] (disabled in the inventory)"),
        ("@./hosts", 0, "is not read here"),
    ],
)
def test_what_selects_nothing_usable_is_an_error_that_says_why(expression: str, start: int, words: str):
    with pytest.raises(TargetError) as caught:
        SITE.select(expression)
    assert words in str(caught.value)
    assert caught.value.start == start


def test_an_exclusion_that_leaves_nothing_is_an_error_that_names_it():
    with pytest.raises(TargetError, match="selects no node; the exclusion may have left nothing"):
        SITE.select("web01", exclude="@web")


def test_an_exclusion_may_name_disabled_nodes():
    assert names("@rack1", exclude="web07") == {"web01", "db1"}


def test_a_misspelt_exclusion_is_an_error():
    with pytest.raises(TargetError, match="unknown node 'wbe01'"):
        SITE.select("@web", exclude="wbe01")


def test_a_limit_to_a_disabled_node_says_its_reason():
    with pytest.raises(TargetError, match="web07 is disabled: broken disk"):
        SITE.select("all", limit="web07")


def test_an_empty_inventory_says_so():
    with pytest.raises(TargetError, match="the inventory is empty"):
        inventory(b"nodes: {}\n").select("web01")


def test_files_are_read_only_from_a_directory_that_the_caller_gives(tmp_path: Path):
    (tmp_path / "hosts").write_text("web01\ndb[1-2]\n")
    assert [node.name for node in SITE.select("@./hosts!db2", files=tmp_path)] == ["db1", "web01"]


def test_long_chains_need_no_deep_stack():
    assert names(",".join(["web01"] * 20_000)) == {"web01"}


LEAVES = {
    "web01": {"web01"},
    "db[1-3]": {"db1", "db2", "db3"},
    "@rack1": {"web01", "db1"},
    "web1*": set(expand("web[10-19]")),
    "env=stage": {"web08"},
    "@none": set(),
}
OPERATORS = {",": operator.or_, "&": operator.and_, "!": operator.sub, "^": operator.xor}
EXPRESSIONS = st.recursive(
    st.sampled_from(sorted(LEAVES)).map(lambda text: (text, LEAVES[text])),
    lambda inner: st.tuples(inner, st.lists(st.tuples(st.sampled_from(sorted(OPERATORS)), inner), min_size=1)).map(
        lambda parts: combine(*parts)
    ),
    max_leaves=10,
)


def combine(first: tuple[str, set[str]], rest: list[tuple[str, tuple[str, set[str]]]]) -> tuple[str, set[str]]:
    text, found = first
    for sign, (part, members) in rest:
        text, found = f"{text}{sign}{part}", OPERATORS[sign](found, members)
    return f"({text})", found


@given(EXPRESSIONS)
def test_any_expression_selects_what_set_theory_says(expression: tuple[str, set[str]]):
    text, found = expression
    if found:
        assert names(text) == found
    else:
        with pytest.raises(TargetError, match="selects no node"):
            SITE.select(text)
