"""From a `start` to a claimed token with a supervisor: its inputs, and the bundle that the node may lack."""

import collections
import json
import os

from . import kernel, outcome, supervisor
from .entry import Entry
from .inputs import MAX_PARAMS, MAX_SECRETS
from .launch import Surroundings
from .spec import canonical, check
from .spool import MAX_INPUT, Refusal
from .tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from .following import Following
    from .library import Library
    from .outbox import Outbox
    from .spool import Spool

_LIMITS = {"stdin": MAX_INPUT, "script": MAX_INPUT, "params": MAX_PARAMS}


class Starts:
    """Starts jobs, each at most once. What waits here is forgotten with the connection: nothing of it is claimed."""

    def __init__(self, spool: "Spool", library: "Library", outbox: "Outbox", following: "Following") -> None:
        """Take the spool, the files for jobs, what leads to the controller, and where a started job is followed."""
        self._spool = spool
        self._library = library
        self._outbox = outbox
        self._following = following
        self._spoilt: "Dict[str, Refusal]" = {}  # what went wrong with an input: the answer to its start
        self._secrets: "Dict[str, bytes]" = {}  # never on a disk
        self._cancelled: "Dict[str, float]" = {}
        # bundle's hash → the starts that wait for it; the first of them brings it
        self._waiting: "Dict[str, collections.OrderedDict[str, Dict[str, Any]]]" = {}

    def take(self, token: str, name: str, offset: int, piece: bytes) -> None:
        """Keep one piece of an input."""
        if name == "bundle":
            return self._take_bundle(token, offset, piece)
        if name != "secrets" and name not in _LIMITS:
            raise ValueError("name")
        if token in self._spoilt:
            return None
        try:
            if name == "secrets":
                self._keep_secrets(token, offset, piece)
            else:
                _check_size(token, name, offset + len(piece), _LIMITS[name])
                self._spool.stage(token, name, offset, piece)
        except Refusal as refusal:
            self._spoilt[token] = refusal
        return None

    def _keep_secrets(self, token: str, offset: int, piece: bytes) -> None:
        known = self._secrets.pop(token, b"") if offset else b""
        if len(known) != offset:
            raise Refusal("missing_input", "the input secrets of %s has a gap at byte %d" % (token, offset))
        _check_size(token, "secrets", offset + len(piece), MAX_SECRETS)
        self._secrets[token] = known + piece

    def start(self, token: str, given: "Any") -> None:
        """Claim a token and start it, or report it if it is claimed, or ask for its bundle first."""
        try:
            spec = check(given)
            if token in self._spoilt:
                raise self._spoilt.pop(token)
        except Refusal:
            self._secrets.pop(token, None)
            raise
        bundle = spec["bundle"]
        if bundle is None or self._spool.bundles.has(bundle) or self._is_claimed(token):
            self._claim(token, spec)
            return
        waiting = self._waiting.setdefault(bundle["sha256"], collections.OrderedDict())
        waiting[token] = spec
        if len(waiting) == 1:
            self._outbox.put({"t": "want", "token": token, "name": "bundle"})

    def cancel(self, token: str, grace_s: float) -> bool:
        """Have a start that waits for its bundle cancelled when it is claimed; tell whether the token is one."""
        is_waiting = any(token in waiting for waiting in self._waiting.values())
        if is_waiting:
            self._cancelled[token] = min(grace_s, self._cancelled.get(token, grace_s))
        return is_waiting

    def _take_bundle(self, token: str, offset: int, piece: bytes) -> None:
        waiting = next((starts for starts in self._waiting.values() if next(iter(starts)) == token), None)
        if waiting is None:
            raise ValueError("no bundle is wanted")
        bundle = waiting[token]["bundle"]
        try:
            _check_size(token, "bundle", offset + len(piece), bundle["size"])
            self._spool.stage(token, "bundle", offset, piece)
            if offset + len(piece) < bundle["size"]:
                return
            self._spool.keep_bundle(token, bundle)
        except Refusal as refusal:
            del waiting[token]
            self._refuse(token, refusal)
            if not waiting:
                del self._waiting[bundle["sha256"]]
            else:
                self._outbox.put({"t": "want", "token": next(iter(waiting)), "name": "bundle"})
            return
        for each, spec in self._waiting.pop(bundle["sha256"]).items():
            self._claim_or_refuse(each, spec)

    def _claim_or_refuse(self, token: str, spec: "Dict[str, Any]") -> None:
        try:
            self._claim(token, spec)
        except Refusal as refusal:
            self._refuse(token, refusal)
        except OSError as error:
            self._outbox.fault("start failed in the spool: %s" % error, token)

    def _refuse(self, token: str, refusal: Refusal) -> None:
        self._secrets.pop(token, None)
        self._outbox.put({"t": "refused", "token": token, "reason": refusal.reason, "message": str(refusal)})

    def _is_claimed(self, token: str) -> bool:
        entry = self._spool.entry(token)
        if entry is None:
            return False
        entry.close()
        return True

    def _claim(self, token: str, spec: "Dict[str, Any]") -> None:
        text, secrets = canonical(spec), self._secrets.pop(token, None)
        if self._is_claimed(token):
            return self._report(token, text)
        known = _parse(secrets, spec) if spec["secrets"] else {}
        bundle = spec["bundle"] and self._spool.bundles.path(spec["bundle"]["sha256"])
        around = Surroundings(self._spool.cluster, self._spool.path(token), self._place_library(token), bundle)
        try:
            names = [name for name in ("script", "stdin", "params") if spec[name]]
            entry, lock = self._spool.claim(token, text, names)
        except FileExistsError:
            return self._report(token, text)
        kernel.load()
        try:
            self._outbox.put({"t": "claimed", "token": token})
            self._following.add(Tail(entry))
            if token in self._cancelled:
                entry.request_cancel(self._cancelled.pop(token))
            supervisor.start(entry, spec, lock, around, known)
        except BlockingIOError as error:  # fork: no more processes
            message = "the node cannot make a process: %s" % error.strerror
            entry.record(outcome.build("not_started", reason="exec_failed", message=message))
        finally:
            os.close(lock)
        return None

    def _place_library(self, token: str) -> "Optional[bytes]":
        try:
            return self._library.path()
        except OSError as error:
            self._outbox.fault("anyjob.py and anyjob-report cannot be given to jobs: %s" % error, token)
            return None

    def _report(self, token: str, spec: bytes) -> None:
        """Answer a start of a token that is claimed already."""
        entry = self._claimed(token)
        known = entry.content("spec")
        if known and known != spec:
            entry.close()
            raise Refusal("token_conflict", "%s is claimed with another spec" % token)
        self._outbox.put({"t": "claimed", "token": token})
        if self._following.has(token):
            entry.close()
        else:
            self._following.add(Tail(entry))

    def _claimed(self, token: str) -> Entry:
        entry = self._spool.entry(token)
        if entry is None:
            raise FileNotFoundError("%s was claimed and is gone" % token)
        return entry


def _check_size(token: str, name: str, size: int, limit: int) -> None:
    if size > limit:
        raise Refusal("missing_input", "the input %s of %s is larger than %d bytes" % (name, token, limit))


def _parse(secrets: "Optional[bytes]", spec: "Dict[str, Any]") -> "Dict[str, str]":
    """Return name → text; a mistake is told without anything of the text."""
    try:
        known = json.loads((secrets or b"").decode("utf-8"))
    except ValueError:
        known = None
    if not isinstance(known, dict) or not all(isinstance(text, str) for text in known.values()):
        reason = "missing_input" if secrets is None else "bad_spec"
        raise Refusal(reason, "the input secrets is no JSON object of texts") from None
    missing = sorted(set(spec["secret_files"]) - known.keys())
    if missing:
        raise Refusal("bad_spec", "spec.secret_files: there is no secret named %s" % ", ".join(missing))
    return known
