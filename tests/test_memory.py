"""Weights are in memory once: packed, shared by everything that runs them, and the plain copy given back."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import textwrap

import models
import numpy as np
import onnx
import pytest
from close import assert_same_bytes
from models import Recurrent

import lstm_rt

HIDDEN = 512
WEIGHTS = 8 * HIDDEN * HIDDEN * 4  # bytes of W and R: 8 MiB

# Resident memory before and after, in a process of its own.
MEASURE = textwrap.dedent(
    """
    import json, pathlib, re, sys
    import numpy as np
    import lstm_rt

    def resident():
        status = pathlib.Path("/proc/self/status").read_text()
        return int(re.search(r"VmRSS:\\s*(\\d+)", status)[1]) * 1024

    lstm_rt.load(sys.argv[2])  # imports what loading needs
    frame = np.ones((1, 1, int(sys.argv[3])), np.float32)
    start = resident()
    model = lstm_rt.load(sys.argv[1])
    streams = [model.stream()]
    streams[0].step(frame)
    one = resident() - start
    for _ in range(20):
        streams.append(model.stream())
        streams[-1].step(frame)
    pool = model.pool(4)
    pool.step([pool.open()], frame)
    print(json.dumps([one, resident() - start]))
    """
)


def large() -> onnx.ModelProto:
    return Recurrent("LSTM", HIDDEN, HIDDEN).model(outputs=["Y"])


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="only Linux says what is resident")
@pytest.mark.skipif(bool(lstm_rt.build_info()["sanitize"]), reason="a sanitizer has memory of its own")
@pytest.mark.parametrize("kind", ["gguf", "onnx"])
def test_resident_memory_is_one_copy(kind: str, tmp_path: pathlib.Path) -> None:
    for name, proto in (("large", large()), ("small", Recurrent("LSTM", 4, 4).model(outputs=["Y"]))):
        path = tmp_path / f"{name}.{kind}"
        if kind == "gguf":
            lstm_rt.convert(proto, path)
        else:
            onnx.save(proto, path)
    command = [sys.executable, "-c", MEASURE, *(str(tmp_path / f"{n}.{kind}") for n in ("large", "small")), str(HIDDEN)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, many = json.loads(done.stdout)
    assert WEIGHTS < one < 1.5 * WEIGHTS
    assert many - one < 0.3 * WEIGHTS


@pytest.mark.parametrize("layers", [[Recurrent("LSTM", 33, 65)], [Recurrent("GRU", 7, 20), Recurrent("RNN", 20, 9)]])
def test_weights_are_packed_once(layers: list[Recurrent]) -> None:
    model = lstm_rt.load(models.stack(layers))
    assert model.packed_bytes == 0
    width = model.inputs[0].shape[2]  # type: ignore[index]
    model(np.ones((3, 1, width), np.float32))
    packed = model.packed_bytes
    assert packed > 0
    for steps in range(1, 30):
        frame = np.ones((steps, 2, width), np.float32)
        model(frame)
        model.stream(batch=2).step(frame)
        pool = model.pool(2)
        pool.step([pool.open(), pool.open()], frame)
    assert model.packed_bytes == packed


def test_pages_that_were_given_back_can_be_read_again(tmp_path: pathlib.Path) -> None:
    # A weight that is packed by one op and read plainly by another: run, plan anew, run again.
    from onnx import helper

    layer = Recurrent("GRU", 64, 64)
    nodes = [
        helper.make_node("GRU", layer.node_inputs(), ["Y"], **layer.attributes),
        helper.make_node("MatMul", ["Y", "square"], ["product"]),
        helper.make_node("Add", ["product", "square"], ["sum"]),
        helper.make_node("Transpose", ["square"], ["turned"]),
        helper.make_node("MatMul", ["sum", "turned"], ["out"]),
    ]
    square = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    proto = models.model_of(
        nodes,
        [("X", np.float32, ["time", "batch", 64])],
        [("out", np.float32, [None] * 4)],
        {**layer.weights, "square": square},
    )
    path = tmp_path / "model.gguf"
    lstm_rt.convert(proto, path)
    mapped, copied = lstm_rt.load(path), lstm_rt.load(path.read_bytes())
    for steps in (1, 2, 3, 1, 5):
        x = np.random.default_rng(steps).standard_normal((steps, 64, 64)).astype(np.float32)
        assert_same_bytes(mapped(x), copied(x))


def test_a_model_made_in_memory_outlives_its_file() -> None:
    model = lstm_rt.load(large())
    x = np.ones((2, 1, HIDDEN), np.float32)
    first = model(x)
    for steps in (1, 3, 5):
        model(np.ones((steps, 1, HIDDEN), np.float32))
    assert_same_bytes(model(x), first)
