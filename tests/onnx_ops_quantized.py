"""Ops of quantised models, in all their forms: a name, a model of one node, its input, how near results are to be."""

from __future__ import annotations

import functools
from typing import Any, Callable

import numpy as np
import onnx
from onnx import helper
from onnx_of_gguf import RNG, Array, build, floats, info, reseed

MICROSOFT = "com.microsoft::"
U8, I8, F32 = np.uint8, np.int8, np.float32
reseed("ops of quantised models")


def bytes_of(dtype: Any, *shape: int) -> Array:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)


def scales(*shape: int) -> Array:
    return RNG.uniform(0.005, 0.02, shape).astype(F32)


def node(
    op: str, x: Array, *others: Any, out: Any = U8, version: int = 21, outputs: int = 1, **kw: Any
) -> onnx.ModelProto:
    """A model of one node; of the inputs behind x, those that are None are left out. out: dtype of the first output."""
    domain, _, op = op.rpartition("::")
    weights = {f"w{i}": np.asarray(a) for i, a in enumerate(others) if a is not None}
    given = ["x", *(f"w{i}" if a is not None else "" for i, a in enumerate(others))]
    names = [f"y{i}" for i in range(outputs)]
    dtypes = [out, F32, U8][:outputs]
    codes = [helper.np_dtype_to_tensor_dtype(np.dtype(d)) for d in (x.dtype, *dtypes)]
    proto = helper.make_node(op, given, names, name="the_node", domain=domain, **kw)
    ports = [info(name, None, code) for name, code in zip(names, codes[1:])]
    return build([proto], [info("x", [None] * x.ndim, codes[0])], ports, weights, version, 10)


X = floats(2, 3, 8)
Q, S = bytes_of(U8, 2, 3, 8), bytes_of(I8, 2, 3, 8)
M = bytes_of(U8, 5, 8)
IMAGE = bytes_of(U8, 1, 3, 9, 8)
FILTERS = bytes_of(I8, 4, 3, 3, 2)
BIAS = RNG.integers(-3000, 3000, 4).astype(np.int32)
AX, AZ = F32(0.02), U8(120)  # of inputs
BX, BZ = F32(0.01), I8(3)  # of weights
YX, YZ = F32(0.05), U8(100)  # of results
FROM, TO = (AX, AZ), (YX, YZ)

_STANDARD: list[tuple[str, Callable[[], onnx.ModelProto], Array]] = [
    ("QuantizeLinear 10", lambda: node("QuantizeLinear", X, YX, YZ, version=10), X),
    ("QuantizeLinear 13", lambda: node("QuantizeLinear", X, scales(3), bytes_of(I8, 3), out=I8, version=13), X),
    ("QuantizeLinear 19", lambda: node("QuantizeLinear", X, YX, version=19, saturate=1), X),
    ("QuantizeLinear 21", lambda: node("QuantizeLinear", X, scales(2, 3, 4), axis=2, block_size=2), X),
    ("QuantizeLinear 21 signed", lambda: node("QuantizeLinear", X, YX, out=I8, output_dtype=3), X),
    ("DequantizeLinear 10", lambda: node("DequantizeLinear", Q, *FROM, out=F32, version=10), Q),
    ("DequantizeLinear 13", lambda: node("DequantizeLinear", S, scales(8), out=F32, version=13, axis=-1), S),
    ("DequantizeLinear 21", lambda: node("DequantizeLinear", S, scales(1, 3, 8), out=F32, axis=0, block_size=2), S),
    ("DynamicQuantizeLinear", lambda: node("DynamicQuantizeLinear", X, outputs=3, version=11), X),
    ("MatMulInteger", lambda: node("MatMulInteger", Q, bytes_of(I8, 8, 5), AZ, BZ, out=np.int32), Q),
    ("ConvInteger", lambda: node("ConvInteger", IMAGE, FILTERS, AZ, BZ, out=np.int32, pads=[1, 0, 1, 1]), IMAGE),
    ("QLinearMatMul", lambda: node("QLinearMatMul", Q, *FROM, bytes_of(I8, 8, 5), BX, BZ, *TO), Q),
    (
        "QLinearMatMul columns",
        lambda: node("QLinearMatMul", Q, *FROM, bytes_of(I8, 8, 5), scales(5), np.zeros(5, I8), *TO, version=10),
        Q,
    ),
    ("QLinearMatMul signed", lambda: node("QLinearMatMul", S, AX, BZ, bytes_of(I8, 8, 5), BX, BZ, YX, BZ, out=I8), S),
    ("QLinearConv", lambda: node("QLinearConv", IMAGE, *FROM, FILTERS, BX, BZ, *TO, BIAS, pads=[1, 0, 1, 1]), IMAGE),
    (
        "QLinearConv filters",
        lambda: node("QLinearConv", IMAGE, *FROM, FILTERS, scales(4), np.zeros(4, I8), *TO, BIAS, strides=[2, 1]),
        IMAGE,
    ),
    ("QLinearConv 1d", lambda: node("QLinearConv", Q, *FROM, bytes_of(U8, 4, 3, 2), BX, U8(7), *TO), Q),
]

QGEMM = f"{MICROSOFT}QGemm"
DYNAMIC = f"{MICROSOFT}DynamicQuantizeMatMul"
TO_FLOAT = f"{MICROSOFT}MatMulIntegerToFloat"

# Sums of integers with their scales: rounded as the source rounds.
_PRODUCTS: list[tuple[str, Callable[[], onnx.ModelProto], Array]] = [
    (QGEMM, lambda: node(QGEMM, M, *FROM, bytes_of(I8, 8, 4), BX, BZ, BIAS, *TO), M),
    (
        f"{QGEMM} transB",
        lambda: node(QGEMM, M, *FROM, bytes_of(I8, 4, 8), scales(4), np.zeros(4, I8), BIAS, *TO, transB=1, alpha=0.5),
        M,
    ),
    (f"{QGEMM} transA", lambda: node(QGEMM, M, *FROM, bytes_of(I8, 5, 4), BX, BZ, None, *TO, transA=1), M),
    (f"{QGEMM} floats", lambda: node(QGEMM, M, *FROM, bytes_of(I8, 8, 4), BX, BZ, BIAS, out=F32), M),
    (DYNAMIC, lambda: node(DYNAMIC, X, bytes_of(I8, 8, 5), BX, BZ, floats(5), out=F32), X),
    (f"{DYNAMIC} columns", lambda: node(DYNAMIC, X, bytes_of(I8, 8, 5), scales(5), np.zeros(5, I8), out=F32), X),
    (TO_FLOAT, lambda: node(TO_FLOAT, Q, bytes_of(I8, 8, 5), AX, BX, AZ, BZ, floats(5), out=F32), Q),
    (f"{TO_FLOAT} plain", lambda: node(TO_FLOAT, Q, bytes_of(U8, 8, 5), AX, scales(5), out=F32), Q),
]


def _qlinear(op: str, *others: Any, **attributes: Any) -> tuple[str, Callable[[], onnx.ModelProto], Array]:
    name = f"{MICROSOFT}QLinear{op}"
    return name, lambda: node(name, IMAGE, *FROM, *others, **attributes), IMAGE


def _concat() -> onnx.ModelProto:
    model = node(f"{MICROSOFT}QLinearConcat", Q, *TO, *FROM, bytes_of(U8, 2, 2, 8), BX, U8(9), axis=1)
    names = model.graph.node[0].input  # the result's scale comes first
    names[:] = [*names[1:3], names[0], *names[3:]]
    return model


CONDITION = RNG.integers(0, 2, (2, 3, 8)).astype(np.bool_)

# Through floats: a step apart at most, where the source computes in another order.
_THROUGH_FLOATS: list[tuple[str, Callable[[], onnx.ModelProto], Array]] = [
    _qlinear("Add", bytes_of(U8, 1, 3, 9, 8), BX, U8(9), *TO),
    _qlinear("Mul", bytes_of(U8, 8), BX, U8(9), *TO),
    _qlinear("Sigmoid", F32(1 / 256), U8(0)),
    _qlinear("LeakyRelu", *TO, alpha=0.1),
    _qlinear("Softmax", F32(1 / 256), U8(0), axis=-1, opset=13),
    _qlinear("GlobalAveragePool", *TO, channels_last=0),
    _qlinear("AveragePool", *TO, kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1], count_include_pad=1),
    (f"{MICROSOFT}QLinearConcat", _concat, Q),
    (
        f"{MICROSOFT}QLinearWhere",
        lambda: node(f"{MICROSOFT}QLinearWhere", CONDITION, Q, *FROM, bytes_of(U8, 2, 3, 8), BX, U8(9), *TO),
        CONDITION,
    ),
    (f"{MICROSOFT}QuantizeLinear", lambda: node(f"{MICROSOFT}QuantizeLinear", X, *TO), X),
    (f"{MICROSOFT}DequantizeLinear", lambda: node(f"{MICROSOFT}DequantizeLinear", Q, *FROM, out=F32), Q),
]


def _reseeded(name: str, make: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    reseed(name)
    return make()


# name, model, input, and how far from the source a result may be
OPS: list[tuple[str, Callable[[], onnx.ModelProto], Array, float]] = [
    (name, functools.partial(_reseeded, name, make), x, tolerance)
    for ops, tolerance in ((_STANDARD, 0.0), (_PRODUCTS, 1e-5), (_THROUGH_FLOATS, 1.0))
    for name, make, x in ops
]
