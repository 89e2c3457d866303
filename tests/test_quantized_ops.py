"""Layers with quantised weights against reference_quantized.py: every cell and option, products and convolutions."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import fetch
import models
import numpy as np
import pytest
import reference_quantized as reference
from close import assert_same_bytes, assert_within
from cpu import RECORDS_SELFTESTS
from models import Array, Feeds, Recurrent
from onnx import TensorProto, helper, numpy_helper

import lstm_rt

PRECISIONS = reference.PRECISIONS
every_precision = pytest.mark.parametrize("precision", PRECISIONS)

CELLS = {
    "lstm": Recurrent("LSTM", 24, 20),
    "lstm one block": Recurrent("LSTM", 32, 32),
    "lstm many blocks": Recurrent("LSTM", 70, 97),
    "lstm one input": Recurrent("LSTM", 1, 33),
    "lstm peephole": Recurrent("LSTM", 24, 20, peephole=True),
    "lstm clip": Recurrent("LSTM", 24, 20, clip=0.3),
    "lstm input_forget": Recurrent("LSTM", 24, 20, input_forget=1),
    "lstm without bias": Recurrent("LSTM", 24, 20, bias=False),
    "lstm reverse": Recurrent("LSTM", 24, 20, direction="reverse"),
    "lstm bidirectional": Recurrent("LSTM", 24, 20, direction="bidirectional"),
    "lstm layout": Recurrent("LSTM", 24, 20, layout=1, initial_h=True, initial_c=True),
    "lstm states": Recurrent("LSTM", 24, 20, initial_h=True, initial_c=True),
    "lstm lengths": Recurrent("LSTM", 24, 20, sequence_lens=True, direction="bidirectional"),
    "lstm activations": Recurrent(
        "LSTM", 24, 20, activations=("HardSigmoid", "Softsign", "ScaledTanh"), activation_alpha=(0.2, 0.9),
        activation_beta=(0.5, 1.1),
    ),
    "lstm everything": Recurrent(
        "LSTM", 24, 20, direction="bidirectional", layout=1, peephole=True, clip=0.8, input_forget=1, initial_h=True,
        initial_c=True, sequence_lens=True, activations=("Sigmoid", "Elu", "Tanh") * 2, activation_alpha=(0.7, 1.2),
    ),
    "gru": Recurrent("GRU", 24, 20),
    "gru linear": Recurrent("GRU", 24, 20, linear_before_reset=1),
    "gru many blocks": Recurrent("GRU", 70, 97),
    "gru linear many blocks": Recurrent("GRU", 70, 97, linear_before_reset=1),
    "gru clip": Recurrent("GRU", 24, 20, clip=0.3),
    "gru activations": Recurrent("GRU", 24, 20, activations=("HardSigmoid", "Softplus"), linear_before_reset=1),
    "gru lengths": Recurrent("GRU", 24, 20, sequence_lens=True, direction="bidirectional", initial_h=True),
    "gru layout": Recurrent("GRU", 24, 20, layout=1, linear_before_reset=1, initial_h=True, direction="reverse"),
    "rnn": Recurrent("RNN", 24, 20),
    "rnn relu": Recurrent("RNN", 24, 20, activations=("Relu",), direction="reverse"),
    "rnn lengths": Recurrent("RNN", 24, 20, sequence_lens=True, direction="bidirectional", layout=1),
    "rnn clip": Recurrent("RNN", 70, 97, clip=0.4, initial_h=True),
}  # fmt: skip


def expected(layer: Recurrent, feeds: Feeds, precision: str, follow: Array | None) -> Feeds:
    weights = layer.weights
    options = {name: value for name, value in layer.attributes.items() if name != "hidden_size"}
    found = reference.recurrent(
        layer.kind,
        feeds["X"],
        weights["W"],
        weights["R"],
        weights.get("B"),
        feeds.get("sequence_lens"),
        feeds.get("initial_h"),
        feeds.get("initial_c"),
        weights.get("P"),
        precision=precision,
        follow=follow,
        **options,
    )
    return dict(zip(layer.outputs, found))


def one_step(layer: Recurrent, precision: str) -> float:
    """What a sum over hidden units changes by where one of them is rounded to the next whole number."""
    if precision == "bf16":
        return 0.0
    largest = float(np.abs(layer.weights["R"]).max())
    return largest / (127 if precision != "int8x16" else 32512)


def assert_cell(layer: Recurrent, precision: str) -> None:
    model = lstm_rt.load(layer.model(), quantize={"the_layer": precision})
    feeds = layer.feeds(9, 3)
    found = model.run(feeds)
    wanted = expected(layer, feeds, precision, found["Y"])
    # A GRU with reset before rounds r * h, whose last bits are its own: one value in a row may go the other way.
    rounds_its_own = layer.kind == "GRU" and not layer.linear_before_reset
    tolerance = 3e-6 + (one_step(layer, precision) if rounds_its_own else 0.0)
    for name, value in found.items():
        assert_within(value, wanted[name], tolerance, f"{name} of {layer} in {precision}")


@every_precision
@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str, precision: str) -> None:
    assert_cell(CELLS[name], precision)


@every_precision
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_every_row_has_its_own_scale(kind: str, precision: str) -> None:
    """Rows of unlike size, of zeros, and of values too small to have a scale."""
    layer = Recurrent(kind, 40, 36, linear_before_reset=int(kind == "GRU"))
    model = lstm_rt.load(layer.model(), quantize=precision)
    feeds = layer.feeds(5, 4)
    feeds["X"] *= np.array([1e-3, 1.0, 1e-33, 0.0], np.float32)[:, np.newaxis]
    feeds["X"][2] *= np.float32(30)
    found = model.run(feeds)
    wanted = expected(layer, feeds, precision, found["Y"])
    for name, value in found.items():
        assert_within(value, wanted[name], 3e-6 * 30, f"{name} of {kind} in {precision}")
    alone = model.run({"X": np.ascontiguousarray(feeds["X"][:, 1:2])})
    assert_same_bytes(alone["Y"], found["Y"][:, :, 1:2], "a row alone and among others")


@every_precision
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_own_row_only(kind: str, value: float, precision: str) -> None:
    layer = Recurrent(kind, 24, 20)
    model = lstm_rt.load(layer.model(), quantize=precision)
    feeds = layer.feeds(4, 3)
    clean = model.run(feeds)["Y"]
    feeds["X"][1, 1, 5] = value
    found = model.run(feeds)["Y"]
    assert_same_bytes(found[:, :, [0, 2]], clean[:, :, [0, 2]], "other rows")
    assert_same_bytes(found[0], clean[0], "steps before")
    if precision != "bf16" or np.isnan(value):
        assert np.isnan(found[1:, :, 1]).all()


@every_precision
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_streams_give_the_same_bytes_as_whole_runs(kind: str, precision: str) -> None:
    layer = Recurrent(kind, 24, 40)
    model = lstm_rt.load(layer.model(outputs=["Y"]), quantize=precision)
    x = layer.feeds(12, 2)["X"]
    whole = model.run({"X": x})["Y"]
    stream = model.stream(batch=2)
    steps = np.concatenate([stream.step(np.ascontiguousarray(x[t : t + 1])) for t in range(len(x))])
    assert_same_bytes(steps, whole, f"{kind} in {precision}")


@every_precision
def test_zero_weights(precision: str) -> None:
    layer = Recurrent("LSTM", 24, 20, scale=0.0)
    assert_cell(layer, precision)


@every_precision
def test_weights_of_very_unlike_rows(precision: str) -> None:
    """A row of zeros and a row of large weights, in a product."""
    w = np.random.default_rng(0).standard_normal((40, 24)).astype(np.float32)
    w[:, 3] = 0
    w[:, 5] *= 1000
    check_matmul(w, (4, 40), precision)


# ---- Products ----


def scale_of(x: Array, w: Array) -> float:
    """The largest sum of magnitudes, of which float32 sums lose a few units in the last place."""
    return float((np.abs(x).astype(np.float64).reshape(-1, x.shape[-1]) @ np.abs(w)).max(initial=1.0))


def check_matmul(w: Array, shape: tuple[int, ...], precision: str) -> None:
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    y = np.zeros((*shape[:-1], w.shape[1]), np.float32)
    source = models.single_op("MatMul", {"x": x}, weights={"w": w}, outputs={"y": y})
    found = lstm_rt.load(source, quantize={"the_MatMul": precision})(x)
    wanted = reference.matmul(x, reference.Rows.of(w.T, precision))
    assert_within(found, wanted, 4e-7 * scale_of(x, w), f"{shape} by {w.shape} in {precision}")


@every_precision
@pytest.mark.parametrize("shape", [(8,), (1, 31), (3, 32), (2, 3, 33), (17, 64), (5, 200), (2, 2, 2, 65), (0, 40)])
@pytest.mark.parametrize("n", [1, 16, 37])
def test_matmul(shape: tuple[int, ...], n: int, precision: str) -> None:
    w = np.random.default_rng(2).standard_normal((shape[-1], n)).astype(np.float32)
    check_matmul(w, shape, precision)


@every_precision
@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize(("alpha", "beta", "c"), [(1.0, 1.0, None), (0.5, 2.0, (21,)), (-3.0, 1.0, (6, 1))])
def test_gemm(trans_a: int, trans_b: int, alpha: float, beta: float, c: Any, precision: str) -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((6, 45), (45, 21)))
    weights = {"b": b.T.copy() if trans_b else b}
    start: Any = 0.0
    if c is not None:
        weights["c"] = rng.standard_normal(c).astype(np.float32)
        start = beta * weights["c"].astype(np.float64)
    feed = a.T.copy() if trans_a else a
    source = models.single_op(
        "Gemm",
        {"a": feed},
        weights=weights,
        outputs={"y": np.zeros((6, 21), np.float32)},
        alpha=alpha,
        beta=beta,
        transA=trans_a,
        transB=trans_b,
    )
    found = lstm_rt.load(source, quantize=precision)(feed)
    wanted = reference.matmul(a, reference.Rows.of((np.float32(alpha) * b).T, precision), start)
    assert_within(found, wanted, 4e-7 * scale_of(a, abs(alpha) * b), f"Gemm in {precision}")


@every_precision
def test_gemm_with_c_from_the_data(precision: str) -> None:
    rng = np.random.default_rng(4)
    a, b, c = (rng.standard_normal(shape).astype(np.float32) for shape in ((6, 45), (45, 21), (6, 21)))
    source = models.single_op(
        "Gemm", {"a": a, "c": c}, weights={"b": b}, order=["a", "b", "c"], outputs={"y": c}, beta=0.5
    )
    found = lstm_rt.load(source, quantize=precision).run({"a": a, "c": c})["y"]
    wanted = reference.matmul(a, reference.Rows.of(b.T, precision), 0.5 * c.astype(np.float64))
    assert_within(found, wanted, 4e-7 * scale_of(a, b), f"Gemm in {precision}")


# ---- Convolutions ----


@dataclasses.dataclass(frozen=True)
class Convolution:
    x: tuple[int, ...]
    w: tuple[int, ...]
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    bias: bool = True


CONVOLUTIONS = {
    "1-D": Convolution((2, 5, 19), (7, 5, 3)),
    "1-D one channel": Convolution((1, 1, 80), (18, 1, 16), {"strides": [8]}, bias=False),
    "1-D pads": Convolution((2, 6, 9), (4, 6, 3), {"pads": [2, 1]}),
    "1-D dilations": Convolution((1, 8, 21), (33, 8, 3), {"dilations": [4], "pads": [4, 4]}),
    "1-D groups": Convolution((2, 12, 14), (20, 3, 5), {"group": 4, "strides": [2]}),
    "1-D pointwise": Convolution((2, 40, 6), (17, 40, 1)),
    "1-D pads wider than the input": Convolution((1, 16, 2), (5, 16, 5), {"pads": [2, 2]}),
    "2-D": Convolution((1, 3, 7, 9), (5, 3, 3, 2)),
    "2-D strides and pads": Convolution((2, 4, 8, 9), (16, 4, 3, 3), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    "2-D dilations and groups": Convolution((1, 6, 9, 8), (8, 3, 2, 3), {"dilations": [2, 1], "group": 2}),
    "2-D many channels": Convolution((1, 40, 3, 4), (18, 40, 2, 2), bias=False),
}


@every_precision
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv(name: str, precision: str) -> None:
    case = CONVOLUTIONS[name]
    rng = np.random.default_rng(5)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in (case.x, case.w))
    weights = {"w": w}
    if case.bias:
        weights["b"] = rng.standard_normal(case.w[0]).astype(np.float32)
    wanted = reference.conv(x, w, weights.get("b"), precision=precision, **case.attributes)
    source = models.single_op(
        "Conv", {"x": x}, weights=weights, outputs={"y": wanted.astype(np.float32)}, **case.attributes
    )
    found = lstm_rt.load(source, quantize={"the_Conv": precision})(x)
    tolerance = 4e-7 * float(np.abs(x).max()) * float(np.abs(w).reshape(len(w), -1).sum(axis=1).max())
    assert_within(found, wanted, tolerance, f"{name} in {precision}")


# ---- Whole models ----


def test_calls_tell_their_precision() -> None:
    source = models.stack([Recurrent("LSTM", 16, 16), Recurrent("GRU", 16, 16), Recurrent("RNN", 16, 16)])
    choice = {"layer0": "int8", "layer1": "int8x16", "layer2": "int4", "head_matmul": "bf16"}
    calls = lstm_rt.load(source, quantize=choice).calls({"X": (4, 1, 16)})
    assert {call.name: call.precision for call in calls if call.macs} == choice
    assert {call.precision for call in calls if not call.macs} == {""}
    assert {call.precision for call in lstm_rt.load(source).calls({"X": (4, 1, 16)}) if call.macs} == {"float32"}


# How far speech enhancement's gains in [0, 1] may move: twice what was seen.
FAR = {"int8": 0.026, "int8x16": 0.016, "int4": 0.21, "bf16": 0.002}


@every_precision
def test_a_real_model_stays_near_its_float_self(precision: str, tmp_path: pathlib.Path) -> None:
    source = fetch.model("nsnet2")
    model = lstm_rt.convert(source, tmp_path / "m.gguf", quantize=precision)
    assert not RECORDS_SELFTESTS or model.verify() == 2
    spectrum = np.abs(np.random.default_rng(1).standard_normal((1, 100, 161)))
    x = np.log10(spectrum**2 + 1e-6).astype(np.float32)
    wanted = lstm_rt.load(source)(x)
    off = np.abs(model(x) - wanted).max()
    assert 1e-5 < off < FAR[precision]
    assert wanted.max() > 0.25


@every_precision
def test_both_branches_of_a_real_model_run(precision: str, tmp_path: pathlib.Path) -> None:
    """Silero's layers stand in the branches of an If, and torch's exporter moves its gates about in the graph."""
    model = lstm_rt.convert(fetch.model("silero_vad"), tmp_path / "m.gguf", quantize=precision)
    assert not RECORDS_SELFTESTS or model.verify() == 4
    for rate, samples in ((16000, 576), (8000, 288)):
        shapes = {"input": (1, samples), "state": (2, 1, 128), "sr": np.int64(rate)}
        calls = [call for call in model.calls(shapes) if call.type in ("Conv", "LSTM")]
        assert {call.type for call in calls} == {"Conv", "LSTM"}
        assert {call.precision for call in calls} == {precision}


# ---- Every instruction set ----


@every_precision
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_every_instruction_set_gives_the_same_bytes(kind: str, precision: str) -> None:
    layer = Recurrent(kind, 70, 97)
    source, feeds = layer.model(), layer.feeds(6, 3)
    results = {isa: lstm_rt.load(source, isa=isa, quantize=precision).run(feeds) for isa in lstm_rt.exact_isas()}
    if len(results) < 2:
        pytest.skip("this machine has one instruction set with fused multiply-add")
    first, *others = results
    for isa in others:
        for name, value in results[first].items():
            assert_same_bytes(results[isa][name], value, f"{name} of {kind} in {precision}, {first} and {isa}")


@every_precision
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_bias_that_comes_with_the_data(kind: str, precision: str) -> None:
    # Then weights are packed at every run, and must keep their dtype and scales.
    layer = Recurrent(kind, 40, 33, direction="bidirectional")
    known, given = layer.model(), layer.model()
    bias = next(t for t in given.graph.initializer if t.name == "B")
    given.graph.initializer.remove(bias)
    given.graph.input.append(helper.make_tensor_value_info("B", TensorProto.FLOAT, list(bias.dims)))
    feeds = layer.feeds(3, 2)
    expected = lstm_rt.load(known, quantize=precision).run(feeds)
    found = lstm_rt.load(given, quantize=precision).run({**feeds, "B": numpy_helper.to_array(bias)})
    for name, value in found.items():
        assert_same_bytes(value, expected[name], name)
