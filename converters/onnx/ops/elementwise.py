"""Ops that work on one element at a time."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT, Value
from ..node import Node, dtype_of, handler


@handler("Identity", "Not", "Relu", "Sigmoid", "Sqrt", "Tanh")
def unary(node: Node) -> None:
    node.emit(node.inputs(1))


@handler("HardSigmoid")
def hard_sigmoid(node: Node) -> None:
    node.emit(node.inputs(1), {"alpha": node.number("alpha", 0.2), "beta": node.number("beta", 0.5)})


@handler("Add", "Div", "Equal", "Mul", "Pow", "Sub")
def binary(node: Node) -> None:
    node.emit(node.inputs(2))


@handler("Cast")
def cast(node: Node) -> None:
    dtype = dtype_of(node.integer("to"))
    node.skip("saturate", "round_mode")  # say how to reach float8, which is none of our dtypes
    node.emit(node.inputs(1), {"dtype": int(dtype)})


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
    """In inference the identity, whatever the ratio."""
    data, _, training = node.inputs(1, 3)
    flag = node.known(training)
    if training != ABSENT and (flag is None or flag.any()):
        node.refuse("it is in training mode. Export the model for inference.")
    node.skip("ratio", "seed")
    node.emit([data], type="Identity")
