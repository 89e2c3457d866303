"""Resize, and the Upsample it was before."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT, Attribute
from ..node import Node, handler

_MODES = ("nearest", "linear", "cubic")


@handler("Resize")
def resize(node: Node) -> None:
    if node.opset < 11:
        _upsample(node)
        return
    attributes: dict[str, Attribute] = {
        "mode": _mode(node),
        "coordinate_transformation_mode": node.text("coordinate_transformation_mode", "half_pixel"),
        "nearest_mode": node.text("nearest_mode", "round_prefer_floor"),
        "cubic_coeff_a": node.number("cubic_coeff_a", -0.75),
        "exclude_outside": node.integer("exclude_outside", 0),
        "extrapolation_value": node.number("extrapolation_value", 0.0),
    }
    if node.opset >= 18:
        attributes["antialias"] = node.integer("antialias", 0)
        attributes["keep_aspect_ratio_policy"] = node.text("keep_aspect_ratio_policy", "stretch")
        axes = node.integers("axes")
        if axes is not None:
            attributes["axes"] = axes
    inputs = node.inputs(1, 4)
    for i in (1, 2, 3):  # an empty array stands for none
        known = node.known(inputs[i])
        if known is not None and known.size == 0:
            inputs[i] = ABSENT
    node.emit(inputs, attributes)


@handler("Upsample")
def _upsample(node: Node) -> None:
    """Opsets before 11 have one way of finding coordinates, and round down, or up where an axis gets shorter."""
    mode = _mode(node)
    if mode == "cubic":
        node.refuse("mode 'cubic' came with opset 11. Export it with that, or a newer one.")
    if node.type == "Upsample" and node.opset < 9:
        (data,) = node.inputs(1)
        scales = node.weight("scales", np.array(_old_scales(node), np.float32))
    else:
        data, scales = node.inputs(2)
    known = node.known(scales)
    if node.type == "Upsample" and known is not None and (known < 1).any():
        node.refuse(f"its scales are {known.tolist()}; Upsample takes none below 1. Export it with opset 10 or newer.")
    attributes: dict[str, Attribute] = {
        "mode": mode,
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "simple" if node.type == "Resize" else "floor",
    }
    node.emit([data, ABSENT, scales], attributes, type="Resize")


def _old_scales(node: Node) -> list[float]:
    """Opset 1 has two scales, for images."""
    if node.opset >= 7:
        return node.numbers("scales")
    return [1.0, 1.0, node.number("height_scale", 1.0), node.number("width_scale", 1.0)]


def _mode(node: Node) -> str:
    mode = node.text("mode", "nearest")
    mode = {"bilinear": "linear"}.get(mode, mode)
    if mode not in _MODES:
        node.refuse(f"mode {mode!r} is not one of {', '.join(_MODES)}.")
    return mode
