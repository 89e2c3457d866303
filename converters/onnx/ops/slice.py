"""Taking arrays apart and putting them together."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT, Attribute, Value
from ..node import Node, handler


@handler("Slice")
def slice_(node: Node) -> None:
    if node.opset >= 10:
        node.emit(node.inputs(3, 5))
        return
    (data,) = node.inputs(1)
    node.emit([data, *(axes_input(node, name) for name in ("starts", "ends", "axes"))])


@handler("Split")
def split(node: Node) -> None:
    attributes: dict[str, Attribute] = {"axis": node.integer("axis", 0)}
    if node.opset >= 13 or node.opset < 2:
        inputs = node.inputs(1, 2)
        if inputs[1] == ABSENT and node.opset < 2:
            inputs[1] = axes_input(node, "split")
    else:
        inputs = [*node.inputs(1), axes_input(node, "split")]
    parts = len(node.output_names)
    if node.opset >= 18 and node.integer("num_outputs", parts) != parts:
        node.refuse(f"has {parts} outputs, and num_outputs is another number. The file is damaged.")
    if inputs[1] == ABSENT:
        attributes["num_outputs"] = parts
    node.emit(inputs, attributes, most_outputs=-1)


@handler("Concat")
def concat(node: Node) -> None:
    node.emit(node.inputs(1, most=-1), {"axis": node.integer("axis", 1 if node.opset < 4 else None)})


@handler("Gather")
def gather(node: Node) -> None:
    node.emit(node.inputs(2), {"axis": node.integer("axis", 0)})


def axes_input(node: Node, name: str) -> Value:
    """An attribute of older opsets as the input that newer ones have in its place; ABSENT where it is left out."""
    items = node.integers(name)
    return ABSENT if items is None else node.weight(name, np.array(items, np.int64))
