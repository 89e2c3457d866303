"""A model stepped through a signal that may never end: a line as each step is done, in memory that does not grow."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import typer

from lstm_rt import Stream
from lstm_rt.cli import stepping, ui
from lstm_rt.cli.csvfile import Sink, columns, csv_rows
from lstm_rt.cli.options import Array
from lstm_rt.cli.pcm import Pcm
from lstm_rt.cli.picture import Mark
from lstm_rt.cli.segments import Change, Detector
from lstm_rt.cli.signals import Framing, Signal
from lstm_rt.cli.stepping import Latency, Results, Step
from lstm_rt.errors import ModelFileError
from lstm_rt.text import one_line

_KEPT = 1 << 16  # steps whose times are kept, for the percentiles


class Pace:
    """How long steps took, and how many seconds the work fell `behind` the signal since it was least behind."""

    def __init__(self, framing: Framing, rate: float | None) -> None:
        self._framing, self._rate = framing, rate
        self._times = np.zeros(_KEPT, np.int64)
        self._least, self.behind = float("inf"), 0.0
        self._sum = self.count = 0

    def add(self, step: Step, length: int) -> None:
        """Count a step whose line is out, `length` rows of the signal having come."""
        self._times[self.count % _KEPT] = step.nanoseconds
        self.count += 1
        self._sum += step.nanoseconds
        if self._rate and self._framing.end(step.number) <= length:  # not one that waited for the end
            delay = time.monotonic() - self._framing.end(step.number) / self._rate  # and the unknown start
            self._least = min(self._least, delay)
            self.behind = max(self.behind, delay - self._least)

    def latency(self) -> Latency:
        """Sum up: percentiles of the last steps; real time by all of them."""
        times = self._times[: self.count]
        seconds = None if self._rate is None else self._framing.hop / self._rate
        faster = None if seconds is None else seconds * 1e9 * self.count / max(self._sum, 1)
        return Latency(float(np.median(times)) / 1000, float(np.percentile(times, 99)) / 1000, faster)


class Wanted(NamedTuple):
    """What counts as an event: thresholds by column (the only one: "", all: "*"), where it ends, its least seconds."""

    thresholds: dict[str, float]
    offset: float | None
    min_on: float
    min_off: float


class Events:
    """Prints where a column of the outputs becomes high, and where it ceases to be.

    Parameters
    ----------
    wanted : Wanted
        What counts.
    framing : Framing
        Its hop is the time from step to step.
    rate : float
        Rows a second.
    json : bool
        Whether lines are for programs.
    """

    def __init__(self, wanted: Wanted, framing: Framing, rate: float, json: bool) -> None:
        self._wanted, self._framing, self._rate, self._json = wanted, framing, rate, json
        self._detectors: dict[str, Detector] = {}
        self._known = 0.0  # seconds of signal that the last step knew
        self._started: dict[str, float] = {}
        self.marks: list[Mark] = []  # the events that have ended

    def __call__(self, step: Step) -> None:
        """Take a step."""
        scores = {
            name: value
            for output, array in step.outputs.items()
            for name, value in zip(columns(output, array.size), np.ravel(array))
        }
        if not self._detectors:
            wanted = self._wanted.thresholds
            columns_of = [(name, column) for name in wanted for column in self._columns(name, list(scores))]
            self._detectors = {column: self._detector(name) for name, column in columns_of}
        self._known = self._framing.seconds(step.number, self._rate)
        for name, detector in self._detectors.items():
            self._print(name, detector.push(float(scores[name])))

    def finish(self) -> None:
        """End what is under way."""
        for name, detector in self._detectors.items():
            self._print(name, detector.finish())

    def _columns(self, name: str, there: list[str]) -> list[str]:
        if name == "*" or (not name and len(there) == 1):
            return there
        if name not in there:
            said = f"there is no column {name!r}" if name else "say which column"
            known = ", ".join(there[:20])
            raise typer.BadParameter(f"{said}: COLUMN=VALUE with one of {known}", param_hint="--threshold")
        return [name]

    def _detector(self, name: str) -> Detector:
        on = self._wanted.thresholds[name]
        off = max(on - 0.15, 0.01) if self._wanted.offset is None else self._wanted.offset
        shortest, shortest_gap = self._steps(self._wanted.min_on), self._steps(self._wanted.min_off)
        return Detector(on, min(on, off), shortest, shortest_gap - 1)

    def _steps(self, seconds: float) -> int:
        """Count the steps that a time takes: the least number that is no shorter, and one at least."""
        return max(1, int(np.ceil(round(seconds * self._rate / self._framing.hop, 6))))

    def _print(self, name: str, change: Change | None) -> None:
        if change is None:
            return
        seconds = round(change.step * self._framing.hop / self._rate, 6)
        if change.event == "start":
            self._started[name] = seconds
        elif name in self._started:
            self.marks.append(Mark(self._started.pop(name), seconds, name))
        if self._json:
            line = {"event": change.event, "seconds": seconds, "column": name, "known": self._known}
            ui.print_json_line(line)
        else:
            which = f" {one_line(name)}" if len(self._detectors) > 1 else ""
            print(f"{change.event} {seconds:.3f}{which}", flush=True)


def json_line(framing: Framing, rate: float | None) -> Sink:
    """Make what prints a step as one line of JSON."""

    def write(step: Step) -> None:
        time = {"seconds": framing.seconds(step.number, rate)} if rate else {}
        outputs = {name: _shortest(array) for name, array in step.outputs.items()}
        ui.print_json_line({"step": step.number, **time, "outputs": outputs})

    return write


def _shortest(array: Array) -> Any:
    """Floats of the fewest digits that read back exactly as float32."""
    return array.astype(str).astype(np.float64).tolist() if array.dtype == np.float32 else array.tolist()


def events_wanted(
    threshold: list[str] | None, offset: float | None, min_on: float | None, min_off: float | None
) -> Wanted | None:
    """Read the options that say what an event is; None where none was asked for."""
    if not threshold:
        if (offset, min_on, min_off) != (None, None, None):
            raise typer.BadParameter("--offset, --min-on and --min-off are of events: add --threshold")
        return None
    levels = {}
    for text in threshold:
        column, _, level = text.rpartition("=")
        try:
            levels[column] = float(level)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not [COLUMN=]VALUE", param_hint="--threshold") from None
    return Wanted(levels, offset, 0.25 if min_on is None else min_on, 0.1 if min_off is None else min_off)


def print_lines(
    stream: Stream, signal: Signal, framing: Framing, wanted: Wanted | None, out: str | None, json: bool, keep: bool
) -> tuple[Results | None, list[Mark]]:
    """Step through a signal that may never end: a line for each step or event, at the end what there is to say.

    Returns all steps if they are to be kept, and the events.
    """
    events: Sink | None = None
    if wanted:
        if not signal.rate:
            raise typer.BadParameter("say how many samples a second there are", param_hint="--rate")
        events = Events(wanted, framing, signal.rate, json)
    elif json:
        events = json_line(framing, signal.rate)
    pace = Pace(framing, signal.rate)
    kept: list[Step] = []
    with csv_rows(out or (None if events else "-"), framing, signal.rate) as each_step:
        sinks = [sink for sink in (events, each_step) if sink]
        for step in stepping.steps(stream, signal, framing):
            for sink in sinks:
                sink(step)
            pace.add(step, _length(signal))
            kept += [step] if keep else []
    if isinstance(events, Events):
        events.finish()
    _show_end(signal, framing, pace, stream.model.isa, out)
    results = Results.of([step.outputs for step in kept], [step.nanoseconds for step in kept]) if keep else None
    return results, events.marks if isinstance(events, Events) else []


def _show_end(signal: Signal, framing: Framing, pace: Pace, isa: str, out: str | None) -> None:
    pipe, length = signal.blocks, _length(signal)
    if not pace.count and not (isinstance(pipe, Pcm) and pipe.stopped):
        raise ModelFileError(stepping.EMPTY)
    if isinstance(pipe, Pcm) and pipe.spare_bytes:
        ui.note(f"{pipe.spare_bytes} bytes at the end are no whole sample, and were left out.")
    missing = framing.end(pace.count - 1) - length
    if pace.count and missing > 0:
        ui.note(f"The last frame has {framing.frame - missing} of {framing.frame} samples; the others are zeros.")
    rows = [("steps", f"{pace.count:,}")]
    if pace.count:
        rows.append(("a step", pace.latency().text()))
    if signal.rate:
        rows.append(("signal", f"{length / signal.rate:,.2f} s"))
        if isinstance(pipe, Pcm):
            rows.append(("delay", f"{1000 * pace.behind:,.1f} ms at most behind the first frames"))
    rows += [("samples", note) for note in signal.notes]
    ui.messages.print(ui.facts([*rows, ("on", isa), ("written", out if out and out != "-" else "")]))


def _length(signal: Signal) -> int:
    """Count the rows that have come."""
    return signal.blocks.length if isinstance(signal.blocks, Pcm) else signal.length or 0
