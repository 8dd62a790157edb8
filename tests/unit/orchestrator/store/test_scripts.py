from pathlib import Path

import pytest

from orchestrator.store.scripts import LUA, ScriptHeaderError, load

HEADER = "-- Does it.\n-- KEYS  1 a\n-- ARGV  1 b\n-- Returns 1.\n"


@pytest.mark.parametrize("path", sorted(LUA.glob("*.lua")), ids=lambda path: path.name)
def test_a_script_can_be_read_at_a_glance(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120


def test_all_scripts_describe_themselves() -> None:
    assert load().keys() >= {"submit", "assign", "apply_event", "append_output", "request_cancel", "set_link"}


def test_a_script_that_hides_what_it_takes_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mystery.lua").write_text("-- Does it.\n-- KEYS  1 a\nreturn 1\n")
    with pytest.raises(ScriptHeaderError, match=r"mystery\.lua: the header lacks ARGV, Returns"):
        load(tmp_path)


def test_a_script_that_uses_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "one.lua").write_text(HEADER + "-- Uses  other\nreturn 1\n")
    with pytest.raises(ScriptHeaderError, match=r"one\.lua: no such library: other"):
        load(tmp_path)


def test_a_library_comes_before_the_script_that_uses_it(tmp_path: Path) -> None:
    (tmp_path / "shared.lua").write_text("-- Library: shared.\nlocal function f() return 1 end\n")
    (tmp_path / "one.lua").write_text(HEADER + "-- Uses  shared\nreturn f()\n")
    scripts = load(tmp_path)
    assert scripts.keys() == {"one"}
    assert scripts["one"].text.index("local function f") < scripts["one"].text.index("return f()")
