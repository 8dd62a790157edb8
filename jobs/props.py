"""Props: what AnyJob and observers see of a run, as params are what the job sees.

The site offers a list of them; a job type's own list replaces it, it is not added to it. Some belong to AnyJob itself:
nobody can set them, offer them or take them over.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jobs.jobtype import JobType, Param
from jobs.params import ParamErrors, Values, validate

SYSTEM: Final = frozenset({"author", "creator", "delayed", "observer", "response_url", "service", "source", "time"})


def offered(job_type: JobType | None, site: Sequence[Param]) -> tuple[Param, ...]:
    """The props that a person may set: the type's own list, else the site's."""
    if job_type is None or job_type.props is None:
        return tuple(site)
    return job_type.props


def validate_props(props: Sequence[Param], given: Mapping[str, Any]) -> Values:
    """Check props as `jobs.params.validate` checks params; those of the system are refused by name.

    Raises:
        ParamErrors: With every mistake.
    """
    mistakes = [(name, "belongs to AnyJob itself and cannot be set") for name in given if name in SYSTEM]
    rest = {name: value for name, value in given.items() if name not in SYSTEM}
    try:
        values = validate(props, rest)
    except ParamErrors as error:
        raise ParamErrors([*mistakes, *error.problems]) from None
    if mistakes:
        raise ParamErrors(mistakes)
    return values
