#!/usr/bin/env python3
"""A job in Python, 3.6 or newer: `anyjob` can be imported by every job."""

import anyjob


@anyjob.main
def copy(job):
    """Copy as many tables as were asked for, and tell how far it is."""
    count = job.param("count")
    label = job.param("label", "no label")
    job.info(f"copying {count} tables", tag="copy")
    for step in range(1, count + 1):
        job.progress(100 * step // count, f"table {step}: {label}", stage="copy")
    job.metrics(tables=count)
    job.data(label=label)
    job.result(f"{count} tables")
    job.success("all copied")


if __name__ == "__main__":
    copy()
