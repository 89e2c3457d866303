"""LSTM, GRU and RNN against the float64 reference: every option, many shapes."""

from __future__ import annotations

import itertools
from typing import Any

import models
import numpy as np
import pytest
import reference
from close import assert_layer, assert_same_bytes, assert_within
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Recurrent
from onnx import helper, numpy_helper

import lstm_rt

SIZES = (1, 3, 15, 16, 17, 33, 100)
TIMES = (1, 2, 100)
BATCHES = (1, 2, 5)
BOUNDED = ("Tanh", "Sigmoid", "ScaledTanh", "HardSigmoid", "Softsign")
# |weights| < 1/sqrt(fan-in), so that a layer forgets; with these activations it may still grow, so they get few steps.
UNBOUNDED = tuple(a for a in reference.ACTIVATIONS if a not in BOUNDED)

PLAIN: dict[str, dict[str, Any]] = {
    "LSTM": {"kind": "LSTM"},
    "GRU": {"kind": "GRU", "linear_before_reset": 0},
    "GRU-reset-after": {"kind": "GRU", "linear_before_reset": 1},
    "RNN": {"kind": "RNN"},
}


@pytest.mark.parametrize("inputs", SIZES)
@pytest.mark.parametrize("hidden", SIZES)
@pytest.mark.parametrize("plain", PLAIN)
def test_plain(plain: str, hidden: int, inputs: int) -> None:
    layer = Recurrent(inputs=inputs, hidden=hidden, **PLAIN[plain])
    model = lstm_rt.load(layer.model())
    for time, batch in itertools.product(TIMES, BATCHES):
        feeds = layer.feeds(time, batch)
        assert_layer(model.run(feeds), layer, feeds)


@st.composite
def layers(draw: st.DrawFn) -> tuple[Recurrent, int, int]:
    """A layer with any options, and steps and batch to run it with."""
    kind = draw(st.sampled_from(("LSTM", "GRU", "RNN")))
    direction = draw(st.sampled_from(("forward", "reverse", "bidirectional")))
    functions: tuple[str, ...] | None = None
    alphas: list[float] | None = None
    betas: list[float] | None = None
    if draw(st.booleans()):
        count = len(reference.CELLS[kind].functions) * (2 if direction == "bidirectional" else 1)
        functions = tuple(draw(st.sampled_from(reference.ACTIVATIONS)) for _ in range(count))
        needs_given = any(f in ("Affine", "ScaledTanh") for f in functions)
        if needs_given or draw(st.booleans()):
            alphas = [draw(st.sampled_from((0.05, 0.25, 0.5, 1.0))) for f in functions if f in reference.ALPHA]
            betas = [draw(st.sampled_from((0.0, 0.5, 0.75))) for f in functions if f in reference.BETA]
    bounded = functions is None or all(f in BOUNDED for f in functions)
    lstm = kind == "LSTM"
    layer = Recurrent(
        kind,
        inputs=draw(st.sampled_from(SIZES)),
        hidden=draw(st.sampled_from(SIZES)),
        direction=direction,
        layout=draw(st.integers(0, 1)),
        activations=functions,
        activation_alpha=tuple(alphas) if alphas else None,
        activation_beta=tuple(betas) if betas else None,
        clip=draw(st.sampled_from((0.0, 0.0, 0.1, 0.5, 3.0))),
        input_forget=draw(st.integers(0, 1)) if lstm else 0,
        linear_before_reset=draw(st.integers(0, 1)) if kind == "GRU" else 0,
        bias=draw(st.booleans()),
        peephole=draw(st.booleans()) if lstm else False,
        initial_h=draw(st.booleans()),
        initial_c=draw(st.booleans()) if lstm else False,
        sequence_lens=draw(st.booleans()),
        scale=draw(st.sampled_from((0.5, 1.0, 3.0))) if bounded else 0.7,
        seed=draw(st.integers(0, 1000)),
    )
    return layer, draw(st.sampled_from(TIMES if bounded else (1, 2, 5))), draw(st.sampled_from(BATCHES))


@settings(max_examples=500)
@given(case=layers(), data=st.data())
def test_every_option(case: tuple[Recurrent, int, int], data: st.DataObject) -> None:
    layer, time, batch = case
    outputs = data.draw(
        st.lists(st.sampled_from(layer.outputs), min_size=1, unique=True).map(
            lambda wanted: [o for o in layer.outputs if o in wanted]
        )
    )
    opset = data.draw(st.sampled_from((14, 22)))
    feeds = layer.feeds(time, batch)
    found = lstm_rt.load(layer.model(outputs=outputs, opset=opset)).run(feeds)
    assert list(found) == outputs
    assert_layer(found, layer, feeds)


@settings(max_examples=100)
@given(case=layers())
def test_weights_that_come_with_the_call(case: tuple[Recurrent, int, int]) -> None:
    layer, time, batch = case
    fixed = layer.model()
    weights = {w.name: w for w in fixed.graph.initializer}
    open_model = type(fixed)()
    open_model.CopyFrom(fixed)
    del open_model.graph.initializer[:]
    for name, array in layer.weights.items():
        value = helper.make_tensor_value_info(name, weights[name].data_type, list(array.shape))
        open_model.graph.input.append(value)
    feeds = layer.feeds(time, batch)
    expected = lstm_rt.load(fixed).run(feeds)
    found = lstm_rt.load(open_model).run({**feeds, **layer.weights})
    for name in expected:
        assert_same_bytes(found[name], expected[name], f"{name} of {layer}")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("opset", [7, 14, 22])
def test_every_opset(kind: str, opset: int) -> None:
    layer = Recurrent(kind, inputs=5, hidden=20, initial_h=True)
    feeds = layer.feeds(4, 2)
    assert_layer(lstm_rt.load(layer.model(opset=opset)).run(feeds), layer, feeds)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_length_zero_gives_the_initial_state(kind: str, direction: str) -> None:
    layer = Recurrent(kind, sequence_lens=True, initial_h=True, initial_c=kind == "LSTM", direction=direction)
    feeds = layer.feeds(time=4, batch=3)
    feeds["sequence_lens"][1] = 0
    assert_layer(lstm_rt.load(layer.model()).run(feeds), layer, feeds)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_no_steps_and_no_rows(kind: str) -> None:
    layer = Recurrent(kind, initial_h=True)
    model = lstm_rt.load(layer.model())
    feeds = layer.feeds(time=0, batch=2)
    found = model.run(feeds)
    assert found["Y"].shape == (0, 1, 2, 16)
    assert_same_bytes(found["Y_h"], feeds["initial_h"], "Y_h after no step")
    assert model.run(layer.feeds(time=3, batch=0))["Y"].shape == (3, 1, 0, 16)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_stays_in_its_row(kind: str, bad: float) -> None:
    layer = Recurrent(kind, hidden=33)
    model = lstm_rt.load(layer.model())
    feeds = layer.feeds(time=3, batch=3)
    expected = model.run(feeds)
    feeds["X"][1, 1, 4] = bad
    found = model.run(feeds)
    for name in expected:
        batch_axis = found[name].ndim - 2
        for row in (0, 2):
            assert_same_bytes(found[name].take(row, batch_axis), expected[name].take(row, batch_axis), name)
    assert_same_bytes(found["Y"][0], expected["Y"][0], "the step before")
    if np.isnan(bad):
        assert np.isnan(found["Y"][1:, 0, 1]).all()


def test_saturated_gates() -> None:
    # Sums of several hundred: every gate is 0 or 1, and neither overflows on the way.
    for kind in ("LSTM", "GRU", "RNN"):
        layer = Recurrent(kind, inputs=16, hidden=33, scale=300.0)
        feeds = layer.feeds(time=5, batch=2)
        expected = layer.expected(feeds)
        found = lstm_rt.load(layer.model()).run(feeds)
        sums = np.abs(expected["Y"])
        assert np.isfinite(found["Y"]).all()
        # Rounding of sums this large moves a gate that is not saturated; most are.
        close = np.abs(found["Y"] - expected["Y"]) < 1e-3
        assert close.mean() > 0.98, (kind, close.mean(), sums.max())


@pytest.mark.parametrize("hidden", [256, 1000])
def test_large(hidden: int) -> None:
    for options in PLAIN.values():
        layer = Recurrent(inputs=hidden // 3, hidden=hidden, **options)
        feeds = layer.feeds(time=3, batch=2)
        assert_layer(lstm_rt.load(layer.model()).run(feeds), layer, feeds)


def test_stacked_layers() -> None:
    layers_ = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 33, seed=1), Recurrent("RNN", 33, 9, seed=2)]
    model = models.stack(layers_)
    x = np.random.default_rng(0).standard_normal((11, 3, 7)).astype(np.float32)
    expected = models.run_onnxruntime(model, {"X": x})["out"]
    assert_within(lstm_rt.load(model)(x), expected, 2e-6, "stack")


def test_forget_gate_closes_on_a_large_cell() -> None:
    # What is left of c = 100 is as exact as if it had been small: it must not come from a difference of large numbers.
    layer = Recurrent("LSTM", inputs=4, hidden=16, initial_c=True)
    feeds = layer.feeds(1, 1)
    model = layer.model()
    bias = next(t for t in model.graph.initializer if t.name == "B")
    values = numpy_helper.to_array(bias).copy()
    values[:, 2 * 16 : 3 * 16] = -20.0  # f
    bias.CopyFrom(numpy_helper.from_array(values, "B"))
    found = lstm_rt.load(model)
    small, large = (found.run({**feeds, "initial_c": np.full((1, 1, 16), c, np.float32)})["Y_c"] for c in (0.0, 100.0))
    assert_within(large, small + 100 / (1 + np.exp(20.0)), 1e-6)
