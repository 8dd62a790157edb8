"""The operations of the local API (`docs/reference/local-api.md`): fields in, one call of the service, result out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import msgspec

from inventory import Node
from jobs.plan import MAX_INPUT_BYTES
from jobs.records import RunRecord
from orchestrator.calls import Call, Operation, as_json
from orchestrator.following import STREAMS, Chunk, End, Position, Snapshot
from orchestrator.planning import ServiceError
from orchestrator.service import Service
from orchestrator.store.interface import RunEvent, StreamName
from orchestrator.type_operations import TypeOperations

MAX_OUTPUT = 4 << 20  #: bytes in one answer of `output`


class Operations:
    """One method per operation; `table` names what can be called, and nothing else can."""

    def __init__(self, service: Service, info: Mapping[str, object]) -> None:
        self._service = service
        self._info = info
        self.on_reload: Callable[[], Awaitable[int]] = service.planner.reload
        self.table: Mapping[str, Operation] = {
            "ping": self._ping,
            "submit": self._submit,
            "runs": self._runs,
            "run": self._run,
            "output": self._output,
            "cancel": self._cancel,
            "follow": self._follow,
            "nodes": self._nodes,
            "check": self._check,
            "reload": self._reloaded,
            "stats": self._stats,
            "complete": self._complete,
            **TypeOperations(service).table,
        }

    async def _ping(self, call: Call) -> None:
        await call.ok(self._info)

    async def _submit(self, call: Call) -> None:
        if len(call.payload) > 2 * MAX_INPUT_BYTES:
            raise ServiceError("bad_request", "script and standard input are too large")
        record = await self._service.submit(call.caller, call.text("id"), call.request(), call.payload)
        await call.ok(record)

    async def _runs(self, call: Call) -> None:
        limit = call.maybe("limit", int) or 50
        wanted = {name: call.maybe(name, str) for name in ("node", "state", "user")}
        before = call.maybe("before", str)
        active = bool(call.fields.get("active"))
        found: list[RunRecord] = []
        while len(found) < limit:
            page = await self._service.runs(active=active, limit=max(limit, 50), before=before)
            if not page:
                break
            before = page[-1].id
            found += [record for record in page if await self._matches(record, wanted)]
            if active:
                break
        complete = len(found) <= limit
        found = found[:limit]
        await call.ok({"runs": found, "next": None if complete and not before else (found[-1].id if found else None)})

    async def _matches(self, record: RunRecord, wanted: Mapping[str, str | None]) -> bool:
        if wanted["user"] not in (None, record.user) or wanted["state"] not in (None, record.state):
            return False
        if wanted["node"] is None:
            return True
        whole = await self._service.run(record.id)
        return any(job.node == wanted["node"] for job in whole.jobs or ())

    async def _run(self, call: Call) -> None:
        await call.ok(await self._service.run(call.text("id")))

    async def _output(self, call: Call) -> None:
        stream = _stream(call.text("stream"))
        limit = min(call.maybe("limit", int) or MAX_OUTPUT, MAX_OUTPUT)
        piece = await self._service.output(call.text("id"), stream, call.maybe("offset", int) or 0, limit)
        end = piece.offset + len(piece.data)
        header = {"offset": piece.offset, "next": end, "size": piece.size, "complete": end >= piece.size}
        await call.send({"t": "ok", **header}, piece.data)

    async def _cancel(self, call: Call) -> None:
        grace_s = call.maybe("grace_s", (int, float))
        cancelled, requested, ended = await self._service.cancel(call.caller, call.text("id"), grace_s=grace_s)
        await call.ok({"cancelled": cancelled, "requested": requested, "ended": ended})

    async def _follow(self, call: Call) -> None:
        position = Position(offsets=_offsets(call.fields.get("offsets")), event=call.maybe("events_after", str) or "0")
        output = call.fields.get("output", True) is not False
        async for item in self._service.follow(call.text("id"), position, output=output):
            match item:
                case Chunk():
                    header = {"job": item.job, "node": item.node, "stream": item.stream, "offset": item.offset}
                    await call.send({"t": "output", **header}, item.data)
                case RunEvent():
                    await call.send({"t": "event", "id": item.id, **item.fields}, b"")
                case Snapshot():
                    await call.send({"t": "snapshot"}, as_json(item.run))
                case End():
                    await call.send({"t": "end"}, as_json(item.run))

    async def _nodes(self, call: Call) -> None:
        sources = call.texts("inventory")
        target = call.maybe("target", str)
        inventory = await self._service.planner.inventory(sources)
        if target is None:
            nodes = tuple(inventory.nodes.values())
        else:
            nodes = (await self._service.planner.select(target, inventory=sources)).nodes
        groups = {
            name: sorted(node.name for node in inventory.nodes.values() if name in node.groups)
            for name in inventory.groups
        }
        warnings = [str(problem) for problem in inventory.warnings]
        await call.ok({"nodes": [_node(node) for node in nodes], "groups": groups, "problems": warnings})

    async def _check(self, call: Call) -> None:
        selection = await self._service.planner.select(call.maybe("target", str), inventory=call.texts("inventory"))
        described = {node.name: _node(node) for node in selection.nodes}
        async for found in self._service.check(selection, call.texts("users")):
            result = {**described[found.node], "reachable": found.reachable, **found.facts}
            await call.send({"t": "node"}, as_json(result))
        await call.send({"t": "end"}, b"{}")

    async def _reloaded(self, call: Call) -> None:
        await call.ok({"nodes": await self.on_reload()})

    async def _stats(self, call: Call) -> None:
        await call.ok(await self._service.stats())

    async def _complete(self, call: Call) -> None:
        prefix = call.maybe("prefix", str) or ""
        kind = call.text("kind")
        if kind == "run":
            items = [record.id for record in await self._service.runs(active=False, limit=200, before=None)]
        elif kind == "job":
            items = await self._job_ids(prefix)
        elif kind == "type":
            items = [job_type.name for job_type in self._service.planner.job_types]
        else:
            inventory = await self._service.planner.inventory(call.texts("inventory"))
            items = list(inventory.nodes if kind == "node" else inventory.groups)
        await call.ok({"items": [item for item in items if item.startswith(prefix)][:200]})

    async def _job_ids(self, prefix: str) -> list[str]:
        """Return the members of the run before the hyphen: all jobs of all runs would be too many to choose from."""
        run_id, hyphen, _ = prefix.partition("-")
        if not hyphen:
            return []
        try:
            run = await self._service.run(run_id)
        except ServiceError:
            return []
        return [job.id for job in run.jobs or ()]


def _stream(text: str) -> StreamName:
    for name in STREAMS:
        if text == name:
            return name
    raise ServiceError("bad_request", "stream: expected stdout or stderr")


def _offsets(value: object) -> dict[tuple[str, StreamName], int]:
    try:
        offsets = msgspec.convert(value or {}, dict[str, dict[str, Annotated[int, msgspec.Meta(ge=0)]]])
    except msgspec.ValidationError as error:
        raise ServiceError("bad_request", "offsets: expected {job: {stdout: n, stderr: n}}") from error
    return {(job, _stream(name)): offset for job, streams in offsets.items() for name, offset in streams.items()}


def _node(node: Node) -> dict[str, object]:
    return {
        "name": node.name,
        "host": node.host,
        "port": node.port,
        "user": node.user,
        "labels": dict(node.labels),
        "vars": dict(node.vars),
        "groups": sorted(node.groups),
        "max_jobs": node.max_jobs,
        "order": node.order,
        "disabled": node.disabled,
        "python": node.python,
        "identity": list(node.identity),
        "jump": list(node.jump),
    }
