"""From a request to a plan."""

from typing import Any

import pytest

from inventory.route import Address, Route
from jobs.plan import Defaults, Plan, PlannedNode, RequestError, check, plan, title
from jobs.records import Request, Terminal

ULID = "01JD0000000000000000000000"
DEFAULTS = Defaults(grace_s=10.0, max_output=1 << 30, fanout=None)


def node(name: str) -> PlannedNode:
    return PlannedNode(name=name, route=Route(node=name, address=Address(host=name)), max_jobs=None)


def planned(*names: str, **fields: Any) -> Plan:
    request = Request(target="x", **{"argv": ("uname", "-n"), **fields})
    return plan(
        request,
        run_id=ULID,
        user="ann",
        nodes=[node(n) for n in names],
        folded=",".join(names),
        defaults=DEFAULTS,
        now=1.0,
    )


def test_one_node_makes_a_plain_job_with_the_id_of_the_run() -> None:
    assert [job.id for job in planned("web01").jobs] == [ULID]


def test_several_nodes_make_a_jobset_with_numbered_members() -> None:
    made = planned("web01", "web02")
    assert [(job.id, job.index, job.node) for job in made.jobs] == [
        (f"{ULID}-1", 1, "web01"),
        (f"{ULID}-2", 2, "web02"),
    ]
    assert made.run.total == 2


def test_one_word_is_run_by_the_shell_and_several_are_not() -> None:
    assert planned("a", argv=("echo $HOME | cat",)).run.argv == ("/bin/sh", "-c", "echo $HOME | cat")
    assert planned("a", argv=("echo", "$HOME")).run.argv == ("echo", "$HOME")


def test_a_script_keeps_its_arguments() -> None:
    made = planned("a", argv=("x y",), script_size=10, script_name="fix.sh")
    assert (made.run.type, made.run.argv, made.run.title) == ("script", ("x y",), "fix.sh 'x y'")


def test_run_as_is_split_into_user_and_group() -> None:
    run = planned("a", run_as="www-data:adm").run
    assert (run.run_as_user, run.run_as_group) == ("www-data", "adm")


def test_a_title_is_one_bounded_line() -> None:
    text = title(Request(target="x", argv=("line\nline\t" + "x" * 500,)))
    assert "\n" not in text
    assert len(text) == 200


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"argv": ()}, {"argv"}),
        ({"argv": ("a\0b",)}, {"argv"}),
        ({"argv": ("x" * 50_000,)}, {"argv"}),
        ({"env": {"1A": "x"}}, {"env"}),
        ({"env": {"A": "\0"}}, {"env"}),
        ({"cwd": "relative"}, {"cwd"}),
        ({"umask": 0o1777}, {"umask"}),
        ({"timeout_s": 0.0}, {"timeout_s"}),
        ({"timeout_s": float("nan")}, {"timeout_s"}),
        ({"timeout_s": float("inf")}, {"timeout_s"}),
        ({"grace_s": -1.0}, {"grace_s"}),
        ({"fanout": 0}, {"fanout"}),
        ({"interpreter": ("perl",)}, {"interpreter"}),
        ({"stdin_size": 1 << 30}, {"stdin_size"}),
        ({"script_size": -1}, {"script_size"}),
        *[
            ({"run_as": name}, {"run_as"})
            for name in ("0", "#0", "-1", "4294967295", "a:", ":b", "a b", "a:0", "", "a\n")
        ],
        ({"argv": (), "cwd": "x", "fanout": -3}, {"argv", "cwd", "fanout"}),
    ],
)
def test_every_wrong_field_is_named_at_once(fields: dict[str, Any], wrong: set[str]) -> None:
    with pytest.raises(RequestError) as error:
        planned("a", **fields)
    assert {field for field, _ in error.value.problems} == wrong


def test_an_id_that_is_no_ulid_is_refused() -> None:
    with pytest.raises(RequestError, match="id: expected a ULID"):
        plan(
            Request(target="x", argv=("a", "b")), run_id="../x", user="u", nodes=[], folded="", defaults=DEFAULTS, now=0
        )


def test_a_good_request_has_no_problems() -> None:
    request = Request(target="x", argv=("a", "b"), env={"A_1": "ü\n"}, tty=Terminal(), cwd="/tmp", run_as="a.b-c$")
    assert check(request) == []
