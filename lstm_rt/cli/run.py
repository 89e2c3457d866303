"""``lstm-rt run``."""

import time
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import typer

import lstm_rt
from lstm_rt.cli import defaults, options, signals, ui
from lstm_rt.cli.csvfile import StepCsv
from lstm_rt.cli.defaults import Defaults
from lstm_rt.cli.options import Array, IsaOption, JsonOption, MaxMemoryOption, SetOption
from lstm_rt.errors import ArgumentError
from lstm_rt.files import open_regular
from lstm_rt.hints import rate_among
from lstm_rt.report import streaming_of

NAME = "run"
EXAMPLES = (
    ("lstm-rt run model.gguf x.npy", "Look at the outputs"),
    ("lstm-rt run model.gguf inputs.npz --out outputs.npz", "Several inputs, by name"),
    ("lstm-rt run model.gguf speech.wav --out scores.csv", "A whole recording at once"),
)


def command(
    model: options.ModelArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help=".npy, .wav (mono PCM), or .npz with an array per input.", show_default=False
        ),
    ],
    set_: SetOption = None,
    out: Annotated[
        Optional[Path],
        typer.Option("--out", "-o", help=".npz, or .csv with a row per step, to write.", show_default=False),
    ] = None,
    isa: IsaOption = None,
    max_memory: MaxMemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Run a model on whole inputs.

    A .npy or .wav file is the model's first input that is neither state nor set otherwise. A signal of lower rank than
    that input fills its fixed dims, and then time. State that is not given starts as zeros.
    """
    if out and out.suffix.lower() not in (".npz", ".csv"):
        raise typer.BadParameter(f"{out.name!r}: the file is a .npz or a .csv", param_hint="--out")
    options.refuse_loss([out], [model, source], set_)
    loaded = lstm_rt.load(model, isa=isa, max_memory=max_memory)
    inputs, notes = _inputs(loaded, source, options.values(set_, "--set") or {})
    start = time.perf_counter()
    try:
        outputs = loaded.run(inputs)
    except lstm_rt.Error as error:
        raise ArgumentError(f"{error}{_advice(model, source)}") from error
    milliseconds = 1000 * (time.perf_counter() - start)
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                ui.note(f"warning: {kind} {name!r} holds values that are not finite (NaN or infinity).")
    if out:
        _write(out, outputs)
    if json:
        described = {name: ui.array_facts(array) for name, array in outputs.items()}
        ui.print_json(
            {
                "model": model,
                "isa": loaded.isa,
                "milliseconds": milliseconds,
                "outputs": described,
                "out": out,
                "notes": notes,
            }
        )
        return
    for note in notes:
        ui.note(note)
    ui.console.print(ui.arrays_table(outputs, "output"))
    ui.console.print(
        f"\n{milliseconds:.2f} ms, planning included, on {loaded.isa}" + (f" → {ui.literal(out)}" if out else "")
    )


def _inputs(model: lstm_rt.Model, source: str, given: dict[str, Array]) -> tuple[dict[str, Array], list[str]]:
    """Arrange what a file and the options give as the model's inputs; and say what was done to the values."""
    inputs: dict[str, Array] = {}
    notes: list[str] = []
    suffix = Path(source).suffix.lower()
    if suffix == ".npz":
        inputs.update(_load_npz(source))
    else:
        signal = None if suffix == ".npy" else signals.read_signal(source)
        port = _signal_port(model, given)
        if signal:
            said = {f"--set {name}": rate for name, rate in rate_among(given).items()}
            signals.require_rate(source, {"the file": signal.rate, "the model": model.hints.get("rate"), **said})
        rows, done = signals.as_samples(signal.rows() if signal else options.load_npy(source), port.dtype)
        notes = [f"{port.name}: {note}" for note in done]
        inputs[port.name] = rows if rows.ndim >= len(port.shape or ()) else signals.arrange(rows, port)
    inputs.update(given)
    known = Defaults(model, {}, {})
    absent = {name: value for name, value in known.frozen.items() if name not in inputs}
    inputs.update(absent)
    if absent:
        notes.append(known.say(shapes=False) or f"using {', '.join(absent)} from the model's hints")
    known_names = {*inputs, *model.bindings, *model.defaults}
    missing = [port.name for port in model.inputs if port.name not in known_names]
    if missing:
        raise ArgumentError(
            f"{source} gives the model {', '.join(inputs)}; it lacks {', '.join(missing)}. "
            f"Add {' '.join(f'--set {name}=VALUE' for name in missing)}, or give a .npz with an array for each."
        )
    for port in model.inputs:
        if port.name in inputs:
            inputs[port.name], done = signals.as_samples(inputs[port.name], port.dtype)
            notes += [f"{port.name}: {note}" for note in done]
    return inputs, notes


def _advice(path: str, source: str) -> str:
    """Say what a model takes that refuses a file as a whole; empty if nothing is known."""
    model = defaults.load(path)
    frames = [f"{name} {ui.dims(array.shape)}" for name, array in model.example.items() if name not in model.bindings]
    if not frames:
        return ""
    known = Defaults(model, {}, {})
    streams = streaming_of(model, known.frozen).streams
    steps = f" It streams: try lstm-rt stream {path} {source}." if streams else ""
    return f"\nThe model runs with inputs as in its self-test, {', '.join(frames)}.{steps}"


def _signal_port(model: lstm_rt.Model, given: dict[str, Array]) -> Any:
    for port in model.inputs:
        if port.name not in given and port.name not in model.bindings and port.name not in model.control_inputs:
            return port
    raise ArgumentError("Every input of the model is set or state: none is left for the file.")


def _load_npz(path: str) -> dict[str, Array]:
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, AttributeError) as error:
        raise lstm_rt.ModelFileError(f"{path}: no .npz file of plain numbers: {error}") from None


def _write(path: Path, outputs: dict[str, Array]) -> None:
    if path.suffix.lower() == ".npz":
        np.savez(path, **outputs)  # type: ignore[arg-type]
        return
    rows = {name: _rows(array, name) for name, array in outputs.items()}
    lengths = {len(array) for array in rows.values()}
    if len(lengths) > 1:
        shapes = ", ".join(f"{name} {ui.dims(array.shape)}" for name, array in outputs.items())
        raise lstm_rt.ShapeError(f"{path}: a .csv needs outputs of one length, not {shapes}. A .npz takes any.")
    with path.open("w", newline="") as file:
        table = StepCsv(file)
        for step in range(lengths.pop()):
            table.write({"step": step}, {name: array[step] for name, array in rows.items()})


def _rows(array: Array, name: str) -> Array:
    """One row per step of an output: leading dims of one go, what is behind the first of the others is its columns."""
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim > 2:
        raise lstm_rt.ShapeError(
            f"Output {name!r} has shape {array.shape}: too many dims for a .csv. A .npz takes any."
        )
    return np.atleast_1d(array)
