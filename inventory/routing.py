"""Which bastions lead to a node."""

from collections.abc import Mapping

from inventory.fields import Hop, parse_hop
from inventory.model import Node, address
from inventory.route import Address


class JumpCycleError(Exception):
    """Bastions that lead back to where they began; `cycle` names the nodes, the first one again at the end."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(" > ".join(cycle))
        self.cycle = cycle


def hops(nodes: Mapping[str, Node], node: Node) -> tuple[Address, ...]:
    """Give the bastions on the way to a node, the first one first.

    A hop that is a node of the inventory brings its address, and the first hop its own bastions too. A node that stands
    in its own list (because a group with a bastion has the bastion as a member) is reached by the hops before it.

    Raises:
        JumpCycleError: The bastions of bastions lead back to one of them.
    """
    way: tuple[Address, ...] = ()
    visited = [node.name]
    while True:
        chain = _until(node.name, tuple(parse_hop(text) for text in node.jump))
        way = tuple(_address(nodes, hop) for hop in chain) + way
        if not chain or chain[0].host not in nodes:
            return way
        node = nodes[chain[0].host]
        if node.name in visited:
            raise JumpCycleError((*visited[visited.index(node.name) :], node.name))
        visited.append(node.name)


def _until(name: str, chain: tuple[Hop, ...]) -> tuple[Hop, ...]:
    own = next((index for index, hop in enumerate(chain) if hop.host == name), len(chain))
    return chain[:own]


def _address(nodes: Mapping[str, Node], hop: Hop) -> Address:
    node = nodes.get(hop.host)
    if node is None:
        return Address(host=hop.host, port=hop.port or 22, user=hop.user)
    return address(node, user=hop.user, port=hop.port)
