"""The application against a scripted peer, and a browser that has signed in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.web.driver import HOST, Browser
from tests.unit.web.peer import Peer
from web.application import WebApplication, WebSettings


@pytest.fixture
def peer() -> Iterator[Peer]:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path can be too long for a socket's address
        peer = Peer(Path(folder, "anyjob.sock"))
        yield peer
        peer.stop()


@pytest.fixture
async def app(peer: Peer) -> WebApplication:
    host, _, port = HOST.partition(":")
    return WebApplication(WebSettings(socket_path=peer.path, host=host, port=int(port)))


@pytest.fixture
async def stranger(app: WebApplication) -> Browser:
    return Browser(app)


@pytest.fixture
async def viewer(app: WebApplication) -> Browser:
    browser = Browser(app)
    answer = await browser.get(app.link.removeprefix(f"http://{HOST}"))
    assert answer.status == 303
    return browser
