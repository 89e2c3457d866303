"""A model stepped through a signal: what came out, and how long each step took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.progress import Progress

from lstm_rt import Model, Stream
from lstm_rt.cli import signals, ui
from lstm_rt.cli.options import Array
from lstm_rt.cli.signals import Framing, Signal
from lstm_rt.errors import ArgumentError, ModelFileError, UnsupportedModelError
from lstm_rt.proposals import as_options, propose

EMPTY = "The signal is empty: there was nothing to step through."
_TICK = 256  # steps between two moves of the progress bar


class Latency(NamedTuple):
    """Microseconds of one step as called from Python, and how many times faster than its signal the model runs."""

    median: float
    p99: float
    times_real_time: float | None

    def text(self) -> str:
        """Say it in one line."""
        said = f"{self.median:.2f} µs median, {self.p99:.2f} µs p99"
        return said if self.times_real_time is None else f"{said}; {self.times_real_time:,.0f}× real time"

    def facts(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "latency_us": {"median": self.median, "p99": self.p99},
            "times_real_time": self.times_real_time,
        }


class Step(NamedTuple):
    """The number of a step, its outputs without their leading dims of one, and how long it took."""

    number: int
    outputs: dict[str, Array]
    nanoseconds: int


class Results(NamedTuple):
    """What the steps gave: per output an array with the steps first. And how long each took."""

    outputs: dict[str, Array]
    nanoseconds: Array

    @classmethod
    def of(cls, outputs: Sequence[dict[str, Array]], nanoseconds: Sequence[int]) -> Results:
        """Put the steps of a signal together."""
        if not outputs:
            raise ModelFileError(EMPTY)
        stacked = {name: np.stack([step[name] for step in outputs]) for name in outputs[0]}
        return cls(stacked, np.array(nanoseconds))

    def latency(self, step_seconds: float | None) -> Latency:
        """Sum up the times of all steps but the first, which plans.

        Parameters
        ----------
        step_seconds : float or None
            How much signal one step is, where known.

        Returns
        -------
        Latency
            Real time is counted by the sum of these steps, not by their median.
        """
        times = self.nanoseconds[1:] if len(self.nanoseconds) > 1 else self.nanoseconds
        faster = None if step_seconds is None else float(step_seconds * 1e9 / times.mean())
        return Latency(float(np.median(times)) / 1000, float(np.percentile(times, 99)) / 1000, faster)


def open_stream(model: Model, bind: dict[str, str] | None, freeze: dict[str, Array] | None) -> Stream:
    """Open a stream of a model whose steps take one signal.

    Parameters
    ----------
    model : Model
        The model.
    bind, freeze : dict or None
        As for `Model.stream`.

    Returns
    -------
    Stream
        With one input.
    """
    unknown = [name for name in model.control_inputs if name not in (freeze or {})]
    if unknown:
        options = " ".join(f"--freeze {name}=VALUE" for name in unknown)
        raise ArgumentError(f"{' and '.join(unknown)} must be known before a step. Add {options}")
    proposal = as_options(propose(model, bind))
    try:
        stream = model.stream(
            bind=model.bindings if bind is None else bind, freeze=freeze, context=0
        )  # frames come with their context
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{error}\n{proposal}".rstrip()) from None
    if len(stream.inputs) != 1:
        raise ArgumentError(
            f"A step takes {len(stream.inputs)} inputs ({', '.join(stream.inputs)}); one signal was given. "
            f"{proposal or 'Carry state with --bind IN=OUT'}, and fix other inputs with --freeze NAME=VALUE."
        )
    return stream


class _Finite:
    """Warns once of the first input or output that is not finite: a NaN stays in the state for good."""

    def __init__(self) -> None:
        self._warned = False

    def look(self, number: int, frame: Array, results: Sequence[Array]) -> None:
        """Look at a step's arrays."""
        if self._warned:
            return
        what = "input" if not np.isfinite(frame).all() else "output"
        if what == "input" or not all(np.isfinite(result).all() for result in results):
            self._warned = True
            ui.note(
                f"warning: the {what} of step {number} is not finite (NaN or infinity). It may stay in the state, so "
                "that every later step is NaN. In Python, stream.reset() starts anew."
            )


def steps(stream: Stream, signal: Signal, framing: Framing) -> Iterator[Step]:
    """Step a stream through a signal as it comes.

    Parameters
    ----------
    stream : Stream
        With one input.
    signal : Signal
        What it steps through.
    framing : Framing
        How the signal is cut.

    Yields
    ------
    Step
        One per frame.
    """
    port, axis = signals.input_port(stream.model, stream.inputs[0]), stream.time_axes[0]
    watch = _Finite()
    for number, rows in enumerate(signals.frames(signal, framing)):
        frame = signals.arrange(rows, port, axis)
        start = time.perf_counter_ns()
        result = stream.step(frame)
        nanoseconds = time.perf_counter_ns() - start
        results = result if isinstance(result, tuple) else (result,)
        watch.look(number, frame, results)
        given = zip(stream.outputs, results)
        yield Step(number, {name: _without_leading_ones(array) for name, array in given}, nanoseconds)


def run_steps(
    stream: Stream,
    signal: Signal,
    framing: Framing,
    each_step: Callable[[Step], None] | None = None,
) -> Results:
    """Step a stream through a signal, with a progress bar where somebody may be waiting.

    Parameters
    ----------
    stream : Stream
        With one input.
    signal : Signal
        What it steps through.
    framing : Framing
        How the signal is cut.
    each_step : callable, optional
        Called with each step.

    Returns
    -------
    Results
        Outputs without their leading dims of one.
    """
    total = None if signal.length is None else framing.count(signal.length)
    given: list[dict[str, Array]] = []
    nanoseconds: list[int] = []
    hidden = not ui.messages.is_terminal or total is None
    with Progress(console=ui.messages, transient=True, disable=hidden) as progress:
        task = progress.add_task("Streaming", total=total)
        for step in steps(stream, signal, framing):
            given.append(step.outputs)
            nanoseconds.append(step.nanoseconds)
            if each_step:
                each_step(step)
            if step.number % _TICK == 0:
                progress.update(task, completed=step.number)
    return Results.of(given, nanoseconds)


def _without_leading_ones(array: Array) -> Array:
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return np.asarray(array)
