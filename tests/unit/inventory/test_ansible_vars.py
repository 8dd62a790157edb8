from pathlib import Path
from typing import Any

import pytest

from inventory.ansible_vars import Place, read_directories, take
from inventory.draft import Draft, Fields
from inventory.effective import build
from inventory.model import Origin


def taken(key: str, value: Any) -> tuple[Fields, Draft]:
    draft, fields = Draft(), Fields()
    take(fields, key, value, Place(draft=draft, file="/inv/h.ini", line=3, field="n." + key, base=Path("/inv")))
    return fields, draft


@pytest.mark.parametrize(
    ("key", "value", "field", "meaning"),
    [
        ("ansible_host", "10.0.0.1", "host", "10.0.0.1"),
        ("ansible_ssh_host", "h", "host", "h"),
        ("ansible_port", 2222, "port", 2222),
        ("ansible_port", "2222", "port", 2222),
        ("ansible_user", "www", "user", "www"),
        ("ansible_ssh_private_key_file", "keys/id", "identity", ("/inv/keys/id",)),
        ("ansible_python_interpreter", "/usr/bin/python3", "python", "/usr/bin/python3"),
        ("ansible_ssh_common_args", "-J gw", "jump", ("gw",)),
        ("ansible_ssh_common_args", "-Ja,b:23", "jump", ("a", "b:23")),
        ("ansible_ssh_extra_args", "-o ProxyJump=u@gw", "jump", ("u@gw",)),
        ("ansible_ssh_common_args", "-oProxyJump=gw", "jump", ("gw",)),
        ("ansible_ssh_common_args", "-o 'ProxyJump gw'", "jump", ("gw",)),
        ("http_port", 80, "vars.http_port", 80),
        ("ansible_become", True, "become.on", True),
        ("ansible_become", "no", "become.on", False),
        ("ansible_become_method", "su", "become.method", "su"),
        ("ansible_become_user", "www", "become.user", "www"),
        ("ansible_become_exe", "/usr/bin/sudo", "vars.ansible_become_exe", "/usr/bin/sudo"),
    ],
)
def test_a_variable_means_a_field_or_stays_a_variable(key: str, value: Any, field: str, meaning: Any):
    fields, draft = taken(key, value)
    assert {name: setting.value for name, setting in fields.items()} == {field: meaning}
    assert fields[field].origin == Origin("/inv/h.ini", 3)
    assert draft.problems == draft.warnings == []


@pytest.mark.parametrize("value", ["auto", "auto_silent", "auto_legacy"])
def test_an_interpreter_that_is_looked_for_is_no_field(value: str):
    assert taken("ansible_python_interpreter", value)[0] == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ansible_host", "{{ inventory_hostname }}.x", "templates are not evaluated"),
        ("ansible_port", "{% if x %}", "templates are not evaluated"),
        ("ansible_host", "-oProxyCommand=id", "is not a host name"),
        ("ansible_port", 0, "expected a port"),
        ("ansible_port", "٢٢", "expected a port"),
        ("ansible_user", ["a"], "expected text, found list"),
        ("ansible_host", True, "expected text, found bool"),
        ("ansible_ssh_common_args", "-J 'a b'", "ProxyJump: 'a b' is not a host name"),
        ("ansible_ssh_common_args", "-J '", "No closing quotation"),
        ("ansible_python_interpreter", "/usr/bin/env python3", "is not a path of an interpreter"),
    ],
)
def test_a_connection_variable_that_cannot_be_used_is_a_problem(key: str, value: Any, message: str):
    fields, draft = taken(key, value)
    assert fields == {}
    assert len(draft.problems) == 1
    assert message in str(draft.problems[0])
    assert str(draft.problems[0]).startswith(f"/inv/h.ini:3: n.{key}: ")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ansible_password", "hunter2", "passwords are not used"),
        ("ansible_ssh_pass", "hunter2", "passwords are not used"),
        ("ansible_become_password", "hunter2", "passwords are not used"),
        ("ansible_ssh_common_args", "-o StrictHostKeyChecking=no -C", "'-o StrictHostKeyChecking=no -C'"),
        ("ansible_ssh_common_args", "-o ProxyCommand='nc gw 22'", "options of ssh that are not used"),
        ("ansible_connection", "local", "the connection 'local' is not supported"),
    ],
)
def test_what_is_left_out_is_a_warning_and_a_password_is_never_repeated(key: str, value: str, message: str):
    fields, draft = taken(key, value)
    assert fields == {}
    assert draft.problems == []
    assert message in str(draft.warnings[0])
    assert "hunter2" not in str(draft.warnings[0])


def test_variable_files_are_read_for_known_groups_and_nodes(tmp_path: Path):
    (tmp_path / "group_vars/web").mkdir(parents=True)
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text("v: all\nansible_user: ops\n")
    (tmp_path / "group_vars/web/a.yml").write_text("v: a\nw: a\n")
    (tmp_path / "group_vars/web/b.yaml").write_text("w: b\n")
    (tmp_path / "group_vars/web/.c.yml").write_text("w: hidden\n")
    (tmp_path / "group_vars/other.yml").write_text("v: [\n")
    (tmp_path / "host_vars/n.example.com").write_text("ansible_port: 23\n")
    draft = Draft()
    origin = Origin("hosts", 1)
    draft.node("n.example.com", origin)
    draft.group("all", origin)
    draft.group("web", origin).members["n.example.com"] = origin
    read_directories(tmp_path, draft)
    node = build(draft).nodes["n.example.com"]
    assert (node.port, node.user, node.vars) == (23, "ops", {"v": "a", "w": "b"})
    assert node.origin["port"] == Origin(str(tmp_path / "host_vars/n.example.com"), 1)


def test_encrypted_values_are_left_out_with_a_warning(tmp_path: Path):
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/n.yml").write_text("a: !vault |\n  $ANSIBLE_VAULT;1.1\n  6162\nb: !unsafe '{{x}}'\n")
    draft = Draft()
    draft.node("n", Origin("hosts", 1))
    read_directories(tmp_path, draft)
    assert build(draft).nodes["n"].vars == {"b": "{{x}}"}
    assert "a: an encrypted value was left out" in str(draft.warnings[0])


def test_broken_variable_files_are_problems(tmp_path: Path):
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/a.yml").write_text("x: [\n")
    (tmp_path / "host_vars/b.yml").write_text("- x\n")
    draft = Draft()
    draft.node("a", Origin("hosts", 1))
    draft.node("b", Origin("hosts", 2))
    read_directories(tmp_path, draft)
    assert [problem.file for problem in draft.problems] == [str(tmp_path / f"host_vars/{name}.yml") for name in "ab"]
