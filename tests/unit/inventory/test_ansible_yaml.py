import pytest

from inventory.ansible_vars import TAGS
from inventory.ansible_yaml import looks_like, read
from inventory.effective import build
from inventory.model import Inventory, Origin
from inventory.problems import InvalidFilesError
from inventory.yamlfile import parse


def inventory(text: str) -> Inventory:
    return build(read(parse(text.encode(), "/inv/h.yml", tags=TAGS)))


def test_groups_with_hosts_children_and_vars_are_read():
    site = inventory(
        """
all:
  hosts:
    mail: {ansible_host: 10.0.0.5, spam: no}
  vars: {ansible_user: ops}
  children:
    web:
      hosts:
        web[01:02]: {ansible_port: 2222}
      vars: {http: 80}
    eu:
      children: {web: }
      vars: {http: 1, region: eu}
    single:
      hosts: lonely
"""
    )
    assert {name: (node.host, node.port, node.user) for name, node in site.nodes.items()} == {
        "lonely": ("lonely", 22, "ops"),
        "mail": ("10.0.0.5", 22, "ops"),
        "web01": ("web01", 2222, "ops"),
        "web02": ("web02", 2222, "ops"),
    }
    assert site.nodes["web01"].groups == {"all", "eu", "web"}
    assert site.nodes["web01"].vars == {"http": 80, "region": "eu"}
    assert site.nodes["mail"].vars == {"spam": "no"}
    assert site.groups["ungrouped"].members == ("mail",)
    assert site.nodes["web01"].origin["port"] == Origin("/inv/h.yml", 9)


def test_every_mistake_is_told_with_its_place():
    text = "web:\n  hosts:\n    -rf:\n    w[2:1]:\n    a: {ansible_port: x}\n  kids: {}\n../x: {}\n"
    with pytest.raises(InvalidFilesError) as caught:
        inventory(text)
    found = [str(problem) for problem in caught.value.problems]
    for words in [
        "/inv/h.yml:3:5: web.hosts.-rf: '-rf' cannot be a node's name",
        "/inv/h.yml:4:5: web.hosts.w[2:1]: 'w[2:1]': 2-1 does not count upwards",
        "/inv/h.yml:5:23: web.hosts.a.ansible_port: expected a port from 1 to 65535, found 'x'",
        "/inv/h.yml:6:3: web.kids: unknown field",
        "/inv/h.yml:7:7: ../x: '../x' cannot be a group's name",
    ]:
        assert any(problem.startswith(words) for problem in found), (words, found)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("all: {hosts: {a: }}", True),
        ("web: {hosts: {a: }}\ndb:", True),
        ("nodes: {a: {port: 1}}", False),
        ("cluster: {web: 'w[1-2]'}", False),
        ("", False),
        ("- a", False),
    ],
)
def test_an_inventory_of_ansible_is_recognised(text: str, answer: bool):
    assert looks_like(parse(text.encode(), "f").root) is answer
