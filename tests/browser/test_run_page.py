"""The pages in a real Chromium."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import serving
from tests.browser.cutter import cutting
from tests.unit.web.hostile import HOSTILE
from tests.unit.web.peer import RUN, Peer
from web.application import listen

#: scrolls through the whole output and collects what is shown
ALL_LINES = """async () => {
  const pane = document.getElementById('output'), found = new Map(), row = 20;
  for (let top = 0; top < pane.scrollHeight; top += pane.clientHeight / 2) {
    pane.scrollTop = top;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    for (const line of pane.querySelectorAll('.line')) {
      const above = line.getBoundingClientRect().top - pane.getBoundingClientRect().top;
      const at = Math.round((above + pane.scrollTop) / row);
      found.set(at, line.querySelector('.text').textContent);
    }
  }
  return [...found].sort(([a], [b]) => a - b).map(([, text]) => text);
}"""


def open_run(page: Page, query: str = "") -> None:
    page.goto(f"{urlsplit(page.url)._replace(path=f'/runs/{RUN}', query=query).geturl()}")


def test_the_link_signs_in_and_leaves_no_token_behind(signed_in: Page) -> None:
    expect(signed_in).to_have_url(re.compile(r"/runs$"))
    expect(signed_in.get_by_role("heading", name="Runs")).to_be_visible()


def test_a_second_browser_is_told_how_to_get_a_link(browser: Browser, signed_in: Page, link: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_text("has been used before")).to_be_visible()
    expect(page.get_by_text("anyjob web").first).to_be_visible()
    context.close()


def test_output_and_states_appear_live(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01", "web02"])
    open_run(signed_in)
    expect(signed_in.locator("#live")).to_have_text("live")
    daemon.write(RUN, 1, b"first\n")
    daemon.write(RUN, 2, b"warning\n", "stderr")
    pane = signed_in.locator("#output")
    expect(pane.locator(".line", has_text="first").locator(".who")).to_have_text("web01")
    expect(pane.locator(".line.err", has_text="warning").locator(".who")).to_have_text("web02")
    daemon.move(RUN, 1, "succeeded", exit_code=0)
    expect(signed_in.locator("#nodes a").nth(0)).to_have_class("node s-succeeded")
    daemon.move(RUN, 2, "failed", exit_code=3)
    expect(signed_in.locator("#state")).to_contain_text("failed")
    expect(signed_in.locator("#standing")).to_contain_text("1 succeeded")
    expect(signed_in.locator("#troubles")).to_contain_text("exit 3 on web02")
    expect(signed_in.locator("#live")).to_have_text("ended")
    expect(signed_in.locator("#announce")).to_contain_text("1 failed")


def test_output_is_exact_over_lost_connections(page: Page, daemon: Peer) -> None:
    """The line is cut at ever other bytes, inside characters, events and pieces of base64."""
    daemon.add_run(["web01", "web02"])
    text = [f"{number:04} äöü€" for number in range(600)]
    data = "\n".join(text).encode()
    page.set_viewport_size({"width": 1200, "height": 2000})
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    with cutting(port) as cutter, serving(daemon.path, port=port, public_url=cutter.url) as link:
        page.goto(link)
        open_run(page)
        for at in range(0, len(data), 97):
            daemon.write(RUN, 1, data[at : at + 97])
            page.wait_for_timeout(5)
        expect(page.locator("#output")).to_contain_text(text[-1], timeout=60_000)
        assert cutter.cut >= 3
        found = page.evaluate(ALL_LINES)
    assert found == text


def test_a_node_alone_by_click_and_by_address(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01", "web02"])
    daemon.write(RUN, 1, b"from one\n")
    daemon.write(RUN, 2, b"from two\n")
    open_run(signed_in)
    expect(signed_in.locator("#output .view .line")).to_have_count(2)
    signed_in.get_by_role("link", name="web02").click()
    expect(signed_in.locator("#output .view .line")).to_have_count(1)
    expect(signed_in.locator("#output")).to_contain_text("from two")
    expect(signed_in).to_have_url(re.compile("node=web02"))
    signed_in.reload()
    expect(signed_in.locator("#output .view")).to_contain_text("from two")
    expect(signed_in.locator("#output .view .line")).to_have_count(1)
    signed_in.get_by_role("link", name="all nodes").click()
    expect(signed_in.locator("#output .view .line")).to_have_count(2)


def test_following_stops_when_somebody_scrolls_up_and_goes_on_at_the_button(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01"])
    daemon.write(RUN, 1, b"".join(b"line %d\n" % number for number in range(2000)))
    open_run(signed_in)
    pane = signed_in.locator("#output")
    expect(pane.locator(".view")).to_contain_text("line 1999")  # the script's own list, not what the server sent
    follow = signed_in.locator("#follow")
    expect(follow).to_be_hidden()
    pane.evaluate("pane => { pane.scrollTop = 0 }")
    expect(pane).to_contain_text("line 0")
    daemon.write(RUN, 1, b"one more\n")
    expect(follow).to_have_text("1 new line ↓")
    expect(pane).not_to_contain_text("one more")
    follow.click()
    expect(pane).to_contain_text("one more")
    daemon.write(RUN, 1, b"and another\n")
    expect(pane).to_contain_text("and another")


def test_two_hundred_thousand_lines_put_few_elements_into_the_page(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01"])
    open_run(signed_in, "from=start")
    for begin in range(0, 200_000, 20_000):
        daemon.write(RUN, 1, b"".join(b"%d\n" % number for number in range(begin, begin + 20_000)))
    pane = signed_in.locator("#output")
    expect(pane).to_contain_text("199999", timeout=30_000)
    assert signed_in.evaluate("document.querySelectorAll('*').length") < 500
    pane.evaluate("pane => { pane.scrollTop = 100_000 * 20 }")
    expect(pane.locator(".text", has_text=re.compile(r"^100000$"))).to_be_visible()


def test_colours_progress_lines_and_hidden_characters(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01"])
    daemon.write(RUN, 1, b"\x1b[31mred\nstill red\x1b[0m plain\n10%\r50%\r100%\n\x1b[38;2;9;8;7mtrue\x1b[m\n")
    daemon.write(RUN, 1, "a\x08\u202eb\n".encode())
    daemon.move(RUN, 1, "succeeded")
    open_run(signed_in)
    text = signed_in.locator("#output .view .text")
    expect(text).to_have_text(["red", "still red plain", "100%", "true", "a␈⟨U+202E⟩b"])
    expect(text.nth(1).locator("span").nth(0)).to_have_class("ansi-red-fg")
    expect(text.nth(1).locator("span").nth(1)).to_have_class("")
    expect(text.nth(3).locator("span")).to_have_css("color", "rgb(9, 8, 7)")


def test_cancel_asks_first(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01", "web02"])
    open_run(signed_in)
    expect(signed_in.get_by_role("button", name="Yes, cancel them")).to_be_hidden()
    signed_in.get_by_text("Cancel…").click()
    expect(signed_in.get_by_text("End 2 unfinished job(s)")).to_be_visible()
    signed_in.get_by_role("button", name="Yes, cancel them").click()
    expect(signed_in.locator("#standing")).to_contain_text("2 cancelled")
    expect(signed_in.locator("#cancel")).to_have_count(0)


def test_the_form_counts_nodes_shows_mistakes_and_starts_a_run(signed_in: Page, daemon: Peer) -> None:
    signed_in.get_by_role("navigation", name="Pages").get_by_role("link", name="Run a command").click()
    signed_in.get_by_label("Nodes").fill("web01,web02")
    expect(signed_in.locator("#plan")).to_have_text("2 nodes: web01,web02")
    signed_in.get_by_label("Time limit").fill("soon")
    expect(signed_in.locator("#timeout-error")).to_contain_text("90s")
    signed_in.get_by_label("Command").fill("echo <b>")
    signed_in.get_by_role("button", name="Run", exact=True).click()
    expect(signed_in.get_by_label("Time limit")).to_have_attribute("aria-invalid", "true")
    expect(signed_in.get_by_label("Command")).to_have_value("echo <b>")
    assert not daemon.runs
    signed_in.get_by_label("Time limit").fill("5m")
    signed_in.get_by_role("button", name="Run", exact=True).click()
    expect(signed_in.get_by_role("heading", name="echo <b>")).to_be_visible()
    assert len(daemon.runs) == 1


def test_the_list_shows_a_new_run_without_a_reload(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01"], title="already there")
    signed_in.reload()
    expect(signed_in.get_by_role("link", name="already there")).to_be_visible()
    daemon.add_run(["web01"], run=RUN[:-1] + "2", title="just came")
    expect(signed_in.get_by_role("link", name="just came")).to_be_visible()


def test_hostile_text_runs_nothing_anywhere(signed_in: Page, daemon: Peer, tell: list[str]) -> None:
    nodes = [f"n{number} {text}" for number, text in enumerate(HOSTILE)]
    daemon.add_run(nodes, title=" ".join(HOSTILE))
    open_run(signed_in)
    expect(signed_in.locator("#live")).to_have_text("live")
    for index, text in enumerate(HOSTILE, start=1):
        daemon.write(RUN, index, text.encode() + b"\n", "stderr" if index % 2 else "stdout")
        daemon.move(RUN, index, "start_failed", reason=text, message=text)
    expect(signed_in.locator("#live")).to_have_text("ended")
    for path in (f"/runs/{RUN}", "/runs"):
        signed_in.goto(urlsplit(signed_in.url)._replace(path=path, query="").geturl())
        expect(signed_in.locator("h1")).to_be_visible()
        assert signed_in.evaluate("window.pwned") is None
        assert (
            signed_in.evaluate("document.querySelectorAll('main :is(script, iframe, img, base, meta, style)').length")
            == 0
        )
        foreign = "[...document.links].filter(link => link.origin !== location.origin).length"
        assert signed_in.evaluate(foreign) == 0


def test_the_page_comes_back_by_itself_when_the_server_does(page: Page, daemon: Peer) -> None:
    daemon.add_run(["web01"])
    with serving(daemon.path) as link:
        port = urlsplit(link).port or 0
        page.goto(link)
        open_run(page)
        expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#live")).to_have_text("reconnecting …")
    with serving(daemon.path, port=port) as link:
        page.context.new_page().goto(link)
        daemon.write(RUN, 1, b"after the break\n")
        expect(page.locator("#output")).to_contain_text("after the break", timeout=20_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/runs", f"/runs/{RUN}", "/run"])
def test_a_phone_needs_no_sideways_scrolling(signed_in: Page, daemon: Peer, path: str, scheme: str) -> None:
    daemon.add_run([f"a-rather-long-node-name-{n:02}.example.org" for n in range(20)], title="x" * 150)
    daemon.write(RUN, 1, b"y" * 300 + b"\n")
    signed_in.emulate_media(color_scheme=scheme)
    signed_in.set_viewport_size({"width": 360, "height": 740})
    signed_in.goto(urlsplit(signed_in.url)._replace(path=path).geturl())
    expect(signed_in.locator("h1")).to_be_visible()
    assert signed_in.evaluate("document.documentElement.scrollWidth") <= 360


def test_without_javascript_the_run_can_be_read(browser: Browser, daemon: Peer, link: str) -> None:
    daemon.add_run(["web01"])
    daemon.write(RUN, 1, b"to be read\n")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(link)
    page.get_by_role("link", name="uname -n").click()
    expect(page.locator("#output")).to_contain_text("to be read")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Yes, cancel them").click()
    expect(page.locator("#standing")).to_contain_text("1 cancelled")
    context.close()


def test_the_keyboard_reaches_the_output_and_the_focus_is_seen(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01"])
    open_run(signed_in)
    signed_in.keyboard.press("Tab")
    expect(signed_in.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(20):
        signed_in.keyboard.press("Tab")
        if signed_in.evaluate("document.activeElement.id") == "output":
            break
    expect(signed_in.locator("#output")).to_be_focused()
    assert signed_in.locator("#output").evaluate("pane => getComputedStyle(pane).outlineStyle") == "solid"


def test_a_hidden_page_lets_its_connection_go_and_goes_on_when_it_is_seen(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01"])
    daemon.write(RUN, 1, b"before\n")
    signed_in.clock.install()
    open_run(signed_in)
    expect(signed_in.locator("#output .view")).to_contain_text("before")
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); %s }"
    seen = "document.dispatchEvent(new Event('visibilitychange'))"
    signed_in.evaluate(hide % seen, arg=True)
    signed_in.clock.fast_forward(11_000)
    expect(signed_in.locator("#live")).to_have_text("paused")
    daemon.write(RUN, 1, b"meanwhile\n")
    signed_in.evaluate(hide % seen, arg=False)
    expect(signed_in.locator("#output .view .text")).to_have_text(["before", "meanwhile"])


def test_a_thousand_nodes_are_shown(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run([f"node{number:04}" for number in range(1000)])
    open_run(signed_in)
    expect(signed_in.locator("#live")).to_have_text("live")
    for index in range(1, 1001):
        daemon.write(RUN, index, b"hello\n")
        daemon.move(RUN, index, "succeeded", exit_code=0)
    expect(signed_in.locator("#standing")).to_contain_text("1000 succeeded", timeout=30_000)
    expect(signed_in.locator("#output .view")).to_contain_text("node0999")


def test_what_is_said_of_one_node_is_its_message_and_what_was_not_recorded(signed_in: Page, daemon: Peer) -> None:
    daemon.add_run(["web01", "web02"])
    daemon.move(RUN, 2, "failed", exit_code=1, message="ended badly", dropped_bytes=17)
    open_run(signed_in, "node=web02")
    expected = "ended badly 17 bytes beyond the output limit were not recorded."
    expect(signed_in.locator("#job")).to_have_text(expected)
    expect(signed_in.locator("#live")).to_have_text("live")
    signed_in.get_by_role("link", name="all nodes").click()
    expect(signed_in.locator("#job")).to_be_hidden()
    signed_in.get_by_role("link", name="web02").click()
    expect(signed_in.locator("#job")).to_have_text(expected)
