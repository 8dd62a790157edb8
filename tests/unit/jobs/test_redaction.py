import base64
import json
import random
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from jobs.redaction import MAX_HELD, MAX_LINE, MIN_SECRET, Redactor

SMALL = st.text("ab*", min_size=MIN_SECRET, max_size=9)  # few letters: secrets overlap each other and themselves
SECRETS = st.lists(SMALL, min_size=1, max_size=4)
STREAM = st.text("ab*c\n", max_size=80).map(str.encode)


def masked(stream: bytes, *secrets: str, patterns: tuple[str, ...] = (), cuts: tuple[int, ...] = ()) -> bytes:
    redactor = Redactor(secrets, patterns)
    bounds = [0, *sorted(cuts), len(stream)]
    shown = [redactor.feed(stream[start:end]) for start, end in pairwise(bounds)]
    return b"".join([*shown, redactor.flush()])


def expected(stream: bytes, *secrets: str) -> bytes:
    """Mask by trying every secret at every byte."""
    covered = {
        at + index
        for secret in map(str.encode, secrets)
        for at in range(len(stream))
        if stream.startswith(secret, at)
        for index in range(len(secret))
    }
    return bytes(ord("*") if at in covered else byte for at, byte in enumerate(stream))


@given(SECRETS, STREAM, st.lists(st.integers(0, 80)))
@example(["xabcd", "cdef"], b"xabcdef", [5])
def test_any_cut_gives_the_same_bytes(secrets: list[str], stream: bytes, cuts: list[int]) -> None:
    assert masked(stream, *secrets, cuts=tuple(cuts)) == masked(stream, *secrets)


@given(SECRETS, STREAM, st.lists(st.integers(0, 80)))
def test_no_secret_is_left_and_every_offset_stays(secrets: list[str], stream: bytes, cuts: list[int]) -> None:
    shown = masked(stream, *secrets, cuts=tuple(cuts))
    assert len(shown) == len(stream)
    for secret in secrets:
        assert secret.strip("*") == "" or secret.encode() not in shown
    assert all(now in (was, ord("*")) for now, was in zip(shown, stream, strict=True))


@given(st.lists(st.text("abcd", min_size=4, max_size=9), min_size=1, max_size=4), st.text("abcd", max_size=80))
def test_nothing_but_secrets_is_masked(secrets: list[str], text: str) -> None:
    # what repeats itself is masked more generously; in base64 four letters look like any others
    assume(all(secret not in (secret + secret)[1 : len(secret) // 2 + len(secret)] for secret in secrets))
    assert masked(text.encode(), *secrets) == expected(text.encode(), *secrets)


@given(st.text(min_size=MIN_SECRET, max_size=40).filter(lambda text: text.strip("* \n") == text), st.integers(0, 60))
def test_the_usual_ways_to_write_a_secret_are_masked(secret: str, cut: int) -> None:
    plain = secret.encode("utf-8", "surrogatepass")
    for written in (
        plain,
        quote(plain).encode(),
        quote(plain, safe="").encode(),
        quote_plus(plain).encode(),
        quote(plain).lower().encode() if secret.islower() else plain,
        json.dumps(secret)[1:-1].encode(),
        base64.b64encode(plain),
        base64.urlsafe_b64encode(plain),
    ):
        shown = masked(b"<" + written + b">", secret, cuts=(cut,))
        assert shown.strip(b"<>=*") == b"", written


@pytest.mark.parametrize(
    ("plain", "shown"),
    [
        ("u:tr0ub4dor", "dTp************="),
        ("us:tr0ub4dor", "dXM6************"),
        ("use:tr0ub4dor", "dXNlOn************=="),
        ("use:tr0ub4dor!", "dXNlOn***********iE="),
    ],
)
def test_a_secret_inside_of_something_longer_is_masked_in_its_base64(plain: str, shown: str) -> None:
    header = b"Authorization: Basic "
    written = base64.b64encode(plain.encode())
    assert masked(header + written, "tr0ub4dor").decode().removeprefix(header.decode()) == shown


def test_wrapped_base64_is_masked_line_by_line() -> None:
    secret = random.Random(4).randbytes(300).hex()
    for wrapped in (base64.encodebytes(secret.encode()), b"\n".join(_slices(base64.b64encode(secret.encode()), 64))):
        assert set(masked(wrapped, secret)) <= set(b"*=\n")


def _slices(data: bytes, width: int) -> list[bytes]:
    return [data[at : at + width] for at in range(0, len(data), width)]


def test_each_line_of_a_secret_is_masked_wherever_it_stands() -> None:
    key = "-----BEGIN KEY-----\nMIIBVAIBADAN\nBgkqhkiG9w0BAQ\n-----END KEY-----\n"
    shown = masked(b"line 2: MIIBVAIBADAN\r\nline 3: BgkqhkiG9w0BAQ\n", key)
    assert shown == b"line 2: ************\r\nline 3: **************\n"


def test_a_secret_shorter_than_four_characters_is_not_masked() -> None:
    redactor = Redactor(["abc"])
    assert redactor.add("xyz") is False
    assert redactor.feed(b"abc xyz") == b"abc xyz"


def test_only_what_may_become_a_secret_is_held_back() -> None:
    redactor = Redactor(["hunter22"])
    assert redactor.feed(b"Password? ") == b"Password? "
    assert redactor.feed(b"it is hunt") == b"it is "
    assert redactor.feed(b"ing") == b"hunting"
    assert redactor.feed(b"hunter2") == b""
    assert redactor.flush() == b"hunter2"


def test_a_text_is_masked_from_the_moment_it_is_known() -> None:
    redactor = Redactor()
    assert redactor.feed(b"token-1 ") == b"token-1 "
    redactor.add("token-1")
    assert redactor.feed(b"token-1 ") == b"******* "
    assert redactor.mask("lost token-1!") == "lost *******!"


@given(SECRETS, STREAM, st.integers(0, 80))
def test_what_was_shown_can_be_the_end_of_one_redactor_and_the_rest_begin_a_new_one(
    secrets: list[str], stream: bytes, cut: int
) -> None:
    shown = Redactor(secrets).feed(stream[:cut])
    again = Redactor(secrets)
    assert shown + again.feed(stream[len(shown) :]) + again.flush() == masked(stream, *secrets)


def test_a_pattern_masks_its_groups_or_else_itself() -> None:
    patterns = (r"password=(\S+)", r"\d{4}-\d{4}")
    assert masked(b"password=x y\n1234-5678\n", patterns=patterns) == b"password=* y\n*********\n"


@given(st.text("a=b\n\r", max_size=60), st.lists(st.integers(0, 60)))
def test_any_cut_gives_the_same_bytes_with_patterns(text: str, cuts: list[int]) -> None:
    stream = text.encode()
    patterns = ("a=(b+)", "ba$")
    assert masked(stream, "bbbb", patterns=patterns, cuts=tuple(cuts)) == masked(stream, "bbbb", patterns=patterns)


def test_a_long_line_is_seen_in_pieces_that_do_not_depend_on_the_cuts() -> None:
    stream = b"x" * (MAX_LINE - 2) + b"key1" + b"y" * MAX_LINE + b"key1\n"
    whole = masked(stream, patterns=("key1",))
    assert whole.count(b"*") == 4
    for cut in (1, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE):
        assert masked(stream, patterns=("key1",), cuts=(cut,)) == whole


def test_a_pattern_that_is_none_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"'\(' is no regular expression: missing \)"):
        Redactor((), ["("])


def test_secrets_that_overlap_for_ever_are_not_held_for_ever() -> None:
    redactor = Redactor(["aaaaaaaa"])
    shown = redactor.feed(b"a" * (MAX_HELD + 100)) + redactor.feed(b"a" * 100 + b"!") + redactor.flush()
    assert shown == b"*" * (MAX_HELD + 200) + b"!"


@pytest.mark.parametrize("secret", ["a" * 4000, "a" * 4000 + "b", "ab" * 2000, "a" * 2000 + "b" + "a" * 2000])
def test_hostile_repetition_comes_to_an_end(secret: str) -> None:
    redactor = Redactor([secret])  # a search that begins anew at every byte would need minutes
    shown = [redactor.feed(piece) for piece in _slices(b"a" * (1 << 20), 65536)]
    assert len(b"".join([*shown, redactor.flush()])) == 1 << 20


def test_neither_secrets_nor_patterns_stand_in_its_repr() -> None:
    assert "geheim" not in repr(Redactor(["geheim"], ["geheim"]))
