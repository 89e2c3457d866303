"""Writes the models that cross.py runs on every processor, and two lists of runs for run_models: all and quick."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import fetch
import numpy as np
import pytest
from dynamic_lstm import Layer
from models import Recurrent

import lstm_rt
from lstm_rt.demo import HEARTBEAT_ONNX
from lstm_rt.quantize import PRECISIONS

HIDDEN = (8, 16, 24, 33, 64, 128)
QUICK = "33"  # of these sizes, the one that every processor runs
LAYERS = {
    "lstm": {"kind": "LSTM"},
    "lstm_peephole": {"kind": "LSTM", "peephole": True, "clip": 2.0},
    "gru": {"kind": "GRU"},
    "gru_reset_after": {"kind": "GRU", "linear_before_reset": 1},
    "rnn": {"kind": "RNN"},
}
# What is put into the trained models (run_models.cpp says how to read it).
HEARTBEAT = ["whole 1 f2,9,5", "stream 9 f1,1,5"]
REAL = {
    "silero_vad": ["whole 1 f3,576 f2,3,128 i=16000", "whole 1 f1,288 f2,1,128 i=8000", "stream 6 f1,576 - i=16000"],
    "nsnet2": ["whole 1 f1,4,161"],
}


def layer_runs(inputs: int) -> list[str]:
    return [f"whole 1 f7,1,{inputs}", f"whole 1 f5,3,{inputs}", f"whole 1 f2,17,{inputs}", f"stream 9 f1,1,{inputs}"]


def write(source: object, name: str, folder: pathlib.Path) -> Iterator[str]:
    """Convert a model in every precision; the names of the files."""
    for precision in (None, *PRECISIONS):
        path = folder / f"{name}_{precision or 'float32'}.gguf"
        lstm_rt.convert(source, path, quantize=precision)
        yield path.name


def layers(folder: pathlib.Path) -> Iterator[str]:
    for hidden in HIDDEN:
        for name, options in LAYERS.items():
            inputs = hidden * 2 // 3 + 1
            layer = Recurrent(inputs=inputs, hidden=hidden, scale=2.0, **options)  # type: ignore[arg-type]
            for file in write(layer.model(), f"{name}_{hidden}", folder):
                yield from (f"{file} {run}" for run in layer_runs(inputs))


def of_bytes(folder: pathlib.Path) -> Iterator[str]:
    """Models whose source was quantised: weights that need no care, and any bytes at all."""
    layers = {
        "int8": Layer(inputs=20, hidden=33, states=False, lowest=-127),
        "uint8": Layer(inputs=20, hidden=33, states=False, dtype=np.uint8, zero=117, direction="bidirectional"),
    }
    for name, layer in layers.items():
        path = folder / f"dynamic_lstm_33_{name}.gguf"
        lstm_rt.convert(layer.model(), path)
        yield from (f"{path.name} {run}" for run in ("whole 1 f7,1,20", "whole 1 f5,3,20"))


def real(folder: pathlib.Path) -> Iterator[str]:
    for file in write(HEARTBEAT_ONNX, "heartbeat", folder):
        yield from (f"{file} {run}" for run in HEARTBEAT)
    for name, runs in REAL.items():
        try:
            source = fetch.model(name)
        except pytest.skip.Exception as why:
            print(f"NOT TESTED: {why}", file=sys.stderr)
            continue
        for file in write(source, name, folder):
            yield from (f"{file} {run}" for run in runs)


def main(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    runs = [*layers(folder), *of_bytes(folder), *real(folder)]
    files = dict.fromkeys(run.split()[0] for run in runs)
    runs += [f"{file} verify 1" for file in files]
    (folder / "runs.txt").write_text("\n".join(runs) + "\n")
    (folder / "quick.txt").write_text("\n".join(run for run in runs if f"_{QUICK}_" in run) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
