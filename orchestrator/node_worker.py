"""The conversation with one node: connects when there is something to do, starts jobs, writes what comes back.

It does not decide: what a job's end means is `orchestrator.translate`, what may follow what is the store's table. A
lost connection changes no job: the worker connects again and goes on from the bytes that the store has.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence

from inventory.route import Route
from jobs.lifecycle import Event
from jobs.rendering import RenderError
from orchestrator.assignment import Assignment, Owner
from orchestrator.bundles import BundleError
from orchestrator.probes import Probes
from orchestrator.sealing import SealingError
from orchestrator.service import NodeCheck
from orchestrator.translate import judged, launch, meaning, merge, next_attempt, trouble
from remote.errors import UnfitError, UnreachableError, UnsendableError
from remote.session import Absent, Claimed, Ended, Facts, Fault, NodeEvent, OutputChunk, Refused, Started, Want
from remote.transport import Link

log = logging.getLogger(__name__)
_BACKOFF_S = (0.5, 30.0)  #: first and longest pause before a node with live jobs is tried again
_LOOK_S = 5.0  #: how often an idle connection looks at its age
_UNSTARTABLE: dict[type[Exception], str] = {
    UnsendableError: "too_large",
    RenderError: "bad_template",
    BundleError: "bad_bundle",
    SealingError: "sealed_otherwise",
}


class NodeWorker:
    """The conversation with one node: connects when there is something to do, stays warm for a while after."""

    def __init__(self, owner: Owner, route: Route) -> None:
        self.route = route
        self.idle_since = owner.now()
        self._owner = owner
        self._store = owner.store
        self._jobs: dict[str, Assignment] = {}
        self._probes = Probes(route.node, owner.now)
        self._link: Link | None = None
        self._retired = asyncio.Event()

    # --- what the dispatcher asks for

    def give(self, assignment: Assignment) -> None:
        """Take a job over."""
        self._jobs[assignment.token] = assignment
        if self._link is not None:
            self._owner.spawn(self._begin(self._link, assignment))

    async def cancel(self, job: str, grace_s: float | None) -> None:
        """End a job: at once if the node cannot have it, else through the node."""
        for assignment in self._jobs.values():
            if assignment.spec.id == job:
                assignment.cancel_grace_s = assignment.run.grace_s if grace_s is None else grace_s
                if self._link is not None and assignment.on_node:
                    await self._send(self._link, self._link.session.cancel(assignment.token, assignment.cancel_grace_s))

    async def probe(self, users: Sequence[str]) -> NodeCheck:
        """Ask the node about itself."""
        answer = self._probes.add(users)
        if self._link is not None:
            await self._send(self._link, self._probes.ask(self._link))
        return await answer

    def retire(self) -> None:
        """Close the connection if nothing is going on."""
        self._retired.set()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._link is not None

    @property
    def idle(self) -> bool:
        """Whether nothing is going on."""
        return not (self._jobs or self._probes)

    # --- connection

    async def run(self) -> None:
        """Converse with the node until nothing is left to do and the connection has been idle for a while."""
        pause_s = _BACKOFF_S[0]
        while not self.idle:
            link = await self._connect()
            if link is None:
                if not self.idle:
                    await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not a secret
                    pause_s = min(pause_s * 2, _BACKOFF_S[1])
                continue
            pause_s = _BACKOFF_S[0]
            try:
                await self._converse(link)
            except UnreachableError as error:
                await self._lost(error)
            finally:
                self._link = None
                await link.close()

    async def _connect(self) -> Link | None:
        self._owner.make_room()
        started = self._owner.now()
        timeouts = [job.run.connect_timeout_s for job in self._jobs.values() if job.run.connect_timeout_s]
        try:
            link = await self._owner.transport.connect(
                self.route, connect_timeout_s=max(timeouts) if timeouts else None
            )
        except (UnreachableError, UnfitError) as error:
            await self._unusable(error)
            return None
        self._probes.connect_s = self._owner.now() - started
        log.info("node connected", extra={"node": self.route.node, "seconds": round(self._probes.connect_s, 3)})
        return link

    async def _unusable(self, error: UnreachableError | UnfitError) -> None:
        """Conclude the jobs that the node provably does not have; the others stay unknown until it is back."""
        log.warning("node cannot be used", extra={"node": self.route.node, "reason": error.code, "error": str(error)})
        self._probes.fail(error)
        for assignment in tuple(self._jobs.values()):
            if assignment.on_node:
                await self._unknown(assignment)
            elif assignment.cancel_grace_s is not None:
                await self._conclude(assignment, Event.CANCELLED, {"reason": "cancelled"})
            else:
                await self._conclude(assignment, Event.START_FAILED, trouble(error))

    async def _lost(self, error: UnreachableError) -> None:
        log.warning("connection lost", extra={"node": self.route.node, "reason": error.code, "error": str(error)})
        self._probes.fail(error)
        for assignment in tuple(self._jobs.values()):
            await self._unknown(assignment)

    async def _unknown(self, assignment: Assignment) -> None:
        if assignment.on_node and assignment.unknown_since is None:
            assignment.unknown_since = self._owner.now()
            await self._store.set_link(assignment.spec.id, "unknown", since=assignment.unknown_since)

    # --- conversation

    async def _converse(self, link: Link) -> None:
        """Begin what waits, take what comes; return when the connection has been idle long enough."""
        self._link = link
        for assignment in tuple(self._jobs.values()):
            await self._begin(link, assignment)
        if self._probes:
            await self._send(link, self._probes.ask(link))
        receiving = asyncio.ensure_future(link.receive())
        retiring = asyncio.ensure_future(self._retired.wait())
        try:
            while True:
                left_s = self.idle_since + self._owner.options.idle_s - self._owner.now()
                done, _ = await asyncio.wait(
                    {receiving, retiring},
                    timeout=min(max(left_s, 0.0), _LOOK_S) if self.idle else _LOOK_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if receiving in done:
                    events = receiving.result()
                    receiving = asyncio.ensure_future(link.receive())
                    await self._take(link, events)
                elif self.idle and (retiring in done or left_s <= 0):
                    return
                elif retiring in done:
                    self._retired.clear()
                    retiring = asyncio.ensure_future(self._retired.wait())
        finally:
            receiving.cancel()
            retiring.cancel()
            await asyncio.gather(receiving, retiring, return_exceptions=True)

    async def _begin(self, link: Link, assignment: Assignment) -> None:
        """Start a job, or go on with it."""
        if assignment.cancel_grace_s is not None and not assignment.on_node:
            await self._conclude(assignment, Event.CANCELLED, {"reason": "cancelled"})
            return
        try:
            data = await self._opening(link, assignment)
        except (UnsendableError, RenderError, BundleError, SealingError) as error:
            fields = {"reason": _UNSTARTABLE[type(error)], "message": str(error)}
            await self._conclude(assignment, Event.START_FAILED, fields)
            return
        assignment.on_node = True
        if assignment.cancel_grace_s is not None:
            data += link.session.cancel(assignment.token, assignment.cancel_grace_s)
        await self._send(link, data)
        if assignment.unknown_since is not None:
            assignment.unknown_since = None
            await self._store.set_link(assignment.spec.id, "connected", since=self._owner.now())

    async def _opening(self, link: Link, assignment: Assignment) -> bytes:
        """Return the bytes that start a job, or subscribe to it again."""
        assignment.intake.restart()
        if assignment.resume:
            kept = assignment.intake.kept
            return link.session.tail(assignment.token, kept["out"], kept["err"], kept["rep"])
        run = assignment.run
        script, stdin = await self._owner.inputs(run)
        bundle = await self._owner.bundle(run)
        made = launch(run, assignment.spec, assignment.attempt, bundle=bundle.told if bundle else None)
        secrets = self._owner.secrets(run)
        return link.session.start(
            assignment.token,
            made.spec,
            script if made.script is None else made.script,
            stdin,
            params=made.params,
            secrets=secrets or None,
        )

    @staticmethod
    async def _send(link: Link, data: bytes) -> None:
        """Send; a loss is not ours to handle: whoever receives will see it."""
        try:
            await link.send(data)
        except UnreachableError:
            log.debug("send failed", extra={"node": link.node})

    async def _take(self, link: Link, events: Sequence[NodeEvent]) -> None:
        """Write one batch: beginnings and output first, ends when that is safe."""
        ends = [event for event in events if isinstance(event, (Ended, Refused, Absent))]
        writes = [self._note(event) for event in events if isinstance(event, (Claimed, Started))]
        writes += [
            self._jobs[chunks[0].token].intake.take(chunks) for chunks in merge(events) if chunks[0].token in self._jobs
        ]
        await asyncio.gather(*writes)
        spoke = {event.token for event in events if isinstance(event, OutputChunk)}
        await self._acknowledge(link, spoke - {event.token for event in ends})  # those are forgotten in a moment
        await asyncio.gather(*(self._end(link, event) for event in ends))
        for event in events:
            if isinstance(event, Facts):
                self.idle_since = self._owner.now()
                self._probes.told(link, event)
            elif isinstance(event, Want):
                await self._supply(link, event)
            elif isinstance(event, Fault):
                log.warning("node reports a fault", extra={"node": self.route.node, "error": event.message})

    async def _supply(self, link: Link, event: Want) -> None:
        """Send the bundle that a node lacks."""
        assignment = self._jobs.get(event.token)
        if assignment is None:
            return
        try:
            bundle = await self._owner.bundle(assignment.run)
            if bundle is not None:
                await self._send(link, link.session.bundle(event.token, bundle.data))
        except (BundleError, ValueError) as error:  # the files changed since the start was sent: the node waits on
            log.warning("bundle cannot be sent", extra={"node": self.route.node, "error": str(error)})

    async def _note(self, event: Claimed | Started) -> None:
        assignment = self._jobs.get(event.token)
        if assignment is None:
            return
        assignment.resume = True
        now = self._owner.now()
        kind, fields = (Event.CLAIMED, {}) if isinstance(event, Claimed) else (Event.STARTED, {"started": now})
        await self._store.apply(
            assignment.spec.id, assignment.attempt, kind, epoch=self._owner.options.epoch, now=now, fields=fields
        )

    async def _acknowledge(self, link: Link, tokens: set[str]) -> None:
        kept = [self._jobs[name] for name in tokens if name in self._jobs]
        data = b"".join(
            link.session.ack(job.token, job.intake.kept["out"], job.intake.kept["err"], job.intake.kept["rep"])
            for job in kept
        )
        if data:
            await self._send(link, data)

    async def _end(self, link: Link, event: Ended | Refused | Absent) -> None:
        assignment = self._jobs.get(event.token)
        if assignment is None:
            return
        if isinstance(event, Ended):
            await assignment.intake.rest()
        finish = assignment.intake.finish if isinstance(event, Ended) else None
        kind, fields = meaning(event, node=self.route.node, success_codes=assignment.run.success_codes)
        await self._conclude(assignment, *judged(kind, fields, finish))
        await self._send(link, link.session.forget(event.token))

    async def _conclude(self, assignment: Assignment, event: Event, fields: Mapping[str, object]) -> None:
        """Write the end of an attempt, for good or back to the queue for the next one; then let go of it."""
        now, epoch = self._owner.now(), self._owner.options.epoch
        job, attempt = assignment.spec.id, assignment.attempt
        again = next_attempt(assignment.run, event, fields, attempt, redo=assignment.intake.redo)
        retried = again is not None and await self._store.retry(
            job, attempt, epoch=epoch, now=now, at=now + again.after_s, fields=fields, reason="retry", message=again.why
        )
        if not retried:
            await self._store.apply(job, attempt, event, epoch=epoch, now=now, fields=fields)
        self._jobs.pop(assignment.token, None)
        self._owner.done(job)
        self.idle_since = now
