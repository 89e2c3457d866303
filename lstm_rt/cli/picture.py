"""The picture of a streamed signal: the signal and what was found in it, the scores, and how long steps took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_rt.cli import ui
from lstm_rt.cli.jitter import microseconds
from lstm_rt.cli.options import Array
from lstm_rt.cli.signals import Framing, Signal
from lstm_rt.errors import MissingPackageError

_INK, _QUIET, _TRACE = "#1f2933", "#7b8794", "#3e4c59"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: told apart by all
_MANY = len(_COLOURS)  # more curves than this are drawn as an image
_LABELS = 16  # more marks than this would write over one another
_POINTS = 6000  # of a long signal, drawn as least and greatest values


class Mark(NamedTuple):
    """A stretch of time that was found, in seconds, and the curve that found it."""

    start: float
    end: float
    curve: str


@dataclass(frozen=True)
class Picture:
    """All that is drawn.

    Parameters
    ----------
    title, subtitle : str
        Above it.
    signal : Signal
        With its rows.
    framing : Framing
        How it was cut into steps.
    curves : dict of str to ndarray
        One value per step each.
    nanoseconds : ndarray
        What each step took.
    marks : sequence of Mark
        What was found.
    label : str
        The signal's unit.
    bounded : bool
        Whether the curves are probabilities.
    """

    title: str
    subtitle: str
    signal: Signal
    framing: Framing
    curves: dict[str, Array]
    nanoseconds: Array
    marks: Sequence[Mark] = ()
    label: str = "signal"
    bounded: bool = False

    def write(self, path: Path) -> None:
        """Draw the picture and write it as the file's extension says: .png, .svg or .pdf."""
        pyplot = ui.import_pyplot()
        style = {"font.family": "DejaVu Sans", "font.size": 10, "text.color": _INK, "axes.labelcolor": _QUIET}
        style.update({"xtick.color": _QUIET, "ytick.color": _QUIET, "axes.edgecolor": "#cbd2d9"})
        style.update({"axes.spines.top": False, "axes.spines.right": False})
        with pyplot.rc_context(style):
            figure = pyplot.figure(figsize=(12.8, 7.2), dpi=125)
            grid = figure.add_gridspec(
                3, 1, height_ratios=(3, 1.4, 0.8), left=0.06, right=0.975, top=0.865, bottom=0.075, hspace=0.38
            )
            top = figure.add_subplot(grid[0])
            self._draw_signal(top)
            self._draw_curves(figure.add_subplot(grid[1], sharex=top))
            self._draw_latency(figure.add_subplot(grid[2]))
            figure.text(0.06, 0.945, self.title, size=17, weight="bold")
            figure.text(0.06, 0.908, self.subtitle, size=10.5, color=_QUIET)
            try:
                figure.savefig(path)
            finally:
                pyplot.close(figure)

    @property
    def _rate(self) -> float:
        return self.signal.rate or 1.0

    def _colour(self, curve: str) -> str:
        return _COLOURS[list(self.curves).index(curve) % len(_COLOURS)]

    def _draw_signal(self, axes: Any) -> None:
        rows = self.signal.rows()
        end = len(rows) / self._rate
        if rows.ndim > 1:
            axes.imshow(rows.T, aspect="auto", origin="lower", extent=(0, end, 0, rows.shape[1]), cmap="Greys")
        else:
            times, values = _thinned(rows)
            axes.plot(times / self._rate, values, color=_TRACE, linewidth=0.8)
        for mark in self.marks:
            axes.axvspan(mark.start, mark.end, color=self._colour(mark.curve), alpha=0.22, linewidth=0)
        for mark in self.marks if len(self.marks) <= _LABELS else ():
            axes.annotate(
                mark.curve,
                ((mark.start + mark.end) / 2, 1.015),
                xycoords=("data", "axes fraction"),
                color=self._colour(mark.curve),
                size=9,
                ha="center",
            )
        axes.set_xlim(0, end)
        axes.locator_params(axis="y", nbins=6)
        axes.set_ylabel(self.label)
        axes.tick_params(labelbottom=False)

    def _draw_curves(self, axes: Any) -> None:
        times = (np.arange(len(self.nanoseconds)) * self.framing.hop + self.framing.frame) / self._rate
        if len(self.curves) > _MANY:
            image = np.stack(list(self.curves.values()))
            axes.imshow(image, aspect="auto", origin="lower", extent=(0, times[-1], 0, len(image)), cmap="Blues")
        else:
            for name, curve in self.curves.items():
                axes.plot(times, curve, color=self._colour(name), linewidth=1.2, label=name)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=_MANY, frameon=False, borderaxespad=0.2)
        if self.bounded:
            axes.set_ylim(0, 1.03)
            axes.set_yticks((0, 0.5, 1))
            axes.axhline(0.5, color="#cbd2d9", linewidth=0.8, zorder=0)
        axes.set_xlabel("seconds" if self.signal.rate else "samples")

    def _draw_latency(self, axes: Any) -> None:
        times = np.sort(self.nanoseconds[1:] if len(self.nanoseconds) > 1 else self.nanoseconds) / 1000
        times = np.maximum(times, 1e-3)  # a clock that does not move between two readings
        ends = 0.95 * times[0], 1.05 * max(times[-1], 1.5 * times[0])
        axes.hist(times, bins=np.geomspace(*ends, 160), color="#9aa5b1")
        axes.set(xscale="log", yscale="log", xlim=ends)  # as `lstm-rt bench` draws it: one slow step hides no others
        for percent, name, height in ((50, "median", 0.8), (99, "p99", 0.55)):
            value = float(np.percentile(times, percent))
            axes.axvline(value, color=_INK, linewidth=1)
            label = f" {name} {microseconds(value)}"
            axes.annotate(label, (value, height), xycoords=("data", "axes fraction"), size=9.5)
        axes.set_xlabel("microseconds a step takes")
        axes.set_ylabel("steps")


def _thinned(rows: Array) -> tuple[Array, Array]:
    """Give places and values to draw: all, or the least and greatest of each stretch of a long signal."""
    stretch = len(rows) // (_POINTS // 2)
    if stretch < 2:
        return np.arange(len(rows)), rows
    parts = rows[: len(rows) // stretch * stretch].reshape(-1, stretch)
    values = np.stack([parts.min(1), parts.max(1)], 1).ravel()
    return np.arange(len(values)) * stretch / 2, values


def write_demo_picture(picture: Picture, path: Path | None) -> Path | None:
    """Write a demo's picture, in the current folder if no path was given; without matplotlib only say so then.

    Parameters
    ----------
    picture : Picture
        What to draw.
    path : Path or None
        Where, if the user said.

    Returns
    -------
    Path or None
        The file written.
    """
    try:
        ui.import_pyplot()
    except MissingPackageError as error:
        if path:
            raise
        ui.note(f"note: no picture. {error}")
        return None
    path = path or Path("lstm-rt-demo.png")
    picture.write(path)
    return path
