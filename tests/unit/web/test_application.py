"""Serving: real sockets, real HTTP."""

import asyncio
import http.client
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

import pytest

from tests.unit.web.peer import RUN, Peer
from web.application import PortUnavailableError, WebSettings, listen, serve


@contextmanager
def served(peer: Peer, **options: str) -> Iterator[str]:
    """Serve in a thread with a loop of its own; yield the sign-in link."""
    loop = asyncio.new_event_loop()
    links: list[str] = []
    announced = threading.Event()

    def announce(link: str) -> None:
        links.append(link)
        announced.set()

    task = loop.create_task(serve(peer.path, announce=announce, **options))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    try:
        assert announced.wait(10)
        yield links[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()
    assert not thread.is_alive()
    assert task.cancelled()


@contextmanager
def get(link: str, path: str, cookie: str = "", **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(link).netloc, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={"Cookie": cookie, **headers})
        with connection.getresponse() as answer:
            yield answer


def sign_in(link: str) -> str:
    with get(link, f"/?{urlsplit(link).query}") as answer:
        return (answer.headers["set-cookie"] or "").partition(";")[0]


def test_the_printed_link_leads_to_the_runs(peer: Peer) -> None:
    peer.add_run(["web01"], title="a title")
    with served(peer) as link, get(link, "/runs", sign_in(link)) as answer:
        assert b"a title" in answer.read()
        assert "server" not in answer.headers


def test_stopping_ends_open_streams_and_leaves_signals_alone(peer: Peer) -> None:
    peer.add_run(["web01"])
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with ExitStack() as stack:
        with served(peer) as link:
            stream = stack.enter_context(get(link, f"/events/runs/{RUN}", sign_in(link)))
            assert stream.readline() == b"retry: 1500\n"
            assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        assert stream.read().count(b"event: batch") <= 1


def test_a_request_with_another_name_is_refused_and_the_server_goes_on(peer: Peer) -> None:
    with served(peer) as link:
        with get(link, "/runs", Host="evil.example") as answer:
            assert answer.status == 400
        with get(link, "/runs") as answer:
            assert answer.status == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org", ""])
def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(PortUnavailableError, match="loopback"):
        listen(host, 0)


def test_a_taken_port_is_told_with_a_way_out() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortUnavailableError, match=f"127.0.0.1:{port}: .*choose another port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "public", "url"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:8000"),
        ("::1", None, "http://[::1]:8000"),
        ("127.0.0.1", "https://jobs.example.org/", "https://jobs.example.org"),
    ],
)
def test_the_address_is_what_browsers_use(peer: Peer, host: str, public: str | None, url: str) -> None:
    assert WebSettings(socket_path=peer.path, host=host, port=8000, public_url=public).url == url
