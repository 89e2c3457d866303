"""``lstm-rt bench``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import numpy as np
import typer
from rich.text import Text

import lstm_rt
from lstm_rt.cli import defaults, jitter, options, ui
from lstm_rt.cli.defaults import Defaults
from lstm_rt.cli.jitter import Jitter
from lstm_rt.cli.options import (
    Array,
    BindOption,
    FreezeOption,
    IsaOption,
    JsonOption,
    MaxMemoryOption,
    PlotOption,
    ShapeOption,
)
from lstm_rt.model import TensorInfo

NAME = "bench"
EXAMPLES = (
    ("lstm-rt bench model.gguf", "How long a step takes, and how evenly"),
    ("lstm-rt bench model.gguf --frame-ms 10 --plot jitter.png", "And how much faster than its signal it is"),
    ("lstm-rt bench silero_vad.onnx --shape input=1x576 --freeze sr=16000 --frame-ms 32", "Where shapes are free"),
)


class _Work(NamedTuple):
    """What is timed: a call that keeps nothing from the last but the state, and what one call is."""

    call: Callable[[], object]
    what: str
    shapes: dict[str, tuple[int, ...]]
    why_whole: Optional[str]


def command(
    model: options.ModelArgument,
    shape: ShapeOption = None,
    bind: BindOption = None,
    freeze: FreezeOption = None,
    quantize: Annotated[
        Optional[str],
        typer.Option(
            "--quantize",
            "--quantise",
            metavar="NAME",
            help="Precision to convert to first: int8, int8x16, int4 or bf16.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads that share the work.")] = 1,
    seconds: Annotated[float, typer.Option("--seconds", min=0.01, max=600, help="How long to measure.")] = 2.0,
    frame_ms: Annotated[
        Optional[float],
        typer.Option("--frame-ms", min=1e-6, help="Signal that a step stands for, in ms.", show_default=False),
    ] = None,
    plot: PlotOption = None,
    isa: IsaOption = None,
    max_memory: MaxMemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Time a model on this machine: one step if it streams, else one whole run.

    Free dims are those of the file's self-test, else 1, unless --shape says otherwise; inputs are random numbers. Every
    call is timed by itself, as called from Python, after a tenth of the time has gone by to warm up. Nothing is
    subtracted: what reading the clock adds is reported. Steps that took long are as a rule those in which the system
    ran something else. Ctrl-C ends the measurement and shows what was measured.
    """
    options.refuse_loss([plot], [model], freeze)
    pairs = options.pairs(bind, "--bind")
    loaded = defaults.load(model, pairs, isa=isa, quantize=quantize, max_memory=max_memory)
    known = Defaults(loaded, options.values(freeze, "--freeze") or {}, options.shapes(shape) or {})
    known.require_values()
    frame_ms = frame_ms or _hinted_ms(loaded)
    defaults.note(known.say(), json)
    work = _work(loaded, known.shapes, pairs, known.frozen, threads)
    jitter.measure(work.call, 0.1 * seconds)
    found = Jitter(jitter.measure(work.call, seconds, stoppable=True), jitter.clock_cost())
    report = {
        "model": model,
        "isa": loaded.isa,
        "quantize": quantize,
        "threads": threads,
        "timed": work.what,
        "whole_because": work.why_whole,
        "shapes": work.shapes,
        "using": known.say(),
        **found.facts(),
        "frame_ms": frame_ms,
        "times_real_time": None if frame_ms is None else frame_ms * 1e3 / found.mean,
        "plot": plot,
    }
    if plot:
        found.draw(plot, f"{Path(model).name}: {work.what}", f"{found.text()}, on {loaded.isa}")
    if json:
        ui.print_json(report)
    else:
        _show(report, found)


# ---- What is timed ----


def _work(
    model: lstm_rt.Model,
    shapes: dict[str, tuple[Optional[int], ...]],
    bind: Optional[dict[str, str]],
    frozen: dict[str, Array],
    threads: int,
) -> _Work:
    try:
        stream = model.stream(bind=bind, freeze=frozen, threads=threads, context=0)
    except lstm_rt.UnsupportedModelError as error:
        if bind:
            raise
        return _whole(model, shapes, frozen, threads, str(error))
    ports = [port for name in stream.inputs for port in model.inputs if port.name == name]
    frames = [_random(port, shapes.get(port.name)) for port in ports]
    out = stream.step(*frames)  # plans, and gives arrays of the right shape to write to from now on
    step = stream.step
    return _Work(lambda: step(*frames, out=out), "one step", _shapes_of(ports, frames), None)


def _whole(
    model: lstm_rt.Model,
    shapes: dict[str, tuple[Optional[int], ...]],
    frozen: dict[str, Array],
    threads: int,
    why: str,
) -> _Work:
    made = {port.name: _random(port, shapes.get(port.name)) for port in model.inputs if port.name not in frozen}
    inputs = {**made, **frozen}
    model.run(inputs)  # what does not fit is said before anything is timed
    return _Work(
        lambda: model.run(inputs, threads=threads),
        "one whole run",
        _shapes_of(model.inputs, list(inputs.values())),
        why,
    )


def _hinted_ms(model: lstm_rt.Model) -> Optional[float]:
    """Return the milliseconds of signal that a step stands for, if the model's hints tell."""
    frame, rate = model.hints.get("frame"), model.hints.get("rate")
    return 1000 * frame / rate if frame and rate else None


def _random(port: TensorInfo, shape: Optional[tuple[Optional[int], ...]]) -> Array:
    """Numbers that a layer sees in earnest; zeros where they are tokens, lengths or flags."""
    dims = tuple(1 if dim is None else dim for dim in shape or port.shape or ())
    dtype = port.dtype or np.dtype(np.float32)
    if dtype.kind != "f":
        return np.zeros(dims, dtype)
    return np.random.default_rng(1).standard_normal(dims).astype(dtype)


def _shapes_of(ports: Sequence[TensorInfo], arrays: Sequence[Array]) -> dict[str, tuple[int, ...]]:
    return {port.name: np.shape(array) for port, array in zip(ports, arrays)}


# ---- What is shown ----


def _show(report: dict[str, Any], found: Jitter) -> None:
    if report["whole_because"]:
        ui.note(f"note: timed whole, since it does not stream. {report['whole_because']}")
    took = report["latency_us"]
    shapes = ui.literal(", ".join(f"{name} {ui.dims(shape)}" for name, shape in report["shapes"].items()))
    ui.console.print(f"[bold]{report['timed']}[/] of {ui.literal(Path(report['model']).name)} with {shapes}")
    ui.console.print()
    times = ui.table(*(f">{name}" for name in took))
    times.add_row(*(jitter.microseconds(value) for value in took.values()))
    ui.console.print(times)
    ui.console.print()
    for line in found.histogram(ui.shows_blocks()):
        ui.console.print(Text(line))
    ui.console.print()
    rows = [("steps", f"{report['steps']:,} timed; {report['steps_per_second']:,.0f} a second")]
    if report["times_real_time"] is not None:
        rows.append(("real time", f"{report['times_real_time']:,.0f}× faster than frames of {report['frame_ms']:g} ms"))
    rows.append(("clock", f"{report['clock_us'] * 1000:.0f} ns of each time is reading it; nothing is subtracted"))
    how = [report["isa"], report["quantize"], f"{report['threads']} threads" if report["threads"] > 1 else None]
    rows.append(("on", ", ".join(part for part in how if part)))
    rows.append(("picture", str(report["plot"] or "")))
    ui.console.print(ui.facts(rows))
