"""The job types and the policy that the daemon knows: those of the site, and those that come with AnyJob."""

import asyncio
from pathlib import Path

from inventory.problems import InvalidFilesError
from jobs.policyfile import Policy, load_policy
from jobs.typefile import Types, load_types


class TypeCatalogue:
    """Read at the start and at each reload. Mistakes leave what was read before in use."""

    def __init__(self, site: Path | None) -> None:
        self._site = site
        self.types = Types(by_name={}, problems=())
        self.policy = Policy()

    async def reload(self) -> None:
        """Read types and policy again.

        Raises:
            InvalidFilesError: with every mistake of both; nothing has changed then.
        """
        types = await asyncio.to_thread(load_types, None if self._site is None else self._site / "jobs.d")
        problems = list(types.problems)
        policy = self.policy
        try:
            policy = await asyncio.to_thread(load_policy, self._site)
        except InvalidFilesError as error:
            problems += error.problems
        if problems:
            raise InvalidFilesError(problems)
        self.types, self.policy = types, policy
