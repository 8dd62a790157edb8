"""The vendored files are the ones that were taken over, and nothing is fetched from elsewhere."""

import hashlib
import json
import re
from pathlib import Path

import web

ROOT = Path(web.__file__).parent
VENDOR = ROOT / "static" / "vendor"


def test_every_vendored_file_is_listed_with_its_hash_and_licence() -> None:
    listed = {}
    for package in json.loads((VENDOR / "VENDOR.json").read_text()):
        assert package["licence"] == "MIT"
        assert any(name.startswith("LICENSE") for name in package["sha256"])
        listed |= {f"{package['folder']}/{name}": digest for name, digest in package["sha256"].items()}
    found = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "VENDOR.json"
    }
    assert found == listed


def test_no_page_needs_another_site_or_what_the_policy_forbids() -> None:
    own = [*ROOT.glob("templates/*.html"), *ROOT.glob("static/*.js"), *ROOT.glob("static/*.css")]
    assert len(own) > 10
    for path in own:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            path
        )
        if path.suffix == ".html":
            assert not re.search(r"\bstyle=|\bon[a-z]+=|<style|<script(?![^>]*\bsrc=)|\|\s*safe\b", text), path
