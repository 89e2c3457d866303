"""Reductions."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT
from ..node import Node, handler


@handler("ReduceMean")
def reduce_mean(node: Node) -> None:
    keepdims = node.integer("keepdims", 1)
    if node.opset >= 18:
        noop = node.integer("noop_with_empty_axes", 0)
        inputs = node.inputs(1, 2)
    else:
        noop = 0
        axes = node.integers("axes")
        inputs = node.inputs(1)
        inputs.append(node.weight("axes", np.array(axes, np.int64)) if axes else ABSENT)
    node.emit(inputs, {"keepdims": keepdims, "noop_with_empty_axes": noop})
