"""How long calls took, one by one: percentiles, and a histogram as text or as a picture."""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lstm_rt.cli import ui
from lstm_rt.cli.options import Array

PERCENTILES = {"median": 50.0, "p99": 99.0, "p99.9": 99.9}
_MOST = 10_000_000  # calls timed: 80 MB
_BINS, _WIDTH = 16, 40  # of the histogram as text


def measure(call: Callable[[], object], seconds: float, *, stoppable: bool = False) -> Array:
    """Time calls one by one.

    Parameters
    ----------
    call : callable
        What is timed.
    seconds : float
        When to stop, or after ten million calls.
    stoppable : bool, default False
        Whether Ctrl-C ends the measurement, with what was measured by then.

    Returns
    -------
    ndarray of int64
        Nanoseconds of each call, in order.
    """
    now = time.perf_counter_ns
    taken = array("q")
    keep = taken.append
    end = now() + int(seconds * 1e9)
    with contextlib.suppress(*([KeyboardInterrupt] if stoppable else [])):
        for _ in range(_MOST):
            start = now()
            call()
            stop = now()
            keep(stop - start)
            if stop >= end:
                break
    if not taken:
        raise KeyboardInterrupt
    return np.array(taken)


def clock_cost() -> float:
    """Nanoseconds that a time is too long by: the median time of calling a function that does nothing."""
    return float(np.median(measure(_nothing, 0.02)))


def _nothing() -> None:
    pass


class Jitter:
    """Times of calls that were measured one by one.

    Parameters
    ----------
    nanoseconds : ndarray
        One for each call.
    clock_ns : float
        What `clock_cost` gave.
    """

    def __init__(self, nanoseconds: Array, clock_ns: float) -> None:
        self._us = np.maximum(np.sort(nanoseconds), 1) / 1000  # a clock that does not move between two readings
        self._clock_us = clock_ns / 1000

    @property
    def mean(self) -> float:
        """Microseconds of a call, in the mean."""
        return float(self._us.mean())

    @property
    def latency(self) -> dict[str, float]:
        """Microseconds: the least, the percentiles, the most."""
        middle = {name: float(np.percentile(self._us, percent)) for name, percent in PERCENTILES.items()}
        return {"least": float(self._us[0]), **middle, "most": float(self._us[-1])}

    def facts(self) -> dict[str, Any]:
        """Give it as JSON."""
        edges, counts = self._bins()
        return {
            "steps": len(self._us),
            "latency_us": self.latency,
            "mean_us": self.mean,
            "steps_per_second": 1e6 / self.mean,
            "clock_us": self._clock_us,
            "histogram": {"edges_us": edges, "counts": counts},
        }

    def text(self) -> str:
        """Say it in one line."""
        return ", ".join(f"{microseconds(self.latency[name])} {name}" for name in PERCENTILES)

    def histogram(self, blocks: bool = True) -> list[str]:
        """Draw it with characters, a line for each bin; bins widen with the time, and the length is a logarithm.

        Parameters
        ----------
        blocks : bool, default True
            Whether the terminal has block characters.

        Returns
        -------
        list of str
            The lines. One call among a million is a mark too: a logarithm shows it.
        """
        edges, counts = self._bins()
        longest = np.log1p(counts.max())
        lines = [f"{'a step takes':^21}  {'of so many, on a logarithmic scale':<{_WIDTH}}  steps"]
        for low, high, count in zip(edges, edges[1:], counts):
            length = int(np.ceil(_WIDTH * np.log1p(count) / longest))
            bar = ("█" if blocks else "#") * length
            lines.append(f"{microseconds(low):>9} – {microseconds(high):>9}  {bar:<{_WIDTH}}  {count:,}")
        return lines

    def draw(self, path: Path, title: str, subtitle: str) -> None:
        """Draw it as a picture: .png, .svg or .pdf."""
        pyplot = ui.import_pyplot()
        figure, axes = pyplot.subplots(figsize=(10, 5), dpi=125, layout="constrained")
        axes.hist(self._us, bins=np.geomspace(*self._ends(), 120), color="#9aa5b1")
        axes.set(xscale="log", yscale="log", xlabel="microseconds a call takes", ylabel="calls")
        for name in PERCENTILES:
            axes.axvline(self.latency[name], color="#1f2933", linewidth=1)
            place = (self.latency[name], {"median": 0.95, "p99": 0.85, "p99.9": 0.75}[name])
            label = f" {name} {microseconds(self.latency[name])}"
            axes.annotate(label, place, xycoords=("data", "axes fraction"), size=9.5, backgroundcolor="white")
        figure.suptitle(title, x=0.01, ha="left", size=17, weight="bold")
        axes.set_title(subtitle, loc="left", size=10.5, color="#7b8794")
        axes.spines[["top", "right"]].set_visible(False)
        try:
            figure.savefig(path)
        finally:
            pyplot.close(figure)

    def _ends(self) -> tuple[float, float]:
        return 0.999 * float(self._us[0]), 1.001 * float(self._us[-1])

    def _bins(self) -> tuple[Array, Array]:
        edges = np.geomspace(*self._ends(), _BINS + 1)
        counts, _ = np.histogram(self._us, edges)
        return edges, counts


def microseconds(value: float) -> str:
    """Write a time in three digits that count."""
    for limit, unit, scale in ((1e6, "s", 1e6), (1e3, "ms", 1e3)):
        if value >= limit:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g} µs"
