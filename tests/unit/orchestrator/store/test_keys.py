import datetime
import re

import pytest

from orchestrator.store.keys import Keys, check_id, day_of, run_of

RUN = "01JDABCDEFGHJKMNPQRSTVWXYZ"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "01JD",
        RUN.lower(),
        RUN + "-0",
        RUN + "-",
        RUN + "-1/..",
        RUN + "\n",
        "8" + RUN[1:],
        RUN[:-1] + "U",
        "é" * 26,
    ],
)
def test_what_is_no_id_never_becomes_a_key_or_a_path(text: str) -> None:
    with pytest.raises(ValueError, match="not the id of a run or a job"):
        check_id(text)


def test_a_job_tells_its_run() -> None:
    assert run_of(RUN) == run_of(f"{RUN}-17") == RUN


def test_an_id_tells_the_day_it_was_made() -> None:
    assert day_of("01ARZ3NDEKTSV4RRFFQ69G5FAV") == datetime.date(2016, 7, 30)


def test_all_that_one_move_changes_is_in_one_slot() -> None:
    tags = {re.search(r"\{(.*?)\}", key)[1] for key in Keys("anyjob").moving(f"{RUN}-3")}
    assert tags == {"c"}


def test_the_output_of_two_jobs_may_be_in_two_slots_and_that_of_one_is_in_one() -> None:
    keys = Keys("anyjob")
    tags = [
        re.search(r"\{(.*?)\}", key)[1] for key in (keys.meta(RUN), keys.output(RUN, "out"), keys.output(RUN, "err"))
    ]
    assert tags == [RUN] * 3
