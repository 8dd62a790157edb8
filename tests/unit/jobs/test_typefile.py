"""Files of job types."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from inventory.yamlfile import read
from jobs.jobtype import CommandAction, JobType, Kind, PythonAction, Retry, ScriptAction, decode_action, encode
from jobs.schema import file_schema
from jobs.typefile import STOCK, Types, load_types

ROOT = Path(__file__).parents[3]
FULL = """\
restart-app:
  label: Restart the application
  description: |
    One node
    after the other.
  group: Web
  icon: refresh
  order: 5
  nodes: 'web[01-20]'
  except: web03
  default_nodes: [web01, web02]
  min_nodes: 1
  max_nodes: 10
  params:
    unit: {label: Unit, help: Of systemd., required: true, pattern: '[a-z@.-]+', implicit: true, access: ops}
    mode: {kind: choice, options: [fast, {value: slow, label: Slowly}], default: fast}
    wait: {kind: duration, default: 5m, max: 1h, visible_when: {mode: slow}}
    force: {kind: flag}
    version: {default: 10}
    ports: {kind: list, of: {kind: int, min: 1, max: 65535}, default: [80], max_length: 3}
    branch: {kind: choice, options: {command: [git, branch], on: node, timeout: 5s, cache: 1m}}
    token: {kind: secret}
  props:
    ticket: {}
  command: [systemctl, restart, '{{ params.unit }}', "{{ '--force' if params.force }}"]
  env: {MODE: '{{ params.mode }}', LANG: C}
  run_as: deploy:www-data
  cwd: /srv
  umask: 0027
  nice: 5
  rlimits: {nofile: [1024, 4096], as: 1 GiB, core: unlimited, cpu: 60}
  timeout: 5m
  inactivity: 1m
  start_timeout: 1h
  grace: 5s
  retry: {count: 2, delay: 5s, backoff: 1.5, max_delay: 1m, on: [failed, 'exit:3']}
  success_codes: [0, 3]
  max_output: 10 MiB
  on_output_limit: kill
  leftovers: wait
  confirm: This restarts production.
  redact: ['token=\\S+']
"""
BROKEN = """\
Bad Name: {command: [x]}
text: {command: systemctl restart}
nothing: {label: Nothing}
empty:
both: {command: [x], script: y}
args: {command: [x], args: [y], interpreter: sh}
many:
  lable: x
  script: ' '
  args: ['{{ params.x }}', '{{ y }}']
  order: first
  min_nodes: 3
  max_nodes: 2
  nodes: '(('
  run_as: '0'
  cwd: relative
  umask: 9
  nice: 20
  rlimits: {nofile: x, cpu: [5, 2], foo: 1}
  timeout: never
  retry: {on: [nonsense]}
  success_codes: [256]
  max_output: lots
  on_output_limit: drop
  leftovers: adopt
  redact: ['(']
  env: {ANYJOB_ID: x, 1X: y, T: '{{ params.p }}'}
  params:
    a: {kind: txt}
    b: {kind: secret, default: x}
    B: {kind: text}
    c-d: {kind: text}
    e: {kind: choice}
    f: {kind: choice, options: [x, x], default: z}
    g: {kind: list, pattern: x, of: secret}
    h: {pattern: '(a+)+\\1', min: 3}
    i: {kind: int, min: 5, max: 2, default: true}
    j: {visible_when: {zz: 1}}
    k: {kind: choice, options: {command: [x], script: y}}
  props: {author: {}}
out: {script_file: ../../etc/passwd}
missing: {script_file: nothing.sh}
python: {python: {function: 1x}}
module: {python: {module: nothing.here}}
"""
FIELDS = """
Bad Name|text.command|nothing.command|empty|both.command|args.args|args.interpreter|many.lable|many.script|many.args
many.order|many.min_nodes|many.nodes|many.run_as|many.cwd|many.umask|many.nice|many.rlimits.nofile|many.rlimits.cpu
many.rlimits.foo|many.timeout|many.retry.count|many.retry.on|many.success_codes|many.max_output|many.on_output_limit
many.leftovers|many.redact|many.env.ANYJOB_ID|many.env.1X|many.env.T|many.params.a.kind|many.params.b.default
many.params.B|many.params.c-d|many.params.e.options|many.params.f.options|many.params.f.default|many.params.g.pattern
many.params.g.of|many.params.h.pattern|many.params.h.min|many.params.i.min|many.params.i.default
many.params.j.visible_when.zz|many.params.k.options.command|many.props.author|out.script_file|missing.script_file
python.python.module|module.python.module
"""


def load(directory: Path, *, stock: bool = False, **files: str) -> Types:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return load_types(directory, stock=stock)


def only(types: Types) -> JobType:
    assert types.problems == ()
    (job_type,) = types.by_name.values()
    return job_type


def test_every_field_is_read(tmp_path: Path) -> None:
    job_type = only(load(tmp_path, a=FULL))
    assert job_type.source == f"{tmp_path}/a.yaml:1"
    assert (job_type.group, job_type.icon, job_type.order, job_type.stock) == ("Web", "refresh", 5, False)
    assert (job_type.nodes, job_type.except_nodes, job_type.default_nodes) == ("web[01-20]", "web03", "web01,web02")
    assert (job_type.min_nodes, job_type.max_nodes, job_type.run_as) == (1, 10, "deploy:www-data")
    assert (job_type.cwd, job_type.umask, job_type.nice) == ("/srv", 0o27, 5)
    gib = 1 << 30
    assert job_type.rlimits == {"as": (gib, gib), "core": (None, None), "cpu": (60, 60), "nofile": (1024, 4096)}
    assert (job_type.timeout_s, job_type.inactivity_s, job_type.start_timeout_s, job_type.grace_s) == (300, 60, 3600, 5)
    assert job_type.retry == Retry(count=2, delay_s=5, backoff=1.5, max_delay_s=60, on=("failed", "exit:3"))
    assert (job_type.success_codes, job_type.max_output) == ((0, 3), 10 << 20)
    assert (job_type.on_output_limit, job_type.leftovers) == ("kill", "wait")
    assert job_type.redact == (r"token=\S+",)
    assert [param.name for param in job_type.props or ()] == ["ticket"]


def test_parameters_are_read_with_their_defaults_as_values(tmp_path: Path) -> None:
    params = {param.name: param for param in only(load(tmp_path, a=FULL)).params}
    assert params["unit"].access == "ops"
    assert [(o.value, o.label) for o in params["mode"].options] == [("fast", "fast"), ("slow", "Slowly")]
    assert (params["wait"].default, params["wait"].visible_when) == (300, {"mode": ("slow",)})
    assert params["force"].default is False
    assert params["version"].default == "10"
    assert (params["ports"].default, params["ports"].items and params["ports"].items.kind) == ([80], Kind.INT)
    dynamic = params["branch"].dynamic
    assert dynamic is not None
    assert (dynamic.command, dynamic.on, dynamic.timeout_s, dynamic.cache_s) == (("git", "branch"), "node", 5, 60)


def test_every_mistake_of_every_file_is_told_at_its_place(tmp_path: Path) -> None:
    types = load(tmp_path, broken=BROKEN, syntax="a: [", good="good: {command: [x]}")
    assert list(types.by_name) == ["good"]
    expected = set(re.findall(r"[^|\n]+", FIELDS))
    assert {problem.field for problem in types.problems if problem.file.endswith("broken.yaml")} == expected
    assert any(problem.file.endswith("syntax.yaml") for problem in types.problems)
    assert all(problem.line for problem in types.problems)


def test_a_script_may_stand_beside_its_definition(tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text("echo\n")
    job_type = only(load(tmp_path, a="x: {script_file: x.sh, interpreter: [bash, -e], args: ['{{ node }}']}"))
    assert job_type.action == ScriptAction(text="echo\n", interpreter=("bash", "-e"), args=("{{ node }}",))


def test_a_python_function_is_looked_for_below_its_root(tmp_path: Path) -> None:
    (tmp_path / "code" / "deploy").mkdir(parents=True)
    (tmp_path / "code" / "deploy" / "app.py").touch()
    job_type = only(load(tmp_path, a="x: {python: {module: deploy.app, root: code, function: go}}"))
    assert job_type.action == PythonAction(root=str(tmp_path / "code"), module="deploy.app", function="go")


def test_a_sites_type_replaces_the_stock_one_even_if_it_is_broken(tmp_path: Path) -> None:
    types = load(tmp_path, stock=True, a="echo: {command: [mine]}\nsleep: {}")
    assert types.by_name["echo"].action == CommandAction(argv=("mine",))
    assert "sleep" not in types.by_name
    assert "facts" in types.by_name


def test_a_name_that_is_there_twice_is_nobodys(tmp_path: Path) -> None:
    types = load(tmp_path, a="x: {command: [a]}", b="x: {command: [b]}")
    assert types.by_name == {}
    assert "already in" in types.problems[0].message


@pytest.mark.parametrize("name", ["../etc", "a/b", "%2e%2e", "a\x00b", "x" * 100, "Echo", "-rf", "\u0435cho", ""])
def test_a_type_has_a_safe_name(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, a=f"{json.dumps(name)}: {{command: [a]}}").by_name == {}


def test_a_site_without_types_has_the_stock_ones(tmp_path: Path) -> None:
    types = load_types(tmp_path / "nothing")
    assert types.problems == ()
    assert all(job_type.stock for job_type in types.by_name.values())


def test_types_come_in_the_order_of_lists(tmp_path: Path) -> None:
    types = load(tmp_path, a="b: {command: [x]}\na: {command: [x]}\nz: {command: [x], order: -1}")
    assert list(types.by_name) == ["z", "a", "b"]


def test_the_published_schema_takes_what_is_good_and_refuses_what_is_not(tmp_path: Path) -> None:
    schema = file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    (tmp_path / "full.yaml").write_text(FULL)
    for path in [tmp_path / "full.yaml", *STOCK.glob("*.yaml")]:
        validator.validate(read(path).root.plain())
    for bad in ("X y: {command: [a]}", "x: {}", "x: {command: [a], script: b}", "x: {command: [a], lable: b}"):
        assert not validator.is_valid(yaml.safe_load(bad)), bad


def test_an_action_travels_as_json() -> None:
    for action in (CommandAction(argv=("a",)), ScriptAction(text="x"), PythonAction(root="/x", file="y.py")):
        bare: dict[str, Any] = json.loads(json.dumps(encode(action)))
        assert decode_action(bare) == action
