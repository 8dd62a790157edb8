"""What a node says about itself."""

import os
import time

from .spool import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    from .spool import Spool

BOOTTIME = 7  # CLOCK_BOOTTIME, which goes on while the machine sleeps; time has its name since 3.7


def facts(spool: "Spool") -> "Dict[str, Any]":
    """Return what changes about a node: free bytes and clocks."""
    return {"free": spool.free(), "at": time.time(), "boottime": time.clock_gettime(BOOTTIME)}


def hello(spool: "Spool", python: str, executable: str, user: str) -> "Dict[str, Any]":
    """Return the first frame of a node."""
    return dict(
        facts(spool),
        t="hello",
        protocol=1,
        python=python,
        executable=executable,
        uid=os.geteuid(),
        user=user,
        spool=spool.root.decode("utf-8", "replace"),
        generation=spool.generation,
        boot_id=boot_id(),
        max_epoch=0,
    )
