"""A run's secrets, as they lie in the store: sealed for that run alone."""

import json
from collections.abc import Mapping

from orchestrator.sealing import Sealer


def closed(sealer: Sealer, run: str, secrets: Mapping[str, str]) -> str:
    """Return secrets as text that only this site can read, and only for this run."""
    return sealer.seal(json.dumps(dict(secrets)).encode(), f"run:{run}")


def opened(sealer: Sealer, run: str, sealed: str) -> dict[str, str]:
    """Return the secrets in clear.

    Raises:
        SealingError: the site's key is another one, or they were sealed for another run.
    """
    secrets: dict[str, str] = json.loads(sealer.unseal(sealed, f"run:{run}"))
    return secrets
