"""What holds for every request and every response, whoever answers: the outermost ASGI application.

Requests: the Host header must be ours (against DNS rebinding), a body must say its length and be small. Responses:
the security headers, on errors and live streams too. An exception becomes an answer that tells nothing.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from web.asgi import App, Receive, Scope, Send, header, send_text

MAX_BODY: Final = 64 << 10  #: bytes; the ad-hoc form is the largest thing that is sent here

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer, browsers send `Origin: null` with our own forms
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)
_OURS: Final = frozenset(name for name, _ in SECURITY_HEADERS)

log = logging.getLogger(__name__)


class Border:
    """Wraps `app`; `hosts` are the Host headers that are ours, in lower case, with their port."""

    def __init__(self, app: App, *, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def guarded(message: dict[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                rest = [pair for pair in message.get("headers", ()) if pair[0].lower() not in _OURS]
                message = {**message, "headers": [*rest, *SECURITY_HEADERS]}
            await send(message)

        if refusal := self._refusal(scope):
            await send_text(guarded, *refusal)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception:
            log.exception("web request failed", extra={"path": scope["path"]})
            if not started:
                await send_text(guarded, 500, "Something went wrong here. The log of the web server has the cause.")

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            return 400, "This server is not known under that name. Use the address that was printed at its start."
        if header(scope, b"transfer-encoding") is not None:
            return 411, "Send the length of the body (Content-Length)."
        length = header(scope, b"content-length") or "0"
        if not length.isascii() or not length.isdigit():
            return 400, "Content-Length is not a number."
        if int(length[:12]) > MAX_BODY or len(length) > 12:
            return 413, f"The body may have {MAX_BODY} bytes."
        return None
