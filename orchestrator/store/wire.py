"""What all parts of the store share: its settings, its names, its scripts, and the way to Redis."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from orchestrator.store.connection import RefusedForNowError, StoreSettings
from orchestrator.store.keys import Keys
from orchestrator.store.pipeline import Command, Pipeline, Reply
from orchestrator.store.scripts import load

_REFUSED_S: Final = 1.0  #: before a change that Redis did not take is tried again

log = logging.getLogger(__name__)


class Wire:
    """Names, scripts, and two pipelines: large answers do not delay changes."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.keys = Keys(settings.prefix)
        self._scripts = load()
        self._writer = Pipeline(settings, self._scripts.values())
        self._reader = Pipeline(settings, self._scripts.values())

    async def open(self) -> None:
        """Connect both. Raises StoreUnavailableError."""
        await self._writer.open()
        await self._reader.open()

    async def close(self) -> None:
        """Finish what is under way, then disconnect."""
        await asyncio.gather(self._writer.close(), self._reader.close())

    def script(self, name: str, keys: Sequence[str], arguments: Iterable[str | bytes | float]) -> Command:
        """Return the command that runs a script."""
        return ("EVALSHA", self._scripts[name].sha, len(keys), *keys, *arguments)

    def script_text(self, name: str, keys: Sequence[str], arguments: Iterable[str | bytes | float]) -> Command:
        """Return the same with the script's text: for transactions, of which only a part would run without it."""
        return ("EVAL", self._scripts[name].text, len(keys), *keys, *arguments)

    async def ask(self, *commands: Command) -> list[Reply]:
        """Send questions; when Redis stays away, raise StoreUnavailableError after the settings' patience."""
        return await self._reader.run(*commands, patience_s=self.settings.patience_s)

    async def change(self, *commands: Command) -> list[Reply]:
        """Send changes that a person waits for; give up as `ask` does."""
        return await self._writer.run(*commands, patience_s=self.settings.patience_s)

    async def insist(self, *commands: Command) -> list[Reply]:
        """Send changes that must happen: wait as long as Redis is away or takes none."""
        while True:
            try:
                return await self._writer.run(*commands, patience_s=None)
            except RefusedForNowError as error:
                log.warning("redis takes no changes", extra={"error": str(error)})
                await asyncio.sleep(_REFUSED_S)
