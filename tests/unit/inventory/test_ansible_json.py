import json
from typing import Any

import pytest

from inventory.ansible_json import decode, hosts, looks_like, read
from inventory.effective import build
from inventory.problems import InvalidFilesError

TOP: dict[str, Any] = {
    "_meta": {"hostvars": {"w1": {"ansible_host": "10.0.0.1", "n": 1}, "extra": {}}},
    "all": {"children": ["web", "db"], "vars": {"ansible_user": "ops"}},
    "web": {"hosts": ["w1", "w2"], "vars": {"n": 0, "m": 2}},
    "db": ["d1"],
}


def test_the_output_of_a_program_is_read():
    site = build(read(TOP, "/inv/cloud.py"))
    assert {name: (node.host, node.user, node.vars) for name, node in site.nodes.items()} == {
        "d1": ("d1", "ops", {}),
        "extra": ("extra", "ops", {}),
        "w1": ("10.0.0.1", "ops", {"n": 1, "m": 2}),
        "w2": ("w2", "ops", {"n": 0, "m": 2}),
    }
    assert site.nodes["w1"].groups == {"all", "web"}
    assert hosts(TOP) == ["w1", "w2", "d1"]


def test_every_mistake_of_the_output_is_told():
    top = {
        "web": {"hosts": ["-rf", 7], "vars": {"ansible_port": 0}},
        "../x": [],
        "y": "text",
        "_meta": {"hostvars": {"a\nb": {}, "ok": {"ansible_host": "-x"}}},
    }
    found = [str(problem) for problem in read(top, "/inv/cloud.py").problems]
    for words in [
        "/inv/cloud.py: web: '-rf' cannot be a node's name",
        "/inv/cloud.py: web: the host '7' is not text",
        "/inv/cloud.py: web.vars.ansible_port: expected a port",
        "/inv/cloud.py: ../x: '../x' cannot be a group's name",
        "/inv/cloud.py: y: expected a group",
        "/inv/cloud.py: _meta.hostvars.a\\nb: 'a\\nb' cannot be a node's name",
        "/inv/cloud.py: _meta.hostvars.ok.ansible_host: '-x' is not a host name",
    ]:
        assert any(problem.startswith(words) for problem in found), (words, found)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "x:1:2: is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": 1, "a": 2}', "the key 'a' is given twice"),
        (b'{"a": "\\ud800"}', "half a surrogate pair"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32"),
        (b'{"a": ' + b"[" * 100_000, "nested deeper than 32"),
        (b'{"a": ' + b"9" * 5000 + b"}", "4300"),
        (b'{"a": "\xff"}', "byte 0xff is not UTF-8"),
    ],
)
def test_json_that_surprises_is_refused(data: bytes, message: str):
    with pytest.raises(InvalidFilesError) as caught:
        decode(data, "x")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("top", "answer"),
    [
        (TOP, True),
        ({"web": ["a"]}, True),
        ({"web": {"hosts": ["a"]}}, True),
        ({"_meta": {}}, True),
        ({"nodes": {"a": {"port": 1}}}, False),
        ({"all": {"hosts": {"a": {}}}}, False),
        ({}, False),
    ],
)
def test_the_output_of_a_program_is_told_from_other_json(top: dict[str, Any], answer: bool):
    assert looks_like(json.loads(json.dumps(top))) is answer
