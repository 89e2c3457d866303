"""Ops that work on one element at a time."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from ...graph import ABSENT, Array, Attribute, DType, Value
from ..node import Node, dtype_of, handler

# The attributes of functions, with the values they have when left out.
_NUMBERS: dict[str, dict[str, float]] = {
    "Celu": {"alpha": 1.0},
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "LeakyRelu": {"alpha": 0.01},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "Shrink": {"bias": 0.0, "lambd": 0.5},
    "Swish": {"alpha": 1.0},
    "ThresholdedRelu": {"alpha": 1.0},
}
_SELU_1 = {"alpha": 1.6732, "gamma": 1.0507}


@handler("Abs", "Ceil", "Erf", "Exp", "Floor", "Identity", "Log", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid")
@handler("Sign", "Softplus", "Softsign", "Sqrt", "Tanh", "HardSwish", "Mish", "Not", "BitwiseNot", "IsNaN")
@handler("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cos", "Cosh", "Sin", "Sinh", "Tan")
def unary(node: Node) -> None:
    node.emit(node.inputs(1))


@handler(*_NUMBERS)
def function(node: Node) -> None:
    defaults = _SELU_1 if node.type == "Selu" and node.opset < 6 else _NUMBERS[node.type]
    numbers = {name: node.number(name, default) for name, default in defaults.items()}
    node.emit(node.inputs(1), numbers)


@handler("Gelu")
def gelu(node: Node) -> None:
    approximate = node.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        node.refuse(f"approximate {approximate!r} is neither 'none' nor 'tanh'. The file is damaged.")
    node.emit(node.inputs(1), {"approximate": approximate})


@handler("IsInf")
def is_inf(node: Node) -> None:
    node.emit(node.inputs(1), {name: node.integer(name, 1) for name in ("detect_negative", "detect_positive")})


@handler("Add", "Div", "Mul", "Sub", "Pow", "PRelu")
@handler("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
@handler("And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def binary(node: Node) -> None:
    a, b = node.inputs(2)
    if node.opset < 7:
        b = _aligned(node, a, b)
    node.emit([a, b])


def _aligned(node: Node, a: Value, b: Value) -> Value:
    """Before opset 7 an operand was broadcast from an axis of the other on: it gets axes of size 1 behind its own."""
    if node.type == "PRelu":  # a slope for each channel, or one
        axis = 1
    elif node.integer("broadcast", 0) and node.has("axis"):
        axis = node.integer("axis")
    else:
        return b
    build = node.build
    rank, own = (build.op("Shape", build.op("Shape", value)) for value in (a, b))
    if axis < 0:
        behind = build.op("Sub", build.integers([-axis]), own)
    else:
        behind = build.op("Sub", build.op("Sub", rank, build.integers([axis])), own)
    if node.type == "PRelu":  # a slope of one element, or of the rank of x, fits as it is
        behind = build.op("Max", behind, build.integers([0]))
    ones = build.op("ConstantOfShape", behind, dtype=int(DType.INT64), value=1)
    return build.op("Reshape", b, build.op("Concat", build.op("Shape", b), ones, axis=0))


@handler("Max", "Mean", "Min", "Sum")
def variadic(node: Node) -> None:
    node.emit(node.inputs(1, most=-1))


@handler("Mod")
def mod(node: Node) -> None:
    node.emit(node.inputs(2), {"fmod": node.integer("fmod", 0)})


@handler("BitShift")
def bit_shift(node: Node) -> None:
    node.emit(node.inputs(2), {"direction": node.text("direction", "")})


@handler("Where")
def where(node: Node) -> None:
    node.emit(node.inputs(3))


@handler("Cast")
def cast(node: Node) -> None:
    (data,) = node.inputs(1)
    dtype = dtype_of(_cast_code(node))
    node.skip("saturate", "round_mode")  # say how to reach float8, which is none of our dtypes
    exact = node.exact(data)
    if exact is None:
        node.emit([data], {"dtype": int(dtype)})
    elif dtype is DType.FLOAT32:
        node.refuse(f"float32 does not hold the integer {exact.flat[np.abs(exact).argmax()]:.17g} of its input.")
    else:
        _emit_exact(node, exact, dtype)


def _cast_code(node: Node) -> int:
    """The element type that a Cast converts to; before opset 6 its name."""
    if node.opset >= 6:
        return node.integer("to")
    name = node.text("to", "").upper()
    if name not in dict(TensorProto.DataType.items()):
        node.refuse(f"attribute 'to' is {name!r}, which is no dtype. The file is damaged.")
    return int(TensorProto.DataType.Value(name))


def _emit_exact(node: Node, exact: Array, dtype: DType) -> None:
    """Emit what a float64 constant is as integers, or as a bool."""
    if dtype is DType.BOOL:
        return node.emit_constant(exact != 0)
    limits = np.iinfo(dtype.numpy)
    whole = np.trunc(exact)
    if not np.all((whole >= limits.min) & (whole < limits.max + 1.0)):
        node.refuse(f"a float64 constant does not fit {dtype.name.lower()}. Export the model without that Cast.")
    node.emit_constant(whole.astype(dtype.numpy))


@handler("CastLike")
def cast_like(node: Node) -> None:
    node.skip("saturate", "round_mode")
    node.emit(node.inputs(2))


@handler("Clip")
def clip(node: Node) -> None:
    if node.opset >= 11:
        node.emit(node.inputs(1, 3))
        return
    (data,) = node.inputs(1)
    node.emit([data, _bound(node, "min"), _bound(node, "max")])


def _bound(node: Node, name: str) -> Value:
    bound: float | None = node.number(name, 0.0) if node.has(name) else None
    return ABSENT if bound is None else node.weight(name, np.array(bound, np.float32))


@handler("Dropout")
def dropout(node: Node) -> None:
    """In inference the identity, whatever the ratio, and a mask that keeps everything."""
    data, _, training = node.inputs(1, 3)
    flag = node.known(training)
    if (node.opset < 7 and not node.integer("is_test", 0)) or (training != ABSENT and (flag is None or flag.any())):
        node.refuse("it is in training mode. Export the model for inference.")
    node.skip("ratio", "seed")
    node.emit([data], type="Identity", only=0)
    if len(node.output_names) > 1:
        mask: dict[str, Attribute] = {"dtype": int(DType.BOOL), "value": 1}
        if node.opset < 10:
            mask = {"dtype": int(DType.FLOAT32), "value": 1.0}
        node.emit([node.build.op("Shape", data)], mask, type="ConstantOfShape", only=1)


# ---- com.microsoft ----


@handler("com.microsoft::Gelu")
def exact_gelu(node: Node) -> None:
    node.emit(node.inputs(1), {"approximate": "none"})


@handler("com.microsoft::BiasGelu", "com.microsoft::FastGelu")
def bias_gelu(node: Node) -> None:
    fast = node.type == "FastGelu"
    data, bias = node.inputs(1 if fast else 2, 2)
    biased = data if bias == ABSENT else node.build.op("Add", data, bias)
    node.emit([biased], {"approximate": "tanh" if fast else "none"}, type="Gelu")


@handler("com.microsoft::QuickGelu")
def quick_gelu(node: Node) -> None:
    node.emit(node.inputs(1), {"alpha": node.number("alpha", 1.702)}, type="Swish")
