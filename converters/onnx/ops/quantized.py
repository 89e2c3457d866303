"""Ops of models that were quantised elsewhere: ONNX's own, and those that onnxruntime adds in com.microsoft.

What multiplies integers stays with integers, and their scales are brought together as onnxruntime does it, so that
results are rounded alike. Ops that onnxruntime computes by tables or element by element are written out with the float
op between DequantizeLinear and QuantizeLinear, which is what its tables are made by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from ...graph import ABSENT, Attribute, DType, Value
from ..node import SHORTS, Node, dtype_of, handler
from .conv import conv_attributes
from .recurrent import lstm_attributes

_MICROSOFT = "com.microsoft"


@handler("QuantizeLinear", f"{_MICROSOFT}::QuantizeLinear")
def quantize_linear(node: Node) -> None:
    inputs = node.inputs(2, 3)
    attributes = _layout(node)
    node.skip("saturate")  # of float8
    if node.integer("precision", 0) not in (0, TensorProto.FLOAT):
        node.refuse("its precision is not float32. Export it without precision.")
    code = node.integer("output_dtype", 0) or node.short(inputs[2])
    if code in SHORTS:
        limits = np.iinfo(np.int16 if code == TensorProto.INT16 else np.uint16)
        attributes.update(dtype=int(DType.INT32), low=int(limits.min), high=int(limits.max))
    elif code:
        attributes["dtype"] = int(dtype_of(code))
    node.emit(inputs, attributes)
    if code in SHORTS:
        node.mark_short(node.output_names[0], code)


@handler("DequantizeLinear", f"{_MICROSOFT}::DequantizeLinear")
def dequantize_linear(node: Node) -> None:
    inputs = node.inputs(2, 3)
    code = node.integer("output_dtype", 0)
    if code and dtype_of(code) is not DType.FLOAT32:
        node.refuse("its output is not float32. Export it without output_dtype.")
    node.emit(inputs, _layout(node))


def _layout(node: Node) -> dict[str, Attribute]:
    """Read which elements share a scale."""
    return {"axis": node.integer("axis", 1), "block_size": node.integer("block_size", 0)}


@handler("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node) -> None:
    node.emit(node.inputs(1), most_outputs=3)


@handler("MatMulInteger")
def matmul_integer(node: Node) -> None:
    node.emit(node.inputs(2, 4))


@handler("ConvInteger")
def conv_integer(node: Node) -> None:
    node.emit(node.inputs(2, 4), conv_attributes(node))


@handler("QLinearMatMul")
def qlinear_matmul(node: Node) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.inputs(8)
    sums = node.build.op("MatMulInteger", a, b, a_zero, b_zero)
    _emit_scaled(node, sums, [a_scale, b_scale], y_scale, y_zero)


@handler("QLinearConv")
def qlinear_conv(node: Node) -> None:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = node.inputs(8, 9)
    attributes = conv_attributes(node)
    sums = node.build.op("ConvInteger", x, w, x_zero, w_zero, **attributes)
    channels = _along_channels(node, w)
    if bias != ABSENT:
        sums = node.build.op("Add", sums, node.build.op("Reshape", bias, channels))
    _emit_scaled(node, sums, [x_scale, node.build.op("Reshape", w_scale, channels)], y_scale, y_zero)


def _along_channels(node: Node, filters: Value) -> Value:
    """Make the shape of a value for each filter, before the spatial axes, whose number only the filters tell."""
    build = node.build
    axes = build.op("Shape", build.op("Shape", filters, start=2))
    ones = build.op("ConstantOfShape", axes, dtype=int(DType.INT64), value=1)
    return build.op("Concat", build.integers([-1]), ones, axis=0)


@handler(f"{_MICROSOFT}::QGemm")
def qgemm(node: Node) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = node.inputs(6, 9)
    if node.integer("transA", 0):
        a = node.build.transpose(a, 1, 0)
    if node.integer("transB", 0):
        b = node.build.transpose(b, 1, 0)
    sums = node.build.op("MatMulInteger", a, b, a_zero, b_zero)
    if c != ABSENT:
        sums = node.build.op("Add", sums, c)
    alpha = node.number("alpha", 1.0)
    scales = [a_scale, b_scale] + ([] if alpha == 1.0 else [node.weight("alpha", np.array(alpha, np.float32))])
    _emit_scaled(node, sums, scales, y_scale, y_zero)


@handler(f"{_MICROSOFT}::DynamicQuantizeMatMul")
def dynamic_quantize_matmul(node: Node) -> None:
    a, b, b_scale, b_zero, bias = node.inputs(3, 5)
    a, a_scale, a_zero = node.build.ops("DynamicQuantizeLinear", [a], 3)
    _emit_product(node, [a, b, a_zero, b_zero], [a_scale, b_scale], bias)


@handler(f"{_MICROSOFT}::MatMulIntegerToFloat")
def matmul_integer_to_float(node: Node) -> None:
    a, b, a_scale, b_scale, a_zero, b_zero, bias = node.inputs(4, 7)
    _emit_product(node, [a, b, a_zero, b_zero], [a_scale, b_scale], bias)


def _emit_product(node: Node, inputs: Sequence[Value], scales: Sequence[Value], bias: Value) -> None:
    """Emit a product of integers as floats."""
    sums = node.build.op("MatMulInteger", *inputs)
    if bias == ABSENT:
        return _emit_scaled(node, sums, scales, ABSENT, ABSENT)
    floats = node.build.op("Mul", node.build.cast(sums, DType.FLOAT32), _product(node, scales))
    node.emit([floats, bias], type="Add")


def _emit_scaled(node: Node, sums: Value, scales: Sequence[Value], y_scale: Value, y_zero: Value) -> None:
    """Emit integer sums times their scales: as floats, or rounded to bytes of y_scale and y_zero."""
    floats = node.build.cast(sums, DType.FLOAT32)
    scale = _product(node, scales)
    if y_scale == ABSENT:
        return node.emit([floats, scale], type="Mul")
    # One factor, by which the sums are multiplied once: the bytes are those of the source.
    quotient = node.build.op("Mul", floats, node.build.op("Div", scale, y_scale))
    one = node.weight("one", np.array(1, np.float32))
    node.emit([quotient, one, y_zero], type="QuantizeLinear")


def _product(node: Node, scales: Sequence[Value]) -> Value:
    product, *others = scales
    for scale in others:
        product = node.build.op("Mul", product, scale)
    return product


# ---- Element by element ----


@handler(f"{_MICROSOFT}::QLinearAdd", f"{_MICROSOFT}::QLinearMul")
def qlinear_binary(node: Node) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.inputs(7, 8)
    floats = [_dequantized(node, a, a_scale, a_zero), _dequantized(node, b, b_scale, b_zero)]
    _emit_quantized(node, floats, {}, y_scale, y_zero)


@handler(f"{_MICROSOFT}::QLinearSigmoid")
def qlinear_sigmoid(node: Node) -> None:
    _qlinear_unary(node, {})


@handler(f"{_MICROSOFT}::QLinearLeakyRelu")
def qlinear_leaky_relu(node: Node) -> None:
    _qlinear_unary(node, {"alpha": node.number("alpha", 0.01)})


@handler(f"{_MICROSOFT}::QLinearSoftmax")
def qlinear_softmax(node: Node) -> None:
    axis, opset = node.integer("axis", -1), node.integer("opset")
    if opset < 13 and axis != -1:
        node.refuse(
            f"a Softmax of opset {opset} over axis {axis} and those behind it. Export it with opset 13 or newer."
        )
    _qlinear_unary(node, {"axis": axis})


@handler(f"{_MICROSOFT}::QLinearGlobalAveragePool")
def qlinear_global_average_pool(node: Node) -> None:
    _refuse_channels_last(node)
    _qlinear_unary(node, {})


@handler(f"{_MICROSOFT}::QLinearAveragePool")
def qlinear_average_pool(node: Node) -> None:
    _refuse_channels_last(node)
    attributes = conv_attributes(node)
    del attributes["group"]
    for name in ("ceil_mode", "count_include_pad"):
        attributes[name] = node.integer(name, 0)
    _qlinear_unary(node, attributes)


def _refuse_channels_last(node: Node) -> None:
    if node.integer("channels_last", 0):
        node.refuse("its channels come last. Export the model without that optimisation.")


def _qlinear_unary(node: Node, attributes: dict[str, Attribute]) -> None:
    x, x_scale, x_zero, y_scale, y_zero = node.inputs(4, 5)
    _emit_quantized(node, [_dequantized(node, x, x_scale, x_zero)], attributes, y_scale, y_zero)


@handler(f"{_MICROSOFT}::QLinearConcat")
def qlinear_concat(node: Node) -> None:
    y_scale, y_zero, *parts = node.inputs(5, -1)
    if len(parts) % 3:
        node.refuse(f"has {len(parts)} inputs behind its scale; wanted 3 for each part. The file is damaged.")
    floats = [_dequantized(node, *parts[i : i + 3]) for i in range(0, len(parts), 3)]
    _emit_quantized(node, floats, {"axis": node.integer("axis")}, y_scale, y_zero)


@handler(f"{_MICROSOFT}::QLinearWhere")
def qlinear_where(node: Node) -> None:
    condition, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.inputs(9)
    floats = [_dequantized(node, a, a_scale, a_zero), _dequantized(node, b, b_scale, b_zero)]
    _emit_quantized(node, [condition, *floats], {}, y_scale, y_zero)


def _dequantized(node: Node, x: Value, scale: Value, zero: Value) -> Value:
    return node.build.op("DequantizeLinear", x, scale, zero)


def _emit_quantized(
    node: Node, inputs: Sequence[Value], attributes: dict[str, Attribute], y_scale: Value, y_zero: Value
) -> None:
    """Emit the float op that a QLinear op is named after, and round what it gives."""
    floats = node.build.op(node.type[len("QLinear") :], *inputs, **attributes)
    node.emit([floats, y_scale, y_zero], type="QuantizeLinear")


# ---- Recurrent layers ----


@handler(f"{_MICROSOFT}::DynamicQuantizeLSTM")
def dynamic_quantize_lstm(node: Node) -> None:
    inputs = node.inputs(3, 12)
    if ABSENT in inputs[8:]:
        node.refuse("a scale or zero point of its weights is missing. The file is damaged.")
    weights = node.known(inputs[2])
    units = None if weights is None or weights.ndim != 3 else int(weights.shape[1])
    attributes = lstm_attributes(node, units)
    del attributes["layout"]
    node.emit(inputs, attributes, most_outputs=3)
