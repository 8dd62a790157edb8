"""Props."""

import pytest

from jobs.jobtype import CommandAction, JobType, Kind, Param
from jobs.params import ParamErrors
from jobs.props import SYSTEM, offered, validate_props

SITE = (Param(name="ticket", kind=Kind.TEXT, label="Ticket", default="none"),)
OWN = (Param(name="silent", kind=Kind.FLAG, label="Silent"),)


def job_type(props: tuple[Param, ...] | None) -> JobType:
    return JobType(name="x", label="x", action=CommandAction(argv=("true",)), props=props)


def test_a_types_own_list_replaces_the_sites() -> None:
    assert offered(job_type(None), SITE) == SITE
    assert offered(job_type(OWN), SITE) == OWN
    assert offered(job_type(()), SITE) == ()
    assert offered(None, SITE) == SITE


def test_props_are_checked_like_params() -> None:
    assert validate_props(SITE, {}).plain == {"ticket": "none"}
    assert validate_props(SITE, {"ticket": "OPS-1"}).plain == {"ticket": "OPS-1"}


@pytest.mark.parametrize("name", sorted(SYSTEM))
def test_nobody_sets_a_prop_of_the_system(name: str) -> None:
    with pytest.raises(ParamErrors) as caught:
        validate_props((*SITE, Param(name=name, kind=Kind.TEXT, label=name)), {name: "me", "tikcet": "x"})
    assert dict(caught.value.problems)[name] == "belongs to AnyJob itself and cannot be set"
    assert "did you mean" in dict(caught.value.problems)["tikcet"]
