"""Quantised ONNX models: op by op, DynamicQuantizeLSTM in all forms, and whole models through onnxruntime's tools.

The reference is exact integer arithmetic (reference_integers.py). onnxruntime is an additional comparison where its own
products cannot saturate: with small weights, and with all weights on CPUs where its products are exact.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, Callable

import fetch
import numpy as np
import onnx
import pytest
import reference_integers
import saturation
from close import assert_same_bytes, assert_within
from dynamic_lstm import LAYERS, Layer
from models import Array, Feeds
from onnx import helper, numpy_helper
from onnx_of_gguf import build, floats, info, reseed
from onnx_ops_quantized import OPS
from onnxruntime import quantization

import lstm_rt


def compare(model: onnx.ModelProto, x: Array, tolerance: float, wanted: Sequence[Array], who: str) -> None:
    for got, expected in zip(lstm_rt.load(model).run({"x": x}).values(), wanted):
        assert got.dtype == expected.dtype, who
        assert np.ptp(expected.astype(np.float64)) > 0 or expected.size == 1, "the case is blind"
        assert_within(got, expected, tolerance, who)


every_op = pytest.mark.parametrize(("make", "x", "tolerance"), [op[1:] for op in OPS], ids=[op[0] for op in OPS])


@every_op
def test_op_matches_exact_integers(make: Callable[[], onnx.ModelProto], x: Array, tolerance: float) -> None:
    model = make()
    compare(model, x, tolerance, reference_integers.run(model, {"x": x}), "NumPy")


@every_op
def test_op_matches_onnxruntime(make: Callable[[], onnx.ModelProto], x: Array, tolerance: float) -> None:
    """With the weights made small enough for every CPU; with all weights where onnxruntime's products are exact."""
    model = make()
    if saturation.onnxruntime_is_exact():
        compare(model, x, tolerance, saturation.run(model, {"x": x}), "onnxruntime")
    model, x = saturation.with_safe_weights(model), saturation.safe(x)
    compare(model, x, tolerance, saturation.run(model, {"x": x}), "onnxruntime, small weights")


# ---- DynamicQuantizeLSTM ----


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_dynamic_lstm(layer: Layer) -> None:
    model = layer.model()
    ours = lstm_rt.load(model)
    for steps, batch in ((1, 1), (20, 1), (9, 3), (12, 6)):
        feeds = layer.feeds(steps, batch)
        found = ours.run(feeds)
        references = [layer.expected(feeds, found["Y"])]
        if saturation.onnxruntime_is_exact():
            references.append(saturation.run(model, feeds))
        for got, *all_wanted in zip(found.values(), *references):
            for wanted in all_wanted:
                assert_within(got, wanted, 2e-6 * max(1, np.abs(wanted).max()), f"{steps} steps of {batch}")


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_dynamic_lstm_with_small_weights_matches_onnxruntime(layer: Layer) -> None:
    model = saturation.with_safe_weights(layer.model())
    feeds = layer.feeds(9, 3)
    for got, wanted in zip(lstm_rt.load(model).run(feeds).values(), saturation.run(model, feeds)):
        assert_within(got, wanted, 2e-6 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_dynamic_lstm_of_no_rows(layer: Layer) -> None:
    ours = lstm_rt.load(layer.model())
    some, none = ours.run(layer.feeds(5, 2)), ours.run(layer.feeds(5, 0))
    for name, value in none.items():
        assert value.size == 0
        assert value.ndim == some[name].ndim


def test_dynamic_lstm_has_the_same_bytes_on_every_instruction_set() -> None:
    for layer in LAYERS:
        model, feeds = layer.model(), layer.feeds(7, 3)
        found = [lstm_rt.load(model, isa=isa).run(feeds) for isa in lstm_rt.exact_isas()]
        for other in found[1:]:
            for name, value in other.items():
                assert_same_bytes(value, found[0][name], f"{layer} {name}")


def test_dynamic_lstm_runs_chunk_by_chunk_and_on_threads_as_it_does_whole() -> None:
    layer = Layer(hidden=256, inputs=64, direction="bidirectional", states=False)
    model = lstm_rt.load(layer.model())
    feeds = layer.feeds(400, 2)  # several chunks of gate sums
    alone = model.run(feeds)
    for got, wanted in zip(alone.values(), layer.expected(feeds, alone["Y"])):
        assert_within(got, wanted, 2e-6 * max(1, np.abs(wanted).max()))
    for name, value in model.run(feeds, threads=2).items():
        assert_same_bytes(value, alone[name])


def test_a_number_that_is_none_comes_through_and_stays_in_its_run() -> None:
    layer = Layer()
    model, feeds = lstm_rt.load(layer.model()), layer.feeds(5, 2)
    wanted = model.run(feeds)
    feeds["X"][3, 1, 0] = np.nan
    assert np.isnan(model.run(feeds)["Y"]).all()
    for name, value in model.run(layer.feeds(5, 2)).items():
        assert_same_bytes(value, wanted[name])


def test_dynamic_lstm_is_no_stream() -> None:
    with pytest.raises(lstm_rt.Error, match="range of the whole sequence"):
        lstm_rt.load(Layer(states=False).model()).stream()


def test_dynamic_lstm_streams_where_its_state_is_bound() -> None:
    layer = Layer()
    model = lstm_rt.load(layer.model(), bind={"h0": "Y_h", "c0": "Y_c"})
    stream, feeds = model.stream(), layer.feeds(4, 1)
    state = {"h0": np.zeros_like(feeds["h0"]), "c0": np.zeros_like(feeds["c0"])}
    for t in range(4):
        frame = feeds["X"][t : t + 1]
        y, h, c = reference_integers.run(layer.model(), {"X": frame, **state})
        assert_within(np.asarray(stream.step(frame)), y, 2e-6)
        state = {"h0": h, "c0": c}


def test_dynamic_lstm_is_no_pool() -> None:
    model = lstm_rt.load(Layer().model(), bind={"h0": "Y_h", "c0": "Y_c"})
    pool = model.pool(capacity=2)
    ids = [pool.open(), pool.open()]
    with pytest.raises(lstm_rt.Error, match="row"):
        pool.step(ids, np.ones((1, 2, 20), np.float32))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ws": np.ones((1, 3), np.float32)}, "wanted [1] or [1, 132]"),
        ({"wz": np.zeros(1, np.uint8)}, "expected int8 as input 1 (W)"),
        ({"W": np.zeros((1, 20, 131), np.int8)}, "W is [1, 20, 131], wanted [1, 20, 132]"),
        ({"W": np.zeros((1, 20, 132), np.int32)}, "expected uint8 or int8"),
        ({"R": np.zeros((1, 33), np.int8)}, "expected rank 3"),
    ],
)
def test_a_wrong_dynamic_lstm_is_refused(change: Feeds, words: str) -> None:
    model = Layer().model()
    for tensor in model.graph.initializer:
        if tensor.name in change:
            tensor.CopyFrom(numpy_helper.from_array(change[tensor.name], tensor.name))
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(model).run(Layer().feeds(2, 1))
    assert words in str(caught.value)


def test_a_missing_scale_is_refused() -> None:
    model = Layer().model()
    model.graph.node[0].input[8] = ""
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"lstm.*scale or zero point"):
        lstm_rt.load(model)


def test_no_elements_take_no_time() -> None:
    names = ["QuantizeLinear", "DequantizeLinear"]
    nodes = [
        helper.make_node(names[0], ["x", "s"], ["q"], axis=0, block_size=1),
        helper.make_node(names[1], ["q", "s"], ["y"], axis=0, block_size=1),
    ]
    model = build(nodes, [info("x", [None, 0]), info("s", [None, 0])], [info("y", None)], opset=21, ir_version=10)
    nothing = np.zeros((2**36, 0), np.float32)
    assert lstm_rt.load(model).run({"x": nothing, "s": nothing})["y"].shape == nothing.shape


# ---- Whole models, quantised by onnxruntime's own tools ----


def exact_run(path: pathlib.Path, feeds: Feeds, tolerance: float) -> Array:
    """Returns the first output with exact products, after comparing onnxruntime's where its products are exact, too."""
    wanted: Array = reference_integers.run(path, feeds)[0]
    if saturation.onnxruntime_is_exact():
        assert_within(saturation.run(path, feeds)[0], wanted, tolerance, "onnxruntime")
    return wanted


def mixed_model() -> onnx.ModelProto:
    """Convolution, LSTM, GRU and products, as a small acoustic model has them."""
    reseed("mixed")
    weights = {
        "k": floats(16, 8, 3),
        "kb": floats(16),
        "W": floats(1, 4 * 24, 16) / np.float32(8),
        "R": floats(1, 4 * 24, 24) / np.float32(8),
        "B": floats(1, 8 * 24),
        "GW": floats(2, 3 * 12, 24) / np.float32(8),
        "GR": floats(2, 3 * 12, 12) / np.float32(8),
        "m": floats(24, 10),
        "mb": floats(10),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k", "kb"], ["a"], "conv", pads=[1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Transpose", ["b"], ["c"], "turn", perm=[2, 0, 1]),
        helper.make_node("LSTM", ["c", "W", "R", "B"], ["d"], "lstm", hidden_size=24),
        helper.make_node("Squeeze", ["d", "one"], ["e"], "squeeze"),
        helper.make_node("GRU", ["e", "GW", "GR"], ["f"], "gru", hidden_size=12, direction="bidirectional"),
        helper.make_node("Transpose", ["f"], ["g"], "turn_2", perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["g", "shape"], ["h"], "join"),
        helper.make_node("MatMul", ["h", "m"], ["i"], "dense"),
        helper.make_node("Add", ["i", "mb"], ["j"], "bias"),
        helper.make_node("Sigmoid", ["j"], ["y"], "sigmoid"),
    ]
    weights["one"], weights["shape"] = np.array([1]), np.array([0, 0, 24])
    return build(nodes, [info("x", ["N", 8, "T"])], [info("y", ["T", "N", 10])], weights)


class Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, *shape: int) -> None:
        rng = np.random.default_rng(0)
        self._feeds = iter([{name: rng.normal(0, 1, shape).astype(np.float32)} for _ in range(4)])

    def get_next(self) -> Any:
        return next(self._feeds, None)


@pytest.mark.parametrize("weight_type", [quantization.QuantType.QInt8, quantization.QuantType.QUInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_quantize_dynamic(weight_type: Any, per_channel: bool, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "dynamic.onnx"
    quantization.quantize_dynamic(mixed_model(), path, per_channel=per_channel, weight_type=weight_type)
    quantized = {node.op_type for node in onnx.load(path).graph.node}
    assert {"DynamicQuantizeLSTM", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"} <= quantized
    ours = lstm_rt.load(path)
    for batch, steps in ((1, 1), (1, 12), (3, 7)):
        feeds = {"x": np.random.default_rng(steps).normal(0, 1, (batch, 8, steps)).astype(np.float32)}
        assert_within(ours(feeds["x"]), exact_run(path, feeds, 2e-3), 2e-3)


def plain_model() -> onnx.ModelProto:
    """Layers that onnxruntime quantises with static ranges. It quantises no recurrent layer so."""
    reseed("plain")
    weights = {"k": floats(6, 4, 3), "kb": floats(6), "g": floats(5, 6), "gb": floats(5), "m": floats(5, 7)}
    nodes = [
        helper.make_node("Conv", ["x", "k", "kb"], ["a"], "conv", pads=[1, 1]),
        helper.make_node("LeakyRelu", ["a"], ["b"], "leaky", alpha=0.1),
        helper.make_node("Sigmoid", ["a"], ["c"], "sigmoid"),
        helper.make_node("Mul", ["b", "c"], ["d"], "gate"),
        helper.make_node("Add", ["d", "a"], ["e"], "skip"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "pool"),
        helper.make_node("Flatten", ["f"], ["h"], "flat"),
        helper.make_node("Gemm", ["h", "g", "gb"], ["i"], "gemm", transB=1),
        helper.make_node("Relu", ["i"], ["j"], "relu"),
        helper.make_node("MatMul", ["j", "m"], ["l"], "dense"),
        helper.make_node("Softmax", ["l"], ["y"], "softmax"),
    ]
    return build(nodes, [info("x", ["N", 4, 30])], [info("y", ["N", 7])], weights)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", [quantization.QuantFormat.QOperator, quantization.QuantFormat.QDQ], ids=str)
@pytest.mark.parametrize("activation", [quantization.QuantType.QUInt8, quantization.QuantType.QInt8], ids=str)
def test_quantize_static(form: Any, activation: Any, per_channel: bool, tmp_path: pathlib.Path) -> None:
    source, path = tmp_path / "plain.onnx", tmp_path / "static.onnx"
    onnx.save(plain_model(), source)
    data = Calibration("x", 2, 4, 30)
    quantization.quantize_static(
        source, path, data, quant_format=form, per_channel=per_channel, activation_type=activation
    )
    quantized = {node.op_type for node in onnx.load(path).graph.node}
    assert ("QLinearConv" in quantized) == (form == quantization.QuantFormat.QOperator)
    ours = lstm_rt.load(path)
    found, wanted = [], []
    for batch in (1, 2, 3, 8):
        feeds = {"x": np.random.default_rng(batch).normal(0, 1, (batch, 4, 30)).astype(np.float32)}
        found.append(ours(feeds["x"]))
        wanted.append(exact_run(path, feeds, 3 / 256))
    # A byte that is rounded the other way is 1/256 of a probability.
    off = np.abs(np.concatenate(found) - np.concatenate(wanted))
    assert off.max() <= 3 / 256
    assert np.median(off) <= 1 / 256


@pytest.mark.parametrize("weight_type", [quantization.QuantType.QInt8, quantization.QuantType.QUInt8], ids=str)
def test_quantized_real_models(weight_type: Any, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "quantized.onnx"
    quantization.quantize_dynamic(fetch.model("nsnet2"), path, weight_type=weight_type)
    spectra = np.load(pathlib.Path(__file__).parent / "golden" / "nsnet2.npz")["input_16k"][:, :60]
    feeds = {"input": np.ascontiguousarray(spectra)}
    assert_within(lstm_rt.load(path)(feeds["input"]), exact_run(path, feeds, 2e-3), 2e-3, "nsnet2")

    quantization.quantize_dynamic(fetch.model("silero_vad_16k_sequence"), path, weight_type=weight_type)
    rng = np.random.default_rng(5)
    frames = rng.normal(0, 0.1, (20, 576)).astype(np.float32)
    zeros = np.zeros((1, 1, 128), np.float32)
    feeds = {"input": frames, "h": zeros, "c": zeros}
    found = lstm_rt.load(path).run(feeds)
    assert_within(found["speech_probs"], exact_run(path, feeds, 2e-3), 2e-3, "silero")


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 6), (2, 9), (5, 20), (3, 64)])
def test_dksplit_live(batch: int, steps: int) -> None:
    path = fetch.model("dksplit")
    chars = np.random.default_rng(batch).integers(0, 38, (batch, steps))
    # Of the 2304 h of each step one in some tens of thousands lies so close between two bytes that it is rounded the
    # other way, and moves what follows.
    tolerance = 2e-3 if batch * steps < 20 else 0.15
    found, wanted = lstm_rt.load(path)(chars), exact_run(path, {"chars": chars}, tolerance)
    assert_within(found, wanted, tolerance)
    decided = np.abs(np.diff(wanted)) > 0.5
    np.testing.assert_array_equal((found.argmax(-1) == wanted.argmax(-1)) | ~decided[..., 0], True)
