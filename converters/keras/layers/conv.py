"""Convolutions. Keras puts channels last, and kernels as [places, in, out]; the graph has channels first."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from ...graph import Array, Value
from ..activations import activation_of, apply
from ..layer import Dims, Layer, Tensor, handler
from ..shapes import require_size
from ..window import Window, back, channels_first, convolve, out_first, read_window, window


def _result(layer: Layer, x: Tensor, value: Value, spatial: Dims, channels: int, w: Window) -> Tensor:
    dims = tuple(window(size, k, s, d, w.padding) for size, k, s, d in zip(spatial, w.kernel, w.strides, w.dilation))
    y = back(layer, x, value, dims, channels, w.last)
    return apply(layer, y, activation_of(layer.config.raw("activation", None)))


def _channels(x: Tensor, w: Window) -> Optional[int]:
    return x.shape[-1 if w.last else 1]


@handler("Conv1D", note="padding valid, same and causal; groups; dilation")
@handler("Conv2D", note="padding valid and same; groups; dilation")
def conv(layer: Layer) -> Tensor:
    """Convolve."""
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    w = read_window(layer, spatial)
    group = layer.config.integer("groups", 1)
    layer.config.skip("filters")
    use_bias = layer.config.flag("use_bias", True)
    kernel, *bias = layer.take("kernel", *["bias"] * use_bias)
    kernel = _old_kernel(layer, kernel, spatial)
    if list(kernel.shape[:spatial]) != w.kernel:
        layer.refuse(f"its kernel is {kernel.shape}, not of size {w.kernel}. The file is damaged.")
    require_size(_channels(x, w), int(kernel.shape[-2]) * group, "the channels of its input")
    value, dims = channels_first(layer, x, w.last)
    value = convolve(layer, value, out_first(kernel), bias[0] if bias else None, group, w, "kernel")
    return _result(layer, x, value, dims, int(kernel.shape[-1]), w)


def _old_kernel(layer: Layer, kernel: Array, spatial: int) -> Array:
    """A kernel as Keras 1 kept it: Conv1D's with an axis more, channels_first ones in the order out, in, places."""
    if layer.version[0] != 1:
        return kernel
    if spatial == 1 and kernel.ndim == 4:
        if kernel.shape[1] != 1:  # (filters, in, length, 1)
            kernel = kernel.transpose(2, 3, 1, 0)
        return np.asarray(kernel[:, 0])
    if spatial == 2 and layer.config.raw("data_format", None) == "channels_first":
        return np.asarray(kernel.transpose(2, 3, 1, 0))
    return kernel


def _depthwise(layer: Layer, x: Value, kernel: Array, bias: Array | None, w: Window) -> tuple[Value, int]:
    """Convolve each channel by itself; the kernel is [places, in, multiplier]."""
    channels, multiplier = kernel.shape[-2:]
    each = np.moveaxis(kernel, (-2, -1), (0, 1)).reshape(channels * multiplier, 1, *kernel.shape[:-2])
    return convolve(layer, x, np.ascontiguousarray(each), bias, channels, w, "kernel"), int(channels * multiplier)


@handler("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_conv(layer: Layer) -> Tensor:
    """Convolve each channel by itself."""
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    w = read_window(layer, spatial)
    layer.config.skip("depth_multiplier", "filters", "groups")
    use_bias = layer.config.flag("use_bias", True)
    kernel, *bias = layer.take("kernel", *["bias"] * use_bias)
    require_size(_channels(x, w), int(kernel.shape[-2]), "the channels of its input")
    value, dims = channels_first(layer, x, w.last)
    value, channels = _depthwise(layer, value, kernel, bias[0] if bias else None, w)
    return _result(layer, x, value, dims, channels, w)


@handler("SeparableConv1D", note="padding valid, same and causal")
@handler("SeparableConv2D")
def separable_conv(layer: Layer) -> Tensor:
    """Convolve each channel by itself, then mix them."""
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    w = read_window(layer, spatial)
    layer.config.skip("depth_multiplier", "filters", "groups")
    use_bias = layer.config.flag("use_bias", True)
    depthwise, pointwise, *bias = layer.take("depthwise_kernel", "pointwise_kernel", *["bias"] * use_bias)
    require_size(_channels(x, w), int(depthwise.shape[-2]), "the channels of its input")
    value, dims = channels_first(layer, x, w.last)
    value, _ = _depthwise(layer, value, depthwise, None, w)
    one = Window(spatial, [1] * spatial, [1] * spatial, [1] * spatial, "valid", w.last)
    value = convolve(layer, value, out_first(pointwise), bias[0] if bias else None, 1, one, "pointwise")
    return _result(layer, x, value, dims, int(pointwise.shape[-1]), w)


@handler("Conv1DTranspose", "Conv2DTranspose")
def conv_transpose(layer: Layer) -> Tensor:
    """Spread what a convolution would gather."""
    spatial = layer.spatial
    x = layer.ranked(spatial + 2)
    w = read_window(layer, spatial)
    layer.config.skip("filters")
    if layer.config.integer("groups", 1) != 1:
        layer.refuse("groups are not supported in a transposed convolution. Build the model without them.")
    if w.padding == "causal":
        layer.refuse("padding causal is not one of transposed convolution.")
    use_bias = layer.config.flag("use_bias", True)
    kernel, *bias = layer.take("kernel", *["bias"] * use_bias)
    require_size(_channels(x, w), int(kernel.shape[-1]), "the channels of its input")
    value, dims = channels_first(layer, x, w.last)
    # [places, out, in] to [in, out, places]
    first = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    inputs = [value, layer.constant(first, "kernel")] + ([layer.constant(bias[0], "bias")] if bias else [])
    before, after, extra = _transposed_pads(w, layer.config.raw("output_padding", None))
    value = layer.build.op(
        "ConvTranspose", *inputs, kernel_shape=w.kernel, strides=w.strides, dilations=w.dilation, group=1,
        auto_pad="NOTSET", pads=[*before, *after], output_padding=extra,
    )  # fmt: skip
    sizes = tuple(
        None if n is None else (n - 1) * s + d * (k - 1) + 1 - b - a + e
        for n, k, s, d, b, a, e in zip(dims, w.kernel, w.strides, w.dilation, before, after, extra)
    )
    y = back(layer, x, value, sizes, int(kernel.shape[-2]), w.last)
    return apply(layer, y, activation_of(layer.config.raw("activation", None)))


def _transposed_pads(w: Window, given: Any) -> tuple[list[int], list[int], list[int]]:
    """What is cut off before and after, and what is added behind, along each axis.

    Keras wants as many places as padding says and cuts evenly for it, one more in front where that is odd.
    """
    before, after, extra = [], [], []
    for axis, (k, s, d) in enumerate(zip(w.kernel, w.strides, w.dilation)):
        reach = d * (k - 1) + 1
        more = given[axis] if isinstance(given, (list, tuple)) else given
        if w.padding == "same":
            spread = s + reach - 2 if more is None else reach + reach % 2 - 2 + int(more)
            left = min((spread + 1) // 2, reach - 1)
        else:
            left = reach - 1
            spread = 2 * left + (max(reach, s) - reach if more is None else int(more))
        cut = reach - 1 - (spread - left)
        before.append(reach - 1 - left)
        after.append(max(cut, 0))
        extra.append(max(-cut, 0))
    return before, after, extra
