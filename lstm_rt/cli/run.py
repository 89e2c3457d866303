"""``lstm-rt run``."""

import time
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import typer

import lstm_rt
from lstm_rt.cli import options, signals, ui
from lstm_rt.cli.csvfile import StepCsv
from lstm_rt.cli.options import Array, IsaOption, JsonOption, MaxMemoryOption, SetOption
from lstm_rt.errors import ArgumentError
from lstm_rt.files import open_regular

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
    loaded = lstm_rt.load(model, isa=isa, max_memory=max_memory)
    inputs = _inputs(loaded, source, options.values(set_, "--set") or {})
    start = time.perf_counter()
    outputs = loaded.run(inputs)
    milliseconds = 1000 * (time.perf_counter() - start)
    if out:
        _write(out, outputs)
    if json:
        described = {name: ui.array_facts(array) for name, array in outputs.items()}
        ui.print_json(
            {"model": model, "isa": loaded.isa, "milliseconds": milliseconds, "outputs": described, "out": out}
        )
        return
    ui.console.print(ui.arrays_table(outputs, "output"))
    ui.console.print(f"\n{milliseconds:.2f} ms, planning included, on {loaded.isa}" + (f" → {out}" if out else ""))


def _inputs(model: lstm_rt.Model, source: str, given: dict[str, Array]) -> dict[str, Array]:
    inputs: dict[str, Array] = {}
    if Path(source).suffix.lower() == ".npz":
        inputs.update(_load_npz(source))
    else:
        is_npy = Path(source).suffix.lower() == ".npy"  # of any rank
        rows = options.load_npy(source) if is_npy else signals.read_signal(source).rows()
        port = _signal_port(model, given)
        inputs[port.name] = rows if rows.ndim >= len(port.shape or ()) else signals.arrange(rows, port)
    inputs.update(given)
    missing = [port.name for port in model.inputs if port.name not in inputs and port.name not in model.bindings]
    if missing:
        raise ArgumentError(
            f"{source} gives the model {', '.join(inputs)}; it lacks {', '.join(missing)}. "
            f"Add {' '.join(f'--set {name}=VALUE' for name in missing)}, or give a .npz with an array for each."
        )
    for port in model.inputs:
        if port.name in model.bindings and port.name not in inputs:
            inputs[port.name] = np.zeros([dim or 1 for dim in port.shape or ()], port.dtype)
        elif port.name in inputs:
            inputs[port.name] = _as_declared(inputs[port.name], port.dtype)
    return inputs


def _signal_port(model: lstm_rt.Model, given: dict[str, Array]) -> Any:
    for port in model.inputs:
        if port.name not in given and port.name not in model.bindings and port.name not in model.control_inputs:
            return port
    raise ArgumentError("Every input of the model is set or state: none is left for the file.")


def _as_declared(array: Array, dtype: Optional[np.dtype[Any]]) -> Array:
    """Cast where that is harmless, as float64 to float32; the model refuses the rest."""
    return array.astype(dtype) if dtype is not None and np.can_cast(array.dtype, dtype, "same_kind") else array


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
