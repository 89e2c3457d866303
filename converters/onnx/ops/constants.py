"""Constants, which become weights."""

from __future__ import annotations

import numpy as np

from ..node import Node, handler


@handler("Constant")
def constant(node: Node) -> None:
    if node.has("value"):
        array = node.tensor("value")
    elif node.has("value_float"):
        array = np.array(node.number("value_float", 0.0), np.float32)
    elif node.has("value_floats"):
        array = np.array(node.numbers("value_floats"), np.float32)
    elif node.has("value_int"):
        array = np.array(node.integer("value_int"), np.int64)
    elif node.has("value_ints"):
        array = np.array(node.integers("value_ints"), np.int64)
    else:
        node.refuse("holds no dense tensor of numbers. Strings and sparse tensors are not supported.")
    assert array is not None
    node.inputs(0)
    node.emit_constant(array)


@handler("ConstantOfShape")
def constant_of_shape(node: Node) -> None:
    """One element, expanded: files have no attribute that is a tensor, and with it no dtype."""
    value = node.tensor("value")
    fill = np.zeros(1, np.float32) if value is None else value
    if fill.size != 1:
        node.refuse(f"its value has {fill.size} elements, not one. The file is damaged.")
    (dims,) = node.inputs(1)
    node.emit([node.weight("value", fill.reshape(())), dims], type="Expand")
