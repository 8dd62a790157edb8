"""Dates and times as people write them."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.moments import parse_moment

TODAY = datetime.date(2026, 11, 24)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T10:15:00", "2026-01-31T10:15:00"),
        ("2026-01-31T10:15:00Z", "2026-01-31T10:15:00Z"),
        ("2026-01-31T10:15:00.25+0200", "2026-01-31T10:15:00+02:00"),
        ("2026-01-31 10:15", "2026-01-31T10:15:00"),
        ("31-01-2026 10:15:00", "2026-01-31T10:15:00"),
        ("31.01.2026", "2026-01-31T00:00:00"),
        ("2026/01/31", "2026-01-31T00:00:00"),
        ("20260131 101500", "2026-01-31T10:15:00"),
        ("31012026", "2026-01-31T00:00:00"),
        ("20012001", "2001-01-20T00:00:00"),
        ("10:15:00", "2026-11-24T10:15:00"),
        ("10:15", "2026-11-24T10:15:00"),
    ],
)
def test_the_forms_of_dates_and_times_give_one_form(text: str, moment: str) -> None:
    assert parse_moment(text, TODAY) == moment


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-02-30", "2026-13-01", "1899-01-01", "2101-01-01", "2026-01/31", "24:00", "2026-01-31T10:15+99:99",
     "2026-01-31\n", "٢٠٢٦-01-31", "2026-01-31T", "1015", "31-01-26"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    assert parse_moment(text, TODAY) is None


def test_a_time_alone_needs_a_day() -> None:
    assert parse_moment("10:15:00") is None


DAYS = st.datetimes(datetime.datetime.fromisoformat("1900-01-01"), datetime.datetime.fromisoformat("2100-12-31"))


@given(DAYS, st.sampled_from(["%Y%m%d", "%d%m%Y"]))
def test_eight_digits_are_never_read_in_the_wrong_order(moment: datetime.datetime, form: str) -> None:
    assert parse_moment(moment.strftime(form)) == f"{moment:%Y-%m-%d}T00:00:00"


@given(DAYS)
def test_a_moment_that_was_read_is_read_again_as_the_same(moment: datetime.datetime) -> None:
    once = parse_moment(moment.strftime("%d-%m-%Y %H:%M:%S"))
    assert once is not None
    assert parse_moment(once) == once
