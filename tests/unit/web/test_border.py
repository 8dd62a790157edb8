"""What holds for every request and response."""

import pytest

from tests.unit.web.driver import HOST, Browser, Stream
from tests.unit.web.peer import RUN, Peer
from web.application import WebApplication
from web.border import MAX_BODY, Border

EXPECTED = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def assert_headers(headers: list[tuple[str, str]]) -> None:
    for name, value in EXPECTED.items():
        assert [found for known, found in headers if known.lower() == name] == [value], name


async def test_every_route_has_the_security_headers(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"], state="succeeded")
    paths = ["/", "/runs", f"/runs/{RUN}", "/run", f"/runs/{RUN}/jobs/1/stdout", "/static/run.js", "/static/anyjob.css"]
    for path in [*paths, "/nothing", "/static/nothing", "/runs/x", f"/events/runs/{RUN}", "/events/runs/x"]:
        assert_headers((await viewer.get(path)).headers)


async def test_errors_have_them_too(viewer: Browser, stranger: Browser, peer: Peer) -> None:
    assert_headers((await stranger.get("/runs")).headers)
    assert_headers((await stranger.get(f"/events/runs/{RUN}")).headers)
    assert_headers((await viewer.get("/runs", host="evil.example")).headers)
    assert_headers((await viewer.post("/run", {})).headers)
    assert_headers((await viewer.ask("PUT", "/runs")).headers)
    peer.refusal = ("unavailable", "Redis does not answer", [])
    assert_headers((await viewer.get("/runs")).headers)
    peer.stop()
    assert_headers((await viewer.get(f"/events/runs/{RUN}")).headers)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:8001", "localhost", ""])
async def test_a_name_that_is_not_ours_is_refused(viewer: Browser, host: str) -> None:
    for path in ("/runs", "/static/run.js", f"/events/runs/{RUN}"):
        assert (await viewer.get(path, host=host)).status == 400


@pytest.mark.parametrize("host", [HOST, "localhost:8000", "LOCALHOST:8000", "[::1]:8000"])
async def test_our_names_are_known(viewer: Browser, host: str) -> None:
    assert (await viewer.get("/runs", host=host)).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": str(MAX_BODY + 1)}, 413),
        ({"content-length": "9" * 40}, 413),
        ({"content-length": "-1"}, 400),
        ({"content-length": "²"}, 400),
        ({"content-length": "1", "transfer-encoding": "chunked"}, 411),
        ({"content-length": "", "transfer-encoding": "chunked"}, 411),
    ],
)
async def test_a_body_that_is_too_large_or_of_unknown_length_is_refused(
    viewer: Browser, headers: dict[str, str], status: int
) -> None:
    assert (await viewer.ask("POST", "/run", headers, b"x")).status == status


async def test_very_many_fields_are_an_answer_of_ours_and_not_a_crash(viewer: Browser) -> None:
    body = b"&".join(b"a%d=" % number for number in range(5000))
    assert (await viewer.ask("POST", "/run", {"origin": f"http://{HOST}"}, body)).status == 403
    assert (await viewer.get("/runs?" + "&".join(f"a{n}=1" for n in range(5000)))).status == 200
    assert (await viewer.get(f"/events/runs/{RUN}?" + "&".join(f"a{n}=1" for n in range(50)))).status == 400


async def test_an_exception_becomes_an_answer_that_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("secret detail")

    async with Stream(Browser(Border(broken, hosts=[HOST])), "/runs") as stream:
        await stream.finished.wait()
    assert stream.status == 500
    assert b"secret" not in b"".join(stream.parts)
    assert_headers(stream.headers)
    assert "secret detail" in caplog.text


async def test_there_is_no_debugger(viewer: Browser, app: WebApplication) -> None:
    for path in ("/console", "/runs?__debugger__=yes&cmd=resource&f=style.css"):
        assert "Werkzeug" not in (await viewer.get(path)).text
