"""The ad-hoc form: run one command on the nodes that a target names."""

from pathlib import Path
from typing import Any

from flask import Flask, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from orchestrator.client import ApiError, Client, new_run_id
from web import forms, shown


def install(app: Flask, socket_path: Path) -> None:
    """Add the form's routes to `app`."""

    @app.get("/run")
    def new_run() -> str:
        values = {name: request.args.get(name, "")[: forms.MAX_FIELD] for name in forms.FIELDS}
        return render_template("launch.html", form=forms.AdHoc(id=new_run_id(), values=values, request=None))

    @app.post("/run")
    def start_run() -> AnyResponse | tuple[str, int]:
        """Start the run. The form carries the run's id: sent twice, it is one run."""
        form = forms.read(request.form.to_dict())
        if form.request is not None:
            try:
                with Client.connect(socket_path) as client:
                    client.call("submit", id=form.id, request=form.body())
                return redirect(url_for("run", run_id=form.id), 303)
            except ApiError as error:
                if error.code not in ("bad_target", "bad_request", "bad_file", "forbidden"):
                    raise
                form = forms.refused(form, error.code, error.message, error.problems)
        return render_template("launch.html", form=form), 422

    @app.post("/run/plan")
    def plan() -> dict[str, Any]:
        """Say which nodes the form as it is now would reach, and what is wrong so far; nothing is started."""
        form = forms.read({**request.form.to_dict(), "command": request.form.get("command") or "true"})
        if "target" in form.errors:
            return {"errors": dict(form.errors)}
        try:
            with Client.connect(socket_path) as client:
                found = client.call("plan", request={"target": form.values["target"], "argv": ["true"]})
        except ApiError as error:
            refused = forms.refused(form, error.code, error.message, error.problems)
            errors = {**form.errors, **refused.errors}
            return {"errors": {name: shown.shown(text) for name, text in errors.items()}}
        return {"count": found["count"], "nodes": shown.shown(found["folded"]), "errors": dict(form.errors)}
