from typing import Any

import pytest

from inventory.ansible_ini import read
from inventory.effective import build
from inventory.model import Inventory, Origin
from inventory.problems import InvalidFilesError


def inventory(text: str) -> Inventory:
    return build(read(text, "/inv/hosts.ini"))


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        inventory(text)
    return [str(problem).removeprefix("/inv/hosts.ini:") for problem in caught.value.problems]


def test_hosts_groups_ranges_and_variables_are_read():
    site = inventory(
        """
; a comment
lone ansible_host=10.0.0.9 # another

[web]
web[01:03]:2222 ansible_user=www
web-[a:b] ansible_port=23

[db]
db1

[eu:children]
web
db  # all of it

[eu:vars]
region = eu
[all:vars]
ansible_python_interpreter=/usr/bin/python3
"""
    )
    assert {name: (node.host, node.port, node.user) for name, node in site.nodes.items()} == {
        "db1": ("db1", 22, None),
        "lone": ("10.0.0.9", 22, None),
        "web01": ("web01", 2222, "www"),
        "web02": ("web02", 2222, "www"),
        "web03": ("web03", 2222, "www"),
        "web-a": ("web-a", 23, None),
        "web-b": ("web-b", 23, None),
    }
    assert site.nodes["web01"].groups == {"all", "eu", "web"}
    assert site.nodes["web01"].vars == {"region": "eu"}
    assert {node.python for node in site.nodes.values()} == {"/usr/bin/python3"}
    assert site.groups["ungrouped"].members == ("lone",)
    assert site.nodes["web01"].origin["user"] == Origin("/inv/hosts.ini", 6)


def test_a_plain_list_of_hosts_is_an_inventory():
    site = inventory("web1\nroot@web2:2200\n# web3\nweb[4-5]\n\nweb1\n")
    assert [(node.name, node.port, node.user) for node in site.nodes.values()] == [
        ("web1", 22, None),
        ("web2", 2200, "root"),
        ("web4", 22, None),
        ("web5", 22, None),
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("1.5", 1.5),
        ("True", True),
        ("None", None),
        ("true", "true"),
        ("yes", "yes"),
        ("0755", "0755"),
        ("10.0.0.1", "10.0.0.1"),
        ("'[1, \"a\"]'", [1, "a"]),
        ("\"{'a': [None]}\"", {"a": [None]}),
        ("\"'007'\"", "007"),
        ("'a b'", "a b"),
        ("a=b", "a=b"),
        ("(1,2)", "(1,2)"),
        ("1e999", "1e999"),
        ("'{{ x }}'", "{{ x }}"),
        ("-" * 9000 + "1", "-" * 9000 + "1"),
        ("[" * 500, "[" * 500),
        ("'\"\\d\"'", "\\d"),
    ],
)
def test_values_are_literals_where_they_can_be(written: str, value: Any):
    assert inventory(f"n x={written}\n").nodes["n"].vars == {"x": value}


def test_values_in_vars_sections_keep_their_spaces():
    assert inventory("n\n[all:vars]\nx = a b  c\ny='q'\n").nodes["n"].vars == {"x": "a b  c", "y": "q"}


def test_the_child_wins_over_the_parent_and_the_host_over_both():
    text = "[z:children]\na\n[a]\nn v=host\nm\n[z:vars]\nv=parent\nw=parent\n[a:vars]\nv=child\nw=child\n"
    site = inventory(text)
    assert site.nodes["n"].vars == {"v": "host", "w": "child"}
    assert site.nodes["m"].vars == {"v": "child", "w": "child"}


def test_of_groups_of_the_same_depth_the_priority_decides_before_the_name():
    text = "[a]\nn\n[b]\nn\n[a:vars]\nv=a\n[b:vars]\nv=b\n"
    assert inventory(text).nodes["n"].vars == {"v": "b"}
    assert inventory(text + "[a:vars]\nansible_group_priority=10\n").nodes["n"].vars == {"v": "a"}


def test_a_host_that_is_written_twice_is_one_node():
    site = inventory("[a]\nn x=1\n[b]\nn y=2\n")
    assert site.nodes["n"].vars == {"x": 1, "y": 2}
    assert site.nodes["n"].groups == {"all", "a", "b"}


def test_every_mistake_is_told_at_once():
    text = """[web]
-rf
../x
a ansible_port=99999 ansible_host='{{ ip }}' foo
2001:db8::1
b 'unclosed
[webb:vars]
x
[eu:children]
wbe
[x:kids]
w[3:1]
c:99999
a;id@d
"""
    found = problems(text)
    for words in [
        "2: '-rf' cannot be a node's name",
        "3: '../x' cannot be a node's name",
        "4: expected key=value after the host, found 'foo'",
        "4: a.ansible_host: '{{ ip }}' is a template, and templates are not evaluated",
        "4: a.ansible_port: expected a port from 1 to 65535, found '99999'",
        "5: '2001:db8::1' cannot be a node's name",
        '6: "b \'unclosed": No closing quotation',
        "7: there is no group 'webb'; did you mean 'web'?",
        "8: 'x' is not of the form key=value",
        "10: there is no group 'wbe'; did you mean 'web'?",
        "11: unknown kind of section 'kids'",
        "12: 'w[3:1]': 3-1 does not count upwards",
        "13: the port 99999 is not from 1 to 65535",
        "14: 'a;id' is not a user name",
    ]:
        assert any(problem.startswith(words) for problem in found), (words, found)


def test_groups_in_a_circle_are_refused():
    assert problems("[a:children]\nb\n[b:children]\na\n") == [
        "2: groups.a.children: the groups contain each other: a > b > a"
    ]
