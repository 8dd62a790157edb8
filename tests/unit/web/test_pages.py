"""The pages against a peer that speaks the local API."""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode

from tests.unit.web.driver import Browser
from tests.unit.web.hostile import HOSTILE
from tests.unit.web.peer import RUN, Peer


async def csrf(viewer: Browser) -> str:
    page = await viewer.get("/run")
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


async def form(viewer: Browser, **fields: str) -> dict[str, str]:
    page = await viewer.get("/run")
    hidden = dict(re.findall(r'name="(csrf|id)" value="([^"]+)"', page.text))
    return {**hidden, "target": "web01", "command": "uname", "run_as": "", "timeout": "", **fields}


async def test_the_list_names_each_run_once_with_its_state_and_counts(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01", "web02"], title="uname -n")
    page = await viewer.get("/runs")
    assert page.text.count(f'href="/runs/{RUN}"') == 1
    assert "2 running" in page.text


async def test_unfinished_runs_come_first(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"], title="older but running")
    peer.add_run(["web01"], run=RUN[:-1] + "2", title="newer and ended", state="succeeded")
    text = (await viewer.get("/runs")).text
    assert text.index("older but running") < text.index("newer and ended")


async def test_the_list_can_be_filtered_and_an_unknown_filter_is_not_found(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"], title="still going")
    peer.add_run(["web01"], run=RUN[:-1] + "2", title="went well", state="succeeded")
    text = (await viewer.get("/runs?state=succeeded")).text
    assert "went well" in text
    assert "still going" not in text
    assert (await viewer.get("/runs?state=<b>")).status == 404


async def test_a_run_page_shows_nodes_reasons_and_the_last_lines_without_javascript(
    viewer: Browser, peer: Peer
) -> None:
    peer.add_run(["web01", "web02"])
    peer.write(RUN, 1, b"".join(b"line %d\n" % n for n in range(50)))
    peer.move(RUN, 2, "start_failed", reason="unreachable:host_key", message="web02: another host key than known")
    text = (await viewer.get(f"/runs/{RUN}")).text
    assert "line 49" in text
    assert "line 39" not in text
    assert "unreachable:host_key" in text
    assert "web02: another host key than known" in text


async def test_a_node_can_be_looked_at_alone(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01", "web02"])
    peer.write(RUN, 1, b"from one\n")
    peer.write(RUN, 2, b"from two\n")
    text = (await viewer.get(f"/runs/{RUN}?node=web02")).text
    assert "from two" in text
    assert "from one" not in text
    assert (await viewer.get(f"/runs/{RUN}?node=db01")).status == 404


async def test_an_abbreviated_id_leads_to_the_run(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"])
    answer = await viewer.get("/runs/0001")
    assert (answer.status, answer.header("location")) == (303, f"/runs/{RUN}")


async def test_an_unknown_run_is_not_found(viewer: Browser) -> None:
    for path in (f"/runs/{RUN}", "/runs/..%2f", "/runs/x", f"/runs/{RUN}/jobs/1/stdout"):
        assert (await viewer.get(path)).status == 404


async def test_output_is_downloaded_byte_for_byte(viewer: Browser, peer: Peer) -> None:
    peer.add_run(['web01"\r\nX: y'])
    data = bytes(range(256)) * 9000
    peer.write(RUN, 1, data, "stderr")
    answer = await viewer.get(f"/runs/{RUN}/jobs/1/stderr")
    assert answer.body == data
    assert answer.header("content-disposition") == f'attachment; filename="{RUN}-web01___X__y-stderr.log"'
    assert answer.header("content-type") == "text/plain; charset=utf-8"


class Shape(HTMLParser):
    """The tags of a page and the names of their attributes: what text must not be able to change."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))


async def shape(viewer: Browser, peer: Peer, text: str) -> list[tuple[str, ...]]:
    peer.runs.clear()
    peer.logs.clear()
    peer.add_run([f"n{text}"], title=text)
    peer.write(RUN, 1, " ".join(text.split()).encode() + b"\n")
    peer.move(RUN, 1, "start_failed", reason=text, message=text)
    answers = [await viewer.get(path) for path in ("/runs", f"/runs/{RUN}", f"/run?{urlencode({'command': text})}")]
    assert [answer.status for answer in answers] == [200, 200, 200]
    return [tag for answer in answers for tag in Shape(answer.text).tags]


async def test_hostile_names_and_output_cannot_change_the_shape_of_a_page(viewer: Browser, peer: Peer) -> None:
    harmless = await shape(viewer, peer, "harmless")
    for text in HOSTILE:
        assert await shape(viewer, peer, text) == harmless, text


async def test_hidden_characters_are_shown(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01"], title="user\u202etxt.exe\x1b[2J")
    assert "user⟨U+202E⟩txt.exe␛[2J" in (await viewer.get("/runs")).text


async def test_cancel_asks_the_daemon_and_returns_to_the_run(viewer: Browser, peer: Peer) -> None:
    peer.add_run(["web01", "web02"])
    answer = await viewer.post(f"/runs/{RUN}/cancel", {"csrf": await csrf(viewer)})
    assert (answer.status, answer.header("location")) == (303, f"/runs/{RUN}")
    assert [call["id"] for call in peer.calls if call["op"] == "cancel"] == [RUN]


async def test_the_form_starts_a_run_and_sent_twice_it_is_one_run(viewer: Browser, peer: Peer) -> None:
    fields = await form(viewer, target="web01,web02", run_as="deploy:www", timeout="1h30m", command="a  b\r\nc")
    first, second = await viewer.post("/run", fields), await viewer.post("/run", fields)
    assert first.status == 303
    assert first.header("location") == second.header("location") == f"/runs/{fields['id']}"
    assert len(peer.runs) == 1
    submitted = [call["request"] for call in peer.calls if call["op"] == "submit"]
    assert submitted[0] == {
        "target": "web01,web02", "argv": ["a  b\nc"], "run_as": "deploy:www", "timeout_s": 5400.0, "source": "web",
    }  # fmt: skip


async def test_every_mistake_is_shown_at_its_field_with_what_was_typed(viewer: Browser, peer: Peer) -> None:
    fields = await form(viewer, target=" ", command="kept <as> typed", run_as="0", timeout="soon")
    answer = await viewer.post("/run", fields)
    assert answer.status == 422
    assert answer.text.count('aria-invalid="true"') == 3
    assert "kept &lt;as&gt; typed" in answer.text
    assert not [call for call in peer.calls if call["op"] == "submit"]


async def test_what_the_daemon_refuses_is_shown_at_its_field(viewer: Browser, peer: Peer) -> None:
    fields = await form(viewer, target="wbe01")
    peer.refusal = ("bad_target", "wbe01: no such node; did you mean web01?", [])
    answer = await viewer.post("/run", fields)
    assert answer.status == 422
    assert re.search(r'id="target-error" class="error">wbe01: no such node; did you mean web01\?<', answer.text)


async def test_fields_that_the_form_does_not_have_are_refused(viewer: Browser, peer: Peer) -> None:
    answer = await viewer.post("/run", await form(viewer, fanout="99"))
    assert answer.status == 422
    assert "no field" in answer.text
    assert not peer.runs


async def test_the_plan_counts_nodes_and_starts_nothing(viewer: Browser, peer: Peer) -> None:
    answer = await viewer.post("/run/plan", await form(viewer, target="web01,web02", command=""))
    assert answer.text.strip() == '{"count":2,"errors":{},"nodes":"web01,web02"}'
    assert not peer.runs


async def test_without_a_daemon_the_page_says_so(viewer: Browser, peer: Peer) -> None:
    peer.stop()
    answer = await viewer.get("/runs")
    assert answer.status == 503
    assert "anyjob daemon" in answer.text


async def test_the_daemons_inner_failures_are_not_told(viewer: Browser, peer: Peer) -> None:
    peer.refusal = ("internal", "KeyError at store.py:17 secret", [])
    answer = await viewer.get("/runs")
    assert answer.status == 502
    assert "secret" not in answer.text
