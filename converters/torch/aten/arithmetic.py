"""Arithmetic, element by element, in the dtype that the program says the result has."""

from __future__ import annotations

from typing import Callable

import numpy as np

from ...builder import Builder
from ...graph import DType, Value
from ..node import Node, handler


def operands(node: Node, first: str = "self", second: str = "other") -> tuple[Value, Value]:
    """Two operands in the dtype of the result."""
    dtype = node.result().dtype
    return node.operand(first, dtype), node.operand(second, dtype)


def _unary(target: str, op: str) -> None:
    @handler(target)
    def unary(node: Node) -> None:
        node.give(node.build.op(op, node.operand("self", node.result().dtype)))


for _target, _op in {
    "abs": "Abs",
    "ceil": "Ceil",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "neg": "Neg",
    "reciprocal": "Reciprocal",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
}.items():
    _unary(f"aten.{_target}", _op)


def _composed(target: str, make: Callable[[Node, Value], Value]) -> None:
    @handler(target)
    def composed(node: Node) -> None:
        node.give(make(node, node.operand("self", node.result().dtype)))


def _float(node: Node, number: float) -> Value:
    return node.constant(number, DType.FLOAT32)


_composed("aten.rsqrt", lambda node, x: node.build.op("Reciprocal", node.build.op("Sqrt", x)))
_composed("aten.square", lambda node, x: node.build.op("Mul", x, x))
_composed("aten.expm1", lambda node, x: _expm1(node, x))
_composed("aten.log1p", lambda node, x: log1p(node.build, x))
_composed("aten.log2", lambda node, x: node.build.op("Mul", node.build.op("Log", x), _float(node, 1.4426950408889634)))
_composed("aten.log10", lambda node, x: node.build.op("Mul", node.build.op("Log", x), _float(node, 0.4342944819032518)))
_composed("aten.exp2", lambda node, x: node.build.op("Exp", node.build.op("Mul", x, _float(node, 0.6931471805599453))))


def _expm1(node: Node, x: Value) -> Value:
    """By Elu, which is expm1 below 0: exp(x) - 1 cancels near 0. Above 0, expm1(x) is -expm1(-x) exp(x)."""
    build = node.build
    below = build.op("Elu", x, alpha=1.0)
    above = build.op("Mul", build.op("Neg", build.op("Elu", build.op("Neg", x), alpha=1.0)), build.op("Exp", x))
    return build.op("Where", build.op("Less", x, _float(node, 0.0)), below, above)


def log1p(build: Builder, x: Value) -> Value:
    """Near 0, where 1 + x loses the digits of x, by 2 atanh(x / (x + 2))."""
    one, two, half = (build.constant(number, "constant", np.float32) for number in (1.0, 2.0, 0.5))
    ratio = build.op("Div", x, build.op("Add", x, two))
    near = build.op("Mul", build.op("Atanh", ratio), two)
    far = build.op("Log", build.op("Add", x, one))
    return build.op("Where", build.op("Less", build.op("Abs", x), half), near, far)


@handler("aten.round")
def rounded(node: Node) -> None:
    """To the nearest whole number, ties to even; no other number of decimals."""
    if node.integer("decimals", 0):
        node.refuse("decimals other than 0 are not supported. Multiply before and divide after.")
    node.give(node.build.op("Round", node.tensor("self")))


@handler("aten.trunc")
def truncated(node: Node) -> None:
    node.give(_truncated(node, node.tensor("self")))


def _truncated(node: Node, x: Value) -> Value:
    build = node.build
    return build.op("Mul", build.op("Sign", x), build.op("Floor", build.op("Abs", x)))


# ---- Two operands ----


@handler("aten.add")
def add(node: Node) -> None:
    _scaled(node, "Or" if node.result().dtype == DType.BOOL else "Add")


@handler("aten.sub")
def subtract(node: Node) -> None:
    _scaled(node, "Sub")


def _scaled(node: Node, op: str) -> None:
    a, b = operands(node)
    alpha = node.scalar("alpha", 1)
    if alpha != 1:
        b = node.build.op("Mul", b, node.constant(alpha, node.result().dtype))
    node.give(node.build.op(op, a, b))


@handler("aten.rsub")
def reversed_subtract(node: Node) -> None:
    a, b = operands(node)
    if node.scalar("alpha", 1) != 1:
        node.refuse("alpha other than 1 is not supported.")
    node.give(node.build.op("Sub", b, a))


@handler("aten.mul")
def multiply(node: Node) -> None:
    node.give(node.build.op("And" if node.result().dtype == DType.BOOL else "Mul", *operands(node)))


@handler("aten.addcmul", "aten.addcdiv")
def fused(node: Node) -> None:
    dtype = node.result().dtype
    x, a, b = (node.operand(name, dtype) for name in ("self", "tensor1", "tensor2"))
    product = node.build.op("Mul" if "mul" in node.target else "Div", a, b)
    if node.scalar("value", 1) != 1:
        product = node.build.op("Mul", product, node.constant(node.scalar("value"), dtype))
    node.give(node.build.op("Add", x, product))


@handler("aten.lerp")
def lerp(node: Node) -> None:
    """From `self` to `end`, by a weight."""
    a, b = operands(node, "self", "end")
    weight = node.operand("weight", node.result().dtype)
    node.give(node.build.op("Add", a, node.build.op("Mul", weight, node.build.op("Sub", b, a))))


@handler("aten.div", "aten.true_divide")
def divide(node: Node) -> None:
    rounding = node.text("rounding_mode", "")
    if rounding == "floor":
        node.give(_floor_divided(node))
        return
    quotient = node.build.op("Div", *operands(node))
    if rounding == "trunc" and node.result().dtype == DType.FLOAT32:
        quotient = _truncated(node, quotient)
    node.give(quotient)


@handler("aten.floor_divide")
def floor_divide(node: Node) -> None:
    node.give(_floor_divided(node))


def _floor_divided(node: Node) -> Value:
    a, b = operands(node)
    build = node.build
    if node.result().dtype == DType.FLOAT32:
        return build.op("Floor", build.op("Div", a, b))
    return build.op("Div", build.op("Sub", a, build.op("Mod", a, b, fmod=0)), b)


@handler("aten.remainder")
def remainder(node: Node) -> None:
    """Of the sign of the divisor."""
    a, b = operands(node)
    build = node.build
    if node.result().dtype != DType.FLOAT32:
        node.give(build.op("Mod", a, b, fmod=0))
        return
    whole = build.op("Floor", build.op("Div", a, b))
    node.give(build.op("Sub", a, build.op("Mul", whole, b)))


@handler("aten.fmod")
def fmod(node: Node) -> None:
    """Of the sign of the dividend."""
    node.give(node.build.op("Mod", *operands(node), fmod=1))


@handler("aten.pow")
def power(node: Node) -> None:
    a, b = operands(node, "self", "exponent")
    node.give(node.build.op("Pow", a, b))


@handler("aten.maximum", "aten.max.other")
def maximum(node: Node) -> None:
    node.give(node.build.op("Max", *operands(node)))


@handler("aten.minimum", "aten.min.other")
def minimum(node: Node) -> None:
    node.give(node.build.op("Min", *operands(node)))


@handler("aten.clamp", "aten.clip")
def clamp(node: Node) -> None:
    """Between bounds that are numbers or tensors, either left out."""
    dtype = node.result().dtype
    x = node.operand("self", dtype)
    for name, op in (("min", "Max"), ("max", "Min")):
        if node.has(name):
            x = node.build.op(op, x, node.operand(name, dtype))
        node.skip(name)
    node.give(x)


@handler("aten.clamp_min")
def clamp_min(node: Node) -> None:
    node.give(node.build.op("Max", *operands(node, second="min")))


@handler("aten.clamp_max")
def clamp_max(node: Node) -> None:
    node.give(node.build.op("Min", *operands(node, second="max")))


# ---- Dtypes ----


@handler("aten.to", "aten._to_copy", "aten.type_as")
def to(node: Node) -> None:
    """To another dtype; to another device is nothing."""
    node.skip("dtype", "other")
    node.give(node.operand("self", node.result().dtype))
