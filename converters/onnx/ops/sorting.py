"""What compares or adds up along an axis."""

from __future__ import annotations

import numpy as np

from ...graph import Attribute
from ..node import Node, handler


@handler("ArgMax", "ArgMin")
def arg_reduce(node: Node) -> None:
    node.emit(node.inputs(1), {name: node.integer(name, default) for name, default in _ARG_DEFAULTS.items()})


_ARG_DEFAULTS = {"axis": 0, "keepdims": 1, "select_last_index": 0}


@handler("TopK")
def top_k(node: Node) -> None:
    attributes: dict[str, Attribute] = {"axis": node.integer("axis", -1), "largest": node.integer("largest", 1)}
    node.skip("sorted")  # any order will do where it is not asked for
    if node.opset >= 10:
        inputs = node.inputs(2)
    else:
        inputs = [*node.inputs(1), node.weight("k", np.array([node.integer("k")], np.int64))]
    node.emit(inputs, attributes, most_outputs=2)


@handler("CumSum")
def cum_sum(node: Node) -> None:
    node.emit(node.inputs(2), {name: node.integer(name, 0) for name in ("exclusive", "reverse")})
