"""What a Redis server tells about itself, and whether jobs can be entrusted to it."""

import logging
from ipaddress import ip_address
from urllib.parse import urlsplit

from orchestrator.store.connection import address
from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.servers import OLDEST
from orchestrator.store.wire import Wire

log = logging.getLogger(__name__)


def server_facts(info: bytes) -> dict[str, str]:
    """Return the lines of an answer to INFO."""
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def server_figures(info: bytes) -> dict[str, object]:
    """Return what people want to know of a server; sizes are bytes, a maximum of 0 means none."""
    facts = server_facts(info)
    kind = "valkey" if "valkey_version" in facts else "redis"
    return {
        "redis_kind": kind,
        "redis_version": facts[f"{kind}_version"],
        "redis_pid": int(facts["process_id"]),
        "redis_used_memory": int(facts["used_memory"]),
        "redis_max_memory": int(facts["maxmemory"]),
    }


async def inspect_server(wire: Wire) -> None:
    """Refuse a server that is too old, and warn of settings under which it may lose what it was told.

    Raises:
        StoreUnavailableError: when it is older than Redis 7.0.
    """
    url = wire.settings.url
    if open_to_eavesdroppers(url):
        log.warning("redis is spoken to in clear over a network: use rediss://", extra={"redis": address(url)})
    try:
        [info] = await wire.ask(("INFO",))
    except StoreUnavailableError:  # it has answered before: our user may not ask this
        return
    facts = server_facts(info)
    version = tuple(int(part) for part in facts["redis_version"].split(".")[:2])
    if version < OLDEST:
        raise StoreUnavailableError(
            f"Redis at {address(url)} is version {facts['redis_version']}; AnyJob needs 7.0 or newer, or Valkey"
        )
    if facts["maxmemory"] != "0" and facts["maxmemory_policy"] != "noeviction":
        log.warning("redis may evict jobs: set maxmemory-policy noeviction", extra={"redis": address(url)})
    if facts["aof_enabled"] != "1":
        log.warning("redis may lose jobs when it ends: set appendonly yes", extra={"redis": address(url)})


def open_to_eavesdroppers(url: str) -> bool:
    """Tell whether a URL means plain TCP to another machine."""
    parts = urlsplit(url)
    if parts.scheme != "redis" or parts.hostname in {None, "localhost"}:
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True
