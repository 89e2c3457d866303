"""Brings layers as Keras 1 wrote them to the names of Keras 2, and the weights of both to the layouts of Keras 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graph import Array
from ..problems import Refusal

_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "TimeDistributedDense": "Dense",
}
_NAMES = {
    "output_dim": "units",
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "inner_activation": "recurrent_activation",
    "border_mode": "padding",
    "subsample_length": "strides",
    "subsample": "strides",
    "stride": "strides",
    "pool_length": "pool_size",
    "bias": "use_bias",
    "atrous_rate": "dilation_rate",
    "dim_ordering": "data_format",
    "length": "size",
}
_ORDERINGS = {"th": "channels_first", "tf": "channels_last", "default": "channels_last"}
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "concat": "Concatenate",
    "ave": "Average",
    "max": "Maximum",
    "dot": "Dot",
}


def modern(kind: str, config: Mapping[str, Any], version: tuple[int, ...]) -> tuple[str, Mapping[str, Any]]:
    """Class and config of a layer by the names of Keras 2.

    Examples
    --------
    >>> modern("Convolution1D", {"nb_filter": 8, "filter_length": 3}, (1, 2))
    ('Conv1D', {'filters': 8, 'kernel_size': 3})
    """
    if version[0] != 1:
        return kind, config
    kind = _CLASSES.get(kind, kind)
    keep = {"output_dim"} if kind == "Embedding" else {"length"} if kind != "UpSampling1D" else set()
    new = {name if name in keep else _NAMES.get(name, name): value for name, value in config.items()}
    if "nb_row" in new:
        new["kernel_size"] = [new.pop("nb_row"), new.pop("nb_col", None)]
    if new.get("data_format") in _ORDERINGS:
        new["data_format"] = _ORDERINGS[new["data_format"]]
    if kind != "Embedding" and "W_regularizer" in new:
        new.pop("input_dim", None)
    if kind == "Merge" and new.get("mode") in _MERGES:
        kind = _MERGES[new.pop("mode")]
        axis = new.pop("concat_axis", -1)
        axes = new.pop("dot_axes", -1)
        if kind == "Concatenate":
            new["axis"] = axis
        if kind == "Dot":
            new["axes"] = axes
        new = {name: value for name, value in new.items() if name in ("name", "axis", "axes", "layers")}
    if kind == "BatchNormalization" and new.get("mode") in (0, 2):
        new.pop("mode")
    for wrapped in ("layer", "cell"):
        inner = new.get(wrapped)
        if isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping):
            inner_kind, inner_config = modern(str(inner.get("class_name")), inner["config"], version)
            new[wrapped] = {"class_name": inner_kind, "config": inner_config}
    return kind, new


# Gates of the separate matrices of Keras 1, each W, U, b: LSTM i, c, f, o; GRU z, r, h.
_SEPARATE = {"LSTM": (0, 2, 1, 3), "GRU": (0, 1, 2), "RNN": (0,)}


def joined(kind: str, arrays: list[Array]) -> list[Array]:
    """Kernel, recurrent kernel and bias of a cell whose gates have matrices of their own."""
    order = _SEPARATE[kind]
    for part in range(3):
        if len({arrays[3 * gate + part].shape[:-1] for gate in order}) > 1:
            raise Refusal("the weights of its gates do not fit each other. The file is damaged.")
    return [np.concatenate([arrays[3 * gate + part] for gate in order], -1) for part in range(3)]


def cudnn(kind: str, arrays: list[Array]) -> list[Array]:
    """Kernel, recurrent kernel and bias of a cell whose weights are laid out for cuDNN, as Keras lays them.

    There each gate's matrices are transposed, the kernel's elements kept in the order of memory.
    """
    gates = {"LSTM": 4, "GRU": 3}[kind]
    kernel, recurrent, bias = arrays
    if {kernel.ndim, recurrent.ndim} != {2} or kernel.shape[1] % gates or recurrent.shape[1] % gates or bias.size % 2:
        raise Refusal("its weights are not those of a layer for cuDNN. The file is damaged.")
    kernel = np.hstack([part.T.reshape(part.shape, order="F") for part in np.split(kernel, gates, 1)])
    recurrent = np.hstack([part.T for part in np.split(recurrent, gates, 1)])
    both = bias.reshape(2, -1)
    return [kernel, recurrent, both.sum(0) if kind == "LSTM" else both]
