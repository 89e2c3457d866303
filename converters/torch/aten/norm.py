"""Normalisation, as in inference."""

from __future__ import annotations

import math

import numpy as np

from ...graph import ABSENT, DType, Value
from ..node import Node, handler
from .shape import sizes

_EPSILON_OF_FLOAT = 1.1920928955078125e-07


def _or_fill(node: Node, name: str, fill: float, shape: tuple[int, ...]) -> Value:
    given = node.optional(name)
    node.check_count(math.prod(shape))
    return given if given != ABSENT else node.build.constant(np.full(shape, fill, np.float32), name)


@handler("aten.batch_norm", "aten._native_batch_norm_legit_no_training")
def batch_norm(node: Node) -> None:
    """By the statistics kept from training."""
    if "no_training" not in node.target and node.boolean("training"):
        node.refuse("it normalises by the statistics of its batch. Export the module after module.eval().")
    if not node.has("running_mean"):
        node.refuse("it keeps no statistics (track_running_stats=False). Use another normalisation.")
    _batch_norm(node)


def _batch_norm(node: Node) -> None:
    node.skip("momentum")
    channels = node.meta("running_mean").fixed_shape()
    inputs = [
        node.tensor("input"),
        _or_fill(node, "weight", 1.0, channels),
        _or_fill(node, "bias", 0.0, channels),
        node.tensor("running_mean"),
        node.tensor("running_var"),
    ]
    node.give(node.build.op("BatchNormalization", *inputs, epsilon=node.number("eps", 1e-5)))


@handler("aten.instance_norm")
def instance_norm(node: Node) -> None:
    if not node.boolean("use_input_stats"):
        _batch_norm(node)
        return
    node.skip("momentum", "running_mean", "running_var")
    scale, bias = _of_channels(node, "weight", 1.0), _of_channels(node, "bias", 0.0)
    node.give(
        node.build.op("InstanceNormalization", node.tensor("input"), scale, bias, epsilon=node.number("eps", 1e-5))
    )


@handler("aten.group_norm")
def group_norm(node: Node) -> None:
    scale, bias = _of_channels(node, "weight", 1.0), _of_channels(node, "bias", 0.0)
    groups, epsilon = node.integer("num_groups"), node.number("eps", 1e-5)
    node.give(
        node.build.op("GroupNormalization", node.tensor("input"), scale, bias, epsilon=epsilon, num_groups=groups)
    )


def _of_channels(node: Node, name: str, fill: float) -> Value:
    """What is given for each channel, else a number for all."""
    given = node.optional(name)
    if given != ABSENT:
        return given
    channels = node.vector(sizes(node, "input")[1:2])
    return node.build.op("ConstantOfShape", channels, value=fill, dtype=int(DType.FLOAT32))


@handler("aten.layer_norm")
def layer_norm(node: Node) -> None:
    shape = tuple(node.integers("normalized_shape"))
    scale = _or_fill(node, "weight", 1.0, shape)
    node.skip("cudnn_enable")
    node.give(
        node.build.op(
            "LayerNormalization",
            node.tensor("input"),
            scale,
            node.optional("bias"),
            axis=-len(shape),
            epsilon=node.number("eps", 1e-5),
        )
    )


@handler("aten.rms_norm")
def rms_norm(node: Node) -> None:
    shape = tuple(node.integers("normalized_shape"))
    epsilon = node.number("eps", _EPSILON_OF_FLOAT)
    scale = _or_fill(node, "weight", 1.0, shape)
    node.give(node.build.op("RMSNormalization", node.tensor("input"), scale, axis=-len(shape), epsilon=epsilon))


@handler("aten.linalg_vector_norm", "aten.norm")
def vector_norm(node: Node) -> None:
    """Of order 1, 2 or infinity."""
    order = node.number("ord" if node.has("ord") else "p", 2.0)
    ops = {1.0: "ReduceL1", 2.0: "ReduceL2", float("inf"): "ReduceMax"}
    if order not in ops:
        node.refuse(f"order {order:g} is not one of 1, 2, inf.")
    node.skip("dtype")
    axes = node.axes("dim")
    x = node.tensor("self")
    if ops[order] == "ReduceMax":
        x = node.build.op("Abs", x)
    over = ABSENT if axes is None else node.build.integers(axes)
    node.give(node.build.op(ops[order], x, over, keepdims=int(node.boolean("keepdim", False)), noop_with_empty_axes=0))
