"""Positions in a run as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.cursor import MAX_CURSOR, Cursor, CursorError, decode, encode, job_id

RUN = "01JDXHZZZZ0000000000000001"
NUMBER = st.integers(0, 1 << 53)
CURSORS = st.builds(
    Cursor,
    st.dictionaries(
        st.integers(0, 100_000).map(lambda index: job_id(RUN, index)),
        st.fixed_dictionaries({"stdout": NUMBER, "stderr": NUMBER}),
        max_size=30,
    ),
    st.none() | st.from_regex(r"[0-9]{1,13}-[0-9]{1,3}", fullmatch=True),
)


@given(CURSORS)
def test_a_position_survives_the_way_to_the_browser_and_back(cursor: Cursor) -> None:
    text = encode(RUN, cursor)
    assert decode(RUN, text) == cursor
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text


@given(st.text() | st.from_regex(r"[0-9-]{0,5}~[A-Za-z0-9_-]{0,40}", fullmatch=True))
def test_any_other_text_is_refused_or_is_a_position(text: str) -> None:
    try:
        cursor = decode(RUN, text)
    except CursorError:
        return
    for streams in cursor.offsets.values():
        assert all(0 <= number <= 1 << 53 for number in streams.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "9e99",
        "0",
        "~A",
        "~AAA=",
        "~gICAgICAgICAgIAB",
        "~AAAA",
        "~AQ",
        "~AQAAAAAA",
        "x y~",
        "~" + "A" * MAX_CURSOR,
    ],
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(CursorError):
        decode(RUN, text)


def test_two_thousand_nodes_fit_a_request_header() -> None:
    offsets = {job_id(RUN, index): {"stdout": 5_000_000, "stderr": 100} for index in range(1, 2001)}
    assert len(encode(RUN, Cursor(offsets, "1700000000000-0"))) < 17_000
