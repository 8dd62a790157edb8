import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inventory
from inventory import InvalidFilesError, Inventory, Origin, load

TOKENS = (
    *("all:", "nodes:", "groups:", "hosts:", "children:", "vars:", "jump: ", "_meta", "null", "99999", "web[1-2]", "a"),
    *(" ", "  ", "\n", "[", "]", "{", "}", ",", ":", '"', "'", "#", "-", "*", "@", "%", "=", "\0", "\x1b", "é"),
    *("Host ", "Match ", "Include ", "Port ", "exec ", "~x/", "ansible_host=", "ansible_ssh_common_args=", "-J"),
)


def write(directory: Path, name: str, text: str, mode: int = 0o644) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def loaded(*sources: Path) -> Inventory:
    return load(sources, cache_dir=None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "nodes: {n1: {port: 23, user: u}}\ngroups: {g: {nodes: n1}}\n"),
        ("a.yml", "groups: {g: {nodes: n1}}\nnodes: {n1: {port: 23, user: u}}\ndefaults: {}\n"),
        ("a.json", '{"nodes": {"n1": {"port": 23, "user": "u"}}, "groups": {"g": {"nodes": "n1"}}}'),
        ("a.yml", "g: {hosts: {n1: {ansible_port: 23, ansible_user: u}}}\n"),
        ("a.yml", "all: {children: {g: {hosts: {n1: {ansible_port: 23}}}}, vars: {ansible_user: u}}\n"),
        ("a", "---\ng: {hosts: {n1: {ansible_port: 23, ansible_user: u}}}\n"),
        (
            "a.json",
            '{"g": {"hosts": ["n1"]}, "_meta": {"hostvars": {"n1": {"ansible_port": 23, "ansible_user": "u"}}}}',
        ),
        ("a.json", '{"g": {"hosts": {"n1": {"ansible_port": 23, "ansible_user": "u"}}}}'),
        ("a.ini", "[g]\nn1:23 ansible_user=u\n"),
        ("hosts", "[g]\nu@n1:23\n"),
        ("hosts.txt", "[g]\nHost\nn1 ansible_port=23 ansible_user=u\n"),
        ("config", "Host n1\n  Port 23\n  User u\n"),
        ("ssh.conf", "# mine\n\nhost n1\n  port 23\n  user u\n"),
    ],
)
def test_a_source_is_recognised_by_what_is_in_it(tmp_path: Path, name: str, text: str):
    node = loaded(write(tmp_path, name, text)).nodes["n1"]
    assert (node.port, node.user) == (23, "u")
    assert "g" in node.groups or "ost n1" in text


def test_groups_of_clustershell_and_plain_lists_are_recognised(tmp_path: Path):
    groups = write(tmp_path, "groups.yaml", "cluster: {web: 'web[1-2]'}\n")
    hosts = write(tmp_path, "hosts", "web1\nweb3\n")
    assert list(loaded(groups, hosts).nodes) == ["web1", "web2", "web3"]


def test_an_executable_program_is_run_and_other_files_never(tmp_path: Path):
    proof = tmp_path / "ran"
    script = f'#!/bin/sh\ntouch {proof}\necho \'{{"g": ["n1"]}}\'\n'
    with pytest.raises(InvalidFilesError):
        loaded(write(tmp_path, "list", script))
    assert not proof.exists()
    assert list(loaded(write(tmp_path, "list", script, 0o755)).nodes) == ["n1"]
    assert proof.exists()
    assert list(loaded(write(tmp_path, "data.ini", "n2\n", 0o755)).nodes) == ["n2"]


def test_a_later_source_wins_field_by_field_and_each_keeps_its_origin(tmp_path: Path):
    first = write(tmp_path, "1.yaml", "nodes: {n: {host: a, port: 1, labels: {x: a, y: a}}}\n")
    second = write(tmp_path, "2.ini", "[g]\nn ansible_port=2\n")
    third = write(tmp_path, "3.yaml", "nodes: {n: {labels: {y: c}}}\n")
    node = loaded(first, second, third).nodes["n"]
    assert (node.host, node.port, node.labels) == ("a", 2, {"x": "a", "y": "c"})
    assert node.origin["host"] == Origin(str(first), 1)
    assert node.origin["port"] == Origin(str(second), 2)
    assert node.origin["labels.y"] == Origin(str(third), 1)


def test_a_group_may_name_nodes_of_another_source(tmp_path: Path):
    groups = write(tmp_path, "groups.yaml", "groups: {g: {nodes: n}}\n")
    nodes = write(tmp_path, "nodes.yaml", "nodes: {n: }\n")
    assert loaded(groups, nodes).groups["g"].members == ("n",)


def test_a_directory_is_all_its_inventories_and_variables(tmp_path: Path):
    write(tmp_path, "site/01-web.ini", "[web]\nw1\n")
    write(tmp_path, "site/02-db.yaml", "nodes: {d1: }\n")
    write(tmp_path, "site/more/hosts", "m1\n")
    write(tmp_path, "site/.hidden.ini", "[broken\n")
    write(tmp_path, "site/old.ini~", "[broken\n")
    write(tmp_path, "site/README.md", "# broken [\n")
    write(tmp_path, "site/group_vars/web.yml", "ansible_port: 23\n")
    write(tmp_path, "site/host_vars/d1.yml", "ansible_host: 10.0.0.1\n")
    nodes = loaded(tmp_path / "site").nodes
    assert sorted(nodes) == ["d1", "m1", "w1"]
    assert (nodes["w1"].port, nodes["d1"].host) == (23, "10.0.0.1")


def test_variables_beside_a_file_win_over_those_in_it(tmp_path: Path):
    hosts = write(tmp_path, "hosts", "[web]\nw1 a=line\nw2\n[web:vars]\na=file\nb=file\n[eu:children]\nweb\n")
    write(tmp_path, "group_vars/eu.yml", "b: eu\n")
    write(tmp_path, "group_vars/all.yml", "b: all\nc: all\n")
    nodes = loaded(hosts).nodes
    assert nodes["w1"].vars == {"a": "line", "b": "eu", "c": "all"}
    assert nodes["w2"].vars == {"a": "file", "b": "eu", "c": "all"}


def test_every_mistake_of_every_source_is_told(tmp_path: Path):
    sources = [
        write(tmp_path, "a.yaml", "noeds: {n: }\n"),
        write(tmp_path, "b.ini", "-rf\n"),
        write(tmp_path, "c.yaml", "nodes: [\n"),
        tmp_path / "d",
        write(tmp_path, "e.json", "{"),
        write(tmp_path, "f.yaml", "nodes: {n: {vars: {x: !vault y}}}\n"),
    ]
    with pytest.raises(InvalidFilesError) as caught:
        load(sources, cache_dir=None)
    assert [problem.file for problem in caught.value.problems] == [str(source) for source in sources]
    assert caught.value.problems[0].hint == "did you mean 'nodes'?"
    assert caught.value.problems[3].message == "does not exist"


def test_an_inventory_without_nodes_is_an_error_unless_it_may_be_empty(tmp_path: Path):
    source = write(tmp_path, "a.yaml", "nodes: {}\n")
    with pytest.raises(InvalidFilesError, match="has no nodes"):
        load([source], cache_dir=None)
    assert dict(load([source], cache_dir=None, allow_empty=True).nodes) == {}
    assert list(load([], cache_dir=None, allow_empty=True).groups) == ["all"]


@given(
    st.sampled_from(["a.yaml", "a.json", "a.ini", "a"]),
    st.lists(st.sampled_from(TOKENS), max_size=25).map("".join),
)
def test_any_text_is_an_inventory_or_has_problems(tmp_path_factory: pytest.TempPathFactory, name: str, text: str):
    path = write(tmp_path_factory.mktemp("any"), name, text)
    try:
        outcome: object = load([path], cache_dir=None, allow_empty=True)
    except InvalidFilesError as error:
        outcome = error.problems
    assert outcome


def test_warnings_of_all_sources_are_kept(tmp_path: Path):
    source = write(tmp_path, "hosts", "n ansible_password=hunter2\n")
    warnings = loaded(source).warnings
    assert len(warnings) == 1
    assert warnings[0].line == 1


def test_importing_the_package_loads_no_reader():
    code = "import sys, inventory, inventory.problems; print(any(name in sys.modules for name in ('yaml', 'msgspec')))"
    root = Path(inventory.__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_every_public_name_is_there_and_others_are_not():
    assert all(getattr(inventory, name) is not None for name in inventory.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = inventory.nope
