import pytest

from inventory.effective import build
from inventory.model import Inventory
from inventory.native import read
from inventory.route import Address, Route
from inventory.yamlfile import parse

TEXT = b"""
nodes:
  web: {host: 10.0.0.1, port: 2222, user: www, identity: /k, python: /py, jump: inner}
  inner: {host: 10.0.0.2, user: i, jump: outer}
  outer: {host: 198.51.100.7, port: 443}
  two: {jump: "outer, x@[2001:db8::1]:2200, inner"}
  other: {jump: "admin@outer:24"}
  lone: {}
defaults: {user: root}
groups:
  behind: {nodes: [gate, member], defaults: {jump: "outer,gate"}}
"""


def inventory() -> Inventory:
    return build(
        read(parse(TEXT.replace(b"  lone: {}", b"  lone: {}\n  gate: {host: g}\n  member: {host: m}"), "i.yaml"))
    )


SITE = inventory()
OUTER = Address(host="198.51.100.7", port=443, user="root")


def jump(name: str) -> tuple[Address, ...]:
    return SITE.route(SITE.nodes[name]).jump


def test_a_node_without_jump_is_reached_directly():
    expected = Route(node="lone", address=Address(host="lone", port=22, user="root"))
    assert SITE.route(SITE.nodes["lone"]) == expected


def test_bastions_of_bastions_come_first():
    route = SITE.route(SITE.nodes["web"])
    assert route.address == Address(host="10.0.0.1", port=2222, user="www", identity=("/k",))
    assert route.python == "/py"
    assert route.jump == (OUTER, Address(host="10.0.0.2", port=22, user="i"))


def test_several_hops_are_taken_in_order_and_may_be_addresses():
    assert jump("two") == (
        OUTER,
        Address(host="2001:db8::1", port=2200, user="x"),
        Address(host="10.0.0.2", port=22, user="i"),
    )


def test_a_hop_may_replace_the_user_and_port_of_its_node():
    assert jump("other") == (Address(host="198.51.100.7", port=24, user="admin"),)


@pytest.mark.parametrize(("name", "hosts"), [("member", ["198.51.100.7", "g"]), ("gate", ["198.51.100.7"])])
def test_a_bastion_in_its_own_group_does_not_wait_for_itself(name: str, hosts: list[str]):
    assert [address.host for address in jump(name)] == hosts


def test_a_login_user_replaces_the_nodes_own_and_not_the_bastions():
    route = SITE.route(SITE.nodes["web"], login_user="me")
    assert route.address.user == "me"
    assert [address.user for address in route.jump] == ["root", "i"]
