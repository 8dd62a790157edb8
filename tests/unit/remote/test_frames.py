from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.runner.frames import MAX_DEPTH, MAX_INTEGER, Decoder, Frame, FrameError, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT
SCALARS |= st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=10
)


def depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


HEADERS = st.builds(
    lambda members, kind: {**members, "t": kind}, st.dictionaries(TEXT, VALUES, max_size=5), TEXT
).filter(lambda header: depth(header) <= MAX_DEPTH)
FRAMES = st.lists(st.builds(Frame, HEADERS, st.binary(max_size=300)), max_size=5)


@given(FRAMES, st.data())
def test_any_cut_gives_the_same_frames(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode(frame.header, frame.payload) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    decoder = Decoder()
    decoded = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoded += decoder.feed(stream[start:end])
    assert decoded == frames


@given(st.binary(max_size=200), st.integers(1, 50))
def test_garbage_gives_frames_or_a_frame_error_however_it_is_cut(garbage: bytes, step: int) -> None:
    def outcome(step: int) -> list[Frame] | str:
        decoder = Decoder(max_header=64, max_frame=128)
        try:
            return [frame for at in range(0, len(garbage), step) for frame in decoder.feed(garbage[at : at + step])]
        except FrameError as error:
            return str(error)

    assert outcome(step) == outcome(200)


@given(st.binary(min_size=1, max_size=60))
def test_a_damaged_header_gives_a_frame_error_or_a_strict_object(text: bytes) -> None:
    data = (2 + len(text)).to_bytes(4, "big") + len(text).to_bytes(2, "big") + text
    try:
        (frame,) = Decoder().feed(data)
    except FrameError:
        return
    assert Decoder().feed(encode(frame.header)) == [frame]


def test_what_is_held_back_is_never_more_than_one_frame() -> None:
    decoder = Decoder(max_frame=1000)
    data = encode({"t": "x"}, bytes(900))
    assert len(decoder.feed(data * 50 + data[:-1])) == 50
    assert len(decoder._partial) == len(data) - 1


@pytest.mark.parametrize("size", [0, 1, 262_144 - 2 - len(b'{"t":"x"}')])
def test_a_payload_of_every_allowed_size_arrives(size: int) -> None:
    assert Decoder().feed(encode({"t": "x"}, bytes(size))) == [({"t": "x"}, bytes(size))]
