"""Runs a quantised ONNX model with exact products of bytes: NumPy computes those here, in int64 or float64.

onnxruntime runs every other node, each alone and without graph optimisations, so that it fuses nothing into a product
of bytes. Its own products of bytes cannot be the reference, since they saturate on CPUs without VNNI (see
converters/onnx/saturation.py). The equations are those of the ONNX operators and of onnxruntime's ContribOperators.md.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import reference
from models import Array, Feeds
from onnx import helper, numpy_helper

F32 = np.float32
Inputs = Sequence[Any]  # arrays, or None for an input that is left out


def run(model: Any, feeds: Mapping[str, Array]) -> list[Array]:
    """Returns a model's outputs in order. model: a ModelProto, or the path of a file."""
    proto = onnx.load(os.fspath(model)) if isinstance(model, (str, os.PathLike)) else model
    return _run_graph(proto, proto.graph, dict(feeds))


def _run_graph(proto: onnx.ModelProto, graph: onnx.GraphProto, values: Feeds) -> list[Array]:
    values.update((tensor.name, numpy_helper.to_array(tensor)) for tensor in graph.initializer)
    for node in graph.node:
        inputs = [values[name] if name else None for name in node.input]
        if node.op_type == "If":
            attributes = {a.name: a.g for a in node.attribute}
            branch = attributes["then_branch" if inputs[0] else "else_branch"]
            found = _run_graph(proto, branch, dict(values))
        elif node.op_type in PRODUCTS:
            found = PRODUCTS[node.op_type](inputs, {a.name: helper.get_attribute_value(a) for a in node.attribute})
        else:
            found = _run_node(proto, node, values)
        values.update((name, value) for name, value in zip(node.output, found) if name)
    return [values[port.name] for port in graph.output]


def _run_node(proto: onnx.ModelProto, node: onnx.NodeProto, values: Feeds) -> list[Array]:
    assert not any(a.HasField("g") for a in node.attribute), f"{node.op_type} holds a graph, which is not read here"
    names = [name for name in dict.fromkeys(node.input) if name]
    feeds = {name: np.ascontiguousarray(values[name]).reshape(values[name].shape) for name in names}
    codes = [helper.np_dtype_to_tensor_dtype(feeds[name].dtype) for name in names]
    ports = [helper.make_tensor_value_info(name, code, feeds[name].shape) for name, code in zip(names, codes)]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    alone = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import)
    alone.graph.CopyFrom(helper.make_graph([node], "alone", ports, outputs))
    return _session(alone.SerializeToString()).run(None, feeds)


@functools.lru_cache(maxsize=512)
def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _optional(inputs: Inputs, n: int) -> Any:
    return inputs[n] if n < len(inputs) else None


def _wide(x: Array, zero: Any, columns: bool = True) -> Array:
    """Returns x minus its zero point in int64. A vector of zero points belongs to the columns, or else to the rows."""
    zero = np.asarray(0 if zero is None else zero, np.int64)
    wide: Array = x.astype(np.int64) - (zero if columns or zero.ndim != 1 else zero[:, None])
    return wide


def to_bytes(x: Array, zero: Array) -> Array:
    """Rounds x to whole numbers, ties to even, and clips x + zero to the range of zero's dtype."""
    limits = np.iinfo(zero.dtype)
    found: Array = np.clip(np.rint(x) + zero, limits.min, limits.max).astype(zero.dtype)
    return found


def dynamic_bytes(x: Array) -> tuple[Array, np.float32, np.uint8]:
    """Computes DynamicQuantizeLinear: x as bytes over the range of x and zero, the scale and the zero point."""
    low, high = min(x.min(initial=0), F32(0)), max(x.max(initial=0), F32(0))
    scale = F32(high - low) / F32(255) if high > low else F32(1)
    zero = np.uint8(np.rint(np.clip(-low / scale, 0, 255)))
    return to_bytes(x / scale, zero), scale, zero


def _product(a: Array, a_zero: Any, b: Array, b_zero: Any) -> Array:
    # float64 holds these sums exactly and is faster than int64.
    a, b = _wide(a, a_zero, columns=False).astype(np.float64), _wide(b, b_zero).astype(np.float64)
    return np.asarray(a @ b).astype(np.int64)


def matmul_integer(inputs: Inputs, _: Mapping[str, Any]) -> list[Array]:
    a, b = inputs[:2]
    return [_product(a, _optional(inputs, 2), b, _optional(inputs, 3)).astype(np.int32)]


def qlinear_matmul(inputs: Inputs, _: Mapping[str, Any]) -> list[Array]:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    sums = _product(a, a_zero, b, b_zero).astype(F32)
    return [to_bytes(sums * (a_scale * b_scale / y_scale), y_zero)]


def dynamic_quantize_matmul(inputs: Inputs, _: Mapping[str, Any]) -> list[Array]:
    a, b, b_scale = inputs[:3]
    q, scale, zero = dynamic_bytes(a)
    sums = _product(q, zero, b, _optional(inputs, 3)).astype(F32) * (scale * b_scale)
    bias = _optional(inputs, 4)
    return [sums if bias is None else sums + bias]


def matmul_integer_to_float(inputs: Inputs, _: Mapping[str, Any]) -> list[Array]:
    a, b, a_scale, b_scale = inputs[:4]
    sums = _product(a, _optional(inputs, 4), b, _optional(inputs, 5)).astype(F32) * (a_scale * b_scale)
    bias = _optional(inputs, 6)
    return [sums if bias is None else sums + bias]


def qgemm(inputs: Inputs, attributes: Mapping[str, Any]) -> list[Array]:
    a, a_scale, a_zero, b, b_scale, b_zero = inputs[:6]
    a, b = (x.T if attributes.get(name) else x for x, name in ((a, "transA"), (b, "transB")))
    sums = _product(a, a_zero, b, b_zero)
    if _optional(inputs, 6) is not None:
        sums = sums + inputs[6]
    scale = F32(attributes.get("alpha", 1.0)) * a_scale * b_scale
    if _optional(inputs, 7) is None:
        return [sums.astype(F32) * scale]
    return [to_bytes(sums.astype(F32) * (scale / inputs[7]), inputs[8])]


def _conv(x: Array, x_zero: Any, w: Array, w_zero: Any, attributes: Mapping[str, Any]) -> Array:
    assert attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    geometry = {name: attributes[name] for name in ("strides", "dilations", "pads", "group") if name in attributes}
    w_zero = np.asarray(0 if w_zero is None else w_zero, np.int64)
    wide_w = w.astype(np.int64) - w_zero.reshape(-1, *[1] * (w.ndim - 1))
    return reference.conv(_wide(x, x_zero), wide_w, dtype=np.int64, **geometry)


def conv_integer(inputs: Inputs, attributes: Mapping[str, Any]) -> list[Array]:
    x, w = inputs[:2]
    return [_conv(x, _optional(inputs, 2), w, _optional(inputs, 3), attributes).astype(np.int32)]


def qlinear_conv(inputs: Inputs, attributes: Mapping[str, Any]) -> list[Array]:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = inputs[:8]
    channels = (-1, *[1] * (x.ndim - 2))
    sums = _conv(x, x_zero, w, w_zero, attributes)
    if _optional(inputs, 8) is not None:
        sums = sums + inputs[8].reshape(channels)
    return [to_bytes(sums.astype(F32) * np.reshape(x_scale * w_scale / y_scale, channels), y_zero)]


class _Given:
    """Stands for weights whose product with x is known."""

    def __init__(self, product: Callable[[Array], Any]) -> None:
        self.product = product

    def reshape(self, *_: int) -> _Given:
        return self

    def __matmul__(self, x: Array) -> Any:
        return self.product(x)


SUMS: Any = _Given(lambda x: x)  # a cell is given its gate sums in place of x
NOTHING: Any = _Given(lambda h: 0.0)


def dynamic_quantize_lstm(inputs: Inputs, attributes: Mapping[str, Any], follow: Array | None = None) -> list[Array]:
    """Computes DynamicQuantizeLSTM. The range of x is that of all steps and rows, the range of h that of all rows.

    follow: a Y that was computed elsewhere. Each step then starts from its h in place of this function's own: an h that
    differs in its last bit may be rounded to another byte, and every later step would differ.
    """
    x, w, r = inputs[:3]
    b, lengths, h0, c0, p, w_scale, w_zero, r_scale, r_zero = (_optional(inputs, n) for n in range(3, 12))
    (steps, batch, _), (directions, hidden) = x.shape, r.shape[:2]
    options = {name: attributes[name] for name in ("clip", "input_forget") if name in attributes}
    names = [name.decode() for name in attributes.get("activations", [])] or ["Sigmoid", "Tanh", "Tanh"] * directions
    functions = reference.activation_functions(
        names, attributes.get("activation_alpha"), attributes.get("activation_beta")
    )
    lengths = np.full(batch, steps) if lengths is None else lengths
    b = np.zeros((directions, 8 * hidden)) if b is None else b.astype(np.float64)
    p = np.zeros((directions, 3 * hidden)) if p is None else p.astype(np.float64)
    q, x_scale, x_zero = dynamic_bytes(x[: lengths.max(initial=0)])
    y = np.zeros((steps, directions, batch, hidden), F32)
    y_h, y_c = (np.zeros((directions, batch, hidden), F32) if s is None else s.copy() for s in (h0, c0))
    for d in range(directions):
        cell = reference.LstmCell(SUMS, NOTHING, b[d], p[d], functions[3 * d :][:3], options)
        scale = (x_scale * w_scale[d]).astype(np.float64)
        x_sums = _product(q, x_zero, w[d], w_zero[d]).astype(F32) * scale
        scales, zeros = r_scale[d], r_zero[d]
        backwards = attributes.get("direction") == b"reverse" or d == 1
        for step in range(len(q)):
            rows = np.flatnonzero(lengths > step)
            # A row that has just ended still counts for the range of this step; after it, the row is zero.
            h_bytes, h_scale, h_zero = dynamic_bytes(np.where((lengths >= step)[:, None], y_h[d], F32(0)))
            h_sums = _product(h_bytes, h_zero, r[d], zeros).astype(F32) * (h_scale * scales).astype(np.float64)
            for n in rows:
                t = lengths[n] - 1 - step if backwards else step
                sums = (x_sums[t, n] + h_sums[n]).reshape(4, hidden)
                h, c = cell.step(sums, np.zeros(hidden), y_c[d, n].astype(np.float64))
                y[t, d, n], y_c[d, n] = h, c
                y_h[d, n] = y[t, d, n] if follow is None else follow[t, d, n]
    y_h[:, lengths == 0] = 0
    y_c[:, lengths == 0] = 0
    return [y, y_h, y_c]


PRODUCTS: dict[str, Callable[[Inputs, Mapping[str, Any]], list[Array]]] = {
    "ConvInteger": conv_integer,
    "DynamicQuantizeLSTM": dynamic_quantize_lstm,
    "DynamicQuantizeMatMul": dynamic_quantize_matmul,
    "MatMulInteger": matmul_integer,
    "MatMulIntegerToFloat": matmul_integer_to_float,
    "QGemm": qgemm,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
}
