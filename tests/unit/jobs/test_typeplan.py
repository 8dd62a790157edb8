"""From a request for a job type to a plan."""

from typing import Any

import pytest

from inventory.route import Address, Route
from jobs.jobtype import CommandAction, JobType, Kind, Param
from jobs.plan import Defaults, PlannedNode, RequestError
from jobs.records import Request
from jobs.typeplan import Site, TypePlan, needs_confirmation, plan_type

ULID = "01JD0000000000000000000000"
PARAMS = (
    Param(name="unit", kind=Kind.TEXT, label="Unit", required=True),
    Param(name="wait", kind=Kind.INT, label="Wait", default=5),
    Param(name="note", kind=Kind.TEXT, label="Note"),
    Param(name="password", kind=Kind.SECRET, label="Password"),
)


def job_type(**fields: Any) -> JobType:
    action = CommandAction(argv=("echo", "{{ params.unit }}"))
    return JobType(**{"name": "restart", "label": "Restart", "action": action, "params": PARAMS, **fields})


def planned(count: int = 1, *, made: JobType | None = None, **fields: Any) -> TypePlan:
    names = [f"web{number:02}" for number in range(1, count + 1)]
    nodes = [PlannedNode(name=n, route=Route(node=n, address=Address(host=n)), max_jobs=None) for n in names]
    request = Request(target="web", type="restart", **{"params": {"unit": "nginx"}, **fields})
    defaults = Defaults(grace_s=10.0, max_output=1 << 30, fanout=None)
    site = Site(props=(), nodes=names)
    return plan_type(
        request, made or job_type(), site, run_id=ULID, user="ann", nodes=nodes, defaults=defaults, now=1.0
    )


def wrong(**fields: Any) -> dict[str, str]:
    with pytest.raises(RequestError) as error:
        planned(**fields)
    return dict(error.value.problems)


def test_values_and_defaults_are_kept_and_secrets_are_not() -> None:
    made = planned(2, params={"unit": "nginx", "password": "hunter22"})
    run = made.plan.run
    assert (run.type, run.total, run.nodes) == ("restart", 2, "web[01-02]")
    assert run.params == {"unit": "nginx", "wait": 5, "note": None}
    assert made.secrets == {"password": "hunter22"}
    assert "hunter22" not in repr(made)
    assert [job.id for job in made.plan.jobs] == [f"{ULID}-1", f"{ULID}-2"]


def test_a_title_has_the_values_that_differ_from_the_defaults() -> None:
    assert planned().plan.run.title == "restart unit=nginx"
    assert planned(params={"unit": "nginx", "wait": 9}).plan.run.title == "restart unit=nginx wait=9"


def test_too_few_and_too_many_nodes_are_refused_with_the_limit() -> None:
    assert "at least 2" in wrong(made=job_type(min_nodes=2))["target"]
    assert "at most 2" in wrong(count=3, made=job_type(max_nodes=2))["target"]
    assert planned(2, made=job_type(min_nodes=2, max_nodes=2)).plan.run.total == 2


def test_a_disabled_type_says_why() -> None:
    assert "being rewritten" in wrong(made=job_type(disabled="being rewritten"))["type"]


def test_what_the_type_decides_cannot_be_asked_for() -> None:
    assert set(wrong(argv=("id",), cwd="/tmp", env={"A": "b"})) == {"argv", "cwd", "env"}


def test_mistakes_of_values_props_and_limits_are_told_together() -> None:
    found = wrong(params={"wait": "long", "nuit": 1}, props={"author": "x"}, timeout_s=-1.0, run_as="#0")
    assert set(found) == {"params.unit", "params.wait", "params.nuit", "props.author", "timeout_s", "run_as"}


def test_a_request_overrides_the_limits_of_the_type_also_with_zero() -> None:
    run = planned(made=job_type(timeout_s=60.0, grace_s=5.0), timeout_s=9.0, grace_s=0.0).plan.run
    assert (run.timeout_s, run.grace_s) == (9.0, 0.0)
    assert planned(made=job_type(grace_s=0.0)).plan.run.grace_s == 0.0


@pytest.mark.parametrize(
    ("answer", "is_asked"), [(None, True), ("2", True), ("yes", True), ("3", False), ("restart", False)]
)
def test_only_the_name_or_the_number_of_nodes_confirms(answer: str | None, *, is_asked: bool) -> None:
    question = needs_confirmation(job_type(confirm="Really?"), answer, 3)
    assert (question == "Really?") is is_asked
    assert needs_confirmation(job_type(), answer, 3) is None
