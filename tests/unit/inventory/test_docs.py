"""What the reference says is what the code does."""

import re
from pathlib import Path

import pytest

from inventory.effective import build
from inventory.model import Node
from inventory.native import read
from inventory.targets import parse as parse_target
from inventory.yamlfile import parse

REFERENCE = Path(__file__).parents[3] / "docs/reference"
INVENTORY = (REFERENCE / "inventory.md").read_text()
TARGETS = (REFERENCE / "targets.md").read_text()


def test_the_examples_of_the_reference_load():
    example, become = re.findall(r"```yaml\n(.*?)```", INVENTORY, re.DOTALL)
    site = build(read(parse(example.encode(), "inventory.yaml")))
    assert len(site.select("berlin")) == 39
    assert site.route(site.nodes["web40"]).jump[0].host == "198.51.100.7"
    site = build(read(parse(become.encode(), "inventory.yaml")))
    assert [node.become is not None for node in site.nodes.values()] == [True, True, True]


def test_every_field_of_a_node_is_in_the_reference():
    rows = set(re.findall(r"^\| `([a-z_]+)` \|", INVENTORY, re.MULTILINE))
    assert set(Node.__dataclass_fields__) - {"name", "groups", "origin"} <= rows


@pytest.mark.parametrize(
    "expression",
    [
        code.replace("\\|", "|")
        for row in re.findall(r"^\| (`.*)\|.*\|$", TARGETS, re.MULTILINE)
        for code in re.findall(r"`([^`]+)`", row)
    ],
)
def test_every_expression_of_the_reference_is_one(expression: str):
    assert parse_target(expression)
