"""Ops about shapes: what an array's shape is, and the same elements under another."""

from __future__ import annotations

import numpy as np

from ...graph import Attribute
from ..node import Node, handler
from .slice import axes_input


@handler("Squeeze", "Unsqueeze")
def squeeze(node: Node) -> None:
    least = 2 if node.type == "Unsqueeze" else 1
    if node.opset >= 13:
        node.emit(node.inputs(least, 2))
        return
    if least == 2 and not node.has("axes"):
        node.refuse("attribute 'axes' is missing. The file is damaged.")
    node.emit([*node.inputs(1), axes_input(node, "axes")])


@handler("Reshape")
def reshape(node: Node) -> None:
    if node.opset < 5:
        return node.emit([*node.inputs(1), node.weight("shape", np.array(node.integers("shape") or [], np.int64))])
    allow_zero = node.integer("allowzero", 0) if node.opset >= 14 else 0
    node.emit(node.inputs(2), {"allowzero": allow_zero})


@handler("Flatten")
def flatten(node: Node) -> None:
    node.emit(node.inputs(1), {"axis": node.integer("axis", 1)})


@handler("Expand")
def expand(node: Node) -> None:
    node.emit(node.inputs(2))


@handler("Transpose")
def transpose(node: Node) -> None:
    perm = node.integers("perm")
    node.emit(node.inputs(1), {} if perm is None else {"perm": perm})


@handler("Shape")
def shape(node: Node) -> None:
    attributes: dict[str, Attribute] = {}
    if node.opset >= 15:
        attributes["start"] = node.integer("start", 0)
        if node.has("end"):
            attributes["end"] = node.integer("end")
    node.emit(node.inputs(1), attributes)


@handler("Size")
def size(node: Node) -> None:
    node.emit(node.inputs(1))
