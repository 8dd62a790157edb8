"""A job that a dispatcher looks after, and what the worker of its node needs of that dispatcher."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Protocol

from jobs.records import JobSpec, RunSpec, token
from orchestrator.bundles import Bundle
from orchestrator.intake import Intake
from orchestrator.store.interface import Store
from remote.transport import Transport


@dataclass(slots=True)
class Assignment:
    """A job that this dispatcher looks after."""

    spec: JobSpec
    run: RunSpec
    attempt: int
    intake: Intake  #: writes what the attempt says
    on_node: bool = False  #: the node has, or may have, its token
    resume: bool = False  #: it was claimed before: subscribe again instead of starting
    cancel_grace_s: float | None = None  #: somebody wants it to end
    unknown_since: float | None = None

    @property
    def token(self) -> str:
        """The name of this attempt on the node."""
        return token(self.spec.id, self.attempt)


class Limits(Protocol):
    """What a worker must know of its dispatcher's options."""

    @property
    def epoch(self) -> int:
        """The generation that every write carries."""

    @property
    def idle_s(self) -> float:
        """A connection without jobs is closed after that."""


class Owner(Protocol):
    """What a worker needs of its dispatcher."""

    store: Store
    transport: Transport
    now: Callable[[], float]

    @property
    def options(self) -> Limits:
        """How connections are kept."""

    async def inputs(self, run: RunSpec) -> tuple[bytes | None, bytes | None]:
        """Return a run's script and standard input, None where it has none."""

    async def bundle(self, run: RunSpec) -> Bundle | None:
        """Return the Python code that a run's jobs are, None if they are something else. Raises BundleError."""

    def secrets(self, run: RunSpec) -> Mapping[str, str]:
        """Return a run's secrets in clear. Raises SealingError."""

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run something beside, owned by the dispatcher."""

    def done(self, job: str) -> None:
        """A job needs nothing more."""

    def make_room(self) -> None:
        """Close the connection that has been idle longest, if there are too many."""
