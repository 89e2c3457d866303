"""Activations."""

from __future__ import annotations

from ...graph import Attribute, DType, Value
from ..node import Node, handler


def _unary(op: str, x: Value, node: Node, **attributes: Attribute) -> None:
    node.give(node.build.op(op, x, **attributes))


@handler("aten.relu")
def relu(node: Node) -> None:
    _unary("Relu", node.tensor("self"), node)


@handler("aten.sigmoid")
def sigmoid(node: Node) -> None:
    _unary("Sigmoid", node.operand("self", DType.FLOAT32), node)


@handler("aten.tanh")
def tanh(node: Node) -> None:
    _unary("Tanh", node.operand("self", DType.FLOAT32), node)


@handler("aten.selu")
def selu(node: Node) -> None:
    _unary("Selu", node.tensor("self"), node, alpha=1.6732632423543772, gamma=1.0507009873554805)


@handler("aten.mish")
def mish(node: Node) -> None:
    _unary("Mish", node.tensor("self"), node)


@handler("aten.hardswish")
def hardswish(node: Node) -> None:
    _unary("HardSwish", node.tensor("self"), node)


@handler("aten.hardsigmoid")
def hardsigmoid(node: Node) -> None:
    _unary("HardSigmoid", node.tensor("self"), node, alpha=1 / 6, beta=0.5)


@handler("aten.elu")
def elu(node: Node) -> None:
    """With any alpha; scale and input_scale are 1."""
    if node.number("scale", 1.0) != 1.0 or node.number("input_scale", 1.0) != 1.0:
        node.refuse("scales other than 1 are not supported. Multiply beside it.")
    _unary("Elu", node.tensor("self"), node, alpha=node.number("alpha", 1.0))


@handler("aten.celu")
def celu(node: Node) -> None:
    _unary("Celu", node.tensor("self"), node, alpha=node.number("alpha", 1.0))


@handler("aten.leaky_relu")
def leaky_relu(node: Node) -> None:
    _unary("LeakyRelu", node.tensor("self"), node, alpha=node.number("negative_slope", 0.01))


@handler("aten.rrelu")
def rrelu(node: Node) -> None:
    """As in inference: the mean slope."""
    if node.boolean("training", False):
        node.refuse("it is in training mode. Export the module after module.eval().")
    slope = (node.number("lower", 0.125) + node.number("upper", 1 / 3)) / 2
    _unary("LeakyRelu", node.tensor("self"), node, alpha=slope)


@handler("aten.prelu", "aten._prelu_kernel")
def prelu(node: Node) -> None:
    slope, rank = node.tensor("weight"), node.meta("self").rank
    if node.meta("weight").rank == 1 and rank > 2:  # one for each channel
        slope = node.build.reshape(slope, [-1] + [1] * (rank - 2))
    node.give(node.build.op("PRelu", node.tensor("self"), slope))


@handler("aten.gelu")
def gelu(node: Node) -> None:
    _unary("Gelu", node.tensor("self"), node, approximate=node.text("approximate", "none"))


@handler("aten.silu")
def silu(node: Node) -> None:
    x = node.tensor("self")
    node.give(node.build.op("Mul", x, node.build.op("Sigmoid", x)))


@handler("aten.hardtanh", "aten.relu6")
def hardtanh(node: Node) -> None:
    low, high = (0.0, 6.0) if "relu6" in node.target else (-1.0, 1.0)
    bounds = [node.constant(node.scalar(*bound), DType.FLOAT32) for bound in (("min_val", low), ("max_val", high))]
    node.give(node.build.op("Clip", node.tensor("self"), *bounds))


_LINEAR_FROM = 16.0  # from here on ln(1 + e^x) is x in float32


@handler("aten.softplus")
def softplus(node: Node) -> None:
    """With any beta; the threshold may only be where the function is linear anyway."""
    beta, x = node.number("beta", 1.0), node.tensor("self")
    if node.number("threshold", 20.0) < _LINEAR_FROM:
        node.refuse(f"a threshold below {_LINEAR_FROM:g} is not supported. Leave it out.")
    if beta == 1.0:
        _unary("Softplus", x, node)
        return
    factor = node.constant(beta, DType.FLOAT32)
    node.give(node.build.op("Div", node.build.op("Softplus", node.build.op("Mul", x, factor)), factor))


@handler("aten.softsign")
def softsign(node: Node) -> None:
    _unary("Softsign", node.tensor("self"), node)


@handler("aten.log_sigmoid")
def log_sigmoid(node: Node) -> None:
    build = node.build
    node.give(build.op("Neg", build.op("Softplus", build.op("Neg", node.tensor("self")))))


@handler("aten.tanhshrink")
def tanhshrink(node: Node) -> None:
    x = node.tensor("self")
    node.give(node.build.op("Sub", x, node.build.op("Tanh", x)))


@handler("aten.hardshrink")
def hardshrink(node: Node) -> None:
    x, build = node.tensor("self"), node.build
    far = build.op("Greater", build.op("Abs", x), node.constant(node.number("lambd", 0.5), DType.FLOAT32))
    node.give(build.op("Where", far, x, node.constant(0.0, DType.FLOAT32)))


@handler("aten.softshrink")
def softshrink(node: Node) -> None:
    x, width = node.tensor("self"), node.number("lambd", 0.5)
    bounds = [node.constant(bound, DType.FLOAT32) for bound in (-width, width)]
    node.give(node.build.op("Sub", x, node.build.op("Clip", x, *bounds)))


@handler("aten.threshold")
def threshold(node: Node) -> None:
    x, build = node.tensor("self"), node.build
    above = build.op("Greater", x, node.constant(node.number("threshold"), DType.FLOAT32))
    node.give(build.op("Where", above, x, node.constant(node.number("value"), DType.FLOAT32)))


@handler("aten.glu")
def glu(node: Node) -> None:
    build = node.build
    a, b = build.ops("Split", [node.tensor("self")], 2, axis=node.axis("dim", -1), num_outputs=2)
    node.give(build.op("Mul", a, build.op("Sigmoid", b)))


@handler("aten.softmax.int", "aten._softmax")
def softmax(node: Node) -> None:
    _over_axis(node, "Softmax")


@handler("aten.log_softmax.int", "aten._log_softmax")
def log_softmax(node: Node) -> None:
    _over_axis(node, "LogSoftmax")


def _over_axis(node: Node, op: str) -> None:
    node.skip("dtype", "half_to_float")
    _unary(op, node.operand("self", node.result().dtype), node, axis=node.axis("dim"))
