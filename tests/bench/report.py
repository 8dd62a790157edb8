"""What came of it: a table for people, JSON for machines."""

import json
import os
import platform
from collections.abc import Sequence
from typing import Any, Final

from tests.bench.cases import Case
from tests.bench.measure import Metric, Series, exponent, paired_ratio, spread

_GROWS: Final = (Metric.INSIDE, Metric.P50, Metric.CPU)  #: what must not grow faster than what is done
_TIMES: Final = frozenset(Metric) - {Metric.RATE}


def table(case: Case, series: Sequence[Series]) -> str:
    """Return a case as a Markdown table with its ratios and exponents."""
    metrics = [metric for metric in Metric if any(one.values(metric) for one in series)]
    rows = [["", *metrics], ["--"] * (len(metrics) + 1)]
    rows += [[one.name, *(_cell(one, metric) for metric in metrics)] for one in series]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([f"### {case.title}", "", *lines, "", *_ratios(case, series), *_exponents(case, series)])


def document(case: Case, series: Sequence[Series]) -> dict[str, Any]:
    """Return a case as JSON types."""
    by_name = {one.name: one for one in series}
    return {
        "case": case.name,
        "title": case.title,
        "subjects": {
            one.name: {"missing": one.missing} if one.missing else {"samples": [dict(sample) for sample in one.samples]}
            for one in series
        },
        "ratios": [
            {"ours": c.ours, "anchor": c.anchor, "metric": c.metric, "ratio": ratio}
            for c in case.comparisons
            if (ratio := paired_ratio(by_name[c.ours], by_name[c.anchor], c.metric)) is not None
        ],
        "exponents": {metric: {"all": whole, "last_step": last} for metric, whole, last in growth(case, series)},
    }


def growth(case: Case, series: Sequence[Series]) -> list[tuple[Metric, float, float]]:
    """Return the exponents of what was measured over the scale of the case: of all sizes, and of the last step.

    What does not depend on the size hides a growth that is too fast, least of all in the last step.
    """
    if len(case.scale) < 2:
        return []
    found = []
    for metric in _GROWS:
        points = [
            (size, spread(one.values(metric))[0])
            for size, one in zip(case.scale, series, strict=True)
            if one.values(metric)
        ]
        if len(points) == len(case.scale):
            found.append((metric, exponent(points), exponent(points[-2:])))
    return found


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def save(path: str, facts: dict[str, Any], cases: Sequence[dict[str, Any]]) -> None:
    """Write the JSON file."""
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123  "-" is no special name, any path goes
        json.dump({"machine": facts, "cases": cases}, file, indent=2)


def _cell(series: Series, metric: Metric) -> str:
    if series.missing is not None:
        return series.missing if metric is Metric.WALL else "-"
    values = series.values(metric)
    if not values:
        return "-"
    middle, least, greatest = (_number(value) for value in spread(values))
    return middle if len(values) == 1 else f"{middle} ({least}-{greatest})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.1 else f"{value:.3f}"


def _ratios(case: Case, series: Sequence[Series]) -> list[str]:
    by_name = {one.name: one for one in series}
    lines = []
    for compared in case.comparisons:
        ratio = paired_ratio(by_name[compared.ours], by_name[compared.anchor], compared.metric)
        if ratio is not None:
            better = "lower" if compared.metric in _TIMES else "higher"
            lines.append(
                f"* {compared.ours} / {compared.anchor}, {compared.metric}: **{ratio:.2f}** ({better} is better)"
            )
    return lines


def _exponents(case: Case, series: Sequence[Series]) -> list[str]:
    return [
        f"* {metric} grows with exponent **{whole:.2f}**, in the last step {last:.2f} (1 = linear)"
        for metric, whole, last in growth(case, series)
    ]
