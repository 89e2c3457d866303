"""Operations that Keras 3 keeps as nodes: arithmetic on tensors, and what it makes masks of."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import ABSENT, DType, Value
from ..activations import as_float, not_equal
from ..layer import Dims, Layer, Tensor, handler
from ..shapes import axis_of, broadcast, product

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
}
_REDUCED = {"Mean": "ReduceMean", "Sum": "ReduceSum", "Max": "ReduceMax", "Min": "ReduceMin"}
_COMPARED = ("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual")


def _operands(layer: Layer, names: tuple[str, str] = ("x1", "x2")) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of one dtype; a number takes the dtype of the other."""
    found = [layer.argument(place, name) for place, name in enumerate(names)]
    tensors = [f for f in found if isinstance(f, Tensor)]
    if not tensors:
        layer.refuse("it is called without a tensor.")
    numbers = [f for f in found if not isinstance(f, Tensor)]
    fractional = any(isinstance(n, float) and not n.is_integer() for n in numbers)
    kinds = {t.dtype for t in tensors}
    dtype = DType.FLOAT32 if fractional or len(kinds) > 1 else kinds.pop()
    one, other = (_as_tensor(layer, f, dtype) for f in found)
    return one, other


def _as_tensor(layer: Layer, found: Any, dtype: DType) -> Tensor:
    if isinstance(found, Tensor):
        return (
            found
            if found.dtype == dtype
            else Tensor(layer.build.cast(found.value, dtype), found.shape, dtype, found.mask)
        )
    try:
        array = np.asarray(found, dtype.numpy)
    except (TypeError, ValueError, OverflowError):
        layer.refuse(f"operand {str(found)[:40]!r} is not a number.")
    return Tensor(layer.constant(array, "operand"), array.shape, dtype)


def _binary(layer: Layer) -> Tensor:
    kind = layer.kind[4:]
    a, b = _operands(layer)
    dtype = DType.BOOL if kind in _COMPARED else a.dtype
    if kind == "NotEqual":
        value = not_equal(layer.build, a.value, b.value)
    else:
        value = layer.build.op(_BINARY[kind], a.value, b.value)
    return Tensor(value, broadcast(a.shape, b.shape), dtype)


for _name in (*_BINARY, "NotEqual"):
    handler(f"ops.{_name}", note="of tensors and numbers")(_binary)


def _logical(layer: Layer) -> Tensor:
    found = [layer.argument(place, name) for place, name in enumerate(("x1", "x2"))]
    a, b = (_as_tensor(layer, f, DType.BOOL) for f in found)
    return Tensor(layer.build.op(_LOGICAL[layer.kind[4:]], a.value, b.value), broadcast(a.shape, b.shape), DType.BOOL)


for _name in _LOGICAL:
    handler(f"ops.{_name}")(_logical)


@handler("ops.LogicalNot")
def logical_not(layer: Layer) -> Tensor:
    """Negate."""
    x = _as_tensor(layer, layer.argument(0, "x"), DType.BOOL)
    return x.to(layer.build.op("Not", x.value))


def _x(layer: Layer) -> Tensor:
    x = layer.argument(0, "x")
    if not isinstance(x, Tensor):
        layer.refuse("it is called without a tensor.")
    return x


def _unary(layer: Layer) -> Tensor:
    x = _x(layer)
    return Tensor(layer.build.op(_UNARY[layer.kind[4:]], as_float(layer.build, x)), x.shape)


for _name in _UNARY:
    handler(f"ops.{_name}")(_unary)


@handler("ops.Square")
def square(layer: Layer) -> Tensor:
    """Multiply by itself."""
    x = _x(layer)
    return Tensor(layer.build.op("Mul", x.value, x.value), x.shape, x.dtype)


def _setting(layer: Layer, place: int, name: str, default: Any) -> Any:
    """A setting of an operation, from its config or its call."""
    found = layer.config.raw(name, None)
    return layer.argument(place, name, default) if found is None else found


def _reduce(layer: Layer) -> Tensor:
    x = _x(layer)
    axes, shape, keep = _reduced(layer, x)
    build = layer.build
    value = build.op(_REDUCED[layer.kind[4:]], as_float(build, x), build.integers(axes), keepdims=int(keep))
    return Tensor(value, shape)


for _name in _REDUCED:
    handler(f"ops.{_name}")(_reduce)


def _any_or_all(layer: Layer) -> Tensor:
    x = _as_tensor(layer, layer.argument(0, "x"), DType.BOOL)
    axes, shape, keep = _reduced(layer, x)
    build = layer.build
    op = "ReduceMax" if layer.kind == "ops.Any" else "ReduceMin"
    value = build.op(op, build.cast(x.value, DType.FLOAT32), build.integers(axes), keepdims=int(keep))
    return Tensor(build.cast(value, DType.BOOL), shape, DType.BOOL)


for _name in ("Any", "All"):
    handler(f"ops.{_name}")(_any_or_all)


def _reduced(layer: Layer, x: Tensor) -> tuple[list[int], Dims, bool]:
    given = _setting(layer, 1, "axis", None)
    keep = bool(_setting(layer, 2, "keepdims", False))
    layer.config.skip("dtype")
    items = range(x.rank) if given is None else given if isinstance(given, (list, tuple)) else [given]
    axes = sorted(axis_of(int(axis), x.rank) for axis in items)
    if keep:
        return axes, tuple(1 if i in axes else d for i, d in enumerate(x.shape)), keep
    return axes, tuple(d for i, d in enumerate(x.shape) if i not in axes), keep


@handler("ops.ConvertToTensor")
def convert_to_tensor(layer: Layer) -> Tensor:
    """Give what is a tensor already."""
    layer.argument(1, "dtype")
    layer.argument(2, "sparse")
    layer.config.skip("dtype", "sparse", "ragged")
    return _x(layer)


@handler("ops.ExpandDims")
def expand_dims(layer: Layer) -> Tensor:
    """Put in an axis of size 1."""
    x = _x(layer)
    axis = axis_of(int(_setting(layer, 1, "axis", 0)), x.rank + 1)
    return Tensor(layer.build.unsqueeze(x.value, axis), (*x.shape[:axis], 1, *x.shape[axis:]), x.dtype)


@handler("ops.Squeeze", note="with an axis")
def squeeze(layer: Layer) -> Tensor:
    """Drop an axis of size 1."""
    x = _x(layer)
    given = _setting(layer, 1, "axis", None)
    if given is None:
        layer.refuse("axis is not given. Name the axis to drop.")
    axes = [axis_of(int(a), x.rank) for a in (given if isinstance(given, (list, tuple)) else [given])]
    return Tensor(
        layer.build.squeeze(x.value, *axes), tuple(d for i, d in enumerate(x.shape) if i not in axes), x.dtype
    )


@handler("ops.Transpose")
def transpose(layer: Layer) -> Tensor:
    """Put axes in another order."""
    x = _x(layer)
    axes = _setting(layer, 1, "axes", None)
    order = list(reversed(range(x.rank))) if axes is None else [axis_of(int(a), x.rank) for a in axes]
    return Tensor(layer.build.transpose(x.value, *order), tuple(x.shape[a] for a in order), x.dtype)


@handler("ops.Reshape", note="one free dim")
def reshape(layer: Layer) -> Tensor:
    """Give the elements another shape."""
    x = _x(layer)
    wanted = _setting(layer, 1, "newshape", None)
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(d, int) or d is None for d in wanted):
        layer.refuse(f"newshape = {wanted!r} is no shape of numbers.")
    dims = [-1 if d is None else int(d) for d in wanted]
    if dims.count(-1) > 1:
        layer.refuse(f"newshape = {wanted!r} has several free dims.")
    total = product(x.shape)
    rest = product([d for d in dims if d != -1])
    free = total // rest if total is not None and rest else None
    return Tensor(layer.build.reshape(x.value, dims), tuple(free if d == -1 else d for d in dims), x.dtype)


@handler("ops.Concatenate")
def concatenate(layer: Layer) -> Tensor:
    """Put one after the other."""
    inputs = layer.inputs
    axis = axis_of(int(_setting(layer, 1, "axis", 0)), inputs[0].rank)
    sizes = [x.shape[axis] for x in inputs]
    along = None if None in sizes else sum(s or 0 for s in sizes)
    value = layer.build.op("Concat", *[x.value for x in inputs], axis=axis)
    shape = tuple(along if i == axis else d for i, d in enumerate(inputs[0].shape))
    return Tensor(value, shape, inputs[0].dtype)


@handler("ops.Cast")
def cast(layer: Layer) -> Tensor:
    """Convert to another dtype."""
    x = _x(layer)
    name = str(_setting(layer, 1, "dtype", "float32"))
    kinds = {"float16": "float32", "bfloat16": "float32", "float64": "float32"}
    name = kinds.get(name, name)
    found = {d.name.lower(): d for d in DType}.get(name)
    if found is None:
        layer.refuse(f"dtype {name!r} is not supported.")
    return Tensor(layer.build.cast(x.value, found), x.shape, found)


def _like(layer: Layer) -> Tensor:
    x = _x(layer)
    name = _setting(layer, 1, "dtype", None)
    dtype = x.dtype if name is None else {d.name.lower(): d for d in DType}.get(str(name), DType.FLOAT32)
    build = layer.build
    shape: Value = build.op("Shape", x.value)
    filled = build.op("ConstantOfShape", shape, dtype=int(DType.INT64), value=int(layer.kind == "ops.OnesLike"))
    return Tensor(build.cast(filled, dtype), x.shape, dtype)


for _name in ("OnesLike", "ZerosLike"):
    handler(f"ops.{_name}")(_like)


@handler("ops.GetItem", note="slices and numbers")
def get_item(layer: Layer) -> Tensor:
    """Take a part."""
    x = _x(layer)
    key = layer.argument(1, "key")
    items = key if isinstance(key, list) else [key]
    value, shape, dropped = x.value, list(x.shape), []
    if len(items) > x.rank:
        layer.refuse(f"{len(items)} indices are too many for {x.rank} dims.")
    for axis, item in enumerate(items):
        begin, end, step, drop = _bounds(layer, item)
        size = shape[axis]
        if (begin, end, step) != (0, None, 1):
            value = layer.build.slice(value, axis, begin, end, step)
            shape[axis] = 1 if drop else None if size is None else len(range(size)[begin:end:step])
        dropped += [axis] * drop
    if dropped:
        value = layer.build.squeeze(value, *dropped)
    return Tensor(value, tuple(d for i, d in enumerate(shape) if i not in dropped), x.dtype, ABSENT)


def _bounds(layer: Layer, item: Any) -> tuple[int, int | None, int, bool]:
    """Begin, end, step, and whether the axis goes."""
    if isinstance(item, int) and not isinstance(item, bool):
        return item, item + 1 if item != -1 else None, 1, True
    config = item.get("config", {}) if isinstance(item, dict) else {}
    bounds = [config.get(name) for name in ("start", "stop", "step")]
    if (
        not isinstance(item, dict)
        or item.get("class_name") != "__slice__"
        or any(isinstance(b, Tensor) for b in bounds)
    ):
        layer.refuse(f"index {str(item)[:40]!r} is not supported.")
    start, stop, step = bounds
    step = 1 if step is None else int(step)
    if step == 0:
        layer.refuse("a step of 0 is none.")
    first = (0 if step > 0 else -1) if start is None else int(start)
    return first, None if stop is None else int(stop), step, False
