"""What was measured, for people (a table, a plot) and for programs (JSON)."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import limits
from .engines import OURS
from .run import Result

LEAD = f"{OURS} ahead"
COLUMNS = ("best peer", LEAD, "limit", "of limit")


def table(results: Sequence[Result], engines: Sequence[str], *, color: bool = False) -> str:
    """One row per workload: microseconds of each engine, and how lstm_rt compares with peers and the machine."""
    header = ["workload", *engines, *COLUMNS]
    rows = [_row(result, engines) for result in results]
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [_line(header, widths), _line(["─" * width for width in widths], widths)]
    for result, row in zip(results, rows):
        lines.append(_line(row, widths, 1 + engines.index(result.fastest) if color and result.fastest else None))
    return "\n".join(lines)


def notes(results: Sequence[Result]) -> str:
    """Why there are gaps in the table, each reason once."""
    where: dict[str, list[str]] = defaultdict(list)
    for result in results:
        for name, why in result.cannot.items():
            where[f"{name} cannot: {why}"].append(result.workload.name)
        for name, why in result.wrong.items():
            where[f"{name} failed: {why}"].append(result.workload.name)
    return "\n".join(f"- {reason} ({_some(names, len(results))})" for reason, names in where.items())


def write_json(path: str, results: Sequence[Result], machine: dict[str, Any], settings: dict[str, Any]) -> None:
    """All numbers; "-" is standard output."""
    document = {"machine": machine, "settings": settings, "limits": _limits(), "results": list(map(_record, results))}
    text = json.dumps(document, indent=1)
    if path == "-":
        print(text)
    else:
        Path(path).write_text(text + "\n")


def plot(path: str, results: Sequence[Result], engines: Sequence[str]) -> None:
    """A PNG: microseconds on a logarithmic axis, a row per workload, a mark per engine, the limit as a bar."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.28 * len(results)), layout="constrained")
    rows = range(len(results))
    for name in engines:
        times = [r.us(name) if name in r.timings else math.nan for r in results]
        big = name.startswith(OURS)
        axes.plot(times, rows, "D" if big else "o", markersize=8 if big else 5, label=name)
    limit = [r.limit_us or math.nan for r in results]
    axes.plot(limit, rows, "|", markersize=12, color="black", label="limit of the machine")
    axes.set_yticks(list(rows), [result.workload.name for result in results])
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="µs per call, one core")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path, dpi=120)


def _row(result: Result, engines: Sequence[str]) -> list[str]:
    return [
        result.workload.name,
        *(_cell(result, name) for name in engines),
        result.best_peer or "",
        "" if result.lead is None else f"{result.lead:.1f}×",
        _microseconds(result.limit_us),
        "" if result.share_of_limit is None else f"{100 * result.share_of_limit:.0f}%",
    ]


def _cell(result: Result, name: str) -> str:
    if name in result.timings:
        return _microseconds(result.us(name))
    return "failed" if name in result.wrong else "–"


def _microseconds(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _line(cells: Sequence[str], widths: Sequence[int], green: int | None = None) -> str:
    padded = [f"{cell:>{width}}" if i else f"{cell:<{width}}" for i, (cell, width) in enumerate(zip(cells, widths))]
    if green is not None:
        padded[green] = f"\x1b[32m{padded[green]}\x1b[0m"
    return "  ".join(padded)


def _some(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return "all workloads"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _record(result: Result) -> dict[str, Any]:
    return {
        "workload": result.workload.name,
        "what": result.workload.what,
        "timings_us": {name: dataclasses.asdict(timing) for name, timing in result.timings.items()},
        "cannot": result.cannot,
        "failed": result.wrong,
        "best_peer": result.best_peer,
        "lead": result.lead,
        "limit_us": result.limit_us,
        "share_of_limit": result.share_of_limit,
    }


def _limits() -> dict[str, Any]:
    try:
        reads = {f"{kib} KiB": limits.bandwidth(kib * 1024) / 1e9 for kib in (16, 256, 4096, 65536)}
        return {"gigamacs_per_second": limits.multiply_adds() / 1e9, "read_gigabytes_per_second": reads}
    except limits.LimitsError as error:
        return {"error": str(error)}
