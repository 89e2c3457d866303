"""Arrays made, repeated, and put in another order."""

from __future__ import annotations

from ...graph import Attribute, DType
from ..node import Node, dtype_of, handler


@handler("Range")
def range_(node: Node) -> None:
    node.emit(node.inputs(3))


@handler("Tile")
def tile(node: Node) -> None:
    """Before opset 6 along one axis, by a number: its place among ones."""
    if node.opset >= 6:
        return node.emit(node.inputs(2))
    data, tiles, axis = node.inputs(3)
    build = node.build
    rank = build.op("Size", build.op("Shape", data))
    whole = build.reshape(build.cast(tiles, DType.INT64), [1])
    values = build.op("Concat", build.integers([1]), whole, axis=0)
    place = build.reshape(build.cast(axis, DType.INT64), [])
    node.emit([data, build.op("OneHot", place, rank, values, axis=-1)])


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
