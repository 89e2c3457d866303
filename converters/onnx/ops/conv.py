"""Convolution."""

from __future__ import annotations

from ...graph import Attribute
from ..node import Node, handler

_AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@handler("Conv")
def conv(node: Node) -> None:
    node.emit(node.inputs(2, 3), conv_attributes(node))


def conv_attributes(node: Node) -> dict[str, Attribute]:
    """Read the attributes of a convolution."""
    auto_pad = node.text("auto_pad", "NOTSET")
    pads = node.integers("pads")
    if auto_pad not in _AUTO_PADS:
        node.refuse(f"auto_pad {auto_pad!r} is not one of {', '.join(_AUTO_PADS)}.")
    if auto_pad != "NOTSET" and any(pads or ()):
        node.refuse(f"has both auto_pad {auto_pad!r} and pads {pads}. Export it with one of them.")
    attributes: dict[str, Attribute] = {"auto_pad": auto_pad, "group": node.integer("group", 1)}
    if pads is not None and auto_pad == "NOTSET":
        attributes["pads"] = pads
    for name in ("dilations", "kernel_shape", "strides"):
        items = node.integers(name)
        if items is not None:
            attributes[name] = items
    return attributes
