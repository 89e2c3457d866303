"""Padding."""

from __future__ import annotations

import numpy as np

from ..node import Node, handler

_MODES = {"constant": 1, "edge": 1, "reflect": 1, "wrap": 19}  # with the opset that brought each


@handler("Pad")
def pad(node: Node) -> None:
    mode = node.text("mode", "constant")
    if node.opset < _MODES.get(mode, node.opset + 1):
        node.refuse(f"mode {mode!r} is not one of {', '.join(_MODES)}.")
    if node.opset >= 11:
        node.emit(node.inputs(2, 4), {"mode": mode})
        return
    (data,) = node.inputs(1)
    pads = node.weight("pads", np.array(node.integers("pads" if node.opset >= 2 else "paddings") or [], np.int64))
    value = node.weight("value", np.array(node.number("value", 0.0), np.float32))
    node.emit([data, pads, value], {"mode": mode})
