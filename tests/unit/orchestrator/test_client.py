"""The clients of the local API against a scripted peer on a real unix socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.client import ApiError, Client, DaemonAbsentError, new_run_id
from orchestrator.client_async import AsyncClient
from remote.runner.frames import Frame
from tests.unit.orchestrator.cli.runs import RUN, as_bytes, end, event, job, output, run, snapshot
from tests.unit.orchestrator.cli.scripted_peer import ScriptedPeer, error, frame, ok, sends

DONE = run(job(state="succeeded"), state="succeeded")


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[ScriptedPeer]:
    peer = ScriptedPeer(tmp_path / "s")
    yield peer
    peer.close()


def test_a_call_returns_the_result(peer: ScriptedPeer) -> None:
    peer.on("ping", ok({"pid": 7}))
    with Client.connect(peer.path) as client:
        assert client.call("ping") == {"pid": 7}


def test_calls_share_one_connection(peer: ScriptedPeer) -> None:
    peer.on("ping", ok({}))
    with Client.connect(peer.path) as client:
        for _ in range(3):
            client.call("ping")
    assert peer.connections == 1


def test_a_refusal_carries_its_code_and_every_problem(peer: ScriptedPeer) -> None:
    problems = [{"file": "a.yaml", "line": 3}, {"file": "a.yaml", "line": 9}]
    peer.on("nodes", error("bad_file", "two mistakes", problems))
    with Client.connect(peer.path) as client, pytest.raises(ApiError, match="two mistakes") as raised:
        client.call("nodes")
    assert (raised.value.code, list(raised.value.problems)) == ("bad_file", problems)


def test_a_socket_that_is_not_there_is_an_absent_daemon(tmp_path: Path) -> None:
    with pytest.raises(DaemonAbsentError, match=r"no daemon answers on .*/s .*anyjob daemon"):
        Client.connect(tmp_path / "s")


def test_a_socket_file_that_a_dead_daemon_left_is_an_absent_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(DaemonAbsentError):
        Client.connect(tmp_path / "s")


def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    short = ScriptedPeer(tmp_path / "s")
    try:
        os.link(tmp_path / "s", deep / "anyjob.sock")
        short.on("ping", ok({"far": True}))
        with Client.connect(deep / "anyjob.sock") as client:
            assert client.call("ping") == {"far": True}
    finally:
        short.close()


def test_a_call_whose_connection_breaks_is_sent_once_more(peer: ScriptedPeer) -> None:
    peer.on("cancel", sends(None), ok({"cancelled": 1}))
    with Client.connect(peer.path) as client:
        assert client.call("cancel", id=RUN) == {"cancelled": 1}
    assert [call["id"] for call in peer.asked("cancel")] == [RUN, RUN]


def test_a_daemon_that_hangs_up_twice_is_absent(peer: ScriptedPeer) -> None:
    peer.on("ping", sends(None))
    with Client.connect(peer.path) as client, pytest.raises(DaemonAbsentError, match="hung up twice"):
        client.call("ping")


def test_fields_too_large_for_the_header_travel_before_the_payload(peer: ScriptedPeer) -> None:
    peer.on("submit", ok({}))
    argv = ["x" * 100] * 2000
    with Client.connect(peer.path) as client:
        client.call("submit", b"stdin", id=RUN, request={"argv": argv})
    assert peer.calls == [{"t": "call", "op": "submit", "id": RUN, "request": {"argv": argv}}]
    assert peer.payloads == [b"stdin"]


def test_a_stream_of_frames_ends_with_end_and_the_connection_goes_on(peer: ScriptedPeer) -> None:
    found = [frame({"t": "node"}, {"name": name}) for name in "ab"]
    peer.on("check", sends(*found, frame({"t": "end"})))
    peer.on("ping", ok({}))
    with Client.connect(peer.path) as client:
        assert [one.payload for one in client.stream("check")] == [b'{"name": "a"}', b'{"name": "b"}']
        client.call("ping")
    assert peer.connections == 1


FIRST = as_bytes(snapshot(run(job())), output(b"abc"), event("running", number=4))
SECOND = as_bytes(snapshot(run(job())), output(b"def", offset=3), event("succeeded", number=5), end(DONE))


def kinds(frames: list[Frame]) -> list[str]:
    return [found.header["t"] for found in frames]


def test_a_follower_goes_on_at_its_byte_when_the_daemon_was_away(peer: ScriptedPeer) -> None:
    peer.on("follow", sends(FIRST, None), sends(SECOND))
    with Client.connect(peer.path) as client:
        frames = list(client.follow(RUN))
    assert b"".join(found.payload for found in frames if found.header["t"] == "output") == b"abcdef"
    assert kinds(frames) == ["snapshot", "output", "event", "snapshot", "output", "event", "end"]
    first, second = peer.asked("follow")
    assert (first["offsets"], first["events_after"]) == ({}, None)
    assert (second["offsets"], second["events_after"]) == ({f"{RUN}-1": {"stdout": 3}}, "4-0")


def test_a_frame_that_was_cut_off_is_asked_for_again(peer: ScriptedPeer) -> None:
    cut = as_bytes(snapshot(run(job())), output(b"abc"))[:-2]
    peer.on("follow", sends(cut, None), sends(as_bytes(output(b"abcdef"), end(DONE))))
    with Client.connect(peer.path) as client:
        frames = list(client.follow(RUN))
    assert [found.payload for found in frames if found.header["t"] == "output"] == [b"abcdef"]
    assert peer.asked("follow")[1]["offsets"] == {}


def test_a_follower_begins_where_it_is_told(peer: ScriptedPeer) -> None:
    peer.on("follow", sends(as_bytes(end(DONE))))
    with Client.connect(peer.path) as client:
        list(client.follow(RUN, offsets={"j": {"stderr": 9}}, events_after="3-0", output=False))
    assert peer.calls[0] == {
        "t": "call", "op": "follow", "id": RUN, "output": False, "offsets": {"j": {"stderr": 9}}, "events_after": "3-0"
    }  # fmt: skip


def test_calls_can_be_made_while_a_run_is_followed(peer: ScriptedPeer) -> None:
    peer.on("follow", sends(FIRST))
    peer.on("cancel", ok({"cancelled": 1}))
    with Client.connect(peer.path) as client:
        follow = client.follow(RUN)
        assert follow.receive(5)
        assert client.call("cancel", id=RUN) == {"cancelled": 1}
        follow.close()


def test_waiting_for_frames_ends_when_the_wake_descriptor_is_readable(peer: ScriptedPeer) -> None:
    peer.on("follow", sends())
    wake, write = os.pipe()
    try:
        os.write(write, b"!")
        with Client.connect(peer.path) as client:
            follow = client.follow(RUN)
            assert follow.receive(None, wake=wake) == []
            follow.close()
    finally:
        os.close(wake)
        os.close(write)


def test_following_an_unknown_run_is_refused(peer: ScriptedPeer) -> None:
    peer.on("follow", error("not_found", "there is no run X"))
    with Client.connect(peer.path) as client, pytest.raises(ApiError, match="there is no run X"):
        list(client.follow("X"))


async def test_the_asynchronous_client_calls_and_is_refused_alike(peer: ScriptedPeer) -> None:
    peer.on("ping", ok({"pid": 7}))
    peer.on("cancel", sends(None), ok({"cancelled": 2}))
    peer.on("run", error("not_found", "there is no run X"))
    async with await AsyncClient.connect(peer.path) as client:
        assert await client.call("ping") == {"pid": 7}
        assert await client.call("cancel", id=RUN) == {"cancelled": 2}
        with pytest.raises(ApiError, match="there is no run X"):
            await client.call("run", id="X")


async def test_the_asynchronous_follower_goes_on_at_its_byte_when_the_daemon_was_away(peer: ScriptedPeer) -> None:
    peer.on("follow", sends(FIRST, None), sends(SECOND))
    async with await AsyncClient.connect(peer.path) as client:
        frames = [found async for found in client.follow(RUN)]
    assert b"".join(found.payload for found in frames if found.header["t"] == "output") == b"abcdef"
    assert peer.asked("follow")[1]["offsets"] == {f"{RUN}-1": {"stdout": 3}}


async def test_the_asynchronous_client_streams_checks(peer: ScriptedPeer) -> None:
    peer.on("check", sends(frame({"t": "node"}, {"name": "a"}), frame({"t": "end"})))
    async with await AsyncClient.connect(peer.path) as client:
        assert [found.payload async for found in client.stream("check")] == [b'{"name": "a"}']


async def test_the_asynchronous_client_tells_of_an_absent_daemon(tmp_path: Path) -> None:
    with pytest.raises(DaemonAbsentError):
        await AsyncClient.connect(tmp_path / "s")


def test_run_ids_are_ulids_that_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(len(one) == 26 and set(one) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ") and one[0] <= "7" for one in ids)
    assert [one[:10] for one in ids] == sorted(one[:10] for one in ids)
