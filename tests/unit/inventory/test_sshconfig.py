from pathlib import Path

import pytest

from inventory.effective import build
from inventory.model import Inventory, Origin
from inventory.problems import InvalidFilesError
from inventory.sshconfig import looks_like, read


def inventory(directory: Path, text: str, **files: str) -> Inventory:
    for name, content in files.items():
        (directory / name).write_text(content)
    (directory / "config").write_text(text)
    return build(read(directory / "config"))


def test_host_entries_are_nodes_and_the_first_value_wins(tmp_path: Path):
    site = inventory(
        tmp_path,
        """
# comment
Port 2000
Host a b git.*
  HostName %h.example.com
  User = first
  IdentityFile keys/one
  IdentityFile "/k/two words"
HOST c
  hostname 10.0.0.3
  Port 99
Host *
  User last
  IdentityFile /k/all
Host !b ?
  ProxyJump gw:22,c
""",
    )
    assert {name: (node.host, node.port, node.user) for name, node in site.nodes.items()} == {
        "a": ("a.example.com", 2000, "first"),
        "b": ("b.example.com", 2000, "first"),
        "c": ("10.0.0.3", 2000, "last"),
    }
    assert site.nodes["a"].identity == (str(tmp_path / "keys/one"), "/k/two words", "/k/all")
    assert (site.nodes["a"].jump, site.nodes["b"].jump) == (("gw:22", "c"), ())
    assert site.nodes["a"].origin["host"] == Origin(str(tmp_path / "config"), 5)


def test_includes_are_followed_under_the_condition_of_their_block(tmp_path: Path):
    site = inventory(
        tmp_path,
        "Include *.conf missing\nHost x\n  Include inner\n  User after\nHost y\n",
        **{"one.conf": "Host i\n  Port 1\n", "inner": "Port 7\n"},
    )
    assert {name: (node.port, node.user) for name, node in site.nodes.items()} == {
        "i": (1, None),
        "x": (7, "after"),
        "y": (22, None),
    }


def test_a_file_that_includes_itself_is_refused(tmp_path: Path):
    with pytest.raises(InvalidFilesError, match="Include is nested deeper than 16 levels"):
        inventory(tmp_path, "Include config\nHost a\n")


def test_nothing_is_ever_run(tmp_path: Path):
    proof = tmp_path / "ran"
    site = inventory(
        tmp_path,
        f"""
Match exec "touch {proof}"
  User evil
Host a
  ProxyCommand touch {proof}
Host b
  User me
Match host b originalhost b
  Port 23
Match host a,b exec "touch {proof}"
  Port 24
Match all
  User all
""",
    )
    assert not proof.exists()
    assert site.nodes["a"].disabled == "needs a ProxyCommand, which is never run (use ProxyJump)"
    assert (site.nodes["b"].port, site.nodes["b"].user, site.nodes["b"].disabled) == (23, "me", None)
    warnings = [str(warning) for warning in site.warnings]
    assert len(warnings) == 3
    assert "a needs a ProxyCommand, which is never run; use ProxyJump" in warnings[2]


def test_proxyjump_and_proxycommand_exclude_each_other_and_none_is_none(tmp_path: Path):
    text = "Host a\n ProxyJump gw\nHost b\n ProxyCommand none\nHost *\n ProxyCommand nc %h\nHost gw\n"
    site = inventory(tmp_path, text)
    assert (site.nodes["a"].jump, site.nodes["a"].disabled) == (("gw",), None)
    assert (site.nodes["b"].jump, site.nodes["b"].disabled) == ((), None)
    assert site.nodes["gw"].disabled is not None


def test_names_that_cannot_be_nodes_are_left_out_with_a_warning(tmp_path: Path):
    site = inventory(tmp_path, "Host ok -rf 2001:db8::1\n")
    assert list(site.nodes) == ["ok"]
    assert len(site.warnings) == 2


def test_a_key_whose_name_has_to_be_computed_is_left_out_with_a_warning(tmp_path: Path):
    site = inventory(tmp_path, "Host a\n IdentityFile ~/.ssh/%r_%h\n IdentityFile none\n")
    assert site.nodes["a"].identity == ()
    assert "its name has to be computed" in str(site.warnings[0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("HostName -oProxyCommand=id", ":2: hostname: '-oProxyCommand=id' is not a host name"),
        ("Port 0", ":2: port: expected a port from 1 to 65535, found '0'"),
        ("User 'a b'", ":2: user: 'a b' is not a user name"),
        ("ProxyJump 'a b'", ":2: proxyjump: 'a b' is not a host name"),
        ("User", ":2: 'User' is not of the form 'Keyword value'"),
        ("Host 'x", ":2: No closing quotation"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, line: str, message: str):
    with pytest.raises(InvalidFilesError) as caught:
        inventory(tmp_path, f"Host a\n  {line}\n")
    assert message in str(caught.value)


def test_a_config_is_recognised_by_its_host_lines():
    assert looks_like("# x\nhost a\n User b\n")
    assert looks_like("Match all\n")
    assert not looks_like("[web]\nhost1\n")
