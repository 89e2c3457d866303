"""Reductions, and softmax, which is made of them."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT, Value
from ..node import Node, handler

# The opset in which the axes became an input.
_AXES_ARE_INPUT = {"ReduceSum": 13}


@handler("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin")
@handler("ReduceProd", "ReduceSum", "ReduceSumSquare")
def reduce(node: Node) -> None:
    keepdims, noop = node.integer("keepdims", 1), 0
    if node.opset >= _AXES_ARE_INPUT.get(node.type, 18):
        noop = node.integer("noop_with_empty_axes", 0)
        inputs = node.inputs(1, 2)
    else:
        inputs = [*node.inputs(1), axes_or_all(node)]
    node.emit(inputs, {"keepdims": keepdims, "noop_with_empty_axes": noop})


def axes_or_all(node: Node) -> Value:
    """The attribute of older opsets as the input of newer ones, left out where it means all axes."""
    axes = node.integers("axes")
    return node.weight("axes", np.array(axes, np.int64)) if axes else ABSENT


@handler("Hardmax", "LogSoftmax", "Softmax")
def softmax(node: Node) -> None:
    """Before opset 13 all axes from `axis` on were one."""
    old = node.opset < 13
    node.emit(node.inputs(1), {"axis": node.integer("axis", 1 if old else -1), "flatten": int(old)})
