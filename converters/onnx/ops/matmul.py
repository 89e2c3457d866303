"""Matrix products."""

from __future__ import annotations

from ...graph import Attribute
from ..node import Node, handler


@handler("MatMul")
def matmul(node: Node) -> None:
    node.emit(node.inputs(2))


@handler("Gemm")
def gemm(node: Node) -> None:
    node.emit(node.inputs(2, 3), gemm_attributes(node))


def gemm_attributes(node: Node) -> dict[str, Attribute]:
    """Read the attributes of Gemm."""
    if node.opset < 7:
        node.skip("broadcast")  # whether C may be smaller than the product
    return {
        "alpha": node.number("alpha", 1.0),
        "beta": node.number("beta", 1.0),
        "transA": node.integer("transA", 0),
        "transB": node.integer("transB", 0),
    }
