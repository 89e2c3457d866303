"""Pooling."""

from __future__ import annotations

from typing import Callable

from ...graph import Attribute, Value
from ..node import Node, handler
from .reduce import reduced


@handler("aten.max_pool1d", "aten.max_pool2d", "aten.max_pool1d_with_indices", "aten.max_pool2d_with_indices")
def max_pool(node: Node) -> None:
    """Without the indices of what it found."""
    axes = _axes(node)
    _pool(node, axes, "MaxPool", {"dilations": node.repeated("dilation", axes, 1), "storage_order": 0})


@handler("aten.avg_pool1d", "aten.avg_pool2d")
def avg_pool(node: Node) -> None:
    """Without a divisor of one's own."""
    if node.has("divisor_override"):
        node.refuse("divisor_override is not supported. Multiply beside it.")
    include = int(node.boolean("count_include_pad", True))
    _pool(node, _axes(node), "AveragePool", {"count_include_pad": include})


def _axes(node: Node) -> int:
    return 1 if "pool1d" in node.target else 2


def _pool(node: Node, axes: int, op: str, attributes: dict[str, Attribute]) -> None:
    kernel = node.repeated("kernel_size", axes, 1)
    stride = node.repeated("stride", axes, 0) if node.has("stride") else []
    plain: dict[str, Attribute] = {
        "auto_pad": "NOTSET",
        "ceil_mode": int(node.boolean("ceil_mode", False)),
        "kernel_shape": kernel,
        "pads": node.repeated("padding", axes, 0) * 2,
        "strides": stride if all(stride) and stride else kernel,
    }
    node.give(_batched(node, axes, lambda x: node.build.op(op, x, **plain, **attributes)))


def _batched(node: Node, axes: int, make: Callable[[Value], Value]) -> Value:
    """Work on [batch, channels, …] where a tensor may have no batch."""
    x = node.tensor("self")
    if node.meta("self").rank > axes + 1:
        return make(x)
    return node.build.squeeze(make(node.build.unsqueeze(x, 0)), 0)


@handler("aten.adaptive_avg_pool1d", "aten.adaptive_avg_pool2d")
def adaptive_avg_pool(node: Node) -> None:
    """To any size; the input's sizes may be free where the size is 1."""
    _adaptive(node, "ReduceMean")


@handler("aten.adaptive_max_pool1d", "aten.adaptive_max_pool2d")
def adaptive_max_pool(node: Node) -> None:
    _adaptive(node, "ReduceMax")


def _adaptive(node: Node, op: str) -> None:
    axes, rank = _axes(node), node.meta("self").rank
    x = node.tensor("self")
    for axis, size in zip(range(rank - axes, rank), node.repeated("output_size", axes, 1)):
        if node.meta("self").shape[axis] != size:
            x = _resampled(node, op, x, axis, size)
    node.give(x)


def _resampled(node: Node, op: str, x: Value, axis: int, size: int) -> Value:
    """Bin i of an axis of n goes from floor(i n / size) to ceil((i + 1) n / size)."""
    if size == 1:
        return reduced(node, op, x, [axis], True)
    length = node.meta("self").shape[axis]
    if length is None:
        node.refuse("the size of the axis is free. Fix it with dynamic_shapes.")
    if not 0 < size <= length:
        node.refuse(f"{size} parts of {length} are not supported.")
    bins = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
    parts = [reduced(node, op, node.build.slice(x, axis, start, end), [axis], True) for start, end in bins]
    return node.build.op("Concat", *parts, axis=axis)
