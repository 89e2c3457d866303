"""Layers with weights that are not recurrent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Optional, Union

import numpy as np

from lstm_rt.converters import ABSENT, Refusal, Value
from lstm_rt.converters.graph import Array
from lstm_rt.converters.torch.packed import packed_linear

from .layer import Place, Results, Weighted, layer
from .sizes import Size, padded, pair

_PACKED = "_packed_params._packed_params"
_PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@layer
@dataclass(frozen=True)
class Embedding(Weighted):
    """torch.nn.Embedding: a row of its weight for each index."""

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the look-up."""
        weight = at.build.constant(at.get("weight", None, None), "weight")
        return at.build.op("Gather", weight, inputs[0], axis=0)


@layer
@dataclass(frozen=True)
class Linear(Weighted):
    """torch.nn.Linear, of floats or quantised dynamically."""

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the product and the bias."""
        if at.has(_PACKED):
            rows, bias = packed_linear(at.weights.packed(at.prefix + _PACKED))
            at.weights.used.update(at.prefix + name for name in ("scale", "zero_point"))
            weight = at.build.constant(np.ascontiguousarray(rows.integers.T), "weight")
            scale = at.build.constant(rows.scales, "weight.scale")
            y = at.build.op("MatMul", inputs[0], weight, scale, activation_bits=8)
        else:
            matrix = at.get("weight", None, None)
            bias = at.maybe("bias", matrix.shape[0])
            y = at.build.op("MatMul", inputs[0], at.build.constant(np.ascontiguousarray(matrix.T), "weight"))
        return y if bias is None else at.build.op("Add", y, at.build.constant(bias, "bias"))


@dataclass(frozen=True)
class _Conv(Weighted):
    """Base of convolutions; their kernel is that of the weight."""

    stride: Size = 1
    padding: Union[Size, str] = 0
    dilation: Size = 1
    groups: int = 1
    padding_mode: str = "zeros"

    rank: ClassVar[int] = 1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the convolution, and before it the padding that is not of zeros."""
        weight = at.get("weight", *[None] * (self.rank + 2))
        filters, _, *kernel = weight.shape
        if self.groups < 1 or filters % self.groups:
            raise Refusal(f"its {filters} filters do not make {self.groups} groups.")
        dilations = pair(self.dilation, self.rank, "dilation")
        pads = self._pads(kernel, dilations)
        x = inputs[0]
        if self.padding_mode != "zeros":
            x, pads = self._padded(at, x, pads), [0] * len(pads)
        bias = at.maybe("bias", filters)
        return at.build.op(
            "Conv",
            x,
            at.build.constant(weight, "weight"),
            ABSENT if bias is None else at.build.constant(bias, "bias"),
            kernel_shape=kernel,
            strides=pair(self.stride, self.rank, "stride"),
            pads=pads,
            dilations=dilations,
            group=self.groups,
        )

    def _pads(self, kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
        """All begins, then all ends."""
        if self.padding == "valid":
            return [0] * (2 * self.rank)
        if self.padding == "same":
            totals = [(size - 1) * dilation for size, dilation in zip(kernel, dilations)]
            return [total // 2 for total in totals] + [total - total // 2 for total in totals]
        if isinstance(self.padding, str):
            raise Refusal(f"padding is {self.padding!r}; use a number, 'same' or 'valid'.")
        return pair(self.padding, self.rank, "padding", least=0) * 2

    def _padded(self, at: Place, x: Value, pads: list[int]) -> Value:
        mode = _PADDING_MODES.get(self.padding_mode)
        if mode is None:
            raise Refusal(f"padding_mode is {self.padding_mode!r}; torch has {', '.join(_PADDING_MODES)}.")
        return padded(at.build, x, pads, mode)


@layer
@dataclass(frozen=True)
class Conv1d(_Conv):
    """torch.nn.Conv1d on [batch, channels, length]."""

    rank = 1


@layer
@dataclass(frozen=True)
class Conv2d(_Conv):
    """torch.nn.Conv2d on [batch, channels, height, width]."""

    rank = 2


@dataclass(frozen=True)
class _ConvTranspose(Weighted):
    """Base of transposed convolutions."""

    stride: Size = 1
    padding: Size = 0
    output_padding: Size = 0
    dilation: Size = 1
    groups: int = 1

    rank: ClassVar[int] = 1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the convolution."""
        weight = at.get("weight", *[None] * (self.rank + 2))
        bias = at.maybe("bias", weight.shape[1] * self.groups)
        return at.build.op(
            "ConvTranspose",
            inputs[0],
            at.build.constant(weight, "weight"),
            ABSENT if bias is None else at.build.constant(bias, "bias"),
            kernel_shape=list(weight.shape[2:]),
            strides=pair(self.stride, self.rank, "stride"),
            pads=pair(self.padding, self.rank, "padding", least=0) * 2,
            output_padding=pair(self.output_padding, self.rank, "output_padding", least=0),
            dilations=pair(self.dilation, self.rank, "dilation"),
            group=self.groups,
        )


@layer
@dataclass(frozen=True)
class ConvTranspose1d(_ConvTranspose):
    """torch.nn.ConvTranspose1d on [batch, channels, length]."""

    rank = 1


@layer
@dataclass(frozen=True)
class ConvTranspose2d(_ConvTranspose):
    """torch.nn.ConvTranspose2d on [batch, channels, height, width]."""

    rank = 2


@dataclass(frozen=True)
class _BatchNorm(Weighted):
    """Base of batch normalisation by the running mean and variance."""

    eps: float = 1e-5

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the normalisation."""
        mean = at.get("running_mean", None)
        size = mean.shape[0]
        names = {"weight": np.ones(size, np.float32), "bias": np.zeros(size, np.float32)}
        scale, shift = (_or(at.maybe(name, size), default) for name, default in names.items())
        variance = at.get("running_var", size)
        parts = [("weight", scale), ("bias", shift), ("mean", mean), ("variance", variance)]
        constants = [at.build.constant(array, name) for name, array in parts]
        return at.build.op("BatchNormalization", inputs[0], *constants, epsilon=self.eps)


@layer
@dataclass(frozen=True)
class BatchNorm1d(_BatchNorm):
    """torch.nn.BatchNorm1d in evaluation: channels are axis 1."""


@layer
@dataclass(frozen=True)
class BatchNorm2d(_BatchNorm):
    """torch.nn.BatchNorm2d in evaluation: channels are axis 1."""


@layer
@dataclass(frozen=True)
class LayerNorm(Weighted):
    """torch.nn.LayerNorm over the last axes, as many as its weight has."""

    eps: float = 1e-5

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the normalisation."""
        weight = at.get("weight")
        bias = at.maybe("bias", *weight.shape)
        return at.build.op(
            "LayerNormalization",
            inputs[0],
            at.build.constant(weight, "weight"),
            ABSENT if bias is None else at.build.constant(bias, "bias"),
            axis=-weight.ndim,
            epsilon=self.eps,
        )


@layer
@dataclass(frozen=True)
class GroupNorm(Weighted):
    """torch.nn.GroupNorm: channels are axis 1, cut into groups; `num_groups` must be given."""

    num_groups: Optional[int] = None
    eps: float = 1e-5

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the normalisation."""
        if self.num_groups is None:
            raise Refusal("num_groups is missing. The weights do not tell it: give that of the module.")
        weight = at.get("weight", None)
        bias = at.get("bias", weight.shape[0])
        constants = [at.build.constant(weight, "weight"), at.build.constant(bias, "bias")]
        return at.build.op("GroupNormalization", inputs[0], *constants, num_groups=self.num_groups, epsilon=self.eps)


@layer
@dataclass(frozen=True)
class PReLU(Weighted):
    """torch.nn.PReLU: one slope, or one for each channel, which are axis 1; these need the `rank` of its input."""

    rank: Optional[int] = None

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the activation."""
        slope = at.get("weight", None)
        if slope.size > 1:
            if self.rank is None:
                raise Refusal("rank is missing: with more than one slope, give the number of dims of its input.")
            if self.rank < 2:
                raise Refusal(f"rank is {self.rank}; an input with channels has 2 or more dims.")
            slope = slope.reshape(-1, *[1] * (self.rank - 2))
        return at.build.op("PRelu", inputs[0], at.build.constant(slope, "weight"))


def _or(array: Optional[Array], otherwise: Array) -> Array:
    return otherwise if array is None else array
