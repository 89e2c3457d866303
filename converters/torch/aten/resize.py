"""Interpolation."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT
from ..node import Node, handler


@handler("aten.upsample_nearest1d", "aten.upsample_nearest2d")
def nearest(node: Node) -> None:
    _resize(node, "nearest", "asymmetric")


@handler("aten.upsample_linear1d", "aten.upsample_bilinear2d")
def linear(node: Node) -> None:
    _resize(node, "linear", "align_corners" if node.boolean("align_corners") else "half_pixel")


def _resize(node: Node, mode: str, coordinates: str) -> None:
    x = node.tensor("self" if node.has("self") else "input")
    scales = sizes = ABSENT
    if node.has("output_size"):
        kept = node.build.op("Shape", x, start=0, end=2)  # batch and channels
        sizes = node.build.op("Concat", kept, node.vector(node.dims("output_size")), axis=0)
    else:
        factors = node.numbers("scale_factors")
        scales = node.build.constant(np.array([1.0, 1.0, *factors], np.float32), "scales")
    node.skip("scales", "scales_h", "scales_w", "scale_factors")
    node.give(
        node.build.op(
            "Resize",
            x,
            ABSENT,
            scales,
            sizes,
            mode=mode,
            coordinate_transformation_mode=coordinates,
            nearest_mode="floor",
        )
    )
