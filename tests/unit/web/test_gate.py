"""Who gets in, and which requests may change something."""

import re

import pytest

from tests.unit.web.driver import HOST, ORIGIN, Browser
from tests.unit.web.peer import RUN, Peer
from web.application import WebApplication, WebSettings
from web.gate import is_same_origin

PAGES = ("/runs", f"/runs/{RUN}", "/run", f"/runs/{RUN}/jobs/1/stdout", "/nothing", f"/events/runs/{RUN}")


async def test_without_a_session_there_is_nothing_but_the_way_to_sign_in(stranger: Browser, peer: Peer) -> None:
    peer.add_run(["web01"], title="the secret title")
    for path in PAGES:
        answer = await stranger.get(path)
        assert answer.status == 401, path
        assert "secret" not in answer.text
    for path in ("/run", "/run/plan", f"/runs/{RUN}/cancel", "/sign-out"):
        assert (await stranger.post(path, {"target": "web01"})).status == 401, path
    assert not peer.calls


async def test_the_link_is_exchanged_once_and_the_token_leaves_the_address(
    stranger: Browser, app: WebApplication
) -> None:
    path = app.link.removeprefix(ORIGIN)
    answer = await stranger.get(path)
    assert (answer.status, answer.header("location")) == (303, "/runs")
    cookie = answer.header("set-cookie") or ""
    assert re.fullmatch(r"anyjob-8000=[\w-]{43}; .*HttpOnly; Path=/; SameSite=Lax", cookie)
    assert (await stranger.get("/runs")).status == 200
    other = Browser(app)
    assert (await other.get(path)).status == 401
    assert (await other.get("/runs")).status == 401


async def test_asking_for_the_head_does_not_use_the_link_up(stranger: Browser, app: WebApplication) -> None:
    path = app.link.removeprefix(ORIGIN)
    assert (await stranger.ask("HEAD", path)).status == 401
    assert (await stranger.get(path)).status == 303


async def test_a_session_id_that_was_planted_is_never_taken_over(stranger: Browser, app: WebApplication) -> None:
    stranger.cookie = "anyjob-8000=planted"
    await stranger.get(app.link.removeprefix(ORIGIN))
    assert stranger.cookie != "anyjob-8000=planted"
    assert (await Browser(app, cookie="anyjob-8000=planted").get("/runs")).status == 401


async def test_behind_https_the_cookie_is_bound_to_the_host(peer: Peer) -> None:
    settings = WebSettings(socket_path=peer.path, host="127.0.0.1", port=8000, public_url="https://jobs.example.org")
    app = WebApplication(settings)
    browser = Browser(app)
    answer = await browser.get(app.link.removeprefix("https://jobs.example.org"), host="jobs.example.org")
    cookie = answer.header("set-cookie") or ""
    assert cookie.startswith("__Host-anyjob-8000=")
    assert "; Secure; HttpOnly; Path=/; SameSite=Lax" in cookie
    page = await browser.get("/run", host="jobs.example.org")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    fields = {"csrf": token}
    sent = {"host": "jobs.example.org", "origin": "https://jobs.example.org"}
    assert (await browser.post("/sign-out", fields, **{**sent, "origin": "http://jobs.example.org"})).status == 403
    assert (await browser.post("/sign-out", fields, **sent)).status == 303


async def test_signing_out_ends_the_session_itself(viewer: Browser) -> None:
    cookie = viewer.cookie
    token = re.search(r'name="csrf" value="([^"]+)"', (await viewer.get("/run")).text)[1]
    assert (await viewer.post("/sign-out", {"csrf": token})).status == 303
    viewer.cookie = cookie
    assert (await viewer.get("/runs")).status == 401


@pytest.mark.parametrize("path", ["/run", "/run/plan", f"/runs/{RUN}/cancel", "/sign-out"])
@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({"origin": "http://evil.example"}, "right", 403),
        ({"origin": "null"}, "right", 403),
        ({"origin": ""}, "right", 403),
        ({"origin": f"https://{HOST}"}, "right", 403),
        ({"origin": "http://127.0.0.1:8001"}, "right", 403),
        ({"origin": ORIGIN, "sec_fetch_site": "cross-site"}, "right", 403),
        ({"origin": ORIGIN, "sec_fetch_site": "same-site"}, "right", 403),
        ({"origin": "", "sec_fetch_site": "none"}, "right", 403),
        ({"origin": ORIGIN, "content_type": "text/plain"}, "right", 415),
        ({"origin": ORIGIN, "content_type": "application/json"}, "right", 415),
        ({"origin": ORIGIN}, "", 403),
        ({"origin": ORIGIN}, "wrong", 403),
        ({"origin": ORIGIN}, "é", 403),
    ],
)
async def test_a_change_that_another_site_asks_for_is_refused(  # noqa: PLR0917
    viewer: Browser, peer: Peer, path: str, headers: dict[str, str], token: str, status: int
) -> None:
    peer.add_run(["web01"])
    page = (await viewer.get("/run")).text
    right = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    fields = {"csrf": right if token == "right" else token, "target": "web01", "command": "id", "id": RUN[:-1] + "9"}
    before = len(peer.calls)
    assert (await viewer.post(path, fields, **headers)).status == status
    assert len(peer.calls) == before
    assert (await viewer.get("/runs")).status == 200


async def test_another_sessions_form_token_is_refused(viewer: Browser, peer: Peer) -> None:
    other_app = WebApplication(WebSettings(socket_path=peer.path, host="127.0.0.1", port=8000))
    other = Browser(other_app)
    await other.get(other_app.link.removeprefix(ORIGIN))
    token = re.search(r'name="csrf" value="([^"]+)"', (await other.get("/run")).text)[1]
    assert (await viewer.post("/sign-out", {"csrf": token})).status == 403


async def test_looking_changes_nothing(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"])
    for path in ("/sign-out", f"/runs/{RUN}/cancel", "/run/plan"):
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
            assert (await viewer.ask(method, path)).status in (403, 405), (method, path)
    assert not [call for call in peer.calls if call["op"] in ("cancel", "submit")]
    assert (await viewer.get("/runs")).status == 200


@pytest.mark.parametrize(
    ("origin", "fetch_site", "ours"),
    [
        (ORIGIN, None, True),
        (ORIGIN, "same-origin", True),
        (None, "same-origin", True),
        (None, None, False),
        (None, "none", False),
        (None, "cross-site", False),
        (ORIGIN, "cross-site", False),
        ("null", "same-origin", False),
        ("http://127.0.0.1:8000.evil.example", None, False),
        ("HTTP://127.0.0.1:8000", None, False),
    ],
)
def test_the_signs_of_a_request_of_ours(origin: str | None, fetch_site: str | None, ours: bool) -> None:
    assert is_same_origin(origin, fetch_site, ORIGIN) is ours
