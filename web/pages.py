"""The pages: the list of runs, one run, its output as a file. Plain Flask; live streams are `web.stream`."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, abort, g, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from jobs.lifecycle import TERMINAL
from orchestrator.client import ApiError, Client, DaemonAbsentError
from web import gate, launch, shown, views
from web.sessions import Sessions

PAGE_LENGTH: Final = 50
_PREVIEWED: Final = 12  # nodes whose last lines the page shows before (or without) JavaScript
_PREVIEW_LINES: Final = 10
_PREVIEW_BYTES: Final = 4 << 10
_ALONE_LINES: Final = 200
_ALONE_BYTES: Final = 64 << 10
_PIECE: Final = 1 << 20  # bytes of a download that are in memory at once
_FILTERS: Final = ("queued", "running", "succeeded", "failed", "cancelled")
_STATUS: Final = {"not_found": 404, "bad_request": 400, "bad_target": 400, "forbidden": 403, "conflict": 409}
_RUN_ID: Final = re.compile(r"[0-9A-Za-z]{4,26}")

log = logging.getLogger(__name__)


def create_flask(socket_path: Path, sessions: Sessions, *, cookie_name: str, secure: bool) -> Flask:
    """Return the Flask application; `web.application` puts it behind the border that every response passes."""
    app = Flask(__name__, root_path=str(Path(__file__).parent))
    app.config.update(DEBUG=False, TESTING=False, PROPAGATE_EXCEPTIONS=False, MAX_FORM_PARTS=50)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        shown=shown.shown, moment=views.moment, iso=views.iso, label=views.label, mark=views.mark, size=views.size
    )
    app.jinja_env.globals.update(
        duration=views.duration, ending=views.ending, remark=views.remark, segments=views.segments
    )
    gate.install(app, sessions, cookie_name=cookie_name, secure=secure)
    _install_errors(app)
    _install_runs(app, socket_path)
    _install_run(app, socket_path)
    launch.install(app, socket_path)
    return app


def _install_runs(app: Flask, socket_path: Path) -> None:
    @app.get("/runs")
    def runs() -> str:
        chosen = request.args.get("state") or None
        before = request.args.get("before") or None
        if (chosen and chosen not in _FILTERS) or (before and not _RUN_ID.fullmatch(before)):
            abort(404)
        with Client.connect(socket_path) as client:
            found = client.call("runs", active=False, limit=PAGE_LENGTH, before=before, state=chosen)
            active = [] if chosen or before else client.call("runs", active=True, limit=PAGE_LENGTH)["runs"]
        listed = {run["id"]: run for run in (*active, *found["runs"])}
        return render_template(
            "runs.html", runs=list(listed.values()), next=found["next"], chosen=chosen, filters=_FILTERS
        )


def _install_run(app: Flask, socket_path: Path) -> None:
    @app.get("/runs/<run_id>")
    def run(run_id: str) -> str | AnyResponse:
        with Client.connect(socket_path) as client:
            record = _record(client, run_id)
            if record["id"] != run_id:
                return redirect(url_for("run", run_id=record["id"]), 303)
            alone = _chosen(record, request.args.get("node"))
            lines = _preview(client, record, alone)
        return render_template(
            "run.html",
            run=record,
            alone=alone,
            lines=lines,
            troubles=views.troubles(record["jobs"]),
            unfinished=views.unfinished(record),
            from_start=request.args.get("from") == "start",
        )

    @app.post("/runs/<run_id>/cancel")
    def cancel(run_id: str) -> AnyResponse:
        with Client.connect(socket_path) as client:
            record = _record(client, run_id)
            client.call("cancel", id=record["id"], grace_s=None)
        return redirect(url_for("run", run_id=record["id"]), 303)

    @app.get("/runs/<run_id>/jobs/<int:index>/<any(stdout, stderr):stream>")
    def output(run_id: str, index: int, stream: str) -> AnyResponse:
        with Client.connect(socket_path) as client:
            record = _record(client, run_id)
        job = next((known for known in record["jobs"] if known["index"] == index), None)
        if job is None:
            abort(404)
        name = views.file_name(record["id"], job["node"], stream)
        return Response(
            _download(socket_path, job["id"], stream),
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _install_errors(app: Flask) -> None:
    def page(status: int, message: str) -> tuple[str, int]:
        template = "error.html" if g.get("session") else "sign_in.html"
        return render_template(template, status=status, message=message, token_refused=False), status

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int] | HTTPException:
        if error.code is None or error.code < 400:
            return error
        return page(error.code, error.description or error.name)

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> tuple[str, int]:
        if error.code == "internal":
            log.error("the daemon failed", extra={"code": error.code, "reason": error.message})
            return page(502, "The daemon could not do this. Its log has the cause.")
        return page(_STATUS.get(error.code, 503), error.message)

    @app.errorhandler(DaemonAbsentError)
    def absent(_: DaemonAbsentError) -> tuple[str, int]:
        return page(503, "The daemon does not answer. Start it with: anyjob daemon. Running jobs are not affected.")

    @app.errorhandler(Exception)
    def failed(error: Exception) -> tuple[str, int]:
        log.error("page failed", exc_info=error, extra={"path": request.path})
        return page(500, "Something went wrong here. The log of the web server has the cause.")


def _record(client: Client, run_id: str) -> dict[str, Any]:
    if not _RUN_ID.fullmatch(run_id):
        abort(404, "There is no such run.")
    return client.call("run", id=run_id)


def _chosen(record: dict[str, Any], node: str | None) -> dict[str, Any] | None:
    if node is None:
        return None
    for job in record["jobs"]:
        if job["node"] == node:
            return dict(job)
    return abort(404, "That node is not part of this run.")


def _preview(client: Client, record: dict[str, Any], alone: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Return (node, stream, line) of the last output, for the first sight and for browsers without JavaScript."""
    worst = sorted(record["jobs"], key=lambda job: job["state"] == "succeeded" or job["state"] not in TERMINAL)
    jobs = [alone] if alone else worst[:_PREVIEWED]
    room, count = (_ALONE_BYTES, _ALONE_LINES) if alone else (_PREVIEW_BYTES, _PREVIEW_LINES)
    lines: list[tuple[str, str, str]] = []
    for job in jobs:
        for stream in ("stdout", "stderr"):
            held = job[f"{stream}_bytes"]
            if held:
                begin = max(0, held - room)
                data = client.exchange("output", id=job["id"], stream=stream, offset=begin, limit=room).payload
                lines += [(job["node"], stream, line) for line in shown.last_lines(data, count)]
    return lines


def _download(socket_path: Path, job: str, stream: str) -> Iterator[bytes]:
    """Yield what is held of a stream now; what is written meanwhile is not waited for."""
    with Client.connect(socket_path) as client:
        offset, end = 0, None
        while end is None or offset < end:
            answer = client.exchange("output", id=job, stream=stream, offset=offset, limit=_PIECE)
            end = answer.header["size"] if end is None else end
            if not answer.payload:
                return
            yield answer.payload[: end - offset]
            offset = answer.header["next"]
