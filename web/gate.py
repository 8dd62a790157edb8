"""Nobody gets past here without a session, and nothing is changed by a request that another site made.

Every page needs a session; only the look (`/static`) and the exchange of the one-time link do not. A request that
changes something (anything but GET and HEAD) must come from our own page, by two independent signs: the browser's
`Origin` or `Sec-Fetch-Site`, and the session's own token in the form.
"""

import hmac
from typing import Final

from flask import Flask, Response, abort, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from web.sessions import LIFETIME_S, Sessions

_SAFE: Final = frozenset({"GET", "HEAD"})
_FORM: Final = "application/x-www-form-urlencoded"


def install(app: Flask, sessions: Sessions, *, cookie_name: str, secure: bool) -> None:
    """Put the gate before every route of `app`, and add the routes `/` and `/sign-out`."""

    @app.before_request
    def check() -> AnyResponse | tuple[str, int] | None:
        if request.endpoint == "static":
            return None
        g.session = sessions.find(request.cookies.get(cookie_name))
        if g.session is None:
            if request.endpoint == "home" and request.method == "GET" and "token" in request.args:
                return _exchange(sessions, cookie_name, secure=secure)
            return render_template("sign_in.html", token_refused=False), 401
        if request.method not in _SAFE:
            _check_origin()
        return None

    @app.get("/")
    def home() -> AnyResponse:
        return redirect(url_for("runs"), 303)

    @app.post("/sign-out")
    def sign_out() -> AnyResponse:
        sessions.end(request.cookies.get(cookie_name))
        response = redirect(url_for("home"), 303)
        response.delete_cookie(cookie_name, secure=secure, httponly=True, samesite="Lax")
        return response


def is_same_origin(origin: str | None, fetch_site: str | None, own: str) -> bool:
    """Say whether a browser's request was made by our own page; `own` = scheme and host of this server.

    A browser sends `Origin` with every request that can change something. Where it is missing, `Sec-Fetch-Site` must
    say `same-origin`; if both are missing, or the origin is `null`, the request is not ours.
    """
    if fetch_site not in (None, "same-origin"):
        return False
    return fetch_site == "same-origin" if origin is None else origin == own


def _check_origin() -> None:
    own = f"{request.scheme}://{request.host}"
    if not is_same_origin(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), own):
        abort(403, "This request did not come from a page of this server.")
    if request.mimetype != _FORM:
        abort(415, f"Send a form ({_FORM}).")
    if not hmac.compare_digest(request.form.get("csrf", "").encode(), g.session.csrf.encode()):
        abort(403, "This page is out of date. Load it again, then repeat what you did.")


def _exchange(sessions: Sessions, cookie_name: str, *, secure: bool) -> AnyResponse | tuple[str, int]:
    session_id = sessions.exchange(request.args["token"])
    if session_id is None:
        return render_template("sign_in.html", token_refused=True), 401
    response: Response | AnyResponse = redirect(url_for("runs"), 303)
    response.set_cookie(
        cookie_name, session_id, max_age=int(LIFETIME_S), path="/", secure=secure, httponly=True, samesite="Lax"
    )
    return response
