"""Elements picked and replaced by index."""

from __future__ import annotations

from ...graph import Attribute
from ..node import Node, handler


@handler("GatherElements")
def gather_elements(node: Node) -> None:
    node.emit(node.inputs(2), {"axis": node.integer("axis", 0)})


@handler("GatherND")
def gather_nd(node: Node) -> None:
    node.emit(node.inputs(2), {"batch_dims": node.integer("batch_dims", 0)})


@handler("Scatter", "ScatterElements")
def scatter_elements(node: Node) -> None:
    """Scatter is the name of opset 9."""
    attributes: dict[str, Attribute] = {"axis": node.integer("axis", 0), "reduction": node.text("reduction", "none")}
    node.emit(node.inputs(3), attributes, type="ScatterElements")


@handler("ScatterND")
def scatter_nd(node: Node) -> None:
    node.emit(node.inputs(3), {"reduction": node.text("reduction", "none")})


@handler("OneHot")
def one_hot(node: Node) -> None:
    node.emit(node.inputs(3), {"axis": node.integer("axis", -1)})


@handler("Compress")
def compress(node: Node) -> None:
    node.emit(node.inputs(2), {"axis": node.integer("axis")} if node.has("axis") else {})


@handler("NonZero")
def non_zero(node: Node) -> None:
    node.emit(node.inputs(1))


@handler("Unique")
def unique(node: Node) -> None:
    node.refuse("how many elements it gives depends on data. Export the model without it.")
