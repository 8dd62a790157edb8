"""Waits for a number of seconds, and reports its progress once a second."""

import json
import os
import sys
import time


def report(percent: float) -> None:
    """Tell AnyJob how far it is, if it listens."""
    number = os.environ.get("ANYJOB_FD")
    if number:
        os.write(int(number), (json.dumps({"progress": percent}) + "\n").encode())


def main(seconds: float) -> None:
    """Wait."""
    start = time.monotonic()
    while True:
        passed = time.monotonic() - start
        if passed >= seconds:
            break
        report(round(100 * passed / seconds, 1))
        time.sleep(min(1.0, seconds - passed))
    report(100)


main(float(sys.argv[1]))
