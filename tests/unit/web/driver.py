"""Asks an ASGI application as a browser would, without a network."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode

HOST = "127.0.0.1:8000"
ORIGIN = f"http://{HOST}"


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


@dataclass
class Browser:
    """One browser: keeps its cookie, sends what browsers send."""

    app: Any
    cookie: str = ""

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        return await self.ask("POST", path, {"origin": ORIGIN, **headers}, urlencode(fields).encode())

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        stream = Stream(self, path, headers or {}, method=method, body=body)
        async with stream:
            await stream.finished.wait()
        answer = Answer(stream.status, stream.headers, b"".join(stream.parts))
        if cookie := answer.header("set-cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer

    def scope(self, method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        path, _, query = path.partition("?")
        sent = {"host": HOST, "cookie": self.cookie}
        if body:
            sent |= {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in sent.items() if v],
            "client": ("127.0.0.1", 40000), "server": ("127.0.0.1", 8000),
        }  # fmt: skip


@dataclass
class Stream:
    """A response as it arrives; `allowed` is how many bytes the viewer reads before it stalls."""

    browser: Browser
    path: str
    sent_headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: bytes = b""
    allowed: float = float("inf")

    async def __aenter__(self) -> Self:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.parts: list[bytes] = []
        self.finished = asyncio.Event()
        self.left = asyncio.Event()
        self.news = asyncio.Event()
        self._asked = False
        scope = self.browser.scope(self.method, self.path, self.sent_headers, self.body)
        self._task = asyncio.create_task(self.browser.app(scope, self._receive, self._send))
        self._task.add_done_callback(lambda _: (self.finished.set(), self.news.set()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left.set()
        await self._task

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(n.decode(), v.decode("latin-1")) for n, v in message["headers"]]
        else:
            self.parts.append(message.get("body", b""))
            if sum(map(len, self.parts)) > self.allowed:
                await self.left.wait()
            if not message.get("more_body"):
                self.finished.set()
        self.news.set()

    def events(self) -> list[tuple[str, str, Any]]:
        """(id, event, data) of every complete event so far; `id` is the last one seen, as in browsers."""
        found: list[tuple[str, str, Any]] = []
        last_id = ""
        for block in b"".join(self.parts).decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            last_id = fields.get("id", last_id)
            if "data" in fields:
                found.append((last_id, fields["event"], json.loads(fields["data"])))
        return found

    async def until(self, event: str) -> list[tuple[str, str, Any]]:
        """Wait for the first event of that name and return all events."""
        while all(name != event for _, name, _ in self.events()):
            assert not self.finished.is_set(), (self.status, self.parts)
            self.news.clear()
            await self.news.wait()
        return self.events()
