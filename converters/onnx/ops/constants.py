"""Constants, which become weights."""

from __future__ import annotations

import numpy as np

from ...graph import DType
from ..node import Node, handler


@handler("Constant")
def constant(node: Node) -> None:
    source = None
    if node.has("value"):
        array, source = node.tensor("value"), node.proto_tensor("value")
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
    node.emit_constant(array, source)


@handler("ConstantOfShape")
def constant_of_shape(node: Node) -> None:
    """Files have no attribute that is a tensor: its one element and its dtype are two."""
    value = node.tensor("value")
    fill = np.zeros(1, np.float32) if value is None else value
    if fill.size != 1:
        node.refuse(f"its value has {fill.size} elements, not one. The file is damaged.")
    dtype, element = DType.of(fill.dtype), fill.item()
    attributes = {"dtype": int(dtype), "value": float(element) if dtype is DType.FLOAT32 else int(element)}
    node.emit(node.inputs(1), attributes)
