"""com.microsoft's ops of several in one, as onnxruntime writes them into models that it has optimised.

What they mean: onnxruntime/docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...graph import ABSENT, Attribute, Value
from ..node import Node, handler
from .conv import conv_attributes
from .matmul import gemm_attributes

# The activations that are fused, with their numbers in order and the defaults of those.
_ACTIVATIONS: dict[str, dict[str, float]] = {
    "Clip": {"min": -np.inf, "max": np.inf},
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "LeakyRelu": {"alpha": 0.01},
    "Relu": {},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
    "ThresholdedRelu": {"alpha": 1.0},
}


@handler("com.microsoft::FusedConv")
def fused_conv(node: Node) -> None:
    """A convolution, to which a fourth input is added before the activation."""
    *inputs, addend = node.inputs(2, 4)
    activation = node.text("activation", "")
    numbers = dict(zip(_ACTIVATIONS.get(activation, ()), node.numbers("activation_params")))
    attributes = conv_attributes(node)
    if addend == ABSENT:
        return _emit_activated(node, "Conv", inputs, attributes, activation, numbers)
    product = node.build.op("Conv", *inputs, **attributes)
    _emit_activated(node, "Add", [product, addend], {}, activation, numbers)


@handler("com.microsoft::FusedGemm")
def fused_gemm(node: Node) -> None:
    activation = node.text("activation", "")
    taken = _ACTIVATIONS.get(activation, {})
    numbers = {name: node.number(f"activation_{name}", default) for name, default in taken.items()}
    node.skip("activation_alpha", "activation_beta", "activation_gamma")  # of activations that take them not
    _emit_activated(node, "Gemm", node.inputs(2, 3), gemm_attributes(node), activation, numbers)


@handler("com.microsoft::FusedMatMul", "com.microsoft::TransposeMatMul")
def fused_matmul(node: Node) -> None:
    """alpha A B, either with axes in another order first."""
    a, b = (_reordered(node, value, which) for value, which in zip(node.inputs(2), "AB"))
    alpha = node.number("alpha", 1.0)
    if alpha == 1.0:
        return node.emit([a, b], type="MatMul")
    scale = node.weight("alpha", np.array(alpha, np.float32))
    node.emit([node.build.op("MatMul", a, b), scale], type="Mul")


def _reordered(node: Node, value: Value, which: str) -> Value:
    """transBatch puts the first axis behind the others of the batch, then trans exchanges the last two."""
    if node.integer(f"transBatch{which}", 0):
        value = node.build.op("Einsum", value, equation="i...k->...ik")
    if node.integer(f"trans{which}", 0):
        value = node.build.op("Einsum", value, equation="...ik->...ki")  # whatever the rank, which is not known here
    return value


def _emit_activated(
    node: Node,
    type: str,
    inputs: Sequence[Value],
    attributes: Mapping[str, Attribute],
    activation: str,
    numbers: Mapping[str, float],
) -> None:
    """Emit an op and, unless its name is empty, the activation behind it."""
    if not activation:
        return node.emit(inputs, attributes, type=type)
    if activation not in _ACTIVATIONS:
        node.refuse(f"activation {activation!r} is not one of {', '.join(_ACTIVATIONS)}.")
    value = node.build.op(type, *inputs, **attributes)
    every = {**_ACTIVATIONS[activation], **numbers}
    if activation == "Clip":
        bounds = [node.weight(name, np.array(number, np.float32)) for name, number in every.items()]
        return node.emit([value, *bounds], type="Clip")
    node.emit([value], every, type=activation)
