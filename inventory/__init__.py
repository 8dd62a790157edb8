"""Which machines there are: nodes, groups, variables and the target language.

`load` reads sources into an `Inventory`; `Inventory.select` finds the nodes of a target expression. Names are imported
when they are first used, so that a program which only wants `Problem` or `fold` does not load every reader.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from inventory.model import Group, Inventory, Node, Origin
    from inventory.nodeset import expand, fold
    from inventory.problems import InvalidFilesError, Problem
    from inventory.route import Address, Become, Route
    from inventory.selection import Selection
    from inventory.sources import load
    from inventory.targets import TargetError, inline_files

__all__ = [
    "Address",
    "Become",
    "Group",
    "InvalidFilesError",
    "Inventory",
    "Node",
    "Origin",
    "Problem",
    "Route",
    "Selection",
    "TargetError",
    "expand",
    "fold",
    "inline_files",
    "load",
]

_HOMES: Final = {
    "Address": "route",
    "Become": "route",
    "Group": "model",
    "InvalidFilesError": "problems",
    "Inventory": "model",
    "Node": "model",
    "Origin": "model",
    "Problem": "problems",
    "Route": "route",
    "Selection": "selection",
    "TargetError": "targets",
    "expand": "nodeset",
    "fold": "nodeset",
    "inline_files": "targets",
    "load": "sources",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
