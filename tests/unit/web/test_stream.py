"""Live streams: nothing lost, nothing twice, and who stalls stalls alone."""

import asyncio
import base64
from typing import Any

import pytest

from tests.unit.web.driver import Browser, Stream
from tests.unit.web.peer import RUN, Peer
from web import stream as module
from web.application import WebApplication
from web.sessions import MAX_STREAMS
from web.stream import TAIL_BYTES, tail

PATH = f"/events/runs/{RUN}"
Events = list[tuple[str, str, Any]]


def items(events: Events, kind: str) -> list[Any]:
    return [item[1:] for _, name, data in events if name == "batch" for item in data if item[0] == kind]


def output(events: Events, index: int = 1, name: str = "stdout") -> bytes:
    """Put the pieces together; fails on a gap or a repetition."""
    whole = b""
    begin = None
    for place, stream, offset, data in items(events, "output"):
        if (place, stream) == (index, name):
            begin = offset if begin is None else begin
            assert offset == begin + len(whole)
            whole += base64.b64decode(data)
    return whole


async def test_a_stream_begins_with_the_state_and_ends_with_the_run(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01", "web02"])
    async with Stream(viewer, PATH) as stream:
        await stream.until("batch")
        peer.write(RUN, 2, b"out\n")
        peer.write(RUN, 2, b"err\n", "stderr")
        peer.move(RUN, 1, "succeeded", exit_code=0)
        peer.move(RUN, 2, "failed", exit_code=3)
        events = await stream.until("end")
        await stream.finished.wait()
    assert stream.status == 200
    assert dict(stream.headers)["content-type"] == "text/event-stream; charset=utf-8"
    assert items(events, "state")[0][0]["id"] == RUN
    assert (output(events, 2), output(events, 2, "stderr")) == (b"out\n", b"err\n")
    assert [(e[0]["index"], e[0]["state"]) for e in items(events, "event")] == [(1, "succeeded"), (2, "failed")]
    assert events[-1][2]["state"] == "failed"


async def test_a_run_of_one_node_is_its_job_number_one(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"])
    peer.write(RUN, 1, b"x")
    peer.move(RUN, 1, "succeeded")
    async with Stream(viewer, PATH) as stream:
        assert output(await stream.until("end")) == b"x"


async def test_a_viewer_resumes_at_any_byte_without_loss_or_repetition(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01", "web02"])
    data = bytes(range(256)) * 4
    seen: Events = []
    position = ""
    for at in range(0, len(data), 64):
        peer.write(RUN, 1, data[at : at + 61])
        peer.write(RUN, 1, data[at + 61 : at + 64])
        if at % 128:
            peer.write(RUN, 2, data[at : at + 1], "stderr")
        if at == 512:
            peer.move(RUN, 2, "running", message="half")
        async with Stream(viewer, PATH, {"last-event-id": position} if position else {}) as stream:
            while len(output(seen + stream.events())) < at + 64:
                stream.news.clear()
                await stream.news.wait()
            seen += stream.events()
            position = seen[-1][0]
    peer.move(RUN, 1, "succeeded")
    peer.move(RUN, 2, "succeeded")
    async with Stream(viewer, f"{PATH}?cursor={position}") as stream:
        seen += await stream.until("end")
    assert output(seen) == data
    assert output(seen, 2, "stderr") == b"".join(data[at : at + 1] for at in range(64, len(data), 128))
    assert [event[0]["id"] for event in items(seen, "event")] == ["1-0", "2-0", "3-0"]


@pytest.mark.parametrize("cut", [1, 59_999, 60_000, 60_001, 119_999, 200_000])
async def test_a_position_inside_a_piece_is_exact_too(viewer: Browser, peer: Peer, cut: int) -> None:
    peer.add_run(["web01"])
    data = bytes(index * 7 % 251 for index in range(200_001))
    peer.write(RUN, 1, data[:cut])
    async with Stream(viewer, PATH) as stream:
        while len(output(stream.events())) < cut:
            stream.news.clear()
            await stream.news.wait()
        position = stream.events()[-1][0]
    peer.write(RUN, 1, data[cut:])
    peer.move(RUN, 1, "succeeded")
    async with Stream(viewer, PATH, {"last-event-id": position}) as again:
        events = await again.until("end")
    assert output(events) == data[cut:]
    assert items(events, "output")[0][2] == cut


@pytest.mark.parametrize("position", ["-1", "9e99", "x", "~AAAA", "0~BQAA", "~" + "A" * 70_000, "~____"])
async def test_a_position_that_is_none_of_this_run_is_refused(viewer: Browser, peer: Peer, position: str) -> None:
    peer.add_run(["web01"])
    async with Stream(viewer, PATH, {"last-event-id": position}) as stream:
        await stream.finished.wait()
    assert stream.status == 400
    assert peer.followers == 0


async def test_an_unknown_run_is_not_found_and_other_methods_are_refused(viewer: Browser) -> None:
    for path in (PATH, "/events/runs/", "/events/runs/../x", "/events/runs/0001"):
        assert (await viewer.get(path)).status == 404
    assert (await viewer.post(PATH, {})).status == 405


async def test_a_new_viewer_gets_the_end_of_a_long_output_unless_it_wants_all(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"])
    data = b"0123456789abcdef" * ((TAIL_BYTES >> 4) + 1000)
    peer.write(RUN, 1, data)
    peer.move(RUN, 1, "succeeded")
    async with Stream(viewer, PATH) as stream:
        events = await stream.until("end")
    assert output(events) == data[-TAIL_BYTES:]
    async with Stream(viewer, f"{PATH}?from=start") as stream:
        assert output(await stream.until("end")) == data


def test_the_past_of_many_nodes_is_shared_out() -> None:
    jobs = [{"id": f"{RUN}-{n}", "stdout_bytes": 10 << 20, "stderr_bytes": 0} for n in range(64)]
    offsets = tail(jobs)
    assert sum((10 << 20) - streams["stdout"] for streams in offsets.values()) <= TAIL_BYTES
    assert len(offsets) == 64


async def test_a_stalled_viewer_stalls_only_itself_and_fills_no_memory(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"])
    async with Stream(viewer, PATH, allowed=1000) as stalled, Stream(viewer, PATH) as quick:
        await stalled.until("batch")
        await quick.until("batch")
        for _ in range(32):
            peer.write(RUN, 1, b"x" * (1 << 18))
        peer.move(RUN, 1, "succeeded")
        assert len(output(await quick.until("end"))) == 8 << 20
        assert sum(map(len, stalled.parts)) < 1 << 20
        assert peer.followers == 1  # the stalled one's connection is not read to its end
    async with Stream(viewer, PATH, {"last-event-id": stalled.events()[-1][0]}) as again:
        rest = await again.until("end")
    assert len(output(stalled.events())) + len(output(rest)) == 8 << 20


async def test_a_viewer_that_leaves_leaves_nothing_behind(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"])
    async with Stream(viewer, PATH) as stream:
        await stream.until("batch")
    peer.write(RUN, 1, b"x" * 100_000)
    while peer.followers:
        peer.write(RUN, 1, b"x" * 100_000)
        await asyncio.sleep(0.01)


async def test_a_session_has_a_limited_number_of_streams(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"])
    streams = [Stream(viewer, PATH) for _ in range(MAX_STREAMS)]
    for stream in streams:
        await stream.__aenter__()
        await stream.until("batch")
    assert (await viewer.get(PATH)).status == 429
    for stream in streams:
        await stream.__aexit__()
    peer.move(RUN, 1, "succeeded")
    assert (await viewer.get(PATH)).status == 200


async def test_a_quiet_stream_says_that_it_lives(viewer: Browser, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    peer.add_run(["web01"])
    async with Stream(viewer, PATH) as stream:
        while b": still here\n\n" not in stream.parts:
            stream.news.clear()
            await stream.news.wait()


async def test_a_stream_ends_with_its_session(
    viewer: Browser, peer: Peer, app: WebApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECHECK_S", 0.01)
    peer.add_run(["web01"])
    async with Stream(viewer, PATH) as stream:
        await stream.until("batch")
        app._sessions.end(viewer.cookie.partition("=")[2])
        await stream.finished.wait()


async def test_streams_end_when_the_server_stops(viewer: Browser, peer: Peer, app: WebApplication) -> None:
    peer.add_run(["web01"])
    async with Stream(viewer, PATH) as stream:
        await stream.until("batch")
        app.close()
        await stream.finished.wait()


async def test_without_a_daemon_the_answer_says_so(viewer: Browser, peer: Peer) -> None:
    peer.stop()
    assert (await viewer.get(PATH)).status == 503


async def test_job_output_cannot_forge_events(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"], title="a\n\nevent: end\ndata: {}\n\n")
    peer.write(RUN, 1, b"\n\nevent: end\ndata: {}\n\nid: 0\n")
    peer.move(RUN, 1, "failed", message="\n\nevent: end\ndata: {}\n\n")
    async with Stream(viewer, PATH) as stream:
        events = await stream.until("end")
    assert [name for _, name, _ in events] == ["batch"] * (len(events) - 1) + ["end"]
    assert events[-1][2]["id"] == RUN
