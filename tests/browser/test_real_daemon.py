"""The same pages with nothing in between left out: Chromium, the web server, the daemon, Redis, sshd, the job."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import serving
from tests.fixtures.stack import Site


@pytest.fixture
def real(live: Site, context: BrowserContext, tell: list[str]) -> Iterator[Page]:
    page = context.new_page()
    with serving(live.directory / ".anyjob" / "anyjob.sock") as link:
        page.goto(link)
        yield page


def run(page: Page, target: str, command: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Run a command").click()
    page.get_by_label("Nodes").fill(target)
    page.get_by_label("Command").fill(command)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9A-Z]{26}$"))


def test_a_command_runs_on_every_node_and_its_output_is_seen(real: Page) -> None:
    real.get_by_role("navigation", name="Pages").get_by_role("link", name="Run a command").click()
    real.get_by_label("Nodes").fill("node[01-03]")
    expect(real.locator("#plan")).to_have_text("3 nodes: node[01-03]")
    run(real, "node[01-03]", "echo öffentlich; echo '<script>window.pwned=1</script>' >&2; exit 3")
    expect(real.locator("#state")).to_contain_text("failed", timeout=30_000)
    expect(real.locator("#troubles")).to_contain_text("3 failed")
    expect(real.locator("#output .text", has_text="öffentlich")).to_have_count(3)
    expect(real.locator("#output .err .text")).to_have_text(["<script>window.pwned=1</script>"] * 3)
    assert real.evaluate("window.pwned") is None
    expect(real.locator("#live")).to_have_text("ended")


def test_lines_are_seen_while_the_job_runs_and_it_can_be_cancelled(real: Page) -> None:
    run(real, "node01", "echo begun; exec sleep 300")
    expect(real.locator("#output")).to_contain_text("begun", timeout=30_000)
    expect(real.locator("#state")).to_contain_text("running")
    real.get_by_text("Cancel…").click()
    real.get_by_role("button", name="Yes, cancel them").click()
    expect(real.locator("#state")).to_contain_text("cancelled", timeout=30_000)
    real.get_by_role("link", name="Runs").click()
    expect(real.locator(".runs li").first).to_contain_text("cancelled")
    real.get_by_role("link", name="succeeded", exact=True).click()
    expect(real.get_by_text("No run is succeeded.")).to_be_visible()
    real.get_by_role("link", name="cancelled", exact=True).click()
    expect(real.locator(".runs li")).to_have_count(1)


def test_a_long_output_is_downloaded_as_it_was_written(real: Page) -> None:
    run(real, "node01", "seq 1 300000")
    expect(real.locator("#state")).to_contain_text("succeeded", timeout=60_000)
    expect(real.locator("#output")).to_contain_text("300000")
    real.get_by_role("link", name="node01").click()
    with real.expect_download() as download:
        real.get_by_role("link", name="stdout").click()
    assert download.value.path().read_text() == "".join(f"{number}\n" for number in range(1, 300_001))


def test_an_unknown_node_is_told_at_its_field(real: Page) -> None:
    real.get_by_role("navigation", name="Pages").get_by_role("link", name="Run a command").click()
    real.get_by_label("Nodes").fill("nosuch")
    expect(real.locator("#target-error")).to_contain_text("nosuch")
    real.get_by_label("Command").fill("true")
    real.get_by_role("button", name="Run", exact=True).click()
    expect(real.get_by_label("Nodes")).to_have_attribute("aria-invalid", "true")
    expect(real.locator("#target-error")).to_contain_text("nosuch")
