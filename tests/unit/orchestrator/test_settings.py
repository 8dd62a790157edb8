from pathlib import Path
from typing import Any

import pytest

from inventory.problems import InvalidFilesError
from orchestrator.settings import SETTINGS, Settings, load, value_of
from orchestrator.settings_source import show
from orchestrator.site import Site

HOME = {"HOME": "/home/ann"}


def read(directory: Path, text: str, **env: str) -> Settings:
    (directory / "anyjob.yaml").write_text(text)
    (directory / "anyjob.yaml").chmod(0o600)
    return load(Site(directory, "--site"), HOME | env)


def mistakes(directory: Path, text: str, **env: str) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        read(directory, text, **env)
    return [str(problem).replace(f"{directory}/", "") for problem in caught.value.problems]


def test_without_a_site_the_defaults_are_the_users_own() -> None:
    settings = load(None, HOME)
    assert settings.socket_path == Path("/home/ann/.local/state/anyjob/anyjob.sock")
    assert settings.inventory == ()
    assert settings.ssh.known_hosts == (Path("/home/ann/.ssh/known_hosts"),)
    assert settings.redis.url is None
    assert {origin.source for origin in settings.origins.values()} == {"default"}


def test_a_sites_own_known_hosts_come_before_the_users(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert settings.ssh.known_hosts == (tmp_path / "known_hosts", Path("/home/ann/.ssh/known_hosts"))
    assert settings.inventory == (tmp_path / "inventory.yaml",)
    assert settings.data_dir == tmp_path / ".anyjob"


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    text = "ssh:\n  user: from-file\n  idle: 1h30m\n"
    settings = read(tmp_path, text, ANYJOB_SSH_USER="from-variable")
    assert (settings.ssh.user, settings.ssh.idle_s, settings.ssh.keepalive_s) == ("from-variable", 5400.0, 5.0)
    places = {name: settings.origins[name].place for name in ("ssh.user", "ssh.idle", "ssh.keepalive")}
    assert places == {
        "ssh.user": "ANYJOB_SSH_USER",
        "ssh.idle": f"{tmp_path}/anyjob.yaml:3",
        "ssh.keepalive": "default",
    }


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("ssh.connect_timeout", "90", 90.0),
        ("ssh.connect_timeout", "500ms", 0.5),
        ("ssh.connect_timeout", "1m30s", 90.0),
        ("limits.max_output", "10 MB", 10_000_000),
        ("limits.max_output", "1.5GiB", 3 << 29),
        ("limits.max_output", "64k", 65536),
        ("ssh.use_agent", "true", True),
        ("ssh.use_agent", "off", False),
        ("web.port", "0", 0),
        ("redis.prefix", "007", "007"),
        ("ssh.user", "null", None),
        ("log.format", "json", "json"),
    ],
)
def test_values_are_read_as_people_write_them(name: str, written: str, value: Any, tmp_path: Path) -> None:
    group, key = name.split(".")
    assert value_of(read(tmp_path, f"{group}: {{{key}: {written}}}"), name) == value
    if written != "null":
        assert value_of(read(tmp_path, "", **{SETTINGS[name].variable: written}), name) == value


def test_paths_start_at_the_site_in_the_file_and_at_the_current_directory_in_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/usr")
    text = "inventory: [hosts.ini, ~/nodes, /abs]\n"
    assert read(tmp_path, text).inventory == (tmp_path / "hosts.ini", Path("/home/ann/nodes"), Path("/abs"))
    assert read(tmp_path, "", ANYJOB_INVENTORY="a:~/b").inventory == (Path("/usr/a"), Path("/home/ann/b"))


def test_every_mistake_is_told_at_once_with_its_place_and_the_way_out(tmp_path: Path) -> None:
    text = """\
ssh:
  conect_timeout: 5s
  idle: ten minutes
  user: -oProxyCommand=x
  use_agent: [1]
web:
  port: 99999
retention: short
keepalive: 5s
log:
  format: xml
"""
    assert mistakes(tmp_path, text, ANYJOB_FANOUT="many") == [
        "anyjob.yaml:2:3: ssh.conect_timeout: unknown setting; did you mean ssh.connect_timeout?",
        "anyjob.yaml:3:9: ssh.idle: expected a duration such as 30s, 5m or 1h30m, found 'ten minutes'",
        "anyjob.yaml:4:9: ssh.user: expected a user name, found '-oProxyCommand=x'",
        "anyjob.yaml:5:14: ssh.use_agent: expected true or false, found '[1]'",
        "anyjob.yaml:7:9: web.port: expected 0 to 65535, found '99999'",
        "anyjob.yaml:8:12: retention: expected settings (name: value), found text",
        "anyjob.yaml:9:1: keepalive: unknown setting; did you mean ssh.keepalive?",
        "anyjob.yaml:11:11: log.format: expected one of auto, text, json, found 'xml'",
        "ANYJOB_FANOUT: limits.fanout: expected a whole number, found 'many'",
    ]


@pytest.mark.parametrize("text", ["a list", "- ssh", "ssh: {user: a, user: b}", "\tweb:\n"])
def test_a_file_that_is_no_mapping_or_no_clean_yaml_is_refused(text: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, text)


SECRET = "hunter2"


@pytest.mark.parametrize(
    "line",
    [
        f"http://:{SECRET}@h",
        f"[{SECRET}]",
        f"*{SECRET}",
        f"&{SECRET} x",
        f"!{SECRET} x",
        f"{{{SECRET}: 1}}",
        f"'{SECRET}",
        f"{SECRET}: x",
        f'"redis://:{SECRET}\\n@h"',
        f"%{SECRET}",
        f"`{SECRET}",
    ],
)
def test_a_secret_is_never_part_of_a_message(line: str, tmp_path: Path) -> None:
    for problem in mistakes(tmp_path, f"redis:\n  url: {line}\n"):
        assert SECRET not in problem


def test_a_secret_is_neither_in_the_representation_nor_shown() -> None:
    settings = load(None, HOME | {"ANYJOB_REDIS_URL": f"redis://user:{SECRET}@h:6379/0"})
    assert SECRET not in repr(settings)
    assert show(SETTINGS["redis.url"], settings.redis.url) == "redis://***@h:6379/0"


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:x@h/1\n")
    settings = load(None, HOME | {"ANYJOB_REDIS_URL_FILE": str(tmp_path / "url")})
    assert settings.redis.url == "redis://:x@h/1"
    assert settings.origins["redis.url"].place == "ANYJOB_REDIS_URL_FILE"


def test_a_secret_given_twice_or_in_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    missing = {"ANYJOB_REDIS_URL_FILE": str(tmp_path / "none")}
    assert mistakes(tmp_path, "", **missing) == ["ANYJOB_REDIS_URL_FILE: none: No such file or directory"]
    assert "both set" in mistakes(tmp_path, "", ANYJOB_REDIS_URL="redis://h", **missing)[0]


def test_an_unknown_variable_is_a_warning_and_those_of_jobs_are_none() -> None:
    env = HOME | {"ANYJOB_SPOL": "x", "ANYJOB_NODE": "web01", "ANYJOB_PARAM_color": "red", "ANYJOB_FANOUT": ""}
    (warning,) = load(None, env).warnings
    assert str(warning) == "environment: ANYJOB_SPOL: no setting has this variable; did you mean 'ANYJOB_SPOOL'?"


def test_a_password_in_a_file_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    read(tmp_path, "redis: {url: 'redis://:x@h'}\n")
    (tmp_path / "anyjob.yaml").chmod(0o644)
    (warning,) = load(Site(tmp_path, ""), HOME).warnings
    assert "everybody can read it" in warning.message


def test_a_data_directory_too_long_for_a_socket_is_refused_before_anything_starts() -> None:
    with pytest.raises(InvalidFilesError, match=r"ANYJOB_DATA_DIR: data_dir: .* a unix socket"):
        load(None, HOME | {"ANYJOB_DATA_DIR": "/x" * 60})


def test_an_unreadable_settings_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidFilesError, match=r"anyjob.yaml: cannot be read: No such file"):
        load(Site(tmp_path, "--site"), HOME)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_default_is_within_its_own_limits_and_can_be_written_in_the_file(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]
    if setting.default_text is None:
        text = show(setting, setting.default)
        assert value_of(read(tmp_path, "", **{setting.variable: text}), name) == setting.default
        assert value_of(load(None, HOME), name) == setting.default
