"""Arrays made, repeated, and put in another order."""

from __future__ import annotations

from ...graph import Attribute
from ..node import Node, dtype_of, handler


@handler("Tile", "Range")
def plain(node: Node) -> None:
    node.emit(node.inputs({"Tile": 2, "Range": 3}[node.type]))


@handler("Trilu")
def trilu(node: Node) -> None:
    node.emit(node.inputs(1, 2), {"upper": node.integer("upper", 1)})


@handler("EyeLike")
def eye_like(node: Node) -> None:
    """The dtype is that of the input where the node names none."""
    attributes: dict[str, Attribute] = {"k": node.integer("k", 0)}
    if node.has("dtype"):
        attributes["dtype"] = int(dtype_of(node.integer("dtype")))
    node.emit(node.inputs(1), attributes)


@handler("DepthToSpace", "SpaceToDepth")
def blocks(node: Node) -> None:
    mode = node.text("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        node.refuse(f"mode {mode!r} is not one of DCR, CRD.")
    attributes: dict[str, Attribute] = {"blocksize": node.integer("blocksize")}
    if mode != "DCR":
        attributes["mode"] = mode
    node.emit(node.inputs(1), attributes)


@handler("ReverseSequence")
def reverse_sequence(node: Node) -> None:
    attributes = {"batch_axis": node.integer("batch_axis", 1), "time_axis": node.integer("time_axis", 0)}
    node.emit(node.inputs(2), attributes)


@handler("CenterCropPad")
def center_crop_pad(node: Node) -> None:
    axes = node.integers("axes")
    node.emit(node.inputs(2), {} if axes is None else {"axes": axes})


@handler("Einsum")
def einsum(node: Node) -> None:
    node.emit(node.inputs(1, most=-1), {"equation": node.text("equation", "")})


_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


@handler(*_RANDOM)
def random(node: Node) -> None:
    node.refuse("it gives other numbers at every run. Make them an input of the model.")
