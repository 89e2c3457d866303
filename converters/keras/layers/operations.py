"""Operations that Keras 3 keeps as nodes: arithmetic on tensors, and what it makes masks of."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import DType
from ..activations import apply, as_float, not_equal, number
from ..config import is_number
from ..layer import Dims, Layer, Tensor, handler
from ..shapes import axis_of, broadcast

_BINARY = {
    "Add": "Add",
    "Subtract": "Sub",
    "Multiply": "Mul",
    "Divide": "Div",
    "TrueDivide": "Div",
    "Maximum": "Max",
    "Minimum": "Min",
    "Power": "Pow",
    "Equal": "Equal",
    "Greater": "Greater",
    "GreaterEqual": "GreaterOrEqual",
    "Less": "Less",
    "LessEqual": "LessOrEqual",
}
_LOGICAL = {"LogicalAnd": "And", "LogicalOr": "Or"}
_UNARY = {
    "Absolute": "Abs",
    "Abs": "Abs",
    "Negative": "Neg",
    "Exp": "Exp",
    "Log": "Log",
    "Sqrt": "Sqrt",
    "Tanh": "Tanh",
    "Sigmoid": "Sigmoid",
    "Relu": "Relu",
    "Sin": "Sin",
    "Cos": "Cos",
    "Floor": "Floor",
    "Ceil": "Ceil",
    "Sign": "Sign",
    "Elu": "Elu",
    "Erf": "Erf",
    "Log1p": "",
    "Expm1": "",
    "Rsqrt": "",
    "Reciprocal": "Reciprocal",
    "Round": "Round",
    "Selu": "Selu",
    "Tan": "Tan",
}
_REDUCED = {
    "Mean": "ReduceMean",
    "Sum": "ReduceSum",
    "Max": "ReduceMax",
    "Min": "ReduceMin",
    "Amax": "ReduceMax",
    "Amin": "ReduceMin",
    "Prod": "ReduceProd",
}
_FRACTIONS = ("Divide", "TrueDivide", "FloorDivide", "Mod")  # computed in float32, also of integers
_COMPARED = ("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual")


def operands(layer: Layer, *names: str, first: int = 0) -> list[Tensor]:
    """The arguments of a call as tensors of one dtype: that of the tensors, or what Keras makes of several."""
    found = [layer.argument(place, name) for place, name in enumerate(names, first)]
    if not any(isinstance(f, Tensor) for f in found):
        layer.refuse("it is called without a tensor.")
    kinds = {f.dtype if isinstance(f, Tensor) else _dtype_of(f) for f in found}
    whole = {kind for kind in kinds if kind not in (None, DType.FLOAT32)}
    if DType.FLOAT32 in kinds or not whole:
        dtype = DType.FLOAT32
    elif len(whole) == 1:
        dtype = next(kind for kind in whole if kind is not None)
    else:
        dtype = DType.INT64 if DType.INT64 in whole else DType.INT32
    return [as_tensor(layer, f, dtype) for f in found]


def _dtype_of(number: Any) -> DType | None:
    """What a number of the file makes of an integer tensor: float32 if it is written as a fraction, else nothing."""
    return DType.FLOAT32 if isinstance(number, float) else None


def as_tensor(layer: Layer, found: Any, dtype: DType) -> Tensor:
    """An argument as a tensor: a number of the file becomes a constant."""
    if isinstance(found, Tensor):
        if found.dtype == dtype:
            return found
        return Tensor(layer.build.cast(found.value, dtype), found.shape, dtype, found.mask)
    try:
        array = np.asarray(found, dtype.numpy)
    except (TypeError, ValueError, OverflowError):
        array = None
    if found is None or isinstance(found, str) or array is None:
        layer.refuse(f"operand {str(found)[:40]!r} is not a number.")
    return Tensor(layer.constant(array, "operand"), array.shape, dtype)


def _binary(layer: Layer) -> Tensor:
    kind = layer.kind[4:]
    a, b = operands(layer, "x1", "x2")
    if kind in _FRACTIONS:
        a, b = (as_tensor(layer, t, DType.FLOAT32) for t in (a, b))
    build = layer.build
    if kind == "NotEqual":
        value = not_equal(build, a.value, b.value)
    elif kind == "SquaredDifference":
        difference = build.op("Sub", a.value, b.value)
        value = build.op("Mul", difference, difference)
    elif kind in ("FloorDivide", "Mod"):
        value = build.op("Floor", build.op("Div", a.value, b.value))
        if kind == "Mod":
            value = build.op("Sub", a.value, build.op("Mul", value, b.value))
    else:
        value = build.op(_BINARY[kind], a.value, b.value)
    return Tensor(value, broadcast(a.shape, b.shape), DType.BOOL if kind in _COMPARED else a.dtype)


for _name in (*_BINARY, "NotEqual", "SquaredDifference", "FloorDivide", "Mod"):
    handler(f"ops.{_name}", note="of tensors and numbers")(_binary)


def _logical(layer: Layer) -> Tensor:
    found = [layer.argument(place, name) for place, name in enumerate(("x1", "x2"))]
    a, b = (as_tensor(layer, f, DType.BOOL) for f in found)
    return Tensor(layer.build.op(_LOGICAL[layer.kind[4:]], a.value, b.value), broadcast(a.shape, b.shape), DType.BOOL)


for _name in _LOGICAL:
    handler(f"ops.{_name}")(_logical)


@handler("ops.LogicalNot")
def logical_not(layer: Layer) -> Tensor:
    """Negate."""
    x = as_tensor(layer, layer.argument(0, "x"), DType.BOOL)
    return x.to(layer.build.op("Not", x.value))


def the_tensor(layer: Layer) -> Tensor:
    """The tensor that an operation is called with."""
    x = layer.argument(0, "x")
    if not isinstance(x, Tensor):
        layer.refuse("it is called without a tensor.")
    return x


def _unary(layer: Layer) -> Tensor:
    x = the_tensor(layer)
    kind, build = layer.kind[4:], layer.build
    value = as_float(build, x)
    one = number(build, 1.0)
    if kind == "Log1p":
        value = build.op("Log", build.op("Add", value, one))
    elif kind == "Expm1":
        value = build.op("Sub", build.op("Exp", value), one)
    elif kind == "Rsqrt":
        value = build.op("Div", one, build.op("Sqrt", value))
    elif kind == "Elu":
        value = build.op("Elu", value, alpha=real(layer, 1, "alpha", 1.0))
    elif kind == "Round" and setting(layer, 1, "decimals", 0):
        layer.refuse("rounding to decimals is not supported.")
    elif kind == "Selu":
        return apply(layer, Tensor(value, x.shape), "selu")
    else:
        value = build.op(_UNARY[kind], value)
    return Tensor(value, x.shape)


for _name in _UNARY:
    handler(f"ops.{_name}")(_unary)


_ACTIVATIONS = {
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Silu": "silu",
    "Relu6": "relu6",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh",
    "LogSigmoid": "log_sigmoid",
    "Mish": "mish",
    "TanhShrink": "tanh_shrink",
}


def _activation(layer: Layer) -> Tensor:
    x = as_tensor(layer, the_tensor(layer), DType.FLOAT32)
    return apply(layer, x, _ACTIVATIONS[layer.kind[4:]])


for _name in _ACTIVATIONS:
    handler(f"ops.{_name}")(_activation)


@handler("ops.Gelu")
def gelu(layer: Layer) -> Tensor:
    """Apply GELU, by tanh unless told otherwise."""
    x = the_tensor(layer)
    exact = setting(layer, 1, "approximate", True) is False
    value = layer.build.op("Gelu", as_float(layer.build, x), approximate="none" if exact else "tanh")
    return Tensor(value, x.shape)


@handler("ops.LeakyRelu")
def leaky_relu(layer: Layer) -> Tensor:
    """Scale what is negative."""
    x = the_tensor(layer)
    slope = real(layer, 1, "negative_slope", 0.2)
    return Tensor(layer.build.op("LeakyRelu", as_float(layer.build, x), alpha=slope), x.shape)


def _softmax(layer: Layer) -> Tensor:
    x = the_tensor(layer)
    axis = setting(layer, 1, "axis", -1)
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    if isinstance(axis, bool) or not isinstance(axis, int):
        layer.refuse(f"axis = {axis!r}: only one axis is supported.")
    value = layer.build.op(layer.kind[4:], as_float(layer.build, x), axis=axis_of(axis, x.rank))
    return Tensor(value, x.shape)


for _name in ("Softmax", "LogSoftmax"):
    handler(f"ops.{_name}")(_softmax)


@handler("ops.Clip")
def clip(layer: Layer) -> Tensor:
    """Keep elements between two numbers."""
    x = the_tensor(layer)
    bounds = [setting(layer, place, name, None) for place, name in ((1, "x_min"), (2, "x_max"))]
    if any(isinstance(b, bool) or not isinstance(b, (int, float)) for b in bounds):
        layer.refuse("its bounds are not two numbers.")
    build = layer.build
    low, high = (number(build, float(b)) for b in bounds)
    return Tensor(build.op("Clip", as_float(build, x), low, high), x.shape)


@handler("ops.Where")
def choose(layer: Layer) -> Tensor:
    """Choose element by element."""
    condition = as_tensor(layer, layer.argument(0, "condition"), DType.BOOL)
    a, b = operands(layer, "x1", "x2", first=1)
    value = layer.build.op("Where", condition.value, a.value, b.value)
    return Tensor(value, broadcast(condition.shape, a.shape, b.shape), a.dtype)


@handler("ops.Cumsum", note="along one axis")
def cumsum(layer: Layer) -> Tensor:
    """Sum all elements so far."""
    x = the_tensor(layer)
    layer.config.skip("dtype")
    axis = setting(layer, 1, "axis", None)
    if isinstance(axis, bool) or not isinstance(axis, int):
        layer.refuse("axis is not given. Name the axis to sum along.")
    at = layer.build.integers(axis_of(axis, x.rank))
    value = layer.build.op("CumSum", as_float(layer.build, x), at, exclusive=0, reverse=0)
    return Tensor(value, x.shape)


@handler("ops.Argmax", "ops.Argmin", note="along one axis")
def argmax(layer: Layer) -> Tensor:
    """Find the place of the largest or smallest element."""
    x = the_tensor(layer)
    axis, keep = setting(layer, 1, "axis", None), bool(setting(layer, 2, "keepdims", False))
    if isinstance(axis, bool) or not isinstance(axis, int):
        layer.refuse("axis is not given. Name the axis to search along.")
    axis = axis_of(axis, x.rank)
    op = "ArgMax" if layer.kind == "ops.Argmax" else "ArgMin"
    value = layer.build.op(op, as_float(layer.build, x), axis=axis, keepdims=int(keep), select_last_index=0)
    kept = [1] if keep else []
    return Tensor(value, (*x.shape[:axis], *kept, *x.shape[axis + 1 :]), DType.INT64)


def _matmul(layer: Layer) -> Tensor:
    a, b = (as_tensor(layer, t, DType.FLOAT32) for t in operands(layer, "x1", "x2"))
    if min(a.rank, b.rank) < 2 or (layer.kind == "ops.Dot" and b.rank != 2):
        layer.refuse(f"its inputs have {a.rank} and {b.rank} dims, which is not supported.")
    broadcast((a.shape[-1],), (b.shape[-2],))
    if 1 in (a.shape[-1], b.shape[-2]) and a.shape[-1] != b.shape[-2]:
        layer.refuse(f"it multiplies {a.shape} by {b.shape}.")
    shape = (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    return Tensor(layer.build.op("MatMul", a.value, b.value), shape)


for _name in ("Matmul", "Dot"):
    handler(f"ops.{_name}")(_matmul)


@handler("ops.Identity", "ops.StopGradient")
def identity(layer: Layer) -> Tensor:
    """Give the input."""
    return the_tensor(layer)


@handler("ops.Square")
def square(layer: Layer) -> Tensor:
    """Multiply by itself."""
    x = the_tensor(layer)
    return Tensor(layer.build.op("Mul", x.value, x.value), x.shape, x.dtype)


def setting(layer: Layer, place: int, name: str, default: Any) -> Any:
    """A setting of an operation, from its config or its call."""
    found = layer.config.raw(name, None)
    return layer.argument(place, name, default) if found is None else found


def whole(layer: Layer, place: int, name: str, default: int) -> int:
    """A setting of an operation that is an integer."""
    found = setting(layer, place, name, default)
    if isinstance(found, bool) or not isinstance(found, int):
        layer.refuse(f"{name} = {str(found)[:80]!r} is not an integer.")
    return found


def real(layer: Layer, place: int, name: str, default: float) -> float:
    """A setting of an operation that is a number."""
    found = setting(layer, place, name, default)
    if not is_number(found):
        layer.refuse(f"{name} = {str(found)[:80]!r} is not a number.")
    return float(found)


def _reduce(layer: Layer) -> Tensor:
    x = the_tensor(layer)
    axes, shape, keep = _reduced(layer, x)
    build = layer.build
    value = build.op(_REDUCED[layer.kind[4:]], as_float(build, x), build.integers(axes), keepdims=int(keep))
    return Tensor(value, shape)


for _name in _REDUCED:
    handler(f"ops.{_name}")(_reduce)


def _any_or_all(layer: Layer) -> Tensor:
    x = as_tensor(layer, layer.argument(0, "x"), DType.BOOL)
    axes, shape, keep = _reduced(layer, x)
    build = layer.build
    op = "ReduceMax" if layer.kind == "ops.Any" else "ReduceMin"
    value = build.op(op, build.cast(x.value, DType.FLOAT32), build.integers(axes), keepdims=int(keep))
    return Tensor(build.cast(value, DType.BOOL), shape, DType.BOOL)


for _name in ("Any", "All"):
    handler(f"ops.{_name}")(_any_or_all)


def _spread(layer: Layer) -> Tensor:
    """Variance or standard deviation of all that is there."""
    x = the_tensor(layer)
    axes, shape, keep = _reduced(layer, x)
    build = layer.build
    at = build.integers(axes)
    centred = build.op("Sub", as_float(build, x), build.op("ReduceMean", as_float(build, x), at, keepdims=1))
    value = build.op("ReduceMean", build.op("Mul", centred, centred), at, keepdims=int(keep))
    return Tensor(build.op("Sqrt", value) if layer.kind == "ops.Std" else value, shape)


for _name in ("Var", "Std"):
    handler(f"ops.{_name}")(_spread)


def _reduced(layer: Layer, x: Tensor) -> tuple[list[int], Dims, bool]:
    given = setting(layer, 1, "axis", None)
    keep = bool(setting(layer, 2, "keepdims", False))
    layer.config.skip("dtype")
    if setting(layer, 3, "initial", None) is not None:
        layer.refuse("an initial value is not supported.")
    items = range(x.rank) if given is None else given if isinstance(given, (list, tuple)) else [given]
    axes = sorted(axis_of(int(axis), x.rank) for axis in items)
    if keep:
        return axes, tuple(1 if i in axes else d for i, d in enumerate(x.shape)), keep
    return axes, tuple(d for i, d in enumerate(x.shape) if i not in axes), keep
