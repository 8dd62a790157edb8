"""The one-time token and the sessions."""

import pytest

from web.sessions import IDLE_S, LIFETIME_S, MAX_STREAMS, Sessions


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_token_opens_one_session() -> None:
    sessions = Sessions()
    assert sessions.find(sessions.exchange(sessions.token)) is not None
    assert sessions.exchange(sessions.token) is None


@pytest.mark.parametrize("token", ["", "x", "é", "\udcff", "x" * 43])
def test_a_wrong_token_opens_nothing_and_does_not_use_the_right_one_up(token: str) -> None:
    sessions = Sessions()
    assert sessions.exchange(token) is None
    assert sessions.exchange(sessions.token) is not None


def test_a_token_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        Sessions("dev")


def test_ids_and_tokens_are_long_and_never_the_same() -> None:
    made = [Sessions() for _ in range(50)]
    ids = {sessions.exchange(sessions.token) for sessions in made}
    assert len(ids | {sessions.token for sessions in made}) == 100
    assert min(len(text or "") for text in ids) >= 43  # 256 bits in base64


def test_a_session_that_is_idle_too_long_is_over_and_use_keeps_it() -> None:
    clock = Clock()
    sessions = Sessions(clock=clock)
    session_id = sessions.exchange(sessions.token)
    clock.now += IDLE_S
    assert sessions.find(session_id) is not None
    clock.now += IDLE_S
    assert sessions.find(session_id) is not None
    clock.now += IDLE_S + 1
    assert sessions.find(session_id) is None


def test_a_look_that_is_not_a_persons_does_not_keep_a_session() -> None:
    clock = Clock()
    sessions = Sessions(clock=clock)
    session_id = sessions.exchange(sessions.token)
    clock.now += IDLE_S
    assert sessions.find(session_id, touch=False) is not None
    clock.now += 1
    assert sessions.find(session_id) is None


def test_every_session_ends_at_its_limit() -> None:
    clock = Clock()
    sessions = Sessions(clock=clock)
    session_id = sessions.exchange(sessions.token)
    while clock.now < 1000 + LIFETIME_S:
        assert sessions.find(session_id) is not None
        clock.now += IDLE_S
    clock.now += 1
    assert sessions.find(session_id) is None


def test_an_ended_session_and_an_id_from_elsewhere_are_nobody() -> None:
    sessions = Sessions()
    session_id = sessions.exchange(sessions.token)
    sessions.end(session_id)
    for text in (session_id, "chosen-by-somebody-else", "", None, "\udcff"):
        assert sessions.find(text) is None


def test_the_number_of_streams_is_limited_and_comes_back() -> None:
    sessions = Sessions()
    session = sessions.find(sessions.exchange(sessions.token))
    assert session is not None
    assert [sessions.enter_stream(session) for _ in range(MAX_STREAMS + 1)] == [True] * MAX_STREAMS + [False]
    sessions.leave_stream(session)
    assert sessions.enter_stream(session)
