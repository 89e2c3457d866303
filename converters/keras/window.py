"""Windows that move over places, and convolution. Keras puts channels last; the graph has them first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..graph import Array, Attribute, Value
from .activations import as_float
from .layer import Dims, Layer, Tensor
from .shapes import window

__all__ = ["Window", "back", "channels_first", "channels_last", "convolve", "out_first", "read_window", "window"]


@dataclass
class Window:
    """How a kernel moves."""

    spatial: int
    kernel: list[int]
    strides: list[int]
    dilation: list[int]
    padding: str
    last: bool  # channels


def read_window(layer: Layer, spatial: int, kernel: str = "kernel_size") -> Window:
    """Read how a kernel moves from a layer's config."""
    config = layer.config
    sizes = config.integers(kernel, spatial)
    found = Window(
        spatial,
        sizes,
        config.integers("strides", spatial, 1 if kernel == "kernel_size" else sizes),
        config.integers("dilation_rate", spatial, 1),
        config.choice("padding", ("valid", "same", "causal"), "valid"),
        channels_last(layer),
    )
    if min(found.kernel + found.strides + found.dilation) < 1:
        layer.refuse(f"kernel {found.kernel}, strides {found.strides}, dilation {found.dilation}: must be above 0.")
    return found


def channels_last(layer: Layer) -> bool:
    """Where a layer has its channels."""
    given = layer.config.raw("data_format", None)
    if given not in (None, "channels_last", "channels_first"):
        layer.refuse(f"data_format = {given!r} is not channels_last or channels_first.")
    return bool(given != "channels_first")


def channels_first(layer: Layer, x: Tensor, last: bool) -> tuple[Value, Dims]:
    """The input with channels first, and its spatial dims."""
    value = as_float(layer.build, x)
    if not last:
        return value, x.shape[2:]
    return layer.build.transpose(value, 0, x.rank - 1, *range(1, x.rank - 1)), x.shape[1:-1]


def back(layer: Layer, x: Tensor, value: Value, spatial: Dims, channels: Optional[int], last: bool) -> Tensor:
    """A result with channels where the layer has them."""
    if not last:
        return Tensor(value, (x.shape[0], channels, *spatial))
    rank = len(spatial) + 2
    return Tensor(layer.build.transpose(value, 0, *range(2, rank), 1), (x.shape[0], *spatial, channels))


def convolve(layer: Layer, x: Value, kernel: Array, bias: Array | None, group: int, w: Window, name: str) -> Value:
    """Convolve [batch, channels, places] by a kernel [out, in, places]."""
    build = layer.build
    if layer.importer.file.backend == "theano":
        kernel = np.flip(kernel, tuple(range(2, kernel.ndim)))
    inputs = [x, layer.constant(kernel, name)] + ([] if bias is None else [layer.constant(bias, "bias")])
    attributes: dict[str, Attribute] = {
        "kernel_shape": list(w.kernel),
        "strides": w.strides,
        "dilations": w.dilation,
        "group": group,
    }
    if w.padding == "causal":
        before = w.dilation[0] * (w.kernel[0] - 1)
        return build.op("Conv", *inputs, auto_pad="NOTSET", pads=[before, 0], **attributes)
    auto_pad = "SAME_UPPER" if w.padding == "same" else "VALID"
    return build.op("Conv", *inputs, auto_pad=auto_pad, **attributes)


def out_first(kernel: Array) -> Array:
    """[places, in, out] to [out, in, places]."""
    return np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
