"""``lstm-rt stream``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import typer

import lstm_rt
from lstm_rt.cli import defaults, options, signals, stepping, ui
from lstm_rt.cli.csvfile import columns, csv_rows
from lstm_rt.cli.defaults import Defaults
from lstm_rt.cli.live import events_wanted, print_lines
from lstm_rt.cli.options import BindOption, FreezeOption, IsaOption, JsonOption, MaxMemoryOption, PlotOption
from lstm_rt.cli.pcm import FORMATS, Pcm
from lstm_rt.cli.picture import Mark, Picture
from lstm_rt.cli.signals import Framing, Signal
from lstm_rt.cli.stepping import Results
from lstm_rt.model import TensorInfo

NAME = "stream"
EXAMPLES = (
    ("lstm-rt stream model.gguf trace.npy", "Samples, as many a step as the model takes"),
    (
        "lstm-rt stream silero_vad.onnx speech.wav --frame 512 --context 64 --freeze sr=16000 --plot vad.png",
        "Silero VAD: 512 new samples a step, and again the 64 before them",
    ),
    (
        "arecord -q -t raw -f S16_LE -r 16000 -c 1 | lstm-rt stream silero_vad.onnx - --rate 16000 --frame 512 "
        "--context 64 --freeze sr=16000",
        "Live from a microphone, a line of .csv as each step is done",
    ),
    (
        "ffmpeg -loglevel error -i speech.mp3 -f f32le -ar 16000 -ac 1 - | lstm-rt stream silero_vad.onnx - "
        "--pcm f32le --rate 16000 --frame 512 --context 64 --freeze sr=16000 --threshold 0.5",
        "Where speech starts and ends, from any recorder",
    ),
)
_LINES = 4  # sparklines shown at most


def command(
    model: options.ModelArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SIGNAL",
            help=".wav (mono PCM), .npy of samples (N,) or features (T, ...), or - for raw samples from a pipe.",
            show_default=False,
        ),
    ],
    frame: Annotated[
        Optional[int],
        typer.Option(min=1, help="New samples (rows, where a .npy has rows) of a step.", show_default="what fits"),
    ] = None,
    hop: Annotated[
        Optional[int], typer.Option(min=1, help="Distance from step to step.", show_default="the frame")
    ] = None,
    context: Annotated[
        Optional[int],
        typer.Option(min=0, help="Samples before the frame that are given again.", show_default="0"),
    ] = None,
    rate: Annotated[
        Optional[float], typer.Option(min=0.001, help="Samples (rows) a second, where the source does not say.")
    ] = None,
    pcm: Annotated[
        Optional[str],
        typer.Option(metavar="FORMAT", help=f"Raw samples: {', '.join(FORMATS)}.", show_default="s16le"),
    ] = None,
    channels: Annotated[
        Optional[int], typer.Option(min=1, max=64, help="Of raw samples; their mean is taken.", show_default="1")
    ] = None,
    bind: BindOption = None,
    freeze: FreezeOption = None,
    threshold: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="[COLUMN=]VALUE",
            help="Print where an output reaches this and where it falls back, not every step. Repeatable.",
        ),
    ] = None,
    offset: Annotated[
        Optional[float], typer.Option(help="An event ends below this.", show_default="0.15 below the threshold")
    ] = None,
    min_on: Annotated[
        Optional[float], typer.Option(min=0, help="Seconds; shorter events are left out.", show_default="0.25")
    ] = None,
    min_off: Annotated[
        Optional[float], typer.Option(min=0, help="Seconds; shorter gaps are closed.", show_default="0.1")
    ] = None,
    out: Annotated[
        Optional[str],
        typer.Option("--out", "-o", metavar="FILE", help=".csv or .npz to write; - for .csv as it comes."),
    ] = None,
    plot: PlotOption = None,
    isa: IsaOption = None,
    max_memory: MaxMemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Step a model through a signal frame by frame, its state kept, as it would run live.

    A step gets the samples from its context to the end of its frame; what lies outside the signal is zero. Latency is
    that of a call from Python, clock included; the first step, which plans, is not counted.

    Left-out options are those of the model's hints (frame, context, rate, threshold), if its file has any. A rate that
    contradicts the signal's is refused.

    Raw samples from a pipe are stepped through as they come, until its end or Ctrl-C, and each step is a line on
    standard output: .csv, or with --json one JSON object. With --threshold only the starts and ends of events are.
    """
    _check_usage(source, out, plot, json, threshold)
    options.refuse_loss([out, plot], [model, source], freeze)
    pipe = _pipe(source, pcm, channels)
    pairs = options.pairs(bind, "--bind")
    loaded = defaults.load(model, pairs, isa=isa, max_memory=max_memory)
    frozen = options.values(freeze, "--freeze") or {}
    known = Defaults(loaded, frozen, {})
    known.require_values()
    stream = stepping.open_stream(loaded, pairs, known.frozen)
    port = signals.input_port(loaded, stream.inputs[0])
    signal = Signal(pipe, rate) if pipe else signals.read_signal(source, rate).of_dtype(port.dtype)
    if signal.row_size == 1:
        agreed = signals.require_rate(source, {"the signal": signal.rate, "--rate": rate, **known.rates(frozen)})
        signal = signal._replace(rate=agreed)
    framing, tested = _framing(stream, port, signal, known, frame, hop, context)
    defaults.note(known.say(shapes=tested), json)
    threshold = threshold or _hinted_threshold(loaded, signal, out, json)
    wanted = events_wanted(threshold, offset, min_on, min_off)
    title = f"{Path(model).name} on {Path(source).name}"
    if pipe or wanted:
        kept, marks = print_lines(stream, signal, framing, wanted, out, json, keep=plot is not None)
        if plot and kept:
            took = kept.latency(framing.hop / signal.rate if signal.rate else None)
            _plot(plot, signal, kept, framing, title, f"A step takes {took.text()} on {loaded.isa}", marks)
        return
    seconds = framing.hop / signal.rate if signal.rate else None
    with csv_rows(out, framing, signal.rate) as each_step:
        results = stepping.run_steps(stream, signal, framing, each_step)
    latency = results.latency(seconds)
    if out and out.endswith(".npz"):
        np.savez(out, **results.outputs)  # type: ignore[arg-type]
    if plot:
        _plot(plot, signal, results, framing, title, f"A step takes {latency.text()} on {loaded.isa}")
    summary = {
        "model": model,
        "isa": loaded.isa,
        "steps": len(results.nanoseconds),
        **framing._asdict(),
        "step_seconds": seconds,
        **latency.facts(),
        "outputs": {name: ui.array_facts(array) for name, array in results.outputs.items()},
        "out": out,
        "plot": plot,
        "using": known.say(shapes=tested),
        "notes": list(signal.notes),
    }
    if json:
        ui.print_json(summary)
    else:
        _show(summary, results, latency.text())


def _check_usage(
    source: str, out: Optional[str], plot: Optional[Path], json: bool, threshold: Optional[list[str]]
) -> None:
    if out and out != "-" and Path(out).suffix.lower() not in (".csv", ".npz"):
        raise typer.BadParameter(f"{out!r}: the file is a .csv or a .npz", param_hint="--out")
    if out == "-" and json:
        raise typer.BadParameter("--out - and --json both want standard output")
    if out == "-" and threshold:
        raise typer.BadParameter("--out - and --threshold both want standard output")
    if plot and source == "-":
        raise typer.BadParameter("a pipe may never end: record it to a .wav file to plot it", param_hint="--plot")
    if out and out.endswith(".npz") and (source == "-" or threshold):
        raise typer.BadParameter("what is printed as it comes is written as .csv", param_hint="--out")


def _pipe(source: str, pcm: Optional[str], channels: Optional[int]) -> Optional[Pcm]:
    if source != "-":
        if pcm or channels:
            raise typer.BadParameter("--pcm and --channels are of raw samples from a pipe: give - as the signal")
        return None
    if pcm is not None and pcm not in FORMATS:
        raise typer.BadParameter(f"{pcm!r}: known are {', '.join(FORMATS)}", param_hint="--pcm")
    if sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal: pipe a recorder into it", param_hint="SIGNAL")
    return Pcm(pcm or "s16le", channels or 1)


def _hinted_threshold(model: lstm_rt.Model, signal: Signal, out: Optional[str], json: bool) -> Optional[list[str]]:
    """Return the threshold of the model's hints, unless every step was requested."""
    hint = model.hints.get("threshold")
    steps_wanted = json or out == "-" or (out or "").endswith(".npz")
    return None if hint is None or steps_wanted or not signal.rate else [f"*={hint}"]


def _framing(
    stream: lstm_rt.Stream,
    port: TensorInfo,
    signal: Signal,
    known: Defaults,
    frame: Optional[int],
    hop: Optional[int],
    context: Optional[int],
) -> tuple[Framing, bool]:
    """Choose what was left out, and say whether the self-test decided.

    Hints come first. Then the frame fills the fixed dims of the input, less the context. An input that has none, of a
    model whose state is bound, takes the values of the self-test. The hop is one frame.
    """
    hints, tested = stream.model.hints, False
    if context is None:
        context = int(hints.get("context", 0)) if frame is None or frame == hints.get("frame") else 0
    if frame is None and "frame" in hints:
        frame = int(hints["frame"])
    if frame is None:
        fits = signals.fixed_values(port) // signal.row_size - context
        has_features = len(port.shape or ()) > 2 and (port.shape or (None,))[-1] is not None
        if fits <= 1 and signal.row_size == 1 and not has_features and stream.model.bindings:
            shape = known.shapes.get(port.name, ())
            fits, tested = int(np.prod([dim or 1 for dim in shape])) - context, True
        if fits < 1 or (fits == 1 and signal.row_size == 1 and not has_features):
            shape_text = ui.dims(port.shape, port.dim_names)
            raise typer.BadParameter(
                f"say how many samples a step takes: input {port.name!r} is {shape_text}", param_hint="--frame"
            )
        frame = fits
    hop = hop or frame
    if hop > frame:
        raise typer.BadParameter(f"{hop} would leave out samples between frames of {frame}", param_hint="--hop")
    return Framing(frame, hop, context), tested


def _plot(
    path: Path, signal: Signal, results: Results, framing: Framing, title: str, latency: str, marks: Sequence[Mark] = ()
) -> None:
    curves = {
        name: array.reshape(len(array), -1)[:, column]
        for output, array in results.outputs.items()
        for column, name in enumerate(columns(output, array[0].size))
    }
    Picture(title, latency, signal, framing, curves, results.nanoseconds, marks).write(path)


def _show(summary: dict[str, Any], results: Results, latency: str) -> None:
    screen = ui.messages if summary["out"] == "-" else ui.console
    screen.print(ui.arrays_table(results.outputs, "output"))
    screen.print()
    if ui.shows_blocks():
        _show_curves(screen, results)
    rows = [("steps", f"{summary['steps']:,}"), ("a step", latency), ("on", summary["isa"])]
    rows += [("samples", note) for note in summary["notes"]]
    rows += [(name, str(summary[key])) for name, key in (("written", "out"), ("picture", "plot")) if summary[key]]
    screen.print(ui.facts(rows))


def _show_curves(screen: Any, results: Results) -> None:
    for output, array in results.outputs.items():
        flat = array.reshape(len(array), -1)
        if flat.shape[1] <= _LINES:
            for column, name in enumerate(columns(output, flat.shape[1])):
                screen.print(f"[cyan]{ui.sparkline(flat[:, column], screen.width - 1)}[/]")
                screen.print(f"[dim]{ui.literal(name)}, over time, each from its least to its greatest[/]\n")
