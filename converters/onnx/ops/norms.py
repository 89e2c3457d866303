"""Normalisations, and those of com.microsoft that add a residual first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...graph import ABSENT, Attribute, Value
from ..node import Node, handler


def _epsilon(node: Node, default: float = 1e-5) -> dict[str, Attribute]:
    return {"epsilon": node.number("epsilon", default)}


def _check_stash_type(node: Node) -> None:
    if node.integer("stash_type", 1) != 1:
        node.refuse("stash_type is not 1 (float32). Export it with stash_type 1.")


@handler("BatchNormalization")
def batch_normalization(node: Node) -> None:
    node.skip("momentum")  # of training
    if node.integer("training_mode", 0):
        node.refuse("it is in training mode. Export the model for inference.")
    if node.opset < 7 and not node.integer("is_test", 0):
        node.refuse("it is in training mode. Export the model for inference.")
    if node.opset < 9 and not node.integer("spatial", 1):
        node.refuse("spatial is 0: each element has statistics of its own. Export it with spatial 1.")
    node.emit(node.inputs(5), _epsilon(node))


@handler("InstanceNormalization")
def instance_normalization(node: Node) -> None:
    node.emit(node.inputs(3), _epsilon(node))


@handler("GroupNormalization")
def group_normalization(node: Node) -> None:
    _check_stash_type(node)
    data, scale, bias = node.inputs(3)
    groups = node.integer("num_groups")
    if node.opset < 21:
        scale, bias = _for_each_channel(node, data, [scale, bias], groups)
    node.emit([data, scale, bias], {"num_groups": groups, **_epsilon(node)})


def _for_each_channel(node: Node, data: Value, values: Sequence[Value], groups: int) -> list[Value]:
    """Before opset 21 a group had one scale and one bias: each is repeated for the channels of its group."""
    build = node.build
    channels = build.op("Div", build.op("Shape", data, start=1, end=2), build.integers([groups]))
    wanted = build.op("Concat", build.integers([groups]), channels, axis=0)
    return [build.reshape(build.op("Expand", build.unsqueeze(v, 1), wanted), [-1]) for v in values]


@handler("LayerNormalization")
def layer_normalization(node: Node) -> None:
    _check_stash_type(node)
    node.emit(node.inputs(2, 3), {"axis": node.integer("axis", -1), **_epsilon(node)}, most_outputs=3)


@handler("RMSNormalization", "com.microsoft::SimplifiedLayerNormalization")
def rms_normalization(node: Node) -> None:
    _check_stash_type(node)
    attributes = {"axis": node.integer("axis", -1), **_epsilon(node)}
    node.emit(node.inputs(2), attributes, type="RMSNormalization")


@handler("LRN")
def local_response(node: Node) -> None:
    numbers = {name: node.number(name, default) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))}
    node.emit(node.inputs(1), {**numbers, "size": node.integer("size")})


@handler("LpNormalization")
def lp_normalization(node: Node) -> None:
    """x / |x| along an axis, and 0 where that is 0."""
    order = node.integer("p", 2)
    if order not in (1, 2):
        node.refuse(f"p {order} is neither 1 nor 2. The file is damaged.")
    (data,) = node.inputs(1)
    axis = node.weight("axis", np.array([node.integer("axis", -1)], np.int64))
    least = node.weight("least", np.array(np.finfo(np.float32).tiny, np.float32))
    size = node.build.op(f"ReduceL{order}", data, axis, keepdims=1)
    node.emit([data, node.build.op("Max", size, least)], type="Div")


@handler("MeanVarianceNormalization")
def mean_variance(node: Node) -> None:
    """(x - mean) / (standard deviation + 1e-9) over some axes."""
    (data,) = node.inputs(1)
    axes = node.weight("axes", np.array(node.integers("axes") or [0, 2, 3], np.int64))
    epsilon = node.weight("epsilon", np.array(1e-9, np.float32))
    build = node.build
    centred = build.op("Sub", data, build.op("ReduceMean", data, axes, keepdims=1))
    variance = build.op("ReduceMean", build.op("Mul", centred, centred), axes, keepdims=1)
    node.emit([centred, build.op("Add", build.op("Sqrt", variance), epsilon)], type="Div")


# ---- com.microsoft ----


@handler("com.microsoft::SkipLayerNormalization")
def skip_layer_normalization(node: Node) -> None:
    data, skip, gamma, beta, bias = node.inputs(3, 5)
    _normalise_sum(node, [data, skip, bias], "LayerNormalization", [gamma, beta])


@handler("com.microsoft::SkipSimplifiedLayerNormalization")
def skip_rms_normalization(node: Node) -> None:
    data, skip, gamma, bias = node.inputs(3, 4)
    _normalise_sum(node, [data, skip, bias], "RMSNormalization", [gamma])


def _normalise_sum(node: Node, terms: list[Value], type: str, weights: list[Value]) -> None:
    """Emit the norm of a sum, which is the fourth output. Mean and deviation (the second and third) are of training."""
    total = terms[0]
    for term in terms[1:]:
        total = total if term == ABSENT else node.build.op("Add", total, term)
    if any(node.output_names[1:3]):
        node.refuse("its mean or deviation is used. Export the model for inference.")
    epsilon = _epsilon(node, 1e-12)
    node.emit([total], type="Identity", only=3)
    node.emit([total, *weights], epsilon, type=type, only=0)
