import itertools
from pathlib import Path

import pytest

from inventory.effective import build
from inventory.model import Inventory, Node, Origin
from inventory.native import read
from inventory.problems import InvalidFilesError
from inventory.yamlfile import parse


def inventory(text: str, file: str = "/site/inventory.yaml") -> Inventory:
    return build(read(parse(text.encode(), file)))


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        inventory(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_every_field_of_a_node_is_read():
    text = """
nodes:
  web01:
    host: 2001:db8::1
    port: 2222
    user: www
    identity: [keys/a, /k/b]
    python: /usr/bin/python3
    jump: admin@gate:22, inner
    labels: {env: prod, rack: 7, spare: false}
    vars: {list: [1, {a: no}], empty: null}
    max_jobs: 3
    order: -5
    disabled: broken
"""
    node = inventory(text).nodes["web01"]
    assert node == Node(
        name="web01",
        host="2001:db8::1",
        port=2222,
        user="www",
        identity=("/site/keys/a", "/k/b"),
        python="/usr/bin/python3",
        jump=("admin@gate:22", "inner"),
        labels={"env": "prod", "rack": "7", "spare": "false"},
        vars={"list": [1, {"a": "no"}], "empty": None},
        max_jobs=3,
        order=-5,
        disabled="broken",
        groups=frozenset({"all"}),
        origin=node.origin,
    )
    assert node.origin["port"] == Origin("/site/inventory.yaml", 5)
    assert node.origin["labels.rack"] == Origin("/site/inventory.yaml", 10)


def test_a_node_without_fields_is_reached_by_its_name():
    node = inventory("nodes: {web01: }\n").nodes["web01"]
    assert (node.host, node.port, node.user, node.disabled) == ("web01", 22, None, None)


def test_a_range_is_one_entry_for_several_nodes_and_their_addresses():
    nodes = inventory("nodes:\n  web[08-10]: {host: '10.0.0.[8-10]', port: 23}\n").nodes
    assert [(node.name, node.host, node.port) for node in nodes.values()] == [
        ("web08", "10.0.0.8", 23),
        ("web09", "10.0.0.9", 23),
        ("web10", "10.0.0.10", 23),
    ]


@pytest.mark.parametrize("first", [True, False])
def test_a_nodes_own_entry_wins_over_its_range_wherever_it_stands(first: bool):
    entries = ["  web[1-2]: {port: 1, user: a}\n", "  web2: {port: 2}\n"]
    nodes = inventory("nodes:\n" + "".join(entries if first else reversed(entries))).nodes
    assert [(node.port, node.user) for node in nodes.values()] == [(1, "a"), (2, "a")]


def test_the_nearest_value_wins_and_labels_and_vars_merge():
    text = """
defaults: {user: d, port: 1, max_jobs: 1, order: 1, labels: {l: d}, vars: {v: d, only: d}}
nodes:
  n: {order: 5}
groups:
  all: {defaults: {port: 2, max_jobs: 2, order: 2}, vars: {v: all}}
  parent: {children: [child], defaults: {max_jobs: 3, order: 3, labels: {p: p}}, vars: {v: parent}}
  child: {nodes: n, defaults: {order: 4, labels: {l: c}}, vars: {v: child}}
"""
    node = inventory(text).nodes["n"]
    assert (node.user, node.port, node.max_jobs, node.order) == ("d", 2, 3, 5)
    assert node.labels == {"l": "c", "p": "p"}
    assert node.vars == {"v": "child", "only": "d"}
    assert node.groups == {"all", "parent", "child"}


def test_a_child_wins_over_a_parent_that_is_also_named_directly():
    text = "nodes: {n: }\ngroups:\n  a: {nodes: n, vars: {v: a}}\n  z: {nodes: n, children: [a], vars: {v: z}}\n"
    assert inventory(text).nodes["n"].vars == {"v": "a"}


def test_of_groups_of_the_same_depth_the_later_name_wins():
    text = "nodes: {n: }\ngroups:\n  b: {nodes: n, vars: {v: b}}\n  a: {nodes: n, vars: {v: a}}\n"
    assert inventory(text).nodes["n"].vars == {"v": "b"}


def test_a_node_takes_back_what_its_group_says():
    text = "nodes: {n: {disabled: false, jump: none, identity: []}}\ndefaults: {disabled: x, jump: g, identity: /k}\n"
    node = inventory(text).nodes["n"]
    assert (node.disabled, node.jump, node.identity) == (None, (), ())


def test_groups_know_their_members_children_and_own_vars():
    text = "nodes: {'n[1-3]': }\ngroups:\n  p: {children: c, nodes: n3, vars: {a: 1}}\n  c: {nodes: ['n[1-2]']}\n"
    groups = inventory(text).groups
    assert list(groups) == ["all", "c", "p"]
    assert (groups["p"].members, groups["p"].children, groups["p"].vars) == (("n1", "n2", "n3"), ("c",), {"a": 1})
    assert groups["all"].members == ("n1", "n2", "n3")


def test_every_mistake_of_a_file_is_told_at_once():
    text = """
nodes:
  -rf: {}
  web01: {prot: 22, port: 0755, user: 'a;b', host: -x, disabled: no, labels: {x: [1]}}
  web[1-3]: {host: '10.0.0.[1-2]'}
  web[3-1]: {}
  b: {jump: 'a b', identity: '', python: 'python3 -c', max_jobs: 0, vars: [x]}
groups:
  ../x: {nodes: nope}
  all: {nodes: web01}
  g: {childs: x}
nods: 1
"""
    found = problems(text)
    for words in [
        "f.yaml:3:8: nodes.-rf: '-rf' cannot be a node's name",
        "f.yaml:4:11: nodes.web01.prot: unknown field; did you mean 'port'?",
        "f.yaml:4:27: nodes.web01.port: expected a whole number from 1 to 65535, found '0755'",
        "nodes.web01.user: 'a;b' is not a user name",
        "nodes.web01.host: '-x' is not a host name",
        "nodes.web01.disabled: expected true, false or a reason, found 'no'",
        "nodes.web01.labels.x: expected text, found a list",
        "nodes.web[1-3].host: 2 hosts for 3 nodes",
        "nodes.web[3-1]: 'web[3-1]': 3-1 does not count upwards",
        "nodes.b.jump: 'a b' is not a host name",
        "nodes.b.identity: '' is not a path",
        "nodes.b.python: 'python3 -c' is not a path of an interpreter",
        "nodes.b.max_jobs: expected a whole number from 1 to 100000, found '0'",
        "nodes.b.vars: expected a mapping, found a list",
        "groups.../x: '../x' cannot be a group's name",
        "groups.../x.nodes: there is no node 'nope'",
        "groups.all.nodes: the group all has every node by itself",
        "groups.g.childs: unknown field; did you mean 'children'?",
        "f.yaml:12:1: nods: unknown field; did you mean 'nodes'?",
    ]:
        assert any(words in problem for problem in found), (words, found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: {a: {children: b}, b: {children: c}, c: {children: a}}", "the groups contain each other: "),
        ("groups: {a: {children: a}}", "the groups contain each other: a > a"),
        ("groups: {a: {children: al}, all: {}}", "there is no group 'al'; did you mean 'all'?"),
        ("groups: {a: {children: all}}", "the group 'all' cannot be a child"),
        ("nodes: {web01: }\ngroups: {a: {nodes: wbe01}}", "there is no node 'wbe01'; did you mean 'web01'?"),
        ("nodes: {a: {jump: b}, b: {jump: c}, c: {jump: b}}", "the bastions lead in a circle: b > c > b"),
    ],
)
def test_references_that_lead_nowhere_or_in_a_circle_are_refused(text: str, message: str):
    assert any(message in problem for problem in problems(text))


def test_a_cycle_is_named_in_full():
    found = problems("groups: {a: {children: b}, b: {children: c}, c: {children: a}}")
    names = found[0].rpartition(": ")[2].split(" > ")
    assert len(names) == 4
    assert names[0] == names[3]
    assert {"ab", "bc", "ca"} == {first + second for first, second in itertools.pairwise(names)}


def test_a_long_line_of_groups_needs_no_deep_stack():
    chain = "".join(f"  g{n}: {{children: g{n + 1}}}\n" for n in range(3000))
    nodes = inventory(f"nodes: {{n: }}\ngroups:\n{chain}  g3000: {{nodes: n, vars: {{v: 1}}}}\n").nodes
    assert len(nodes["n"].groups) == 3002


def test_a_file_without_nodes_is_an_empty_inventory():
    assert dict(inventory("groups: {}\n").nodes) == {}


def test_a_relative_key_stands_beside_the_file():
    node = inventory("nodes: {n: {identity: id}}\n", "conf/inventory.yaml").nodes["n"]
    assert node.identity == (str(Path("conf/id").absolute()),)


def test_the_example_at_the_root_loads():
    file = Path(__file__).parents[3] / "inventory.yaml"
    site = build(read(parse(file.read_bytes(), str(file))))
    assert site.route(site.nodes["db1"]).jump[0].host == "198.51.100.7"
    assert site.nodes["web03"].labels == {"env": "stage", "site": "berlin"}
    assert site.nodes["web01"].vars == {"http_port": 8080, "ntp": "ntp.example.com"}
    assert [node.name for node in site.select("berlin")] == ["web01", "web02", "web03", "db1"]
