import pytest

from inventory.clustershell import looks_like, read
from inventory.effective import build
from inventory.problems import InvalidFilesError
from inventory.yamlfile import parse


def test_groups_of_node_sets_are_read():
    text = b"cluster:\n  web: 'web[01-02]'\n  db: [db1, 'db2,db3 db4']\n  most: '@web,db1'\nrack:\n  r1: web01\n"
    site = build(read(parse(text, "groups.yaml")))
    assert list(site.nodes) == ["db1", "db2", "db3", "db4", "web01", "web02"]
    assert site.nodes["web01"].groups == {"all", "web", "most", "r1"}
    assert site.groups["most"].members == ("db1", "web01", "web02")


def test_what_is_no_name_or_range_is_a_problem():
    text = b"cluster:\n  web: 'web[3-1],-rf'\n  b: 'web1!web2'\n  -x: a\n  c: '@nope'\n"
    with pytest.raises(InvalidFilesError) as caught:
        build(read(parse(text, "g.yaml")))
    found = str(caught.value)
    assert "g.yaml:2:8: cluster.web: 'web[3-1]': 3-1 does not count upwards" in found
    assert "g.yaml:2:8: cluster.web: '-rf' cannot be a node's name" in found
    assert "g.yaml:3:6: cluster.b: 'web1!web2' cannot be a node's name" in found
    assert "g.yaml:4:7: cluster.-x: '-x' cannot be a group's name" in found
    assert "there is no group 'nope'" in found


@pytest.mark.parametrize(
    ("text", "answer"),
    [("a: {b: 'c[1-2]', d: [e]}", True), ("a: {b: {c: d}}", False), ("a: b", False), ("", False)],
)
def test_groups_files_are_recognised(text: str, answer: bool):
    assert looks_like(parse(text.encode(), "f").root) is answer
