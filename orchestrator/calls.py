"""One call of the local API: its fields, checked as they are asked for, and how to answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from jobs.records import Request
from orchestrator.planning import Caller, ServiceError

Send = Callable[[dict[str, Any], bytes], Awaitable[None]]
Operation = Callable[["Call"], Awaitable[None]]


class Call:
    """One call of one connection: its fields, and how to answer."""

    def __init__(self, caller: Caller, fields: Mapping[str, Any], payload: bytes, send: Send) -> None:
        self.caller = caller
        self.fields = fields
        self.payload = payload
        self.send = send

    async def ok(self, result: object, **header: object) -> None:
        """Answer with a result."""
        await self.send({"t": "ok", **header}, as_json(result))

    def text(self, name: str) -> str:
        """Return a field that must be there. Raises ServiceError."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise ServiceError("bad_request", f"{name}: expected text")
        return value

    def maybe(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """Return a field that may be missing. Raises ServiceError."""
        value = self.fields.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ServiceError("bad_request", f"{name}: not of the expected type")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; a missing one is empty. Raises ServiceError."""
        value = self.fields.get(name) or ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise ServiceError("bad_request", f"{name}: expected a list of texts")
        return tuple(value)

    def request(self) -> Request:
        """Return what is to be run. Raises ServiceError."""
        try:
            return msgspec.convert(self.fields.get("request"), Request)
        except msgspec.ValidationError as error:
            raise ServiceError("bad_request", f"request: {error}") from error


def as_json(value: object) -> bytes:
    """Return a result as it travels."""
    return msgspec.json.encode(value)
