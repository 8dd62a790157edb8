"""Waits until a port takes connections or a URL answers (or until it no longer does).

Exit codes: 0 it is so, 1 it was not so in time.
"""

# ruff: noqa: T201, PTH123, UP006, UP035  what it prints is its work; it runs on nodes with Python 3.6

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Dict, Tuple


class Straight(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer; it is not followed."""

    def redirect_request(self, *_: "Any") -> None:
        """Follow nothing."""


def answers_port(params: "Dict[str, Any]", patience: float) -> "Tuple[bool, str]":
    """Say whether the port takes a connection, and what was found."""
    try:
        socket.create_connection((params["host"], params["port"]), patience).close()
    except OSError as error:
        return False, str(error)
    return True, "takes connections"


def answers_url(params: "Dict[str, Any]", patience: float) -> "Tuple[bool, str]":
    """Say whether the URL answers as wanted, and what was found."""
    opener = urllib.request.build_opener(Straight)
    try:
        with opener.open(params["url"], timeout=patience) as answer:
            status = answer.getcode()
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, ValueError) as error:
        return False, str(error)
    wanted = params.get("status")
    fits = 200 <= status < 400 if wanted is None else status == wanted
    return fits, f"answers {status}"


def main() -> int:
    """Try again and again."""
    with open(int(os.environ["ANYJOB_PARAMS_FD"]), encoding="utf-8") as stream:
        params = json.load(stream)["params"]
    is_port = params["what"] == "port"
    name = "{host}:{port}".format(**params) if is_port else params["url"]
    end = time.monotonic() + params["limit"]
    told = None
    while True:
        patience = max(0.1, min(10.0, end - time.monotonic()))
        up, found = (answers_port if is_port else answers_url)(params, patience)
        if found != told:
            print(f"{name}: {found}", flush=True)
            told = found
        if up == (params["state"] == "up"):
            return 0
        left = end - time.monotonic()
        if left <= 0:
            print("{} is not {} after {:g} s".format(name, params["state"], params["limit"]), file=sys.stderr)
            return 1
        time.sleep(min(params["every"], left))


sys.exit(main())
