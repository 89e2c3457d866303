"""The converter for ONNX: every op in its old and new forms, names and scopes, real models, and what is refused."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, Callable

import fetch
import numpy as np
import onnx
import pytest
from lstm_rt.converters import Graph, converter_for, registry
from lstm_rt.converters.gguf_file import write
from lstm_rt.converters.onnx import from_onnx
from lstm_rt.converters.onnx.node import handler, handlers
from onnx import TensorProto, helper, numpy_helper
from onnx_of_gguf import Array, Tables, build, floats, info, one_node, relu, same
from onnx_ops_math import OPS as MATH_OPS
from onnx_ops_microsoft import OPS as MICROSOFT_OPS
from onnx_ops_quantized import OPS as QUANTIZED_OPS
from versions import skip_before

import lstm_rt


def refusal(model: Any) -> str:
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        from_onnx(model)
    return str(caught.value)


# ---- Ops, in old forms and new ----

X = floats(2, 3, 4)
I64 = np.int64


def axes(*items: int) -> Array:
    return np.array(items, I64)


IMAGE, COLUMNS = floats(1, 4, 2, 4), floats(1, 8, 4)
SCALES, NO_FLOATS = np.array([1, 1, 2, 3], np.float32), np.zeros(0, np.float32)

OPS: list[tuple[str, Callable[[], onnx.ModelProto], Array]] = [
    *[
        (f"{op}", lambda op=op: one_node(op, X, opset=7), X)
        for op in ("Identity", "Relu", "Sigmoid", "Tanh", "Sqrt", "Dropout", "Size", "Shape", "Transpose", "ReduceMean")
    ],
    *[(f"{op}", lambda op=op: one_node(op, X, floats(4), opset=7), X) for op in ("Add", "Sub", "Mul", "Div")],
    ("Pow", lambda: one_node("Pow", X, np.float32(2), opset=7), X),
    ("Equal", lambda: one_node("Equal", X, floats(4), opset=11), X),
    ("Not", lambda: one_node("Not", X > 0, opset=7), X > 0),
    ("Cast", lambda: one_node("Cast", X, to=TensorProto.INT64), X),
    ("Cast 9", lambda: one_node("Cast", X, to=TensorProto.BOOL, opset=9), X),
    ("Cast 21", lambda: one_node("Cast", X, to=TensorProto.UINT8, saturate=1, opset=21), X),
    ("Clip 7", lambda: one_node("Clip", X, opset=7, min=-0.5), X),
    ("Clip 10", lambda: one_node("Clip", X, opset=10, min=-0.5, max=0.25), X),
    ("Clip 13", lambda: one_node("Clip", X, np.float32(-0.5), np.float32(0.25), opset=13), X),
    ("Dropout 7", lambda: one_node("Dropout", X, opset=7, ratio=0.3), X),
    ("Dropout 13", lambda: one_node("Dropout", X, np.float32(0.3), np.array(False), opset=13, seed=1), X),
    ("Dropout mask", lambda: one_node("Dropout", X, opset=13, outputs=2), X),
    ("HardSigmoid", lambda: one_node("HardSigmoid", X, opset=7), X),
    ("HardSigmoid alpha", lambda: one_node("HardSigmoid", X, alpha=0.3, beta=0.4), X),
    ("MatMul", lambda: one_node("MatMul", X, floats(4, 5)), X),
    ("Gemm 7", lambda: one_node("Gemm", X[0], floats(5, 4), floats(5), opset=7, transB=1, alpha=0.5, beta=2.0), X[0]),
    ("Gemm 11", lambda: one_node("Gemm", X[0], floats(3, 5), opset=11, transA=1), X[0]),
    ("Conv", lambda: one_node("Conv", X, floats(6, 3, 2), floats(6), pads=[1, 0], strides=[2]), X),
    ("Conv auto", lambda: one_node("Conv", X, floats(3, 1, 3), auto_pad="SAME_UPPER", group=3, kernel_shape=[3]), X),
    ("Conv dilated", lambda: one_node("Conv", X, floats(6, 3, 2), dilations=[2], auto_pad="NOTSET"), X),
    ("Pad 7", lambda: one_node("Pad", X, opset=7, pads=[0, 0, 1, 0, 0, 2], value=1.5), X),
    ("Pad 7 reflect", lambda: one_node("Pad", X, opset=7, pads=[0, 0, 1, 0, 0, 2], mode="reflect"), X),
    ("Pad 13", lambda: one_node("Pad", X, axes(0, 0, 1, 0, 0, 2), np.float32(2), opset=13), X),
    ("Slice 9", lambda: one_node("Slice", X, opset=9, starts=[1], ends=[100], axes=[2]), X),
    ("Slice 9 no axes", lambda: one_node("Slice", X, opset=9, starts=[0, 1], ends=[1, -1]), X),
    ("Slice 13", lambda: one_node("Slice", X, axes(-1), axes(-9), axes(1), axes(-2), opset=13), X),
    ("Split 11", lambda: one_node("Split", X, opset=11, outputs=2, axis=2, split=[1, 3]), X),
    ("Split 7", lambda: one_node("Split", X, opset=7, outputs=2, axis=2), X),
    ("Split 13", lambda: one_node("Split", X, axes(3, 1), opset=13, outputs=2, axis=-1), X),
    ("Split 13 equal", lambda: one_node("Split", X, opset=13, outputs=2), X),
    ("Split 18", lambda: one_node("Split", X, opset=18, outputs=2, axis=1, num_outputs=2), X),
    ("Concat", lambda: one_node("Concat", X, floats(2, 3, 1), axis=-1), X),
    ("Transpose", lambda: one_node("Transpose", X, perm=[1, 2, 0]), X),
    ("Reshape 7", lambda: one_node("Reshape", X, axes(0, -1), opset=7), X),
    ("Reshape 14", lambda: one_node("Reshape", X, axes(3, 8), opset=14, allowzero=1), X),
    ("Squeeze 11", lambda: one_node("Squeeze", X[:1, :, :1], opset=11, axes=[0]), X[:1, :, :1]),
    ("Squeeze 11 all", lambda: one_node("Squeeze", X[:1, :, :1], opset=11), X[:1, :, :1]),
    ("Squeeze 13", lambda: one_node("Squeeze", X[:1, :, :1], axes(-1), opset=13), X[:1, :, :1]),
    ("Unsqueeze 11", lambda: one_node("Unsqueeze", X, opset=11, axes=[0, 4]), X),
    ("Unsqueeze 13", lambda: one_node("Unsqueeze", X, axes(1), opset=13), X),
    ("Gather", lambda: one_node("Gather", X, np.int64(1), axis=1), X),
    ("Expand", lambda: one_node("Expand", X, axes(2, 1, 3, 4)), X),
    ("Shape 15", lambda: one_node("Shape", X, opset=15, start=1, end=-1), X),
    ("ReduceMean 13", lambda: one_node("ReduceMean", X, opset=13, axes=[-1], keepdims=0), X),
    ("ReduceMean 18", lambda: one_node("ReduceMean", X, axes(1), opset=18, keepdims=0), X),
    ("ReduceMean 18 noop", lambda: one_node("ReduceMean", X, opset=18, noop_with_empty_axes=1), X),
    *MATH_OPS,
    *MICROSOFT_OPS,
    *[
        (f"{op} {v}", lambda op=op, v=v: one_node(op, X, opset=v, kernel_shape=[2], pads=[1, 0], strides=[2]), X)
        for op in ("MaxPool", "AveragePool", "LpPool")
        for v in (7, 11)
    ],
    ("MaxPool indices", lambda: one_node("MaxPool", X, kernel_shape=[2], outputs=2, storage_order=0, ceil_mode=1), X),
    ("MaxPool dilated", lambda: one_node("MaxPool", X, kernel_shape=[2], dilations=[2], auto_pad="VALID"), X),
    ("AveragePool pads", lambda: one_node("AveragePool", X, kernel_shape=[3], pads=[1, 1], count_include_pad=1), X),
    ("AveragePool 19", lambda: one_node("AveragePool", X, opset=19, kernel_shape=[2], dilations=[2], ceil_mode=1), X),
    ("LpPool 18", lambda: one_node("LpPool", X, opset=18, kernel_shape=[2], p=1), X),
    *[
        (op, lambda op=op: one_node(op, X, opset=7), X)
        for op in ("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool", "Flatten", "ArgMax", "ArgMin")
    ],
    ("ConvTranspose", lambda: one_node("ConvTranspose", X, floats(3, 2, 3), floats(2), strides=[2], pads=[1, 0]), X),
    ("ConvTranspose shape", lambda: one_node("ConvTranspose", X, floats(3, 2, 3), output_shape=[7], strides=[2]), X),
    (
        "ConvTranspose same",
        lambda: one_node("ConvTranspose", X, floats(3, 2, 3), auto_pad="SAME_UPPER", strides=[2], output_padding=[0]),
        X,
    ),
    ("Col2Im", lambda: one_node("Col2Im", COLUMNS, axes(3, 3), axes(2, 2), opset=18, dilations=[1, 1]), COLUMNS),
    ("GatherElements", lambda: one_node("GatherElements", X, np.zeros((2, 3, 2), I64), axis=2), X),
    ("GatherND 11", lambda: one_node("GatherND", X, np.array([[0, 1]], I64), opset=11), X),
    ("GatherND", lambda: one_node("GatherND", X, np.array([[1], [2]], I64), batch_dims=1), X),
    ("Scatter", lambda: one_node("Scatter", X, np.zeros((1, 3, 2), I64), floats(1, 3, 2), opset=9, axis=-1), X),
    ("ScatterElements", lambda: one_node("ScatterElements", X, np.zeros((1, 3, 2), I64), floats(1, 3, 2), axis=1), X),
    (
        "ScatterElements 16",
        lambda: one_node("ScatterElements", X, np.zeros((1, 3, 2), I64), floats(1, 3, 2), reduction="add"),
        X,
    ),
    ("ScatterND", lambda: one_node("ScatterND", X, np.array([[0, 1]], I64), floats(1, 4), reduction="mul"), X),
    ("OneHot", lambda: one_node("OneHot", axes(1, 0), np.array(3), floats(2), axis=0), axes(1, 0)),
    ("Compress", lambda: one_node("Compress", X, np.array([True, False, True]), axis=1), X),
    ("Compress flat", lambda: one_node("Compress", X, np.array([True, False, True])), X),
    ("NonZero", lambda: one_node("NonZero", X), X),
    ("ArgMax 12", lambda: one_node("ArgMax", X, opset=12, axis=1, keepdims=0, select_last_index=1), X),
    ("TopK 7", lambda: one_node("TopK", X, opset=7, outputs=2, k=2, axis=1), X),
    ("TopK 10", lambda: one_node("TopK", X, axes(2), opset=10, outputs=2), X),
    ("TopK 11", lambda: one_node("TopK", X, axes(2), outputs=2, largest=0, sorted=1, axis=0), X),
    ("CumSum", lambda: one_node("CumSum", X, np.array(1), exclusive=1, reverse=1), X),
    ("Tile", lambda: one_node("Tile", X, axes(1, 2, 1)), X),
    ("Range", lambda: one_node("Range", np.array(1), np.array(9), np.array(2)), np.array(1)),
    ("Trilu", lambda: one_node("Trilu", X, np.array(1), upper=0), X),
    ("EyeLike", lambda: one_node("EyeLike", X[0], k=1), X[0]),
    ("EyeLike dtype", lambda: one_node("EyeLike", X[0], dtype=TensorProto.INT64), X[0]),
    ("DepthToSpace 7", lambda: one_node("DepthToSpace", IMAGE, opset=7, blocksize=2), IMAGE),
    ("DepthToSpace 11", lambda: one_node("DepthToSpace", IMAGE, opset=11, blocksize=2, mode="CRD"), IMAGE),
    ("SpaceToDepth", lambda: one_node("SpaceToDepth", IMAGE, opset=7, blocksize=2), IMAGE),
    ("ReverseSequence", lambda: one_node("ReverseSequence", X, axes(1, 3), batch_axis=0, time_axis=1), X),
    ("CenterCropPad", lambda: one_node("CenterCropPad", X, axes(5, 2), opset=18, axes=[2, 1]), X),
    ("Einsum", lambda: one_node("Einsum", X, floats(4, 5), equation="bij,jk->bik"), X),
    ("Resize 10", lambda: one_node("Resize", IMAGE, SCALES, opset=10, mode="linear"), IMAGE),
    ("Resize 11", lambda: one_node("Resize", IMAGE, NO_FLOATS, SCALES, opset=11, mode="cubic"), IMAGE),
    (
        "Resize 13",
        lambda: one_node("Resize", IMAGE, NO_FLOATS, NO_FLOATS, axes(1, 4, 3, 5), opset=13, nearest_mode="ceil"),
        IMAGE,
    ),
    (
        "Resize 19",
        lambda: one_node("Resize", IMAGE, NO_FLOATS, SCALES[2:], opset=19, axes=[2, 3], antialias=1, mode="linear"),
        IMAGE,
    ),
    ("Upsample 7", lambda: one_node("Upsample", IMAGE, opset=7, scales=[1.0, 1.0, 2.0, 3.0]), IMAGE),
    ("Upsample 9", lambda: one_node("Upsample", IMAGE, SCALES, opset=9, mode="linear"), IMAGE),
]


@pytest.mark.parametrize(("make", "x"), [op[1:] for op in OPS], ids=[op[0] for op in OPS])
def test_op_computes_what_the_source_does(
    make: Callable[[], onnx.ModelProto], x: Array, tmp_path: pathlib.Path
) -> None:
    model = make()
    if any(attribute.name == "noop_with_empty_axes" for attribute in model.graph.node[0].attribute):
        skip_before("onnxruntime", (1, 24), "fails in a ReduceMean that has nothing to do")
    for output in model.graph.output:
        output.ClearField("type")
    for output, inferred in zip(model.graph.output, onnx.shape_inference.infer_shapes(model).graph.output):
        output.type.tensor_type.elem_type = inferred.type.tensor_type.elem_type or TensorProto.FLOAT
    node = model.graph.node[0]  # where it stands for several of our ops it may be rounded once, and ours twice
    several = node.domain != "" or node.op_type in ("MeanVarianceNormalization", "SimplifiedLayerNormalization")
    same(model, {"x": x}, tmp_path, tolerance=2e-6 if several else 0.0)


# Handlers that say why there is no such operation.
REFUSED = {
    **dict.fromkeys(
        ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"), "other numbers at every run"
    ),
    **dict.fromkeys(("RandomNormal", "RandomUniform"), "other numbers at every run"),
    "Unique": "depends on data",
}


@pytest.mark.parametrize("op", REFUSED)
def test_what_cannot_be_is_refused_with_its_reason(op: str) -> None:
    if op in ("RandomNormal", "RandomUniform"):
        made = helper.make_node(op, [], ["r"], shape=[2])
        model = build([made, helper.make_node("Add", ["x", "r"], ["y"])], [info("x", [2])], [info("y", [2])])
    else:
        model = one_node(op, X[0])
    assert REFUSED[op] in refusal(model)


def test_every_handler_has_a_test() -> None:
    elsewhere = {"Constant", "ConstantOfShape", "If", "Loop", "Scan", "LSTM", "GRU", "RNN", "CastLike", *REFUSED}
    elsewhere |= {op for op in handlers if "Sequence" in op and op != "ReverseSequence"}
    elsewhere |= {"com.microsoft::DynamicQuantizeLSTM", *(op[0].split()[0] for op in QUANTIZED_OPS)}
    assert {op[0].split()[0] for op in OPS} | elsewhere == set(handlers)


@pytest.mark.parametrize(
    "value",
    [
        {"value": numpy_helper.from_array(np.array([1.5, 2.5], np.float32))},
        {"value_float": 1.5},
        {"value_floats": [1.5, 2.5]},
    ],
)
def test_constant_becomes_a_weight(value: dict[str, Any], tmp_path: pathlib.Path) -> None:
    nodes = [helper.make_node("Constant", [], ["k"], **value), helper.make_node("Add", ["x", "k"], ["y"])]
    rebuilt = same(build(nodes, [info("x", [2])], [info("y", [2])]), {"x": floats(2)}, tmp_path)
    assert [node.op_type for node in rebuilt.graph.node] == ["Add"]


@pytest.mark.parametrize("fill", [None, np.array([7], np.int64), np.array([True]), np.array([-3], np.int8)])
def test_constant_of_shape_keeps_its_dtype(fill: Array | None, tmp_path: pathlib.Path) -> None:
    value = {} if fill is None else {"value": numpy_helper.from_array(fill)}
    dtype = TensorProto.FLOAT if fill is None else helper.np_dtype_to_tensor_dtype(fill.dtype)
    node = helper.make_node("ConstantOfShape", ["x"], ["y"], **value)
    model = build([node], [info("x", [2], TensorProto.INT64)], [info("y", [None, None], dtype)])
    same(model, {"x": axes(2, 3)}, tmp_path)


# ---- Recurrent layers ----


def recurrent(op: str, directions: int = 1, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    weights = {
        "W": floats(directions, gates * 5, 3),
        "R": floats(directions, gates * 5, 5),
        "B": floats(directions, gates * 10),
    }
    outputs = ["y", "h", "c"][: 3 if op == "LSTM" else 2]
    node = helper.make_node(op, ["x", *weights], outputs, name="rec", **attributes)
    return build([node], [info("x", ["T", "B", 3])], [info(n, None) for n in outputs], weights, opset)


@pytest.mark.parametrize(
    ("op", "directions", "attributes"),
    [
        ("LSTM", 1, {"hidden_size": 5}),
        ("LSTM", 2, {"hidden_size": 5, "direction": "bidirectional", "clip": 0.5}),
        ("LSTM", 1, {"direction": "reverse", "input_forget": 1, "hidden_size": 5}),
        ("LSTM", 1, {"activations": ["hardsigmoid", "SOFTSIGN", "Tanh"], "hidden_size": 5}),
        ("LSTM", 1, {"activations": ["Tanh", "LeakyRelu", "Elu"], "activation_alpha": [0.3], "hidden_size": 5}),
        ("GRU", 1, {"linear_before_reset": 1, "hidden_size": 5}),
        ("GRU", 2, {"direction": "bidirectional", "hidden_size": 5}),
        ("RNN", 1, {"activations": ["Relu"], "hidden_size": 5}),
        ("RNN", 1, {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1], "hidden_size": 5}),
    ],
)
def test_recurrent_layer(op: str, directions: int, attributes: dict[str, Any], tmp_path: pathlib.Path) -> None:
    same(recurrent(op, directions, **attributes), {"x": floats(4, 2, 3)}, tmp_path)


def attributes_of(model: onnx.ModelProto) -> dict[str, Any]:
    return from_onnx(model).main.ops[0].attributes


def test_recurrent_attributes_are_all_given() -> None:
    assert attributes_of(recurrent("LSTM", 2, direction="bidirectional", layout=1)) == {
        "direction": "bidirectional",
        "hidden_size": 5,  # of R
        "clip": 0.0,
        "layout": 1,
        "input_forget": 0,
        "activations": ["Sigmoid", "Tanh", "Tanh"] * 2,
        "activation_alpha": [0.0] * 6,
        "activation_beta": [0.0] * 6,
    }


def test_alpha_and_beta_go_to_the_activations_that_take_them() -> None:
    seen = attributes_of(
        recurrent(
            "LSTM",
            2,
            direction="bidirectional",
            activations=["Sigmoid", "LeakyRelu", "Affine", "HardSigmoid", "Elu", "ThresholdedRelu"],
            activation_alpha=[0.25, 2.0, 0.5],
            activation_beta=[3.0],
        )
    )
    np.testing.assert_allclose(seen["activation_alpha"], [0, 0.25, 2.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(seen["activation_beta"], [0, 0, 3.0, 0.5, 0, 0])


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (
            {"activations": ["Affine", "Tanh", "Tanh"]},
            "activation 'Affine' has no alpha. Export it with alpha and beta.",
        ),
        ({"activations": ["ScaledTanh"] * 3, "activation_alpha": [1.0] * 3}, "activation 'ScaledTanh' has no beta."),
        ({"activations": ["Sigmoid", "Tanh", "Swish"]}, "activation 'Swish' is not one of Relu, Tanh"),
        ({"activations": ["Sigmoid", "Tanh"]}, "has 2 activations, and needs 3"),
        ({"activations": ["Sigmoid", "Elu", "Tanh"], "activation_alpha": [0.5, 2.0]}, "1 of the activations"),
        ({"activations": ["Sigmoid", "Elu", "Tanh"], "activation_alpha": [0.0, 2.0, 0.0]}, "1 of the activations"),
        ({"direction": "sideways"}, "direction 'sideways' is not one of forward, reverse, bidirectional"),
        ({"hidden_size": 6}, "hidden_size is not the 5 units of R"),
        ({"clip": 0.0}, "clip 0 leaves nothing"),
        ({"output_sequence": 1}, "attribute 'output_sequence' is not supported here"),
    ],
)
def test_recurrent_refusals_name_the_node(attributes: dict[str, Any], words: str) -> None:
    text = refusal(recurrent("LSTM", **attributes))
    assert "node 'rec' (LSTM, opset 17): " in text
    assert words in text


def test_one_alpha_for_each_activation_is_taken_where_it_means_the_same() -> None:
    model = recurrent("LSTM", activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[0.25, 0.0, 0.0])
    assert attributes_of(model)["activation_alpha"] == [0.25, 0.0, 0.0]


def test_layout_before_opset_14_is_refused() -> None:
    assert "attribute 'layout' is not supported here" in refusal(recurrent("GRU", opset=13, layout=1))


# ---- What is refused ----


def test_everything_wrong_is_said_at_once() -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="Det_9"),
        relu("a", "b", alpha=1.0),
        helper.make_node("NhwcFusedConv", ["b"], ["c"], name="nhwc", domain="com.microsoft"),
        helper.make_node("Foo", ["c"], ["y"]),
    ]
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        from_onnx(build(nodes, [info("x", [2])], [info("y", [2])]))
    assert str(caught.value).splitlines() == [
        "4 parts of the model cannot run:",
        "  1. node 'Det_9' (Det, opset 17): no such operation. "
        "Supported operations: lstm-rt inspect --ops. Split the model before it.",
        "  2. node 'relu_b' (Relu, opset 17): attribute 'alpha' is not supported here. Export the model without it.",
        "  3. node 'nhwc' (NhwcFusedConv of com.microsoft): no such operation of domain 'com.microsoft'. "
        "Export with standard ONNX operators.",
        "  4. the node of 'y' (Foo, opset 17): no such operation. "
        "Supported operations: lstm-rt inspect --ops. Split the model before it.",
    ]
    assert len(caught.value.problems) == 4
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (one_node("Cast", X, to=TensorProto.INT16), "(Cast, opset 17): dtype int16 is not supported. Export it with"),
        (
            one_node("Add", X, np.float64(1e300)),
            "initializer 'w0': it holds 1e+300, which is outside the range of floa",
        ),
        (one_node("Add", X.astype(np.uint16)), "input 'x': dtype uint16 is not supported"),
        (one_node("Add", X, np.array("text", object)), "initializer 'w0': dtype string is not supported"),
        (one_node("Relu", X, opset=29), "opset 29 is not supported. Export it with one opset from 1 to 28"),
        (one_node("Relu", X, opset=99), "opset 99 is not supported"),
        (one_node("Dropout", X, np.float32(0.5), np.array(True)), "it is in training mode"),
        (one_node("Conv", X, floats(6, 3, 2), auto_pad="VALID", pads=[1, 1]), "both auto_pad 'VALID' and pads [1, 1]"),
        (one_node("Pad", X, axes(0, 0, 0, 0, 0, 1), mode="wrap"), "mode 'wrap' is not one of"),
        (one_node("Unsqueeze", X, opset=11), "attribute 'axes' is missing"),
        (one_node("Concat", X), "attribute 'axis' is missing"),
        (one_node("Concat", X, axis=1.0), "attribute 'axis' is of the wrong type"),
        (one_node("Relu", X, floats(1)), "has 2 inputs; at most 1 are supported"),
        (one_node("Add", X), "needs 2 inputs, and some are missing"),
        (one_node("Relu", X, outputs=2), "has 2 outputs; at most 1 are supported"),
        (one_node("Split", X, outputs=2, opset=18, num_outputs=3), "num_outputs is another number"),
        (build([relu("q")], [info("x", [2])], [info("y", [2])]), "value 'q' is read, but nothing defines it"),
        (build([relu(), relu()], [info("x", [2])], [info("y", [2])]), "value 'y' is defined twice"),
        (build([relu()], [info("x", [2])], [info("y", [2])] * 2), "output 'y': it is listed twice"),
        (build([relu()], [info("x", [1] * 9)], [info("y", None)]), "input 'x': 9 dims are too many"),
    ],
)
def test_refusals_say_where_and_what(model: onnx.ModelProto, words: str) -> None:
    assert words in refusal(model)


def test_sequences_and_sparse_tensors_are_refused() -> None:
    model = build([relu()], [info("x", [2])], [info("y", [2])])
    model.graph.input.append(helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None))
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    model.graph.node[0].CopyFrom(helper.make_node("Add", ["x", "sparse"], ["y"]))
    model.graph.node.append(helper.make_node("SequenceLength", ["s"], ["n"]))  # an unused input would be left out
    model.graph.output.append(info("n", [], TensorProto.INT64))
    text = refusal(model)
    assert "initializer 'sparse': sparse tensors are not supported" in text
    assert "input 's': it is not a tensor but a sequence_type" in text


def test_checker_finds_fault_of_node_refused() -> None:
    assert "onnx.checker finds the model invalid: No Op registered for Gelu" in refusal(one_node("Gelu", X, opset=13))


def test_checker_finds_fault_of_graph_noted() -> None:
    model = build([relu()], [info("x", [2])], [info("y", [2])])
    model.graph.name = ""
    assert [note[:36] for note in from_onnx(model).notes] == ["onnx.checker finds the model invalid"]


def test_a_handler_that_forgets_an_attribute_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_rt.converters.onnx.node.handlers", handlers)
    monkeypatch.setitem(handlers, "Concat", lambda node: node.emit(node.inputs(1, -1)))
    assert "attribute 'axis' is not supported here" in refusal(one_node("Concat", X, floats(2, 3, 1), axis=2))


def test_two_handlers_or_converters_for_one_thing_are_refused() -> None:
    with pytest.raises(ValueError, match="Relu has a handler already"):
        handler("Relu")(lambda node: None)
    with pytest.raises(ValueError, match=r"\.onnx has a converter already"):
        registry.converter(".onnx")(lambda source: Graph())


def test_an_unknown_extension_lists_the_known() -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"m\.tflite: no converter for '\.tflite'.*\.onnx"):
        converter_for("some/m.tflite")


@pytest.mark.parametrize("data", [b"not a model", one_node("Relu", X).SerializeToString()[:-9]])
def test_damaged_bytes_are_no_model(data: bytes) -> None:
    with pytest.raises(lstm_rt.ModelFileError, match="These bytes: not an ONNX model"):
        from_onnx(data)


def test_names_must_be_text() -> None:
    data = build([relu("x", "name")], [info("x", [2])], [info("name", [2])]).SerializeToString()
    with pytest.raises(lstm_rt.ModelFileError, match="a name in it is not UTF-8"):
        from_onnx(data.replace(b"name", b"na\xff\xfe"))


# ---- Names, scopes, weights ----


def branch(nodes: Sequence[onnx.NodeProto], output: str, **weights: Array) -> onnx.GraphProto:
    initializers = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    return helper.make_graph(list(nodes), "branch", [], [info(output, [2])], initializers)


def choice(then: onnx.GraphProto, other: onnx.GraphProto, target: str = "y") -> onnx.NodeProto:
    return helper.make_node("If", ["c"], [target], name="if", then_branch=then, else_branch=other)


CONDITION = info("c", [], TensorProto.BOOL)


def both_ways(model: onnx.ModelProto, folder: pathlib.Path) -> None:
    for condition in (True, False):
        same(model, {"x": floats(2), "c": np.array(condition)}, folder)


def test_branches_may_use_one_name_twice(tmp_path: pathlib.Path) -> None:
    then = branch([relu("x", "t"), helper.make_node("Add", ["t", "w"], ["r"])], "r", w=floats(2))
    other = branch(
        [helper.make_node("Tanh", ["x"], ["t"]), helper.make_node("Mul", ["t", "w"], ["r"])], "r", w=floats(2)
    )
    both_ways(build([choice(then, other)], [info("x", [2]), CONDITION], [info("y", [2])]), tmp_path)


def test_a_branch_may_use_a_name_that_comes_later_outside(tmp_path: pathlib.Path) -> None:
    inner = branch([relu("x", "z")], "z")
    nodes = [
        choice(inner, branch([helper.make_node("Tanh", ["x"], ["q"])], "q")),
        helper.make_node("Sqrt", ["x"], ["z"]),
    ]
    model = build(nodes, [info("x", [2]), CONDITION], [info("z", [2]), info("y", [2])])
    graph = from_onnx(model)
    assert [graph.name(port) for port in graph.outputs] == ["z", "y"]
    assert len(set(graph.values)) == len(graph.values)
    both_ways(model, tmp_path)


def test_branches_nest_and_see_what_is_outside(tmp_path: pathlib.Path) -> None:
    inner = choice(branch([helper.make_node("Add", ["a", "k"], ["r"])], "r"), branch([relu("a", "r")], "r"), "s")
    outer = branch([helper.make_node("Tanh", ["x"], ["a"]), inner, relu("s", "e")], "e")
    nodes = [choice(outer, branch([relu("x", "e")], "e"))]
    both_ways(build(nodes, [info("x", [2]), CONDITION], [info("y", [2])], {"k": floats(2)}), tmp_path)


def test_a_branch_that_cannot_run_is_named() -> None:
    bad = branch([helper.make_node("Det", ["x"], ["r"], name="inside")], "r")
    model = build([choice(bad, branch([relu("x", "r")], "r"))], [info("x", [2]), CONDITION], [info("y", [2])])
    text = refusal(model)
    assert text.startswith("1 part of the model cannot run:\n  1. node 'inside' (Det")


def test_weights_that_are_also_inputs_and_weights_nobody_uses() -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    inputs = [info("x", [2]), info("w", [2]), info("idle", [9])]
    model = build(nodes, inputs, [info("y", [2])], {"w": floats(2), "idle": floats(9)}, ir_version=3)
    graph = from_onnx(model)
    assert [graph.name(port) for port in graph.inputs] == ["x"]
    assert sorted(graph.values) == ["w", "x", "y"]


def test_outputs_may_be_inputs_or_weights(tmp_path: pathlib.Path) -> None:
    model = build([relu()], [info("x", [2])], [info("y", [2]), info("w", [2]), info("x", [2])], {"w": floats(2)})
    graph = from_onnx(model)
    assert graph.main.outputs[2] == graph.inputs[0].value
    assert graph.main.outputs[1] in graph.weights
    write(graph, tmp_path / "m.gguf")


def test_outputs_nobody_uses_are_left_out(tmp_path: pathlib.Path) -> None:
    model = recurrent("LSTM")
    del model.graph.output[0], model.graph.output[0]
    (op,) = from_onnx(model).main.ops
    assert op.outputs[:2] == [-1, -1]


def test_functions_are_put_in_place(tmp_path: pathlib.Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opsets
    )
    node = helper.make_node("Twice", ["x"], ["y"], domain="local")
    model = build([node], [info("x", [2])], [info("y", [2])])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    same(model, {"x": floats(2)}, tmp_path)


# ---- Tensors in other files ----


def external(folder: pathlib.Path, location: str, **entries: Any) -> pathlib.Path:
    model = build([helper.make_node("Add", ["x", "w"], ["y"])], [info("x", [2])], [info("y", [2])], {"w": floats(2)})
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location, **entries)
    model.graph.initializer[0].ClearField("raw_data")
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_tensors_in_a_file_beside_the_model(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\0" * 4 + np.array([1, 2], np.float32).tobytes())
    graph = from_onnx(external(tmp_path, "data.bin", offset=4, length=8))
    np.testing.assert_array_equal(next(iter(graph.weights.values())), [1, 2])
    assert graph.source.file == "m.onnx"
    assert len(graph.source.sha256) == 64


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("../secret.bin", {}, "is kept in '../secret.bin', which is not in the folder of the model"),
        ("sub/../../secret.bin", {}, "which is not in the folder of the model"),
        ("/etc/hostname", {}, "which is not in the folder of the model"),
        ("..\\secret.bin", {}, "which is not in the folder of the model"),
        ("", {}, "which is not in the folder of the model"),
        (".", {}, "which is not in the folder of the model"),
        ("link.bin", {}, "a link that leads out of the folder of the model"),
        ("missing.bin", {}, "there is no such file next to the model. Put it there."),
        ("short.bin", {"offset": 2, "length": 8}, "at 2, 8 bytes, but that file has 8"),
        ("short.bin", {"offset": -4, "length": 8}, "its offset '-4' is not a number of bytes"),
        ("short.bin", {"length": 10**18}, "its dims [2] need 8"),
    ],
)
def test_tensors_elsewhere_are_not_read(
    tmp_path: pathlib.Path, location: str, entries: dict[str, int], words: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret--")
    path = external(tmp_path / "model", location, **entries)
    (tmp_path / "model" / "short.bin").write_bytes(bytes(8))
    (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(lstm_rt.ModelFileError) as caught:
        from_onnx(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith("m.onnx: tensor 'w' is kept in")


def test_a_cache_of_links_is_read(tmp_path: pathlib.Path) -> None:
    """Download caches keep files under other names, and a folder of links to them."""
    blob = external(tmp_path / "blobs", "data.bin")
    (tmp_path / "blobs" / "1f").write_bytes(bytes(8))
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "m.onnx").symlink_to(blob)
    (snapshot / "data.bin").symlink_to(tmp_path / "blobs" / "1f")
    from_onnx(snapshot / "m.onnx")


def test_external_tensors_of_a_model_in_memory(tmp_path: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.ModelFileError, match="Convert the model from its path"):
        from_onnx(external(tmp_path, "data.bin").read_bytes())


# ---- Real models ----


@pytest.mark.parametrize(
    ("name", "bindings", "feeds"),
    [
        (
            "silero_vad",
            [("state", "stateN")],
            [{"input": (1, n), "state": (2, 1, 128), "sr": sr} for n, sr in ((576, 16000), (288, 8000))],
        ),
        ("silero_vad_16k_op15", [("state", "stateN")], [{"input": (1, 512), "state": (2, 1, 128), "sr": 16000}]),
        (
            "silero_vad_16k_sequence",
            [("h", "hn"), ("c", "cn")],
            [{"input": (3, 576), "h": (1, 1, 128), "c": (1, 1, 128)}],
        ),
        ("silero_vad_half", [("state", "stateN")], [{"input": (1, 512), "state": (2, 1, 128)}]),
        ("silero_vad_op18_ifless", [("state", "stateN")], [{"input": (1, 576), "state": (2, 1, 128), "sr": 16000}]),
        ("silero_vad_openvino_16k", [("state", "stateN")], [{"input": (1, 576), "state": (2, 1, 128)}]),
        ("nsnet2", [], [{"input": (1, 7, 161)}]),
    ],
)
def test_real_model(name: str, bindings: list[Any], feeds: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    path = fetch.model(name)
    for shapes in feeds:
        arrays = {n: np.array(s) if isinstance(s, int) else floats(*s) for n, s in shapes.items()}
        same(path, arrays, tmp_path)
    tables = Tables(tmp_path / "m.gguf")
    values = tables["graph.values"]
    numbers = iter(tables["bindings"])
    assert [(values[i], values[o]) for i, o in zip(numbers, numbers)] == bindings
    assert tables["source.file"] == path.name
    assert tables["source.sha256"] == fetch.sha256_of(path)
