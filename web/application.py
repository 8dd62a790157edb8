"""The web application put together, and how it is served.

```
uvicorn -> Border (hosts, sizes, headers) -> /events/*  Streams (native ASGI)
                                          -> the rest   Flask, in threads, through a2wsgi
```
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

import uvicorn
from a2wsgi import WSGIMiddleware

from web.asgi import App, Receive, Scope, Send
from web.border import Border
from web.pages import create_flask
from web.sessions import Sessions
from web.stream import PATH as STREAMS
from web.stream import Streams

_THREADS: Final = 16  # requests that Flask answers at once
_STOP_S: Final = 3  # seconds that open requests have when the server stops


class PortUnavailableError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """What the application has to know.

    Attributes:
        socket_path: the daemon's unix socket.
        host: loopback address that is listened on.
        port: its port.
        public_url: what browsers see when a TLS proxy on this machine stands in front, for example
            `https://anyjob.example.org`; None = `http://host:port`.
        token: of the sign-in link; None = a new random one.
    """

    socket_path: Path
    host: str
    port: int
    public_url: str | None = None
    token: str | None = None

    @property
    def url(self) -> str:
        """Where browsers find the application, without a slash at its end."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{name}:{self.port}").rstrip("/")


class WebApplication:
    """The ASGI application. Make it inside the event loop that serves it."""

    def __init__(self, settings: WebSettings) -> None:
        secure = settings.url.startswith("https:")
        # cookies are shared by all ports of a host: the port in the name keeps two servers apart
        cookie_name = f"{'__Host-' if secure else ''}anyjob-{settings.port}"
        self._sessions = Sessions(settings.token)
        self._streams = Streams(settings.socket_path, self._sessions, cookie_name)
        flask = create_flask(settings.socket_path, self._sessions, cookie_name=cookie_name, secure=secure)
        self._pages = cast("App", WSGIMiddleware(cast("Any", flask), workers=_THREADS))  # its types are its own
        self._scheme = urlsplit(settings.url).scheme
        self._border = Border(self._route, hosts=_hosts(settings))
        #: the one-time link that signs a browser in
        self.link = f"{settings.url}/?{urlencode({'token': self._sessions.token})}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise ValueError(f"this application speaks HTTP, not {scope['type']}")
        await self._border({**scope, "scheme": self._scheme}, receive, send)

    def close(self) -> None:
        """End the live streams; call it before the server stops."""
        self._streams.close()

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(STREAMS):
            await self._streams(scope, receive, send)
        else:
            await self._pages(scope, receive, send)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address; port 0 = any free one.

    Raises:
        PortUnavailableError: the address is not loopback, or it is taken.
    """
    if host != "localhost" and not _is_loopback(host):
        raise PortUnavailableError(
            f"{host}: the web face listens on loopback addresses only (127.0.0.1). To look from another machine use "
            f"a tunnel: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PortUnavailableError(f"{host}:{port}: {reason}; choose another port, or 0 for a free one") from None


async def serve(  # noqa: PLR0913  one call starts it all
    socket_path: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    token: str | None = None,
    public_url: str | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve until cancelled. `announce` gets the one-time link once the port is open.

    Signals are left to the caller: cancel the task to stop, open streams are ended first.

    Raises:
        PortUnavailableError: see `listen`.
    """
    with listen(host, port) as listener:
        app = WebApplication(
            WebSettings(
                socket_path=socket_path,
                host=host,
                port=listener.getsockname()[1],
                public_url=public_url,
                token=token,
            )
        )
        server = _Server(app)
        announce(app.link)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            app.close()
            server.should_exit = True
            await serving
            raise


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the owner of the event loop has its own."""

    def __init__(self, app: WebApplication) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,  # it would write the sign-in token
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_STOP_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _hosts(settings: WebSettings) -> set[str]:
    names = {"127.0.0.1", "localhost", "[::1]", f"[{settings.host}]" if ":" in settings.host else settings.host}
    return {f"{name}:{settings.port}" for name in names} | {urlsplit(settings.url).netloc.lower()}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
