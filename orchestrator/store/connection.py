"""How Redis is reached, and what its refusals mean to a person."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from redis.asyncio.client import Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004  the library's own name for it
    ExecAbortError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from orchestrator.store.interface import StaleEpochError, StoreUnavailableError

DAY: Final = 86_400.0
LOST: Final = (ConnectionError, TimeoutError, OSError)  #: the connection is gone; whether the command ran is unknown
CONNECT_S: Final = 5.0
REPLY_S: Final = 20.0  #: longer than a slow disk's fsync; then the connection is dropped


_DENIED: Final = (AuthenticationError, AuthorizationError)
_FOR_NOW: Final = (OutOfMemoryError, ReadOnlyError, ClusterDownError, TryAgainError, ExecAbortError)
_PASSING: Final = ("OOM", "MASTERDOWN", "MISCONF", "BUSY", "NOREPLICAS")


class RefusedForNowError(StoreUnavailableError):
    """Redis answers, but takes no changes: it is full, its disk is, or it is about to change roles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where Redis is and how much is kept. Sizes are bytes, times seconds."""

    url: str  #: redis://, rediss:// or unix://, with user, password, database, and `?ssl_ca_certs=FILE` where needed
    archive_dir: Path
    prefix: str = "anyjob"  #: begins every key, so that several installations can share a Redis
    live_tail: int = 16 << 20  #: of each output stream, kept in Redis while a job runs
    archive_after_s: float = 600.0  #: between a job's end and the move of its output to the archive
    keep_records_s: float = 90 * DAY
    keep_output_s: float = 30 * DAY
    patience_s: float = 10.0  #: how long a question waits for a Redis that is away; changes of running jobs wait on


def address(url: str) -> str:
    """Return the URL without user, password and options, for messages."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or 'localhost'}{port}{parts.path}"


def client(settings: StoreSettings) -> Redis:
    """Return a client that sends nothing twice by itself: a command whose reply was lost may have run.

    It has no time limit for replies either: under Python 3.11 the library's own limit, which is `asyncio.wait_for`, can
    swallow a cancellation. Callers set one with `asyncio.timeout`.

    Raises:
        StoreUnavailableError: when the URL is none.
    """
    try:
        return Redis.from_url(
            settings.url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=CONNECT_S,
            health_check_interval=0,
        )
    except ValueError as error:
        raise StoreUnavailableError(
            f"redis.url: {error} (like redis://host:6379/0, rediss://host:6380/0 or unix:///run/redis.sock)"
        ) from None


async def connect(settings: StoreSettings) -> Connection:
    """Open one connection of our own.

    Raises:
        LOST: one of these, when there is nobody.
        StoreUnavailableError: when the server refuses us.
    """
    connection: Connection = client(settings).connection_pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        async with asyncio.timeout(REPLY_S):
            await connection.connect()  # type: ignore[no-untyped-call]
    except _DENIED as error:
        raise explain(error, settings.url) from None
    return connection


def explain(error: Exception, url: str) -> Exception:
    """Return our error for one of the library: what, where, and the way out."""
    text = str(error)
    where = f"Redis at {address(url)}"
    if text.startswith("STALE"):
        return StaleEpochError(f"a newer controller has taken over ({text.removeprefix('STALE ')})")
    if isinstance(error, _DENIED) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        way = f"{where} refuses us: {text}. Check user and password in redis.url, and the user's ACL"
    elif text.startswith("WRONGTYPE"):
        way = f"{where}: {text}. Another program uses our prefix: set redis.prefix, or remove the foreign key"
    elif isinstance(error, _FOR_NOW) or text.startswith(_PASSING):
        return RefusedForNowError(
            f"{where} takes no changes for now: {text}. Check its maxmemory, its disk and its role"
        )
    elif isinstance(error, LOST):
        way = (
            f"{where} cannot be reached: {text or type(error).__name__}. Check that it runs and that redis.url is right"
        )
    elif isinstance(error, RedisError):
        way = f"{where} refused a command: {text}"
    else:
        return error
    return StoreUnavailableError(way)
