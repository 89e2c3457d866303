"""Tensors made of nothing but numbers and shapes."""

from __future__ import annotations

import numpy as np

from ...graph import DType
from ..node import Dim, Node, Number, Sym, handler
from .shape import sizes

_FILLS = {"zeros": 0, "ones": 1, "empty": 0}


@handler(
    "aten.zeros",
    "aten.ones",
    "aten.full",
    "aten.empty",
    "aten.new_zeros",
    "aten.new_ones",
    "aten.new_full",
    "aten.new_empty",
    "aten.empty.memory_format",
)
def filled(node: Node) -> None:
    if node.has("names"):
        node.refuse("named dims are not supported.")
    if node.has("self"):
        node.skip("self")
    _give_filled(node, node.dims("size"))


@handler("aten.zeros_like", "aten.ones_like", "aten.full_like", "aten.empty_like")
def filled_like(node: Node) -> None:
    _give_filled(node, sizes(node, "self"))


def _give_filled(node: Node, shape: list[Dim]) -> None:
    node.skip("dtype")
    word = node.target.split(".")[1].replace("new_", "").replace("_like", "")
    fill: Number = _FILLS[word] if word in _FILLS else node.scalar("fill_value")
    dtype, build = node.result().dtype, node.build
    if isinstance(fill, Sym):
        node.give(build.op("Expand", node.constant(fill, dtype), node.vector(shape)))
        return
    value = float(fill) if dtype == DType.FLOAT32 else int(fill)
    node.give(build.op("ConstantOfShape", node.vector(shape), value=value, dtype=int(dtype)))


@handler("aten.scalar_tensor")
def scalar_tensor(node: Node) -> None:
    node.skip("dtype")
    node.give(node.constant(node.scalar("s"), node.result().dtype))


@handler("aten.fill")
def fill(node: Node) -> None:
    build, dtype = node.build, node.result().dtype
    node.give(build.op("Expand", node.operand("value", dtype), build.op("Shape", node.tensor("self"))))


@handler("aten.arange")
def arange(node: Node) -> None:
    node.skip("dtype")
    dtype = node.result().dtype
    bounds: list[Number] = [node.scalar("start", 0), node.scalar("end"), node.scalar("step", 1)]
    if all(not isinstance(bound, Sym) for bound in bounds):
        start, end, step = (float(bound) for bound in bounds)  # type: ignore[arg-type]
        node.check_count(int((end - start) / step))
        array = np.arange(*bounds).astype(dtype.numpy)  # type: ignore[arg-type]
        node.give(node.build.constant(array, "range"))
        return
    node.give(node.build.op("Range", *(node.constant(bound, dtype) for bound in bounds)))


@handler("aten.linspace")
def linspace(node: Node) -> None:
    node.skip("dtype")
    steps = node.check_count(node.integer("steps"))
    line = np.linspace(node.number("start"), node.number("end"), steps, dtype=np.float32)
    node.give(node.build.constant(line, "line"))


@handler("aten.eye")
def eye(node: Node) -> None:
    node.skip("dtype")
    rows = node.integer("n")
    columns = node.integer("m", rows)
    node.check_count(rows * columns)
    node.give(node.build.constant(np.eye(rows, columns), "eye", node.result().dtype.numpy))
