import os
from pathlib import Path

import pytest

from orchestrator import site
from orchestrator.site import SiteError, default_data_dir, find


def make(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "anyjob.yaml").write_text("")
    return path


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(site, "SYSTEM_SITE", tmp_path / "etc/anyjob")
    return tmp_path / "etc/anyjob"


def test_the_places_are_tried_in_the_documented_order(tmp_path: Path, system: Path) -> None:
    places = {
        "--site": make(tmp_path / "flag"),
        "ANYJOB_SITE": make(tmp_path / "variable"),
        "the current directory": make(tmp_path / "cwd"),
        "the user's configuration": make(tmp_path / "home/.config/anyjob"),
        "the system's configuration": make(system),
    }
    env = {"HOME": str(tmp_path / "home"), "ANYJOB_SITE": str(places["ANYJOB_SITE"])}
    found = []
    for remove, path in places.items():
        explicit = places["--site"] if remove == "--site" else None
        found.append(find(explicit, env, tmp_path / "cwd"))
        if remove == "ANYJOB_SITE":
            del env["ANYJOB_SITE"]
        (path / "anyjob.yaml").unlink()
    assert found == [(path, found_by) for found_by, path in places.items()]
    assert find(None, env, tmp_path / "cwd") is None


def test_relative_names_and_the_tilde_are_understood(tmp_path: Path) -> None:
    here = make(tmp_path / "home/s")
    assert find(Path("s"), {}, tmp_path / "home") == (here, "--site")
    assert find(None, {"HOME": str(tmp_path / "home"), "ANYJOB_SITE": "~/s"}, tmp_path) == (here, "ANYJOB_SITE")


@pytest.mark.parametrize("how", ["--site", "ANYJOB_SITE"])
def test_a_named_site_that_is_none_is_an_error_with_the_way_out(how: str, tmp_path: Path) -> None:
    explicit, env = (tmp_path, {}) if how == "--site" else (None, {"ANYJOB_SITE": str(tmp_path)})
    with pytest.raises(SiteError, match=rf"^{how}: there is no anyjob.yaml in .*anyjob init {tmp_path}"):
        find(explicit, env, tmp_path)


def test_a_site_that_everybody_can_write_is_not_picked_up_by_chance(tmp_path: Path) -> None:
    trap = make(tmp_path / "trap")
    trap.chmod(0o1777)
    with pytest.raises(SiteError, match="everybody may write"):
        find(None, {}, trap)
    assert find(Path(), {}, trap) == (trap, "--site")


def test_a_site_of_another_user_is_not_picked_up_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = make(tmp_path / "trap")
    if os.geteuid() == 0:
        os.chown(trap / "anyjob.yaml", 65534, 65534)
    else:  # we cannot give a file away, so we become somebody else
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(SiteError, match="belongs to another user"):
        find(None, {}, trap)


def test_relative_xdg_directories_are_ignored(tmp_path: Path, system: Path) -> None:
    here = make(tmp_path / ".config/anyjob")
    assert find(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "x"}, tmp_path) == (here, "the user's configuration")


def test_data_goes_where_the_site_says(tmp_path: Path) -> None:
    env = {"HOME": "/home/ann"}
    assert default_data_dir(None, env) == Path("/home/ann/.local/state/anyjob")
    assert default_data_dir(None, env | {"XDG_STATE_HOME": "/s"}) == Path("/s/anyjob")
    assert default_data_dir(site.Site(Path("/srv/site"), ""), env) == Path("/srv/site/.anyjob")
    assert default_data_dir(site.Site(Path("/etc/anyjob"), ""), env) == Path("/var/lib/anyjob")
