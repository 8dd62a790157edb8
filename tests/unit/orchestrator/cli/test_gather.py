from inventory.nodeset import fold
from orchestrator.cli.gather import KEPT_MAX, Gather
from orchestrator.cli.screen import ERR, OUT, Terminals, Write
from orchestrator.cli.terminal import Terminal
from tests.unit.orchestrator.cli.runs import as_frame, event, job, output, run, snapshot

PIPE = Terminal(tty=False, colour=False, columns=80)
RULE = "---------------\n"


def gather(*nodes: str) -> Gather:
    screen = Gather(Terminals(PIPE, PIPE), fold)
    jobs = [job(node, index=index) for index, node in enumerate(nodes, 1)]
    screen.feed(as_frame(snapshot(run(*jobs))))
    return screen


def text(writes: list[Write], fd: int = OUT) -> str:
    return b"".join(write.data for write in writes if write.fd == fd).decode()


def test_identical_output_is_shown_once_with_the_folded_nodes_and_their_number() -> None:
    screen = gather("web01", "web02", "web03", "db1")
    for index, node in enumerate(("web01", "web02", "web03"), 1):
        screen.feed(as_frame(output(b"Linux\n", node=node, index=index)))
    screen.feed(as_frame(output(b"BSD\n", node="db1", index=4)))
    assert text(screen.finish()) == f"{RULE}web[01-03] (3)\n{RULE}Linux\n{RULE}db1\n{RULE}BSD\n"


def test_output_in_other_pieces_is_still_identical() -> None:
    screen = gather("web01", "web02")
    screen.feed(as_frame(output(b"Lin")))
    screen.feed(as_frame(output(b"ux\n", offset=3)))
    screen.feed(as_frame(output(b"Linux\n", node="web02", index=2)))
    assert text(screen.finish()) == f"{RULE}web[01-02] (2)\n{RULE}Linux\n"


def test_standard_error_is_folded_apart() -> None:
    screen = gather("web01")
    screen.feed(as_frame(output(b"out\n")))
    screen.feed(as_frame(output(b"err\n", stream="stderr")))
    writes = screen.finish()
    assert text(writes) == f"{RULE}web01\n{RULE}out\n"
    assert text(writes, ERR) == f"{RULE}web01\n{RULE}err\n"


def test_a_job_without_output_has_no_block() -> None:
    assert gather("web01").finish() == []


def test_a_block_is_final_when_no_running_job_can_print_the_same() -> None:
    screen = gather("web01", "web02")
    screen.feed(as_frame(output(b"yes\n")))
    screen.feed(as_frame(output(b"no", node="web02", index=2)))
    screen.feed(as_frame(event("succeeded")))
    assert text(screen.idle()) == f"{RULE}web01\n{RULE}yes\n"
    assert screen.idle() == []


def test_a_block_waits_for_jobs_that_may_still_print_the_same() -> None:
    screen = gather("web01", "web02", "web03")
    screen.feed(as_frame(output(b"yes\n")))
    screen.feed(as_frame(event("succeeded")))
    assert screen.idle() == []  # web02 and web03 are silent so far
    screen.feed(as_frame(output(b"ye", node="web02", index=2)))
    screen.feed(as_frame(output(b"no", node="web03", index=3)))
    assert screen.idle() == []  # web02 is on its way to the same
    screen.feed(as_frame(output(b"s\n", node="web02", index=2, offset=2)))
    screen.feed(as_frame(event("succeeded", node="web02", index=2)))
    assert text(screen.idle()) == f"{RULE}web[01-02] (2)\n{RULE}yes\n"


def test_failures_are_told_at_once() -> None:
    writes = gather("web01").feed(as_frame(event("failed", exit_code=1)))
    assert text(writes, ERR) == "web01: exited with exit code 1\n"


def test_escapes_are_neutralised() -> None:
    screen = gather("web01")
    screen.feed(as_frame(output(b"\x1b[2J\n")))
    assert text(screen.finish()) == f"{RULE}web01\n{RULE}^[[2J\n"


def test_a_flood_is_not_kept_whole_and_what_is_left_out_is_told() -> None:
    screen = gather("web01", "web02")
    block = b"x" * 1_048_575 + b"\n"
    for index, node in enumerate(("web01", "web02"), 1):
        for number in range(9):
            screen.feed(as_frame(output(block, node=node, index=index, offset=number * len(block))))
    shown = text(screen.finish())
    assert len(shown) < KEPT_MAX + 200
    assert "web[01-02] (2)" in shown
    assert shown.endswith("... 1.0 MiB more: anyjob logs --node web01\n")


def test_outputs_that_differ_only_beyond_what_is_kept_are_not_identical() -> None:
    screen = gather("web01", "web02")
    for index, node in enumerate(("web01", "web02"), 1):
        screen.feed(as_frame(output(b"x" * KEPT_MAX, node=node, index=index)))
        screen.feed(as_frame(output(node.encode(), node=node, index=index, offset=KEPT_MAX)))
    assert len(screen.finish()) == 2
