"""A real LSTM with peepholes reproduces what its own framework gave (golden/README.md), layer by layer."""

from __future__ import annotations

import pathlib
import pickle
from typing import Any

import fetch
import numpy as np
import onnx
import pytest
import reference
from close import assert_same_bytes, assert_within
from models import Array, Feeds, model_of
from onnx import helper
from test_golden import golden

import lstm_rt

GATES = ("input_gate", "output_gate", "forget_gate", "cell")  # in ONNX's order
NUMPY: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}
HIDDEN = 25
TOLERANCE = 1e-4  # of the largest output


class Part:
    """A network, layer or gate, of which only the attributes are read."""


class PlainArrays(pickle.Unpickler):
    """Reads a pickle of arrays held by madmom's classes; runs nothing of madmom's."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "madmom.ml.nn.activations":
            return name
        if module in ("madmom.ml.nn", "madmom.ml.nn.layers"):
            return Part
        if (module, name) in NUMPY:
            return NUMPY[module, name]
        raise pickle.UnpicklingError(f"{module}.{name} is no plain array")


def layers() -> list[Any]:
    with fetch.model("madmom_beats_lstm").open("rb") as file:
        return list(PlainArrays(file, encoding="latin1").load().layers)


def weights_of(layer: Any) -> Feeds:
    """As ONNX wants them."""
    gates = [getattr(layer, name) for name in GATES]
    assert [gate.activation_fn for gate in gates] == ["sigmoid"] * 3 + ["tanh"]
    assert layer.activation_fn == "tanh"
    bias = np.concatenate([gate.bias for gate in gates])
    return {
        "W": np.concatenate([gate.weights.T for gate in gates])[None],
        "R": np.concatenate([gate.recurrent_weights.T for gate in gates])[None],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
        "P": np.concatenate([gate.peephole_weights for gate in gates[:3]])[None],
    }


def network() -> onnx.ModelProto:
    """Steps and features in; what each layer gives, and the beat."""
    *recurrent, head = layers()
    assert head.activation_fn == "sigmoid"
    weights: Feeds = {"one": np.array([1]), "w": head.weights, "b": head.bias}
    nodes = [helper.make_node("Unsqueeze", ["x", "one"], ["in0"])]
    for n, layer in enumerate(recurrent):
        weights.update({f"{name}{n}": array for name, array in weights_of(layer).items()})
        names = [f"in{n}", f"W{n}", f"R{n}", f"B{n}", "", "", "", f"P{n}"]
        nodes.append(helper.make_node("LSTM", names, [f"y{n}"], f"layer{n}", hidden_size=HIDDEN))
        nodes.append(helper.make_node("Squeeze", [f"y{n}", "one"], [f"in{n + 1}"]))
        nodes.append(helper.make_node("Squeeze", [f"in{n + 1}", "one"], [f"layer{n}"]))
    nodes += [
        helper.make_node("Gemm", [f"layer{len(recurrent) - 1}", "w", "b"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["beat"]),
    ]
    outputs = [(f"layer{n}", np.float32, ["time", HIDDEN]) for n in range(len(recurrent))]
    inputs = [("x", np.float32, ["time", 162])]
    return model_of(nodes, inputs, [*outputs, ("beat", np.float32, ["time", 1])], weights)


def within(found: Array, expected: Array, what: str) -> None:
    assert_within(found, expected, TOLERANCE * float(np.abs(expected).max()), what)


@pytest.fixture(scope="module")
def model() -> lstm_rt.Model:
    return lstm_rt.load(network())


def test_golden(model: lstm_rt.Model) -> None:
    data = golden("madmom_beats_lstm")
    found = model.run({"x": data["beats_lstm_1_x"]})
    within(found["layer0"][::5], data["beats_lstm_1_layer0"], "the first layer")
    within(found["beat"], data["beats_lstm_1_y"], "the beat")


def test_each_layer(model: lstm_rt.Model) -> None:
    x = golden("madmom_beats_lstm")["beats_lstm_1_x"]
    found = model.run({"x": x})
    for n, layer in enumerate(layers()[:-1]):
        own = weights_of(layer)
        expected = reference.recurrent("LSTM", x[:, None], own["W"], own["R"], own["B"], p=own["P"])[0][:, 0, 0]
        within(found[f"layer{n}"], expected, f"layer {n}")
        without = reference.recurrent("LSTM", x[:, None], own["W"], own["R"], own["B"])[0][:, 0, 0]
        assert np.abs(found[f"layer{n}"] - without).max() > 0.1, "the peepholes do nothing"
        x = found[f"layer{n}"]


def test_frame_by_frame(model: lstm_rt.Model, tmp_path: pathlib.Path) -> None:
    x = golden("madmom_beats_lstm")["beats_lstm_1_x"]
    stream = lstm_rt.convert(network(), tmp_path / "beats.gguf").stream()
    steps = [stream.step(x[t : t + 1])[-1] for t in range(len(x))]
    assert_same_bytes(np.concatenate(steps), model.run({"x": x})["beat"], "the stream")
