"""Normalisation and scaling."""

from __future__ import annotations

import numpy as np

from ...graph import DType, Value
from ..activations import as_float, number
from ..layer import Layer, Tensor, handler
from ..shapes import axis_of, require_size
from .merge import unit


def _axes(layer: Layer, x: Tensor, default: int = -1) -> list[int]:
    found = layer.config.raw("axis", default)
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    if not found or not all(isinstance(axis, int) and not isinstance(axis, bool) for axis in found):
        layer.refuse(f"axis = {found!r} is no axis.")
    return sorted(axis_of(axis, x.rank) for axis in found)


def _along(layer: Layer, array: np.ndarray, axes: list[int], x: Tensor, name: str) -> Value:
    """A weight that has the axes given, with axes of size 1 for the others behind the first of them."""
    shape = [1] * x.rank
    sizes = array.shape if array.ndim == len(axes) else (array.size,)
    if len(sizes) != len(axes):
        layer.refuse(f"its {name} is {array.shape}, of other dims than axis {axes}. The file is damaged.")
    for axis, size in zip(axes, sizes):
        if size != 1:
            require_size(x.shape[axis], size, f"dim {axis} of its input")
        shape[axis] = size
    while len(shape) > 1 and shape[0] == 1:
        shape.pop(0)
    return layer.constant(array.reshape(shape), name)


@handler("BatchNormalization", note="moving mean and variance, any axis")
def batch_normalization(layer: Layer) -> Tensor:
    """Scale and shift by what was learned of the whole set."""
    x = layer.input
    config, build = layer.config, layer.build
    axes = _axes(layer, x)
    epsilon = config.number("epsilon", 1e-3)
    scale, center = config.flag("scale", True), config.flag("center", True)
    arrays = dict(zip(_batch_names(scale, center), layer.take(*_batch_names(scale, center))))
    factor = 1 / np.sqrt(arrays["moving_variance"].astype(np.float64) + epsilon) * arrays.get("gamma", 1.0)
    shift = arrays.get("beta", 0.0) - arrays["moving_mean"] * factor
    scaled = build.op("Mul", as_float(build, x), _along(layer, factor.astype(np.float32), axes, x, "scale"))
    return x.to(build.op("Add", scaled, _along(layer, np.asarray(shift, np.float32), axes, x, "shift")))


def _batch_names(scale: bool, center: bool) -> list[str]:
    return ["gamma"] * scale + ["beta"] * center + ["moving_mean", "moving_variance"]


@handler("LayerNormalization", note="any axes; rms_scaling")
def layer_normalization(layer: Layer) -> Tensor:
    """Bring each place to mean 0 and variance 1."""
    x = layer.input
    config, build = layer.config, layer.build
    axes = _axes(layer, x)
    epsilon = config.number("epsilon", 1e-3)
    scale, center = config.flag("scale", True), config.flag("center", True)
    rms = config.flag("rms_scaling", False)
    weights = dict(zip(["gamma"] * scale + ["beta"] * center, layer.take(*["gamma"] * scale, *["beta"] * center)))
    value = as_float(build, x)
    at = build.integers(axes)
    centred = build.op("Sub", value, build.op("ReduceMean", value, at, keepdims=1))
    variance = build.op("ReduceMean", build.op("Mul", centred, centred), at, keepdims=1)
    deviation = build.op("Sqrt", build.op("Add", variance, number(build, epsilon)))
    normal = build.op("Div", value if rms else centred, deviation)
    if "gamma" in weights:
        normal = build.op("Mul", normal, _along(layer, weights["gamma"], axes, x, "gamma"))
    if "beta" in weights and not rms:
        normal = build.op("Add", normal, _along(layer, weights["beta"], axes, x, "beta"))
    return x.to(normal)


@handler("RMSNormalization", note="any axes")
def rms_normalization(layer: Layer) -> Tensor:
    """Bring each place to a mean square of 1."""
    x = layer.input
    build = layer.build
    axes = _axes(layer, x)
    epsilon = layer.config.number("epsilon", 1e-6)
    (scale,) = layer.take("scale")
    squares = build.op("ReduceMean", build.op("Mul", x.value, x.value), build.integers(axes), keepdims=1)
    root = build.op("Sqrt", build.op("Add", squares, number(build, epsilon)))
    return x.to(build.op("Mul", build.op("Div", x.value, root), _along(layer, scale, axes, x, "scale")))


@handler("GroupNormalization", note="known dims but the batch")
def group_normalization(layer: Layer) -> Tensor:
    """Bring each group of channels to mean 0 and variance 1."""
    x = layer.input
    config, build = layer.config, layer.build
    if x.mask >= 0 and layer.version[0] < 3:
        layer.refuse("its input is masked, which changes its means in Keras 2. Build the model without the mask.")
    (axis,) = _axes(layer, x)
    dims = list(x.shape[1:])
    if None in dims:
        layer.refuse(f"its input is {x.shape}: dims behind the batch must be known. Build the model with them.")
    channels = int(x.shape[axis] or 0)
    groups = config.raw("groups", 32)
    groups = channels if groups == -1 else groups
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        layer.refuse(f"{channels} channels are not {groups!r} groups.")
    epsilon = config.number("epsilon", 1e-3)
    scale, center = config.flag("scale", True), config.flag("center", True)
    weights = dict(zip(["gamma"] * scale + ["beta"] * center, layer.take(*["gamma"] * scale, *["beta"] * center)))
    split = [0, *dims[: axis - 1], groups, channels // groups, *dims[axis:]]
    grouped = build.reshape(as_float(build, x), [int(d or 0) for d in split])
    at = build.integers([i for i in range(1, len(split)) if i != axis])
    centred = build.op("Sub", grouped, build.op("ReduceMean", grouped, at, keepdims=1))
    variance = build.op("ReduceMean", build.op("Mul", centred, centred), at, keepdims=1)
    normal = build.op("Div", centred, build.op("Sqrt", build.op("Add", variance, number(build, epsilon))))
    normal = build.reshape(normal, [0, *[int(d or 0) for d in dims]])
    if "gamma" in weights:
        normal = build.op("Mul", normal, _along(layer, weights["gamma"], [axis], x, "gamma"))
    if "beta" in weights:
        normal = build.op("Add", normal, _along(layer, weights["beta"], [axis], x, "beta"))
    return x.to(normal)


@handler("UnitNormalization", note="one axis")
def unit_normalization(layer: Layer) -> Tensor:
    """Bring vectors to length 1."""
    x = layer.input
    (axis,) = _axes(layer, x)
    return x.to(unit(layer, as_float(layer.build, x), axis))


@handler("Rescaling")
def rescaling(layer: Layer) -> Tensor:
    """Scale and shift by numbers of the config."""
    x = layer.input
    build = layer.build
    scale, offset = (np.asarray(layer.config.raw(n, d), np.float32) for n, d in (("scale", 1.0), ("offset", 0.0)))
    scaled = build.op("Mul", as_float(build, x), layer.constant(scale, "scale"))
    y = build.op("Add", scaled, layer.constant(offset, "offset"))
    return Tensor(y, x.shape, DType.FLOAT32, x.mask)


@handler("Normalization", note="adapted or of given mean and variance; invert")
def normalization(layer: Layer) -> Tensor:
    """Bring features to mean 0 and variance 1 by what adapt() saw."""
    x = layer.input
    config, build = layer.config, layer.build
    axis = config.raw("axis", -1)
    axes = _axes(layer, x) if axis not in (None, [], ()) else []
    mean, variance = config.raw("mean", None), config.raw("variance", config.raw("input_variance", None))
    mean = config.raw("input_mean", None) if mean is None else mean
    if mean is None:
        mean, variance, *_ = layer.weights.rest()
    arrays = [np.asarray(_plain(a), np.float64) for a in (mean, variance)]
    shape = [x.shape[a] or 1 for a in axes]
    mean_array, variance_array = (np.broadcast_to(a.reshape(shape if a.size > 1 else []), shape) for a in arrays)
    deviation = np.maximum(np.sqrt(variance_array), 1e-7)
    m = _along(layer, mean_array.astype(np.float32), axes, x, "mean") if axes else number(build, float(mean_array))
    d = _along(layer, deviation.astype(np.float32), axes, x, "deviation") if axes else number(build, float(deviation))
    value = as_float(build, x)
    if config.flag("invert", False):
        result = build.op("Add", m, build.op("Mul", value, d))
    else:
        result = build.op("Div", build.op("Sub", value, m), d)
    return Tensor(result, x.shape, DType.FLOAT32, x.mask)


def _plain(found: object) -> object:
    """An array that Keras may keep as an object of its own."""
    if isinstance(found, dict):
        config = found.get("config")
        return config.get("value", 0.0) if isinstance(config, dict) else found.get("value", 0.0)
    return found
