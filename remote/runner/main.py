"""Entry of the runner on a node, called by the first stage."""

import os
import sys

from . import rlimits
from .facts import hello
from .first_stage import UnsafeSpoolError, spool_root
from .identity import resolve
from .library import Library
from .outbox import Outbox
from .relay import Relay
from .spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict


def run(config: "Dict[str, Any]") -> None:
    """Be the relay of this connection (standard input and output) until it ends.

    `config` has the keys `cluster`; `spool`: the directory above the clusters' spools, or None; `files`: what jobs
    use, name to text; and `hash`: their version.
    """
    outbox = Outbox(1)
    try:
        spool = Spool(spool_root(config["spool"], config["cluster"]))
    except (OSError, UnsafeSpoolError) as error:
        outbox.put({"t": "fault", "message": "the spool cannot be used: %s" % error, "token": None})
        outbox.flush()
        return
    rlimits.take_own()
    python = "%d.%d.%d" % sys.version_info[:3]
    outbox.put(hello(spool, python, os.fsencode(sys.executable).decode("utf-8", "replace"), resolve(None, None).name))
    outbox.flush()
    try:
        Relay(spool, Library(spool.root, config), 0, outbox).run()
    finally:
        spool.close()
