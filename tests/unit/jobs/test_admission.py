"""Which waiting jobs may start."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jobs.admission import Admission, Waiting

NOW = 1000.0


def waiting(job: str, run: str = "r", node: str = "n", **limits: int) -> Waiting:
    return Waiting(job, run, node, limits.get("max_jobs"), limits.get("fanout"), 0.0)


def test_jobs_without_limits_start_at_once_in_order() -> None:
    admission = Admission()
    admission.submitted([waiting("a"), waiting("b", node="m")])
    assert admission.admit(NOW) == ["a", "b"]


def test_a_node_takes_no_more_than_its_slots_and_the_next_one_starts_when_one_ends() -> None:
    admission = Admission()
    admission.submitted([waiting(name, max_jobs=1) for name in "abc"])
    assert admission.admit(NOW) == ["a"]
    assert admission.reason("b") == "node_busy"
    admission.ended("a")
    assert admission.admit(NOW) == ["b"]


def test_a_full_run_does_not_hold_up_another_run_on_the_same_node() -> None:
    admission = Admission()
    admission.submitted(
        [waiting("a", run="r", node="x", fanout=1), waiting("b", run="r", node="n", fanout=1, max_jobs=1)]
    )
    admission.submitted([waiting("c", run="s", node="n", max_jobs=1)])
    assert admission.admit(NOW) == ["a", "c"]
    assert admission.reason("b") == "fanout"


def test_a_cancelled_job_leaves_the_queue() -> None:
    admission = Admission()
    admission.submitted([waiting(name, max_jobs=1) for name in "abc"])
    admission.admit(NOW)
    admission.ended("b")
    admission.ended("a")
    assert admission.admit(NOW) == ["c"]
    assert admission.waiting == 0


def test_a_job_submitted_twice_starts_once() -> None:
    admission = Admission()
    admission.submitted([waiting("a"), waiting("a")])
    assert admission.admit(NOW) == ["a"]
    admission.submitted([waiting("a")])
    assert admission.admit(NOW) == []


def test_a_job_taken_over_holds_its_slot() -> None:
    admission = Admission()
    admission.running(waiting("a", max_jobs=1))
    admission.submitted([waiting("b", max_jobs=1)])
    assert admission.admit(NOW) == []
    admission.ended("a")
    assert admission.admit(NOW) == ["b"]


def test_a_postponed_job_gives_back_what_it_held_and_waits_for_its_time() -> None:
    admission = Admission()
    admission.submitted([waiting("a", max_jobs=1), waiting("b", max_jobs=1)])
    assert admission.admit(NOW) == ["a"]
    admission.postponed(waiting("a", max_jobs=1), NOW + 5)
    assert admission.admit(NOW) == ["b"]
    assert (admission.reason("a"), admission.next_at) == ("retry_delay", NOW + 5)
    admission.ended("b")
    assert admission.admit(NOW + 4.9) == []
    assert admission.admit(NOW + 5) == ["a"]
    assert admission.next_at is None


def test_a_postponed_job_that_is_cancelled_never_starts() -> None:
    admission = Admission()
    admission.postponed(waiting("a"), NOW)
    admission.ended("a")
    assert admission.admit(NOW + 1) == []


def test_only_jobs_older_than_the_limit_are_overdue() -> None:
    admission = Admission()
    admission.submitted([waiting("a", max_jobs=1), *(Waiting(str(t), "r", "n", 1, None, float(t)) for t in (1, 2, 3))])
    admission.admit(NOW)
    assert admission.overdue(3.0) == ["1", "2"]


actions = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.just("end"), st.integers(0, 60), st.just(0)),
    ),
    max_size=80,
)


@given(actions, st.integers(1, 3), st.integers(1, 3))
def test_limits_are_never_broken_and_nobody_waits_for_nothing(
    steps: list[tuple[str, int, int]], max_jobs: int, fanout: int
) -> None:
    admission, known, live = Admission(), [], {}
    for action, first, second in steps:
        if action == "submit":
            job = Waiting(f"j{len(known)}", f"r{first}", f"n{second}", max_jobs, fanout, float(len(known)))
            known.append(job)
            admission.submitted([job])
        elif known:
            job = known[first % len(known)]
            live.pop(job.job, None)
            admission.ended(job.job)
        by_id = {job.job: job for job in known}
        live.update((name, by_id[name]) for name in admission.admit(NOW))
        assert all(number <= max_jobs for number in Counter(job.node for job in live.values()).values())
        assert all(number <= fanout for number in Counter(job.run for job in live.values()).values())
        for job in known:  # work conserving: whoever waits lacks a slot or a place
            if job.job in admission._waiting:
                assert admission.reason(job.job) is not None
