"""Questions that the engines must have answered: while Redis is away they wait, instead of ending the daemon."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator.store.interface import StoreUnavailableError

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
_PAUSE_S = 1.0


async def insist(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask the store until it answers. Only for engines: a person is told that the store is away."""
    while True:
        try:
            return await ask()
        except StoreUnavailableError as error:
            log.warning("waiting for the store", extra={"error": str(error)})
            await asyncio.sleep(_PAUSE_S)
