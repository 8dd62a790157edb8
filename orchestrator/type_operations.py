"""The operations of the local API that are about job types, repetition and reasons (`docs/reference/local-api.md`)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jobs.jobtype import JobType, encode
from orchestrator.calls import Call, Operation
from orchestrator.planning import Planned, ServiceError
from orchestrator.rerun import Only
from orchestrator.service import Service
from orchestrator.translate import launch


class TypeOperations:
    """One method per operation; `table` names what can be called."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.table: Mapping[str, Operation] = {
            "types": self._types,
            "type": self._type,
            "plan": self._plan,
            "rerun": self._rerun,
            "why": self._why,
        }

    async def _types(self, call: Call) -> None:
        await call.ok({"types": [_described(job_type) for job_type in self._service.planner.job_types]})

    async def _type(self, call: Call) -> None:
        job_type = self._service.planner.job_type(call.text("name"))
        await call.ok({**_described(job_type), "action": encode(job_type.action)})

    async def _plan(self, call: Call) -> None:
        planned = await self._service.planner.plan(call.caller, "0" * 26, call.request())
        await call.ok(_shown(planned))

    async def _rerun(self, call: Call) -> None:
        only = call.fields.get("only", "all")
        try:
            wanted = msgspec.convert(only, Only | tuple[str, ...])
        except msgspec.ValidationError as error:
            raise ServiceError("bad_request", "only: expected all, failed, unreached, or a list of nodes") from error
        await call.ok(await self._service.rerun(call.caller, call.text("new_id"), call.text("id"), wanted))

    async def _why(self, call: Call) -> None:
        record, chain = await self._service.why(call.text("id"))
        await call.ok({"id": record.id, "state": record.state, "chain": chain})


def _described(job_type: JobType) -> dict[str, Any]:
    """Return what forms and lists need; what it runs only belongs to those who look at one type."""
    described: dict[str, Any] = msgspec.to_builtins(job_type)
    del described["action"]
    return described


def _shown(planned: Planned) -> dict[str, Any]:
    """Return a plan as people are shown it: no secret, the command as the first node gets it."""
    run, jobs = planned.plan.run, planned.plan.jobs
    shown: dict[str, Any] = {
        "nodes": [job.node for job in jobs],
        "folded": run.nodes,
        "count": run.total,
        "title": run.title,
        "type": run.type,
        "values": {**run.params, **dict.fromkeys(planned.secrets, "***")},
        "defaulted": list(planned.defaulted),
        "props": run.props,
        "run_as": run.run_as_user,
        "confirm": planned.question,
    }
    if jobs and run.action is not None:
        first = launch(run, jobs[0], 1)
        shown["command"] = list(first.spec.argv or ())
        shown["script"] = None if first.script is None else first.script.decode()
    return shown
