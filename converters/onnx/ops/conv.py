"""Convolutions and pools, and what puts the columns of a convolution back."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph import Attribute
from ..node import Node, handler

_AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@handler("Conv")
def conv(node: Node) -> None:
    node.emit(node.inputs(2, 3), conv_attributes(node))


def conv_attributes(node: Node) -> dict[str, Attribute]:
    """Read the attributes of a convolution."""
    attributes = _window(node, "kernel_shape", "strides", "dilations")
    attributes["group"] = node.integer("group", 1)
    return attributes


@handler("ConvTranspose")
def conv_transpose(node: Node) -> None:
    attributes = _window(node, "kernel_shape", "strides", "dilations", "output_padding", "output_shape")
    attributes["group"] = node.integer("group", 1)
    node.emit(node.inputs(2, 3), attributes)


@handler("MaxPool")
def max_pool(node: Node) -> None:
    attributes = _window(node, "kernel_shape", "strides", "dilations")
    attributes["ceil_mode"] = node.integer("ceil_mode", 0)
    attributes["storage_order"] = node.integer("storage_order", 0)
    node.emit(node.inputs(1), attributes, most_outputs=2)


@handler("AveragePool")
def average_pool(node: Node) -> None:
    attributes = _window(node, "kernel_shape", "strides", "dilations")
    attributes["ceil_mode"] = node.integer("ceil_mode", 0)
    attributes["count_include_pad"] = node.integer("count_include_pad", 0)
    node.emit(node.inputs(1), attributes)


@handler("LpPool")
def lp_pool(node: Node) -> None:
    attributes = _window(node, "kernel_shape", "strides", "dilations")
    attributes["ceil_mode"] = node.integer("ceil_mode", 0)
    attributes["p"] = _norm(node)
    node.emit(node.inputs(1), attributes)


@handler("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node) -> None:
    node.emit(node.inputs(1))


@handler("GlobalLpPool")
def global_lp_pool(node: Node) -> None:
    node.emit(node.inputs(1), {"p": _norm(node)})


def _norm(node: Node) -> int:
    """Which norm: a float in opset 1."""
    if node.opset >= 2:
        return node.integer("p", 2)
    number = node.number("p", 2.0)
    if number != int(number):
        node.refuse(f"p is {number:g}; only integers are supported.")
    return int(number)


@handler("Col2Im")
def col2im(node: Node) -> None:
    node.emit(node.inputs(3), _lists(node, ("strides", "dilations", "pads")))


def _lists(node: Node, names: Sequence[str]) -> dict[str, Attribute]:
    """Those lists of integers that the node has."""
    given = {name: node.integers(name) for name in names}
    return {name: items for name, items in given.items() if items is not None}


def _window(node: Node, *names: str) -> dict[str, Attribute]:
    """How a kernel moves: the lists named, and the pads."""
    auto_pad = node.text("auto_pad", "NOTSET")
    pads = node.integers("pads")
    if auto_pad not in _AUTO_PADS:
        node.refuse(f"auto_pad {auto_pad!r} is not one of {', '.join(_AUTO_PADS)}.")
    if auto_pad != "NOTSET" and any(pads or ()):
        node.refuse(f"has both auto_pad {auto_pad!r} and pads {pads}. Export it with one of them.")
    attributes: dict[str, Attribute] = {"auto_pad": auto_pad, **_lists(node, names)}
    if pads is not None and auto_pad == "NOTSET":
        attributes["pads"] = pads
    return attributes
