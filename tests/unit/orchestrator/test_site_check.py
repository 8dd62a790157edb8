from pathlib import Path

from orchestrator.site import Site
from orchestrator.site_check import check
from orchestrator.starter import create

HOME = {"HOME": "/home/ann"}


def test_a_new_site_has_no_mistake(tmp_path: Path) -> None:
    create(tmp_path)
    report = check(Site(tmp_path, "--site"), HOME)
    assert (report.problems, report.warnings, dict(report.counts)) == ((), (), {"nodes": 1, "groups": 1, "types": 9})


def test_mistakes_of_settings_and_inventory_are_told_together(tmp_path: Path) -> None:
    create(tmp_path)
    (tmp_path / "anyjob.yaml").write_text("web: {port: x}\n")
    (tmp_path / "inventory.yaml").write_text("nodes:\n  web01: {prot: 22}\n")
    report = check(Site(tmp_path, "--site"), HOME | {"ANYJOB_SPOOL": "relative"})
    assert [problem.field for problem in report.problems] == ["web.port", "nodes.web01.prot", "remote.spool"]


def test_without_a_site_the_environment_is_checked(tmp_path: Path) -> None:
    assert [problem.field for problem in check(None, HOME | {"ANYJOB_WEB_PORT": "x"}).problems] == ["web.port"]
    (tmp_path / "hosts").write_text("web[01:03]\n")
    report = check(None, HOME | {"ANYJOB_INVENTORY": str(tmp_path / "hosts"), "ANYJOB_SPOL": "/x"})
    assert report.counts["nodes"] == 3
    assert [problem.field for problem in report.warnings] == ["ANYJOB_SPOL"]
