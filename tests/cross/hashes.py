"""Runs models on this machine and on processors that QEMU plays, and prints the SHA-256 of each one's output bytes.

``python3 dev.py hashes [MODEL ...]`` calls it. A model's inputs are those of ``--inputs FILE.npz`` (an array for each
input, by name), else made up, the same every time. Instruction sets with fused
multiply-add must all give one hash; those without (docs/numerics.md) must give one among themselves. Ends with 1 where
they do not.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import fetch
import numpy as np
import pytest
from cross import Given, outputs
from targets import ARMV6, BUILD, TARGETS, build, is_x86, prepare, run

import lstm_rt
from lstm_rt.demo import HEARTBEAT_ONNX

FOLDER = BUILD / "hashes"
DTYPES = ("float32", "int64", "int32", "bool", "uint8", "int8")  # as lrt_dtype numbers them
FREE = (5, 1, 576, 160)  # sizes tried for dims that are free, but for the first of an input, which is 1
CONTROL = 16000  # what an input is that chooses branches: in audio, the sample rate


class Row(NamedTuple):
    processor: str
    given: Given


def default_models() -> Iterator[tuple[str, object]]:
    yield "heartbeat", HEARTBEAT_ONNX
    try:
        yield "silero_vad", fetch.model("silero_vad")
    except pytest.skip.Exception as why:
        print(f"NOT RUN: {why}", file=sys.stderr)


def made_up(model: lstm_rt.Model) -> dict[str, Any]:
    """Inputs of the first sizes that fit the model."""
    error: lstm_rt.Error | None = None
    for free in FREE:
        rng = np.random.default_rng(1)
        arrays = {}
        for port in model.inputs:
            free_axes = [axis for axis, dim in enumerate(port.shape or ()) if dim is None]
            sizes = {axis: 1 if axis == free_axes[0] else free for axis in free_axes}
            shape = [sizes.get(axis, dim) for axis, dim in enumerate(port.shape or ())]
            if port.name in model.control_inputs:
                arrays[port.name] = np.full(shape, CONTROL, port.dtype)
            elif np.dtype(port.dtype).kind == "f":
                arrays[port.name] = rng.standard_normal(shape).astype(port.dtype)
            else:
                arrays[port.name] = rng.integers(0, 2, shape).astype(port.dtype)
        try:
            model.run(arrays)
        except lstm_rt.Error as why:
            error = why
        else:
            return arrays
    raise SystemExit(f"no made-up input fits the model; give one with --inputs: {error}")


def write_run(name: str, source: object, inputs: Mapping[str, Any] | None, quantize: str | None) -> str:
    """Write a model and its inputs into FOLDER; the line for run_models."""
    file = FOLDER / f"{name}.gguf"
    if isinstance(source, pathlib.Path) and source.suffix == ".gguf":
        file.write_bytes(source.read_bytes())
    else:
        lstm_rt.convert(source, file, quantize=quantize)
    model = lstm_rt.load(file)
    arrays = inputs or made_up(model)
    words = []
    for number, port in enumerate(model.inputs):
        if port.name not in arrays:
            raise SystemExit(f"{file.name} has an input {port.name!r}, which --inputs does not hold")
        array = np.asarray(arrays[port.name], port.dtype, order="C")
        beside = FOLDER / f"{name}.{number}.bin"
        beside.write_bytes(array.tobytes())
        words.append(f"{DTYPES.index(array.dtype.name)}:{','.join(map(str, array.shape))}@{beside.name}")
    return f"{file.name} whole 1 {' '.join(words)}"


def rows(options: argparse.Namespace, runs: pathlib.Path) -> Iterator[Row]:
    """Every instruction set of this machine, then of the processors that QEMU plays."""
    for given in outputs(run(options.native / "run_models", runs)):
        yield Row("this machine", given)
    if not is_x86():
        return
    targets = (*TARGETS, ARMV6) if options.armv6 else TARGETS
    prepare(targets)
    for target in targets:
        folder = build(target, options.cmake, options.ninja, "-DLSTM_RT_TESTS=ON", goals=["run_models"])
        for cpu in target.isas:
            for given in outputs(run(*target.emulator(cpu), folder / "run_models", runs)):
                yield Row(cpu, given)


def show(found: Iterable[Row]) -> int:
    """Print a table for each model; the number of hashes beyond one for each kind of instruction set."""
    by_model: dict[str, list[Row]] = {}
    for row in found:
        by_model.setdefault(row.given.name, []).append(row)
    surplus = 0
    for name, those in by_model.items():
        print(f"\n{name.split()[0]}")
        for processor, given in those:
            print(f"  {processor:18} {given.isa:17} {given.kind:8} {given.sha256}")
        for kind in ("exact", "rounded"):
            hashes = {row.given.sha256 for row in those if row.given.kind == kind}
            if not hashes:
                continue
            print(f"  {kind}: " + ("one hash" if len(hashes) == 1 else f"{len(hashes)} HASHES"))
            surplus += max(0, len(hashes) - 1)
    return surplus


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py hashes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("native", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("models", type=pathlib.Path, nargs="*", metavar="MODEL", help="any file lstm_rt converts")
    parser.add_argument("--inputs", type=pathlib.Path, metavar="FILE.npz", help="what the models are run on")
    parser.add_argument("--quantize", metavar="NAME", help="convert to this precision first")
    parser.add_argument("--armv6", action="store_true", help="the Pi Zero too; its first build takes minutes")
    parser.add_argument("--cmake", default="cmake", help=argparse.SUPPRESS)
    parser.add_argument("--ninja", default="ninja", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    inputs = dict(np.load(options.inputs)) if options.inputs else None
    models = [(path.stem, path) for path in options.models] or list(default_models())
    runs = FOLDER / "runs.txt"
    lines = [write_run(name, source, inputs, options.quantize) for name, source in models]
    runs.write_text("\n".join(lines) + "\n")
    return 1 if show(rows(options, runs)) else 0


if __name__ == "__main__":
    sys.exit(main())
