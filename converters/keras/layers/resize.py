"""Padding, cropping and repeating of places."""

from __future__ import annotations

from typing import Any

from ...graph import ABSENT, Value
from ..layer import Dims, Layer, Tensor, handler
from ..window import back, channels_first, channels_last


def _pairs(layer: Layer, name: str, spatial: int, default: Any) -> list[tuple[int, int]]:
    """Before and after, along each axis: one number for all, one an axis, or a pair an axis."""
    given = layer.config.raw(name, default)
    items = [given] * spatial if isinstance(given, int) else given
    if spatial == 1 and isinstance(items, (list, tuple)) and len(items) == 2:
        items = [items]
    pairs = [(item, item) if isinstance(item, int) else tuple(item) for item in items] if items else []
    if len(pairs) != spatial or any(len(p) != 2 or min(p) < 0 for p in pairs):
        layer.refuse(f"{name} = {given!r} is not {spatial} numbers or pairs.")
    return [(int(a), int(b)) for a, b in pairs]


def _spatial_first_axis(layer: Layer) -> int:
    return 1 if channels_last(layer) else 2


@handler("ZeroPadding1D", "ZeroPadding2D")
def zero_padding(layer: Layer) -> Tensor:
    """Put zeros around."""
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    pairs = _pairs(layer, "padding", spatial, 1)
    first = _spatial_first_axis(layer)
    begin, end = [0] * x.rank, [0] * x.rank
    shape = list(x.shape)
    for axis, (before, after) in enumerate(pairs, first):
        begin[axis], end[axis] = before, after
        size = shape[axis]
        shape[axis] = None if size is None else size + before + after
    value = layer.build.op("Pad", x.value, layer.build.integers(begin + end), mode="constant")
    return Tensor(value, tuple(shape), x.dtype)


@handler("Cropping1D", "Cropping2D")
def cropping(layer: Layer) -> Tensor:
    """Cut off what is around."""
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    pairs = _pairs(layer, "cropping", spatial, 1 if spatial == 1 else 0)
    first = _spatial_first_axis(layer)
    value, shape = x.value, list(x.shape)
    for axis, (before, after) in enumerate(pairs, first):
        value = layer.build.slice(value, axis, before, -after if after else None)
        size = shape[axis]
        shape[axis] = None if size is None else max(0, size - before - after)
    return Tensor(value, tuple(shape), x.dtype)


@handler("UpSampling1D")
def upsampling1d(layer: Layer) -> Tensor:
    """Repeat each step."""
    x = layer.ranked(3)
    times = layer.config.integer("size", 2)
    return Tensor(_repeated(layer, x.value, x.shape, 1, times), _scaled(x.shape, 1, times), x.dtype)


@handler("UpSampling2D", note="nearest and bilinear")
def upsampling2d(layer: Layer) -> Tensor:
    """Repeat each place, or interpolate between places."""
    x = layer.ranked(4)
    times = layer.config.integers("size", 2, 2)
    how = layer.config.choice("interpolation", ("nearest", "bilinear"), "nearest")
    last = channels_last(layer)
    value, dims = channels_first(layer, x, last)
    scales = layer.build.constant([1.0, 1.0, *map(float, times)], "scales", "float32")
    if how == "nearest":
        mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    value = layer.build.op("Resize", value, ABSENT, scales, **mode)
    places = tuple(None if n is None else n * s for n, s in zip(dims, times))
    return back(layer, x, value, places, x.shape[-1 if last else 1], last)


def _scaled(shape: Dims, axis: int, times: int) -> Dims:
    return tuple(None if d is None else d * times if i == axis else d for i, d in enumerate(shape))


def _repeated(layer: Layer, value: Value, shape: Dims, axis: int, times: int) -> Value:
    """[batch, steps, features], each step so many times."""
    build = layer.build
    wide = build.op("Expand", build.unsqueeze(value, axis + 1), build.integers([1, 1, times, 1]))
    features = shape[2]
    if features is None:
        layer.refuse(f"its input is {shape}: the features must be known. Build the model with them.")
    return build.reshape(wide, [0, -1, features])
