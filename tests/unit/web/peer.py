"""A scripted peer: speaks the local API on a real unix socket, about runs that the test makes and moves.

It has a frame codec of its own, written from `docs/reference/node-protocol.md`, so that it does not agree with ours by
sharing its mistakes.
"""

import json
import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RUN = "01JDXHZZZZ0000000000000001"
ENDED = {"succeeded", "failed", "timed_out", "cancelled", "start_failed", "expired", "lost"}


class Peer:
    """Runs, their output and events; every change wakes the followers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: dict[str, dict[str, Any]] = {}
        self.calls: list[dict[str, Any]] = []
        self.refusal: tuple[str, str, list[dict[str, Any]]] | None = None  #: the next call is refused with this
        self.logs: dict[tuple[str, str], bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.followers = 0
        self.changed = threading.Condition()
        self.stopped = False
        self._server = _Server(str(path), _Conversation)
        self._server.peer = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.path.unlink(missing_ok=True)

    def add_run(
        self, nodes: list[str], *, run: str = RUN, title: str = "uname -n", state: str = "running"
    ) -> dict[str, Any]:
        jobs = [
            {
                "id": run if len(nodes) == 1 else f"{run}-{index}", "run": run, "index": index, "node": node,
                "state": state, "reason": None, "message": None, "attempt": 1, "created": 1.7e9, "started": 1.7e9,
                "ended": None, "exit_code": None, "signal": None, "stdout_bytes": 0, "stderr_bytes": 0,
                "dropped_bytes": 0, "cpu_s": None, "max_rss": None, "link": "connected", "link_since": None,
            }
            for index, node in enumerate(nodes, start=1)
        ]  # fmt: skip
        record = {
            "id": run, "kind": "job" if len(nodes) == 1 else "jobset", "type": "command", "title": title,
            "user": "root", "source": "cli", "created": 1.7e9, "ended": None, "total": len(nodes),
            "nodes": ",".join(nodes), "cancelled_by": None, "jobs": jobs,
        }  # fmt: skip
        with self.changed:
            self.runs[run] = record
            self._settle(record)
            self.changed.notify_all()
        return record

    def write(self, run: str, index: int, data: bytes, stream: str = "stdout") -> None:
        with self.changed:
            job = self.runs[run]["jobs"][index - 1]
            self.logs[job["id"], stream] = self.logs.get((job["id"], stream), b"") + data
            job[f"{stream}_bytes"] += len(data)
            self.changed.notify_all()

    def move(self, run: str, index: int, state: str, **columns: Any) -> None:
        with self.changed:
            record = self.runs[run]
            job = record["jobs"][index - 1]
            job.update(state=state, **columns)
            self.events.append(
                {
                    "t": "event", "id": f"{len(self.events) + 1}-0", "job": job["id"], "node": job["node"],
                    "event": state, "at": 1.7e9, "state": state, "reason": job["reason"], "message": job["message"],
                    "exit_code": job["exit_code"], "signal": job["signal"],
                }
            )  # fmt: skip
            self._settle(record)
            self.changed.notify_all()

    def _settle(self, record: dict[str, Any]) -> None:
        states = [job["state"] for job in record["jobs"]]
        record["counts"] = {state: states.count(state) for state in states}
        if all(state in ENDED for state in states):
            record["ended"] = 1.7e9 + 5
            record["state"] = "succeeded" if set(states) == {"succeeded"} else "failed"
        else:
            record["state"] = "queued" if set(states) == {"queued"} else "running"

    def find(self, text: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        for record in self.runs.values():
            for job in record["jobs"]:
                if job["id"] == text and record["id"] != text:
                    return record, job
            if record["id"] == text or (len(text) >= 4 and record["id"].endswith(text)):
                return record, record["jobs"][0]
        raise _RefusedError("not_found", f"there is no run {text}; see: anyjob ps --all", [])

    # --- the operations

    def answer(self, call: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        with self.changed:
            self.calls.append(call)
            if self.refusal is not None:
                refusal, self.refusal = self.refusal, None
                raise _RefusedError(*refusal)
            return getattr(self, f"_op_{call['op']}")(call)

    def _op_runs(self, call: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        found = [
            {name: value for name, value in record.items() if name != "jobs"}
            for record in reversed(self.runs.values())
            if call.get("state") in (None, record["state"]) and not (call["active"] and record["ended"])
        ]
        return {"t": "ok"}, json.dumps({"runs": found, "next": None}).encode()

    def _op_run(self, call: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        return {"t": "ok"}, json.dumps(self.find(call["id"])[0]).encode()

    def _op_output(self, call: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        _, job = self.find(call["id"])
        assert job is not None
        data = self.logs.get((job["id"], call["stream"]), b"")
        piece = data[call["offset"] : call["offset"] + call["limit"]]
        end = call["offset"] + len(piece)
        return {"t": "ok", "offset": call["offset"], "next": end, "size": len(data), "complete": False}, piece

    def _op_cancel(self, call: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        record, _ = self.find(call["id"])
        left = [job for job in record["jobs"] if job["state"] not in ENDED]
        for job in left:
            self.move(record["id"], job["index"], "cancelled")
        return {"t": "ok"}, json.dumps({"cancelled": 0, "requested": len(left), "ended": 0}).encode()

    def _op_submit(self, call: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        request = call["request"]
        if call["id"] not in self.runs:
            self.add_run(request["target"].split(","), run=call["id"], title=request["argv"][0])
        return {"t": "ok"}, json.dumps(self.runs[call["id"]]).encode()

    def _op_plan(self, call: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        names = call["request"]["target"].split(",")
        return {"t": "ok"}, json.dumps(
            {"nodes": names, "folded": ",".join(names), "count": len(names), "title": ""}
        ).encode()

    def follow(self, call: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        with self.changed:
            self.calls.append(call)
            record, _ = self.find(call["id"])
            self.followers += 1
        try:
            yield {"t": "snapshot"}, json.dumps(record).encode()
            yield from self._news(record, dict(call["offsets"]), int((call["events_after"] or "0-0").split("-")[0]))
        finally:
            with self.changed:
                self.followers -= 1
                self.changed.notify_all()

    def _news(
        self, record: dict[str, Any], offsets: dict[str, dict[str, int]], event: int
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        while True:
            with self.changed:
                frames: list[tuple[dict[str, Any], bytes]] = []
                for job in record["jobs"]:
                    known = offsets.setdefault(job["id"], {})
                    for stream in ("stdout", "stderr"):
                        data, at = self.logs.get((job["id"], stream), b""), known.get(stream, 0)
                        for begin in range(at, len(data), 60_000):
                            piece = data[begin : begin + 60_000]
                            header = {"t": "output", "job": job["id"], "node": job["node"], "stream": stream}
                            frames.append(({**header, "offset": begin}, piece))
                        known[stream] = len(data)
                frames += [(fields, b"") for fields in self.events[event:] if fields["job"].startswith(record["id"])]
                event = len(self.events)
                if record["ended"]:
                    frames.append(({"t": "end"}, json.dumps(record).encode()))
                if not frames:
                    self.changed.wait(0.2)
                if self.stopped:
                    return
            yield from frames or [({}, b"")]
            if frames and frames[-1][0]["t"] == "end":
                return


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, problems: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.code, self.problems = code, problems


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    peer: Peer


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            while len(prefix := self.rfile.read(6)) == 6:
                length, header_length = struct.unpack(">IH", prefix)
                body = self.rfile.read(length - 2)
                self._serve(json.loads(body[:header_length]))
        except (BrokenPipeError, ConnectionResetError):
            return

    def _serve(self, call: dict[str, Any]) -> None:
        try:
            if call["op"] == "follow":
                for header, payload in self.server.peer.follow(call):
                    if header:
                        self._send(header, payload)
            else:
                self._send(*self.server.peer.answer(call))
        except _RefusedError as error:
            header = {"t": "error", "code": error.code, "message": str(error)}
            self._send(header, json.dumps({"problems": error.problems}).encode())

    def _send(self, header: dict[str, Any], payload: bytes) -> None:
        head = json.dumps(header).encode()
        self.wfile.write(struct.pack(">IH", 2 + len(head) + len(payload), len(head)) + head + payload)
