"""Chromium, a served AnyJob, and a browser page that has signed in.

`daemon` is what the web server talks to. Each test names what it needs to happen there; `tests.unit.web.peer` makes it
happen on the same unix socket that a daemon has.
"""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.unit.web.peer import Peer
from web.application import serve

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium per module: Playwright keeps an event loop running, which asynchronous tests cannot stand."""
    assert CHROMIUM, "the browser tests need Chromium: apt-get install chromium"
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *sandbox])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def daemon() -> Iterator[Peer]:
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(Path(folder, "anyjob.sock"))
        yield peer
        peer.stop()


@contextmanager
def serving(socket_path: Path, **options: Any) -> Iterator[str]:
    """Serve in a thread; yield the sign-in link. `options` are those of `serve`."""
    loop = asyncio.new_event_loop()
    links: list[str] = []
    announced = threading.Event()

    def announce(link: str) -> None:
        links.append(link)
        announced.set()

    task = loop.create_task(serve(socket_path, announce=announce, **options))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    try:
        assert announced.wait(10)
        yield links[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()


@pytest.fixture
def link(daemon: Peer) -> Iterator[str]:
    with serving(daemon.path) as link:
        yield link


@pytest.fixture
def tell(context: BrowserContext) -> Iterator[list[str]]:
    """Everything that the browser complains about: exceptions, refused resources, policy violations."""
    told: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        refused_form = "the server responded with a status of 422 " in message.text  # Chromium says this of any answer
        if message.type in ("error", "warning") and not refused_form:
            told.append(message.text)

    context.on("console", listen)
    context.on("weberror", lambda error: told.append(str(error.error)))
    context.on("requestfinished", lambda request: told.append(request.url) if "127.0.0.1" not in request.url else None)
    yield told
    assert told == []


@pytest.fixture
def signed_in(page: Page, link: str, tell: list[str]) -> Page:
    page.goto(link)
    return page
