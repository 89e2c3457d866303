"""A picture of what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .engines import ENGINES
from .run import Result


def plot(path: str, results: Sequence[Result], engines: Sequence[str]) -> None:
    """A PNG: microseconds on a logarithmic axis, a row per workload, a mark per engine, the limit as a bar."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 1.8 + 0.28 * len(results)), layout="constrained")
    rows = range(len(results))
    for name in engines:
        times = [r.us(name) if name in r.timings else math.nan for r in results]
        if not all(map(math.isnan, times)):
            ours = ENGINES[name].ours
            axes.plot(times, rows, "D" if ours else "o", markersize=8 if ours else 5, label=name, alpha=0.85)
    limit = [r.limits_us.get("float32", math.nan) for r in results]
    axes.plot(limit, rows, "|", markersize=12, color="black", label="limit, float32")
    axes.set_yticks(list(rows), [result.workload.name for result in results])
    axes.margins(y=0.02)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="µs per call, one core")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path, dpi=120)
