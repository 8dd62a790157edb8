import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import cli
from orchestrator.settings import SETTINGS
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, error, ok


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert anyjob("init", "site").exit_code == 0
    return tmp_path / "site"


@pytest.fixture
def peer(site: Path) -> Iterator[ScriptedPeer]:
    peer = ScriptedPeer(site / ".anyjob/anyjob.sock")
    yield peer
    peer.close()


def anyjob(*words: str | Path, **env: str) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], env=env)


def document(result: Result) -> Any:
    return json.loads(result.stdout)


def test_init_tells_what_to_do_next(tmp_path: Path) -> None:
    result = anyjob("init", tmp_path / "a b")
    steps = result.stdout.splitlines()[-3:]
    assert steps == [f"  cd '{tmp_path}/a b'", "  anyjob nodes trust", "  anyjob exec -a -- uname -n"]
    assert (tmp_path / "a b/anyjob.yaml").is_file()


def test_init_for_programs_names_the_files(tmp_path: Path) -> None:
    made = document(anyjob("init", tmp_path / "new", "-o", "json"))
    assert f"{tmp_path}/new/anyjob.yaml" in made["files"]
    assert all(Path(path).is_file() for path in made["files"])


def test_init_leaves_what_is_there_and_says_so(site: Path) -> None:
    result = anyjob("init", site)
    assert result.exit_code == 1
    assert "nothing was written" in result.stderr


def test_check_is_quiet_about_a_good_site_and_counts_it(site: Path) -> None:
    result = anyjob("--site", site, "config", "check")
    assert (result.exit_code, result.stdout) == (0, f"{site}: ok, 1 node, 1 group, 9 types\n")


def test_check_tells_every_mistake_with_its_place_and_exits_with_1(site: Path) -> None:
    (site / "anyjob.yaml").write_text("web:\n  prot: 1\n  port: x\n")
    result = anyjob("--site", site, "config", "check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"error: {site}/anyjob.yaml:2:3: web.prot: unknown setting; did you mean web.port?",
        f"error: {site}/anyjob.yaml:3:9: web.port: expected a whole number, found 'x'",
        f"{site}: 2 mistakes",
    ]


def test_check_for_programs_has_the_parts_of_each_mistake(site: Path) -> None:
    (site / "anyjob.yaml").write_text("web: {prot: 1}\n")
    result = anyjob("--site", site, "config", "check", "-o", "json", ANYJOB_SPOL="x")
    told = document(result)
    assert (result.exit_code, told["ok"]) == (1, False)
    assert [(one["severity"], one["line"], one["column"], one["field"]) for one in told["problems"]] == [
        ("error", 1, 7, "web.prot"),
    ]
    (site / "anyjob.yaml").write_text("")
    result = anyjob("--site", site, "config", "check", "-o", "ndjson", ANYJOB_SPOL="x")
    assert (result.exit_code, json.loads(result.stdout)["severity"]) == (0, "warning")


def test_check_escapes_what_a_file_holds(site: Path) -> None:
    (site / "anyjob.yaml").write_text('log: {level: "\\e[2J"}\n')
    assert "\x1b" not in anyjob("--site", site, "config", "check").stdout


def test_show_has_every_setting_and_its_origin(site: Path) -> None:
    (site / "anyjob.yaml").write_text("web:\n  port: 9000\n")
    lines = anyjob("--site", site, "config", "show", "--origin", ANYJOB_GRACE="1m").stdout.splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    assert rows.keys() - {"SETTING"} == SETTINGS.keys()
    assert rows["web.port"][1:] == ["9000", f"{site}/anyjob.yaml:2"]
    assert rows["limits.grace"][1:] == ["1m", "ANYJOB_GRACE"]
    assert rows["ssh.idle"][1:] == ["10m", "default"]


def test_show_masks_passwords_in_every_format(site: Path) -> None:
    for form in ("human", "json", "ndjson"):
        result = anyjob(
            "--site", site, "config", "show", "redis.url", "-o", form, ANYJOB_REDIS_URL="redis://:hunter2@h/0"
        )
        assert "redis://***@h/0" in result.stdout
        assert "hunter2" not in result.output


def test_show_of_a_misspelt_setting_helps(site: Path) -> None:
    result = anyjob("--site", site, "config", "show", "ssh.usr")
    assert result.exit_code == 2
    assert "did you mean 'ssh.user'?" in result.stderr


def test_schema_is_json() -> None:
    assert set(document(anyjob("config", "schema"))["properties"]["ssh"]["properties"]) == {
        name.removeprefix("ssh.") for name in SETTINGS if name.startswith("ssh.")
    }


def test_reload_says_how_many_nodes_there_are_now(site: Path, peer: ScriptedPeer) -> None:
    peer.on("reload", ok({"nodes": 12}))
    result = anyjob("--site", site, "reload")
    assert (result.exit_code, result.stdout) == (0, "reloaded: 12 nodes\n")


def test_reload_of_a_broken_file_tells_its_mistakes(site: Path, peer: ScriptedPeer) -> None:
    problem = {"file": "inventory.yaml", "line": 3, "column": 5, "field": "nodes.x", "message": "bad", "hint": ""}
    peer.on("reload", error("bad_file", "the old configuration stays", [problem]))
    result = anyjob("--site", site, "reload")
    assert result.exit_code == 1
    assert "inventory.yaml:3:5: nodes.x: bad" in result.stderr


def test_reload_without_a_daemon_says_how_to_start_one(site: Path) -> None:
    result = anyjob("--site", site, "reload")
    assert result.exit_code == 1
    assert "anyjob daemon" in result.stderr
