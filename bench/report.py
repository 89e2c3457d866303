"""What was measured, for people: one table, the means, the reasons of gaps. And for programs: JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import limits
from .engines import ENGINES
from .precision import PRECISIONS
from .rows import Mean, Row, means, rows_of
from .run import Result

LEFT = ("workload", "engine", "lstm_rt")
RIGHT = ("best peer", "ahead", "limit", "of limit", "error", "ort-int8's")


def table(rows: Sequence[Row], peers: Sequence[str], *, color: bool = False) -> str:
    """One row per workload and precision: microseconds of each engine, and how lstm_rt compares."""
    shown = [row for row in rows if row.us is not None or row.ours.name in row.result.wrong]
    right = [n for n, heading in enumerate(RIGHT) if heading != "ort-int8's" or any(row.peer_error for row in shown)]
    header = [*LEFT, *peers, *(RIGHT[n] for n in right)]
    made = [_cells(row, peers) for row in shown]
    cells = [[*row[: len(LEFT) + len(peers)], *(row[len(LEFT) + len(peers) + n] for n in right)] for row in made]
    lines = aligned(header, cells)
    if color:
        lines[2:] = [_green(line) if (row.lead or 0) > 1 else line for line, row in zip(lines[2:], shown)]
    return "\n".join(lines)


def mean_table(found: Sequence[Mean]) -> str:
    """The geometric means, a line per precision and family."""
    cells = [[m.precision, m.family, str(m.count), times(m.lead), percent(m.share)] for m in found]
    return "\n".join(aligned(["engine", "family", "sizes", "ahead", "of limit"], cells, left=2))


def markdown(rows: Sequence[Row], found: Sequence[Mean]) -> str:
    """Two small tables for a README: the means of every precision, and the sizes of each family."""
    columns = [ours for ours in dict.fromkeys(row.ours.name for row in rows) if any(m.precision == ours for m in found)]
    names = [ENGINES[name].precision.name for name in columns]
    by_place = {(m.precision, m.family): m for m in found}
    lines = [_pipes(["ahead of the best other, of limit", *names]), _pipes(["---"] * (1 + len(names)))]
    for family in dict.fromkeys(m.family for m in found):
        means_here = [by_place.get((name, family)) for name in columns]
        lines.append(_pipes([family, *(f"{times(m.lead)}, {percent(m.share)}" if m else "" for m in means_here)]))
    lines += ["", _pipes(["µs", *names, "best of the others in float32"]), _pipes(["---"] * (2 + len(names)))]
    for name in dict.fromkeys(row.name for row in rows):
        here = {row.ours.name: row for row in rows if row.name == name}
        first = next(iter(here.values()))
        peer = f"{microseconds(first.result.us(first.best_peer))} ({first.best_peer})" if first.best_peer else ""
        lines.append(_pipes([name, *(microseconds(here[n].us) if n in here else "" for n in columns), peer]))
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


def document(
    results: Sequence[Result], engines: Sequence[str], machine: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """All numbers, as `write_json` writes them and `compare` reads them."""
    rows = rows_of(results, engines)
    return {
        "machine": machine,
        "settings": settings,
        "limits": _limits(),
        "results": [_record(result, [row for row in rows if row.result is result]) for result in results],
        "means": [dataclasses.asdict(mean) for mean in means(rows)],
    }


def write_json(path: str, found: dict[str, Any]) -> None:
    """Write a document; "-" is standard output."""
    text = json.dumps(found, indent=1)
    if path == "-":
        print(text)
    else:
        Path(path).write_text(text + "\n")


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = len(LEFT) - 1) -> list[str]:
    """Lines of a table: a heading, a rule, the rows; the first `left` columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [header, ["─" * width for width in widths], *rows]
    return [
        "  ".join(f"{c:<{w}}" if i < left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(cells, widths))).rstrip()
        for cells in lines
    ]


def microseconds(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def times(value: float | None) -> str:
    """How many times as fast."""
    return "" if value is None else f"{value:.2f}×" if value < 2 else f"{value:.1f}×"


def percent(value: float | None) -> str:
    """A share, in whole percent."""
    return "" if value is None else f"{100 * value:.0f}%"


def _cells(row: Row, peers: Sequence[str]) -> list[str]:
    result = row.result
    return [
        row.name,
        row.ours.name,
        _cell(result, row.ours.name),
        *(_cell(result, name) for name in peers),
        row.best_peer or "",
        times(row.lead),
        microseconds(row.limit_us),
        percent(row.share),
        _error(row.error),
        _error(row.peer_error),
    ]


def _cell(result: Result, name: str) -> str:
    if name in result.timings:
        return microseconds(result.us(name))
    return "failed" if name in result.wrong else "–"


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}" if value < 1e-4 else f"{100 * value:.2f}%"


def _green(line: str) -> str:
    return f"\x1b[32m{line}\x1b[0m"


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _some(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return "all workloads"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _record(result: Result, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "workload": result.workload.name,
        "what": result.workload.what,
        "timings_us": {name: dataclasses.asdict(timing) for name, timing in result.timings.items()},
        "errors": {name: error._asdict() for name, error in result.errors.items()},
        "cannot": result.cannot,
        "failed": result.wrong,
        "limits_us": result.limits_us,
        "lstm_rt": {
            row.ours.name: {"best_peer": row.best_peer, "ahead": row.lead, "share_of_limit": row.share}
            for row in rows
            if row.us is not None
        },
    }


def _limits() -> dict[str, Any]:
    try:
        reads = {f"{kib} KiB": limits.bandwidth(kib * 1024) / 1e9 for kib in (16, 256, 4096, 65536)}
        peaks = {name: limits.multiply_adds(p.unit) / p.products / 1e9 for name, p in PRECISIONS.items()}
        return {"gigamacs_per_second": peaks, "read_gigabytes_per_second": reads}
    except limits.LimitsError as error:
        return {"error": str(error)}
