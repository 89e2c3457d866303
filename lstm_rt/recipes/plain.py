"""Layers without weights: activations, pooling, shapes, and what joins branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Optional, Union

from lstm_rt.converters import Builder, Refusal, Value
from lstm_rt.converters.graph import Attribute

from .layer import Layer, Place, Results, layer
from .sizes import Size, padded, pair

# ---- Activations: one op, whose attributes are options under torch's names ----


@dataclass(frozen=True)
class _Activation(Layer):
    """Base of layers that are one op."""

    op: ClassVar[str] = ""
    attributes: ClassVar[dict[str, str]] = {}  # of the op, by the options they are
    constants: ClassVar[dict[str, Attribute]] = {}

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the op."""
        given: dict[str, Attribute] = {self.attributes[f.name]: getattr(self, f.name) for f in self._options()}
        return at.build.op(self.op, *inputs, **given, **self.constants)

    def _options(self) -> list[Any]:
        return [field for field in fields(self) if field.name in self.attributes]


@layer
@dataclass(frozen=True)
class ReLU(_Activation):
    """torch.nn.ReLU."""

    op = "Relu"


@layer
@dataclass(frozen=True)
class Sigmoid(_Activation):
    """torch.nn.Sigmoid."""

    op = "Sigmoid"


@layer
@dataclass(frozen=True)
class Tanh(_Activation):
    """torch.nn.Tanh."""

    op = "Tanh"


@layer
@dataclass(frozen=True)
class Softsign(_Activation):
    """torch.nn.Softsign."""

    op = "Softsign"


@layer
@dataclass(frozen=True)
class Mish(_Activation):
    """torch.nn.Mish."""

    op = "Mish"


@layer
@dataclass(frozen=True)
class Hardswish(_Activation):
    """torch.nn.Hardswish."""

    op = "HardSwish"


@layer
@dataclass(frozen=True)
class Hardsigmoid(_Activation):
    """torch.nn.Hardsigmoid: x/6 + 1/2, between 0 and 1."""

    op = "HardSigmoid"
    constants: ClassVar[dict[str, Attribute]] = {"alpha": 1 / 6, "beta": 0.5}


@layer
@dataclass(frozen=True)
class SELU(_Activation):
    """torch.nn.SELU."""

    op = "Selu"
    constants: ClassVar[dict[str, Attribute]] = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}


@layer
@dataclass(frozen=True)
class LeakyReLU(_Activation):
    """torch.nn.LeakyReLU."""

    negative_slope: float = 0.01

    op = "LeakyRelu"
    attributes: ClassVar[dict[str, str]] = {"negative_slope": "alpha"}


@layer
@dataclass(frozen=True)
class ELU(_Activation):
    """torch.nn.ELU."""

    alpha: float = 1.0

    op = "Elu"
    attributes: ClassVar[dict[str, str]] = {"alpha": "alpha"}


@layer
@dataclass(frozen=True)
class CELU(_Activation):
    """torch.nn.CELU."""

    alpha: float = 1.0

    op = "Celu"
    attributes: ClassVar[dict[str, str]] = {"alpha": "alpha"}


@layer
@dataclass(frozen=True)
class GELU(_Activation):
    """torch.nn.GELU; approximate is "none" or "tanh"."""

    approximate: str = "none"

    op = "Gelu"
    attributes: ClassVar[dict[str, str]] = {"approximate": "approximate"}


@layer
@dataclass(frozen=True)
class Softmax(_Activation):
    """torch.nn.Softmax."""

    dim: int = -1

    op = "Softmax"
    attributes: ClassVar[dict[str, str]] = {"dim": "axis"}


@layer
@dataclass(frozen=True)
class LogSoftmax(_Activation):
    """torch.nn.LogSoftmax."""

    dim: int = -1

    op = "LogSoftmax"
    attributes: ClassVar[dict[str, str]] = {"dim": "axis"}


@layer
@dataclass(frozen=True)
class Softplus(Layer):
    """torch.nn.Softplus; beta must be 1."""

    beta: float = 1.0

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the op."""
        if self.beta != 1.0:
            raise Refusal(f"beta is {self.beta:g}; only 1 is supported.")
        return at.build.op("Softplus", *inputs)


@layer
@dataclass(frozen=True)
class SiLU(Layer):
    """torch.nn.SiLU: x times its sigmoid."""

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the product."""
        return at.build.op("Mul", inputs[0], at.build.op("Sigmoid", inputs[0]))


@layer
@dataclass(frozen=True)
class Hardtanh(Layer):
    """torch.nn.Hardtanh: x between two bounds."""

    min_val: float = -1.0
    max_val: float = 1.0

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the bounds."""
        return _clipped(at.build, inputs[0], self.min_val, self.max_val)


@layer
@dataclass(frozen=True)
class ReLU6(Layer):
    """torch.nn.ReLU6: x between 0 and 6."""

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the bounds."""
        return _clipped(at.build, inputs[0], 0.0, 6.0)


def _clipped(build: Builder, x: Value, low: float, high: float) -> Value:
    return build.op("Clip", x, build.constant(low, "low", "float32"), build.constant(high, "high", "float32"))


@layer
@dataclass(frozen=True)
class Identity(_Activation):
    """torch.nn.Identity."""

    op = "Identity"


@layer
@dataclass(frozen=True)
class Dropout(_Activation):
    """torch.nn.Dropout and its kin, which do nothing in evaluation."""

    op = "Identity"


@layer
@dataclass(frozen=True)
class Sqrt(_Activation):
    """The square root."""

    op = "Sqrt"


@layer
@dataclass(frozen=True)
class Exp(_Activation):
    """e to the power of x."""

    op = "Exp"


# ---- Pooling ----


@dataclass(frozen=True)
class _Pool(Layer):
    """Base of pooling."""

    kernel_size: Size = 2
    stride: Optional[Size] = None
    padding: Size = 0
    ceil_mode: bool = False

    op: ClassVar[str] = ""
    rank: ClassVar[int] = 1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the op."""
        kernel = pair(self.kernel_size, self.rank, "kernel_size")
        strides = kernel if self.stride is None else pair(self.stride, self.rank, "stride")
        pads = pair(self.padding, self.rank, "padding", least=0)
        return at.build.op(
            self.op,
            inputs[0],
            kernel_shape=kernel,
            strides=strides,
            pads=pads * 2,
            ceil_mode=int(self.ceil_mode),
            **self._more(),
        )

    def _more(self) -> dict[str, Attribute]:
        return {}


@layer
@dataclass(frozen=True)
class MaxPool1d(_Pool):
    """torch.nn.MaxPool1d on [batch, channels, length]."""

    dilation: Size = 1

    op = "MaxPool"
    rank = 1

    def _more(self) -> dict[str, Attribute]:
        return {"dilations": pair(self.dilation, self.rank, "dilation")}


@layer
@dataclass(frozen=True)
class MaxPool2d(MaxPool1d):
    """torch.nn.MaxPool2d on [batch, channels, height, width]."""

    rank = 2


@layer
@dataclass(frozen=True)
class AvgPool1d(_Pool):
    """torch.nn.AvgPool1d on [batch, channels, length]."""

    count_include_pad: bool = True

    op = "AveragePool"
    rank = 1

    def _more(self) -> dict[str, Attribute]:
        return {"count_include_pad": int(self.count_include_pad)}


@layer
@dataclass(frozen=True)
class AvgPool2d(AvgPool1d):
    """torch.nn.AvgPool2d on [batch, channels, height, width]."""

    rank = 2


@layer
@dataclass(frozen=True)
class GlobalAveragePool(_Activation):
    """torch.nn.AdaptiveAvgPool1d(1) or 2d: the mean of each channel, its axes kept."""

    op = "GlobalAveragePool"


@layer
@dataclass(frozen=True)
class GlobalMaxPool(_Activation):
    """torch.nn.AdaptiveMaxPool1d(1) or 2d: the largest of each channel, its axes kept."""

    op = "GlobalMaxPool"


@layer
@dataclass(frozen=True)
class Mean(Layer):
    """x.mean(dim): the mean along axes."""

    dim: Size = -1
    keepdim: bool = False

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the mean."""
        axes = at.build.integers(_axes(self.dim))
        return at.build.op("ReduceMean", inputs[0], axes, keepdims=int(self.keepdim))


# ---- Shapes ----


@layer
@dataclass(frozen=True)
class Flatten(Layer):
    """torch.nn.Flatten: the axes from start_dim on made one; start_dim counts from the front."""

    start_dim: int = 1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the reshape."""
        if type(self.start_dim) is not int or self.start_dim < 0:
            raise Refusal(f"start_dim is {self.start_dim!r}; count it from the front.")
        return at.build.reshape(inputs[0], (*[0] * self.start_dim, -1))


@layer
@dataclass(frozen=True)
class Reshape(Layer):
    """x.reshape(shape): 0 keeps the size that stands there, one -1 is worked out."""

    shape: Sequence[int] = ()

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the reshape."""
        return at.build.reshape(inputs[0], _integers(self.shape, "shape"))


@layer
@dataclass(frozen=True)
class Permute(Layer):
    """x.permute(dims): axis dims[i] comes to stand at i."""

    dims: Sequence[int] = ()

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the transpose."""
        dims = _integers(self.dims, "dims")
        if sorted(dims) != list(range(len(dims))) or not dims:
            raise Refusal(f"dims is {dims}; every axis must come once, as in [0, 2, 1].")
        return at.build.transpose(inputs[0], *dims)


@layer
@dataclass(frozen=True)
class Squeeze(Layer):
    """x.squeeze(dim): without an axis of size 1."""

    dim: Size = -1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Drop the axes."""
        return at.build.squeeze(inputs[0], *_axes(self.dim))


@layer
@dataclass(frozen=True)
class Unsqueeze(Layer):
    """x.unsqueeze(dim): with a new axis of size 1."""

    dim: Size = -1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the axes."""
        return at.build.unsqueeze(inputs[0], *_axes(self.dim))


@layer
@dataclass(frozen=True)
class Select(Layer):
    """x.select(dim, index): one index along an axis, as the last step (-1) of a sequence."""

    dim: int = 1
    index: int = -1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the cut."""
        dim, index = _integers((self.dim, self.index), "dim and index")
        one = at.build.slice(inputs[0], dim, index, index + 1 if index != -1 else None)
        return at.build.squeeze(one, dim)


@layer
@dataclass(frozen=True)
class Slice(Layer):
    """x[..., start:end:step, ...] along an axis."""

    dim: int = 1
    start: int = 0
    end: Optional[int] = None
    step: int = 1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the cut."""
        if type(self.step) is not int or self.step < 1:
            raise Refusal(f"step is {self.step!r}; use 1 or more.")
        return at.build.slice(inputs[0], self.dim, self.start, self.end, self.step)


@layer
@dataclass(frozen=True)
class Pad(Layer):
    """torch.nn.functional.pad: pairs of begin and end, the last axis first; mode as torch names it."""

    pad: Sequence[int] = ()
    mode: str = "constant"
    value: float = 0.0

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the padding."""
        modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
        numbers = _integers(self.pad, "pad")
        if self.mode not in modes or len(numbers) % 2 or not numbers:
            raise Refusal(f"pad is {numbers} and mode {self.mode!r}; use pairs, and one of {', '.join(modes)}.")
        begins, ends = numbers[::2][::-1], numbers[1::2][::-1]
        value = self.value if self.mode == "constant" else None
        return padded(at.build, inputs[0], [*begins, *ends], modes[self.mode], value)


# ---- Branches ----


@layer
@dataclass(frozen=True)
class Concat(Layer):
    """torch.cat of its inputs along an axis."""

    dim: int = -1

    most: ClassVar[Optional[int]] = None

    def build(self, at: Place, *inputs: Value) -> Results:
        """Join the inputs."""
        return at.build.op("Concat", *inputs, axis=self.dim)


@dataclass(frozen=True)
class _Fold(Layer):
    """Base of what is done to two inputs, and then to its result and the next."""

    least = 2
    most: ClassVar[Optional[int]] = None
    op: ClassVar[str] = ""

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add one op fewer than inputs."""
        result, *others = inputs
        for other in others:
            result = at.build.op(self.op, result, other)
        return result


@layer
@dataclass(frozen=True)
class Add(_Fold):
    """The sum of its inputs, with broadcasting."""

    op = "Add"


@layer
@dataclass(frozen=True)
class Multiply(_Fold):
    """The product of its inputs, element by element, with broadcasting."""

    op = "Mul"


@layer
@dataclass(frozen=True)
class Subtract(_Fold):
    """Its first input less its second, with broadcasting."""

    op = "Sub"
    most = 2


@layer
@dataclass(frozen=True)
class MatMul(_Fold):
    """The matrix product of its two inputs."""

    op = "MatMul"
    most = 2


def _axes(dim: Size) -> list[int]:
    return [dim] if isinstance(dim, int) else _integers(dim, "dim")


def _integers(items: Union[Sequence[int], Any], what: str) -> list[int]:
    if not isinstance(items, (list, tuple)) or any(type(item) is not int for item in items):
        raise Refusal(f"{what} is {items!r}; use integers.")
    return list(items)
