"""Activations that are layers."""

from __future__ import annotations

from typing import Any

from ..activations import clip, number, slope, where
from ..layer import Layer, Tensor, handler
from ..shapes import require_size


@handler("LeakyReLU", pointwise=True)
def leaky_relu(layer: Layer) -> Tensor:
    """Scale what is negative."""
    x = layer.input
    return x.to(layer.build.op("LeakyRelu", x.value, alpha=slope(layer.config, "negative_slope", 0.3)))


@handler("ELU", pointwise=True)
def elu(layer: Layer) -> Tensor:
    """Bend what is negative."""
    x = layer.input
    return x.to(layer.build.op("Elu", x.value, alpha=layer.config.number("alpha", 1.0)))


@handler("ThresholdedReLU", pointwise=True)
def thresholded_relu(layer: Layer) -> Tensor:
    """Drop what is not above theta."""
    x = layer.input
    return x.to(layer.build.op("ThresholdedRelu", x.value, alpha=layer.config.number("theta", 1.0)))


@handler("ReLU", note="max_value, negative_slope, threshold", pointwise=True)
def relu(layer: Layer) -> Tensor:
    """Drop or scale what is below a threshold, bound what is above."""
    x = layer.input
    config, build = layer.config, layer.build
    most: Any = config.raw("max_value", None)
    limit = None if most is None else config.number("max_value")
    slope = config.number("negative_slope", 0.0) if config.raw("negative_slope", None) is not None else 0.0
    threshold = config.number("threshold", 0.0) if config.raw("threshold", None) is not None else 0.0
    if slope == 0.0 and threshold == 0.0:
        value = build.op("Relu", x.value) if limit is None else clip(build, x.value, 0.0, limit)
        return x.to(value)
    at = number(build, threshold)
    below = build.op("Mul", number(build, slope), build.op("Sub", x.value, at))
    above = x.value if limit is None else build.op("Min", x.value, number(build, limit))
    return x.to(where(build, build.op("Less", x.value, at), below, above))


@handler("PReLU", note="shared_axes")
def prelu(layer: Layer) -> Tensor:
    """Scale what is negative by weights."""
    x = layer.input
    layer.config.skip("shared_axes")  # where alpha is 1 along an axis, it is shared
    (alpha,) = layer.take("alpha")
    for dim, size in zip(x.shape[1:], alpha.shape):
        if size != 1:
            require_size(dim, size, "a dim of its input")
    return x.to(layer.build.op("PRelu", x.value, layer.constant(alpha, "alpha")))


@handler("Softmax", note="one axis")
def softmax(layer: Layer) -> Tensor:
    """Normalise exponentials along an axis; a mask of the input's shape leaves elements out."""
    x = layer.input
    axis = layer.config.raw("axis", -1)
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    if isinstance(axis, bool) or not isinstance(axis, int):
        layer.refuse(f"axis = {axis!r}: only one axis is supported.")
    if x.mask >= 0:
        layer.refuse("its input is masked, which is not supported here. Build the model so that no mask comes to it.")
    return x.to(layer.build.op("Softmax", x.value, axis=axis))
