"""The inventories that the daemon knows: the site's own, and those that requests bring (read again when changed)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from inventory import Inventory, load


class Catalogue:
    """Inventories by their sources. A source that cannot be read leaves the last good inventory in use."""

    def __init__(self, sources: Sequence[Path], *, cache_dir: Path) -> None:
        self._sources = tuple(sources)
        self._cache_dir = cache_dir
        self._site: Inventory | None = None
        self._loaded: dict[tuple[Path, ...], tuple[object, Inventory]] = {}

    async def site(self) -> Inventory:
        """Return the site's inventory, as it was at the last (re)load.

        Raises:
            InvalidFilesError: it has never been read without a mistake.
        """
        return self._site or await self.reload()

    async def reload(self) -> Inventory:
        """Read the site's inventory again; a broken one raises and leaves the old one in use.

        Raises:
            InvalidFilesError: with every mistake.
        """
        self._site = await asyncio.to_thread(load, self._sources, cache_dir=self._cache_dir, allow_empty=True)
        return self._site

    def replace_sources(self, sources: Sequence[Path]) -> None:
        """Take other files for the site's inventory from the next reload on."""
        self._sources = tuple(sources)

    async def named(self, sources: Sequence[str]) -> Inventory:
        """Return the inventory of these files (absolute paths), read again only if one changed; none = the site's.

        Raises:
            InvalidFilesError: with every mistake.
        """
        if not sources:
            return await self.site()
        paths = tuple(Path(source) for source in sources)
        stamp = await asyncio.to_thread(_stamp, paths)
        known = self._loaded.get(paths)
        if known is not None and stamp is not None and known[0] == stamp:
            return known[1]
        inventory = await asyncio.to_thread(load, paths, cache_dir=self._cache_dir)
        if len(self._loaded) >= 32:
            self._loaded.clear()
        self._loaded[paths] = (stamp, inventory)
        return inventory


def _stamp(paths: Sequence[Path]) -> object | None:
    """Return what tells two states of plain files apart; None where only reading them can (directories, programs)."""
    stamps: list[tuple[int, int]] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            return None
        beside = (path.parent / "group_vars", path.parent / "host_vars")
        if not path.is_file() or status.st_mode & 0o111 or any(directory.exists() for directory in beside):
            return None
        stamps.append((status.st_mtime_ns, status.st_size))
    return tuple(stamps)
