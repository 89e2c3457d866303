"""Initial states that are inputs with defaults: given, bound or left out, they agree with onnxruntime."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_of_gguf import Array, floats, info, run

import lstm_rt

STEPS, HIDDEN = 5, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(op: str, zeros: bool, batch: str | int = 1) -> onnx.ModelProto:
    """A recurrent layer whose initial states are inputs and initializers too."""
    states = ["h0", "c0"] if op == "LSTM" else ["h0"]
    rows = GATES[op] * HIDDEN
    weights = {"W": floats(1, rows, 3), "R": floats(1, rows, HIDDEN), "B": floats(1, 2 * rows)}
    weights |= {name: np.zeros((1, 1, HIDDEN), np.float32) if zeros else floats(1, 1, HIDDEN) for name in states}
    outputs = [name.replace("0", "n") for name in states]
    node = helper.make_node(op, ["x", "W", "R", "B", "", *states], ["y", *outputs], hidden_size=HIDDEN)
    ports = [info("x", ["T", batch, 3]), *(info(name, [1, batch, HIDDEN]) for name in states)]
    results = [info("y", ["T", 1, batch, HIDDEN]), *(info(name, [1, batch, HIDDEN]) for name in outputs)]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], "g", ports, results, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def theirs(proto: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    return dict(zip([port.name for port in proto.graph.output], run(proto, feeds)))


def agree(ours: dict[str, Array], expected: dict[str, Array]) -> None:
    assert ours.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(ours[name], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("zeros", [False, True], ids=["trained", "zeros"])
@pytest.mark.parametrize("op", GATES)
def test_states_may_be_given_or_left_out(op: str, zeros: bool, tmp_path: pathlib.Path) -> None:
    proto, x = layer(op, zeros), floats(STEPS, 1, 3)
    lstm_rt.convert(proto, tmp_path / "m.gguf")
    for model in (lstm_rt.load(tmp_path / "m.gguf"), lstm_rt.load(proto, bind={})):
        assert sorted(model.defaults) == sorted(port.name for port in model.inputs[1:])
        agree(model.run({"x": x}), theirs(proto, {"x": x}))
        given = {"x": x, "h0": floats(1, 1, HIDDEN)}
        agree(model.run(given), theirs(proto, given))


@pytest.mark.parametrize("zeros", [False, True], ids=["trained", "zeros"])
@pytest.mark.parametrize("op", GATES)
def test_streams_start_with_the_defaults(op: str, zeros: bool, tmp_path: pathlib.Path) -> None:
    proto, x = layer(op, zeros, batch="N"), floats(STEPS, 1, 3)
    lstm_rt.convert(proto, tmp_path / "m.gguf")
    model = lstm_rt.load(tmp_path / "m.gguf")
    whole = model.run({"x": x})["y"]
    agree({"y": whole}, {"y": theirs(proto, {"x": x})["y"]})
    stream = model.stream()
    for _ in range(2):
        steps = [stream.step(x[t : t + 1])[0] for t in range(STEPS)]
        assert np.concatenate(steps).tobytes() == whole.tobytes()
        stream.reset()
    pool = model.pool(2)
    both = [pool.open(), pool.open()]
    for t in range(STEPS):
        y = pool.step(both, np.repeat(x[t : t + 1], 2, axis=1))[0]
        assert y[..., :1, :].tobytes() == whole[t : t + 1].tobytes()


def test_default_that_does_not_fit_is_refused() -> None:
    with pytest.raises(lstm_rt.ShapeError, match="its default has shape"):
        lstm_rt.load(layer("GRU", zeros=False, batch="N"), shapes={"x": (None, 2, 3)})
    with pytest.raises(lstm_rt.ShapeError, match="starts as its default"):
        lstm_rt.load(layer("GRU", zeros=False, batch="N")).stream(batch=2)


def test_default_of_zeros_fits_every_batch() -> None:
    proto, x = layer("GRU", zeros=True, batch="N"), floats(STEPS, 2, 3)
    model = lstm_rt.load(proto)
    whole = model.run({"x": x})["y"]
    stream = model.stream(batch=2)
    assert np.concatenate([stream.step(x[t : t + 1])[0] for t in range(STEPS)]).tobytes() == whole.tobytes()
    fixed = lstm_rt.load(proto, shapes={"x": (None, 2, 3)})
    assert fixed.run({"x": x})["y"].tobytes() == whole.tobytes()


def test_run_command_leaves_defaults_out(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("typer")
    proto, x = layer("GRU", zeros=False), floats(STEPS, 1, 3)
    onnx.save(proto, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", x)
    for more in ([], ["--bind", "none"]):
        converted = [sys.executable, "-m", "lstm_rt.cli", "convert", "m.onnx", "m.gguf", *more]
        subprocess.run(converted, check=True, capture_output=True, cwd=tmp_path)
        command = [sys.executable, "-m", "lstm_rt.cli", "run", "m.gguf", "x.npy", "--out", "y.npz"]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        with np.load(tmp_path / "y.npz") as results:
            agree({"y": results["y"]}, {"y": theirs(proto, {"x": x})["y"]})
