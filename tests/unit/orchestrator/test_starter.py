import stat
from pathlib import Path

import jsonschema
import pytest

from inventory import yamlfile
from orchestrator.settings import SETTINGS, load
from orchestrator.settings_views import commented_yaml, json_schema
from orchestrator.site import SiteError, find
from orchestrator.starter import create


def uncommented() -> str:
    """The starter's settings file with every setting switched on."""
    lines = commented_yaml().splitlines()
    return "\n".join(
        line.replace("#", "", 1) if line.lstrip().startswith("#") and not line.lstrip().startswith("# ") else line
        for line in lines
        if line.strip() != "#"
    )


def test_a_new_site_is_found_and_sets_nothing(tmp_path: Path) -> None:
    create(tmp_path / "new/site")
    site = find(tmp_path / "new/site", {}, tmp_path)
    assert {origin.source for origin in load(site, {"HOME": "/h"}).origins.values()} == {"default"}


def test_every_setting_of_the_starter_can_be_switched_on_by_removing_its_mark(tmp_path: Path) -> None:
    create(tmp_path)
    (tmp_path / "anyjob.yaml").write_text(uncommented())
    origins = load(find(tmp_path, {}, tmp_path), {"HOME": "/h"}).origins
    assert {name for name, origin in origins.items() if origin.source == "file"} == set(SETTINGS)


def test_the_schema_accepts_the_starter_with_everything_switched_on(tmp_path: Path) -> None:
    document = yamlfile.parse(uncommented().encode(), "anyjob.yaml").root.plain()
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(document, json_schema())
    for broken in ({"ssh": {"usr": "x"}}, {"web": {"port": 70000}}, {"log": {"format": "xml"}}, {"sssh": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, json_schema())


def test_the_settings_file_is_not_for_everybody(tmp_path: Path) -> None:
    create(tmp_path)
    assert not stat.S_IMODE((tmp_path / "anyjob.yaml").stat().st_mode) & stat.S_IROTH


def test_nothing_is_written_where_something_is(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text("mine")
    (tmp_path / "known_hosts").symlink_to("/nowhere")
    with pytest.raises(SiteError, match=r"already has inventory.yaml, known_hosts; nothing was written"):
        create(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inventory.yaml", "known_hosts"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SiteError, match=r"cannot write .*file.*: Not a directory"):
        create(tmp_path / "file/site")
