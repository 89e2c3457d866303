"""A step through the C API: models to step, the program that steps them (cpp/step.cpp), and what it says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from onnx import TensorProto, helper

import lstm_rt

from .compiled import compiled
from .workloads.layers import SIZES, layer_onnx, random_layer
from .workloads.workload import Recurrent

SOURCE = Path(__file__).parent / "cpp" / "step.cpp"
NOTHING = "nothing"  # a model whose only work is the Relu of one number


class StepTime(NamedTuple):
    """Nanoseconds of one step."""

    median: float
    fastest: float


def names(sizes: Iterable[int] = SIZES, cells: Iterable[str] = ("lstm", "gru"), batch: int = 1) -> list[str]:
    """Names of models: ``lstm/128``, or ``lstm/128x64`` for a batch of 64."""
    return [f"{cell}/{size}" + (f"x{batch}" if batch > 1 else "") for cell in cells for size in sizes]


def multiply_adds(name: str) -> int:
    """Those of the matrices in one step of a layer."""
    layer, batch = _layer(name)
    return int(layer.W.size + layer.R.size) * batch


def write_models(folder: str | os.PathLike[str], wanted: Iterable[str], quantize: str | None = None) -> dict[str, Path]:
    """Convert models into a folder; name to file."""
    options = {"quantize": quantize} if quantize else {}
    files = {}
    for name in wanted:
        files[name] = Path(folder, name.replace("/", "-") + ".gguf")
        lstm_rt.convert(_onnx(name), files[name], selftest=False, **options)  # type: ignore[arg-type]
    return files


def _layer(name: str) -> tuple[Recurrent, int]:
    cell, sizes = name.split("/")
    size, _, batch = sizes.partition("x")
    return random_layer(cell.upper(), int(size)), int(batch or 1)


def _onnx(name: str) -> bytes:
    if name != NOTHING:
        layer, batch = _layer(name)
        return layer_onnx(layer, 1, batch, ())
    ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, [1, 1, 1]) for port in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "nothing", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def program() -> Path:
    """cpp/step.cpp, compiled and linked to the library of the installed package."""
    library = lstm_rt.get_library_dir()
    flags = ("-I", lstm_rt.get_include(), "-L", library, "-llstm_rt", f"-Wl,-rpath,{library}")
    return compiled(SOURCE, ("g++", "-std=c++17", "-O2", *flags))


def times(files: Mapping[str, Path]) -> dict[str, StepTime]:
    """Time a step of every model, from C, in a process of its own on this process's core."""
    done = subprocess.run(
        [str(program()), *map(str, files.values())], stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ)
    )
    lines = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
    return {name: StepTime(float(median), float(least)) for name, (_, median, least) in zip(files, lines)}
