"""Pooling."""

from __future__ import annotations

from ...graph import DType
from ..activations import as_float, number, where
from ..layer import Dims, Layer, Tensor, handler
from ..masks import check_rank
from ..window import back, channels_first, channels_last, window


def _pool(layer: Layer, op: str, **attributes: int) -> Tensor:
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    config = layer.config
    size = config.integers("pool_size", spatial, 2)
    strides = size if config.raw("strides", None) is None else config.integers("strides", spatial)
    padding = config.choice("padding", ("valid", "same"), "valid")
    last = channels_last(layer)
    value, dims = channels_first(layer, x, last)
    auto_pad = "SAME_UPPER" if padding == "same" else "VALID"
    value = layer.build.op(op, value, kernel_shape=size, strides=strides, auto_pad=auto_pad, **attributes)
    places = tuple(window(n, k, s, 1, padding) for n, k, s in zip(dims, size, strides))
    return back(layer, x, value, places, x.shape[-1 if last else 1], last)


@handler("MaxPooling1D", "MaxPool1D", "MaxPooling2D", "MaxPool2D")
def max_pooling(layer: Layer) -> Tensor:
    """Take the largest of each window."""
    return _pool(layer, "MaxPool")


@handler("AveragePooling1D", "AvgPool1D", "AveragePooling2D", "AvgPool2D")
def average_pooling(layer: Layer) -> Tensor:
    """Take the mean of each window; what is padded does not count."""
    return _pool(layer, "AveragePool", count_include_pad=0)


def _global(layer: Layer, op: str) -> Tensor:
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    last = channels_last(layer)
    keep = layer.config.flag("keepdims", False)
    first = 1 if last else 2
    axes = list(range(first, first + spatial))
    build = layer.build
    value = as_float(build, x)
    if x.mask >= 0 and op == "ReduceMean" and spatial == 1:
        return _masked_mean(layer, x, axes[0], keep)
    value = build.op(op, value, build.integers(axes), keepdims=int(keep))
    return Tensor(value, _reduced(x.shape, axes, keep))


def _masked_mean(layer: Layer, x: Tensor, axis: int, keep: bool) -> Tensor:
    """The mean of the steps that count."""
    check_rank(layer.mask_rank(x.mask), 2)
    build = layer.build
    counts = build.cast(build.unsqueeze(x.mask, 3 - axis), DType.FLOAT32)
    kept = where(build, build.unsqueeze(x.mask, 3 - axis), x.value, number(build, 0.0))
    sums = [build.op("ReduceSum", v, build.integers([axis]), keepdims=int(keep)) for v in (kept, counts)]
    return Tensor(build.op("Div", *sums), _reduced(x.shape, [axis], keep))


def _reduced(shape: Dims, axes: list[int], keep: bool) -> Dims:
    if keep:
        return tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))
    return tuple(dim for axis, dim in enumerate(shape) if axis not in axes)


@handler("GlobalMaxPooling1D", "GlobalMaxPool1D", "GlobalMaxPooling2D", "GlobalMaxPool2D")
def global_max_pooling(layer: Layer) -> Tensor:
    """Take the largest of all places."""
    return _global(layer, "ReduceMax")


@handler("GlobalAveragePooling1D", "GlobalAvgPool1D", note="masked steps do not count")
@handler("GlobalAveragePooling2D", "GlobalAvgPool2D")
def global_average_pooling(layer: Layer) -> Tensor:
    """Take the mean of all places."""
    return _global(layer, "ReduceMean")
