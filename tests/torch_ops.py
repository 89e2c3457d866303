"""What a handler of converters/torch/aten has to get right: a function of tensors and what it is tried with."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Callable

import torch
import torch.nn.functional as F  # noqa: N812  (as everybody calls it)
from torch import nn

Case = tuple[str, Callable[..., Any], tuple[torch.Tensor, ...]]


@functools.cache  # so that it is there, as a weight is, before a function is exported
def _x(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _i(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(1))


X, Y = _x(3, 4, 6), _x(3, 4, 6, seed=1)
POSITIVE = X.abs() + 0.5
IMAGE, SIGNAL = _x(2, 4, 9, 7), _x(2, 4, 13)
K = _i(9, 3, 4, 6) - 4


class Of(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


# What needs sizes that are known.
FIXED = {"unfold", "tensor_split", "adaptive_max_pool2d", "adaptive_avg_pool1d many"}


def cases() -> Iterator[Case]:
    """All of them, each with a name of its own."""
    for name, function in {**_UNARY, **_ACTIVATIONS, **_REDUCTIONS, **_SHAPES, **_CREATION}.items():
        yield name, function, (X,)
    for name, function in _POSITIVE.items():
        yield name, function, (POSITIVE,)
    for name, function in _BINARY.items():
        yield name, function, (X, Y)
    for name, function in _INTEGERS.items():
        yield name, function, (K,)
    for name, function in _IMAGES.items():
        yield name, function, (IMAGE,)
    for name, function in _SIGNALS.items():
        yield name, function, (SIGNAL,)
    yield from _OTHERS


_UNARY: dict[str, Callable[..., Any]] = {
    name: getattr(torch, name)
    for name in [
        "abs",
        "ceil",
        "cos",
        "erf",
        "exp",
        "expm1",
        "floor",
        "neg",
        "round",
        "sign",
        "sin",
        "square",
        "trunc",
        "exp2",
    ]
}
_POSITIVE = {name: getattr(torch, name) for name in ["log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal"]}
_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    name: getattr(F, name)
    for name in [
        "celu",
        "elu",
        "gelu",
        "glu",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "logsigmoid",
        "mish",
        "relu",
        "relu6",
        "rrelu",
        "selu",
        "silu",
        "softplus",
        "softshrink",
        "softsign",
        "tanhshrink",
    ]
}
_ACTIVATIONS.update(
    {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
        "elu alpha": lambda x: F.elu(x, 0.7),
        "softplus beta": lambda x: F.softplus(x, 2.5),
        "threshold": lambda x: F.threshold(x, 0.2, -3.0),
        "softmax": lambda x: F.softmax(x, 1),
        "softmin": lambda x: F.softmin(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "normalize": lambda x: F.normalize(x, dim=-1),
        "dropout": lambda x: F.dropout(x, 0.5, training=False),
    }
)
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": lambda x: x.mean(),
    "mean axes": lambda x: x.mean((0, 2), keepdim=True),
    "sum": lambda x: x.sum(-1),
    "sum all": lambda x: x.sum(),
    "prod": lambda x: x.prod(1),
    "amax": lambda x: x.amax((1, 2)),
    "amin": lambda x: x.amin(0, keepdim=True),
    "max": lambda x: x.max(),
    "max axis": lambda x: tuple(x.max(1)),
    "min axis": lambda x: x.min(-1).values,
    "argmax": lambda x: x.argmax(-1),
    "argmin all": lambda x: x.argmin(),
    "logsumexp": lambda x: x.logsumexp(1),
    "var": lambda x: x.var(-1),
    "std": lambda x: x.std((1, 2), keepdim=True),
    "var biased": lambda x: x.var(1, unbiased=False),
    "var of a free axis": lambda x: x.var(0),
    "var all": lambda x: x.var(),
    "std_mean": lambda x: torch.std_mean(x, dim=1),
    "norm": lambda x: x.norm(),
    "norm axis": lambda x: torch.linalg.vector_norm(x, dim=-1, keepdim=True),
    "norm 1": lambda x: torch.linalg.vector_norm(x, 1, dim=1),
    "norm inf": lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1),
    "any": lambda x: (x > 1).any(-1),
    "all": lambda x: (x > -1).all(),
    "cumsum": lambda x: x.cumsum(1),
    "topk": lambda x: tuple(x.topk(3)),
    "topk smallest": lambda x: tuple(x.topk(2, dim=1, largest=False)),
    "sort": lambda x: tuple(x.sort(dim=1, descending=True)),
    "argsort": lambda x: x.argsort(-1),
}
_SHAPES: dict[str, Callable[..., Any]] = {
    "view": lambda x: x.view(x.shape[0], -1),
    "reshape": lambda x: x.reshape(x.shape[0] * x.shape[1], 6),
    "flatten": lambda x: x.flatten(1),
    "unflatten": lambda x: x.unflatten(2, (2, 3)),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(-1, 0),
    "movedim": lambda x: x.movedim(0, -1),
    "mT": lambda x: x.mT,
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "squeeze all": lambda x: x[..., :1].squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "expand": lambda x: x[:, :1].expand(-1, 5, 6),
    "expand new": lambda x: x.expand(2, *x.shape),
    "expand_as": lambda x: x[:, :, :1].expand_as(x),
    "repeat": lambda x: x.repeat(2, 1, 3),
    "repeat new": lambda x: x.repeat(2, 1, 1, 2),
    "repeat_interleave": lambda x: x.repeat_interleave(3, dim=1),
    "cat": lambda x: torch.cat([x, x + 1], 1),
    "stack": lambda x: torch.stack([x, -x], -1),
    "chunk": lambda x: x.chunk(3, -1)[2],
    "chunk free": lambda x: x.chunk(2, 1),
    "split": lambda x: x.split(2, -1)[1:],
    "split sizes": lambda x: x.split([1, 5], -1),
    "unbind": lambda x: x.unbind(-1)[2:4],
    "select": lambda x: x[:, -1] + x[:, 0],
    "slice": lambda x: x[:, 1:-1, ::2],
    "slice by size": lambda x: x[:, x.shape[1] // 2 :],
    "half down": lambda x: x[:, : -(-x.shape[1] // 2)],
    "narrow": lambda x: x.narrow(-1, 2, 3),
    "flip": lambda x: x.flip(0, 2),
    "roll": lambda x: x.roll(2, -1),
    "roll free": lambda x: x.roll(1, 1),
    "roll flat": lambda x: x.roll(-4),
    "roll around": lambda x: x.roll((-7, 9), (1, 0)),
    "roll around flat": lambda x: x.roll(1000),
    "tensor_split": lambda x: x.tensor_split(3, 1),
    "unfold": lambda x: x.unfold(2, 3, 2),
    "tril": lambda x: x.tril(),
    "triu": lambda x: x.triu(1),
    "index_select": lambda x: x.index_select(-1, torch.tensor([4, 0, 0])),
    "index": lambda x: x[:, torch.tensor([1, 0])],
    "index two": lambda x: x[torch.tensor([0, 2]), torch.tensor([1, 3])],
    "view_as": lambda x: x.view(-1).view_as(x),
    "tile": lambda x: x.tile(2),
    "item assignment": lambda x: _assigned(x),
    "in place": lambda x: F.relu(x * 2, inplace=True).add_(1),
}
_CREATION: dict[str, Callable[..., Any]] = {
    "zeros": lambda x: torch.zeros(x.shape[0], 2) + x[:, 0, :2],
    "ones_like": lambda x: torch.ones_like(x) * x,
    "full": lambda x: torch.full((2, 6), 1.5) + x[:, :2],
    "full_like": lambda x: torch.full_like(x, -2.0) - x,
    "new_zeros": lambda x: torch.cat([x.new_zeros(x.shape[0], 1, 6), x], 1),
    "arange": lambda x: x + torch.arange(6),
    "arange by size": lambda x: x + torch.arange(x.shape[1])[:, None],
    "arange of floats": lambda x: x + torch.arange(0.0, 3.0, 0.5),
    "linspace": lambda x: x * torch.linspace(-1, 1, 6),
    "eye": lambda x: x @ torch.eye(6),
    "scalar by size": lambda x: x / x.shape[1],
    "constant": lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1), value=3.0),
    "crop": lambda x: F.pad(x, (-1, -2)),
    "pad reflect": lambda x: F.pad(x, (2, 1), mode="reflect"),
    "pad replicate": lambda x: F.pad(x, (2, 1), mode="replicate"),
    "pad circular": lambda x: F.pad(x, (2, 1), mode="circular"),
    "cast": lambda x: (x * 3).to(torch.int32) + 1,
    "bool": lambda x: (x > 0) & ~(x > 1) | (x < -1),
    "where number": lambda x: torch.where(x > 0, x, 2.0),
    "masked_fill": lambda x: x.masked_fill(x > 0.5, float("-inf")).softmax(-1),
    "clamp": lambda x: x.clamp(-0.5, 0.7),
    "clamp min": lambda x: x.clamp(min=0.1),
    "clamp_max": lambda x: x.clamp_max(0.1),
    "pow": lambda x: x**2 + x.abs() ** 0.5 + x**3,
    "number minus": lambda x: 2 - x,
    "number over": lambda x: 1 / (x.abs() + 1),
    "einsum": lambda x: torch.einsum("bij,bkj->bik", x, x),
    "isnan": lambda x: torch.isnan(x),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0], x[0, 1], indexing="ij")[1],
}
_BINARY: dict[str, Callable[..., Any]] = {
    name: getattr(torch, name)
    for name in [
        "add",
        "sub",
        "mul",
        "div",
        "maximum",
        "minimum",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "fmod",
        "remainder",
        "floor_divide",
    ]
}
_BINARY.update(
    {
        "add alpha": lambda x, y: torch.add(x, y, alpha=2.5),
        "broadcast": lambda x, y: x + y[:1, :, :1],
        "div floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
        "div trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
        "matmul": lambda x, y: x @ y.mT,
        "matmul vector": lambda x, y: x @ y[0, 0],
        "bmm": lambda x, y: torch.bmm(x, y.transpose(1, 2)),
        "baddbmm": lambda x, y: torch.baddbmm(x @ y.mT, x, y.mT, beta=0.5, alpha=2),
        "addmm": lambda x, y: torch.addmm(y[0, 0, :4], x[:, 0], y[0].T, alpha=0.5),
        "lerp": lambda x, y: torch.lerp(x, y, 0.3),
        "addcmul": lambda x, y: torch.addcmul(x, x, y, value=0.5),
        "where": lambda x, y: torch.where(x > y, x, y),
        "logical": lambda x, y: torch.logical_xor(x > 0, y > 0),
        "attention": lambda x, y: F.scaled_dot_product_attention(x, y, y),
        "attention causal": lambda x, y: F.scaled_dot_product_attention(x, y, y, is_causal=True),
        "attention masked": lambda x, y: F.scaled_dot_product_attention(x, y, y, attn_mask=(x @ y.mT) > -1),
        "gather": lambda x, y: x.gather(1, y.argsort(1)),
        "scatter": lambda x, y: x.scatter(1, y.argsort(1), y),
        "scatter_add": lambda x, y: x.scatter_add(1, y.argsort(1)[:, :2], y[:, :2]),
        "cosine": lambda x, y: F.cosine_similarity(x, y, dim=-1),
        "glu of two": lambda x, y: x * torch.sigmoid(y),
    }
)
_INTEGERS: dict[str, Callable[..., Any]] = {
    "embedding": lambda k: F.embedding(k + 4, _x(9, 5)),
    "one_hot": lambda k: F.one_hot(k + 4, 9),
    "integers": lambda k: (k * 3 - 1) // 2 + k % 3,
    "true division": lambda k: k / 2,
    "to float": lambda k: k.float().mean(-1),
    "compare": lambda k: k == 2,
    "compare with float": lambda k: k > 0.5,
    "mixed": lambda k: k + torch.tensor(0.5),
}
_IMAGES: dict[str, Callable[..., Any]] = {
    "conv2d": lambda x: F.conv2d(x, _x(6, 4, 3, 3), _x(6), stride=2, padding=1),
    "conv2d depthwise": lambda x: F.conv2d(x, _x(4, 1, 3, 3), groups=4, padding="same"),
    "conv2d dilated": lambda x: F.conv2d(x, _x(5, 4, 2, 3), dilation=2, padding=(1, 2)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, _x(4, 3, 3, 3), stride=2, padding=1, output_padding=1),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_pool2d ceil": lambda x: F.max_pool2d(x, 2, ceil_mode=True),
    "avg_pool2d": lambda x: F.avg_pool2d(x, (3, 2), 2, 1),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x[..., :6], (1, 4)),
    "nearest2d": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear corners": lambda x: F.interpolate(x, size=(5, 9), mode="bilinear", align_corners=True),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "batch_norm": lambda x: F.batch_norm(x, _x(4), _x(4).abs() + 0.5, _x(4), _x(4)),
    "group_norm": lambda x: F.group_norm(x, 2, _x(4), _x(4)),
    "instance_norm": lambda x: F.instance_norm(x),
}
_SIGNALS: dict[str, Callable[..., Any]] = {
    "conv1d": lambda x: F.conv1d(x, _x(6, 2, 3), groups=2),
    "conv1d same": lambda x: F.conv1d(x, _x(6, 4, 4), padding="same"),
    "conv1d unbatched": lambda x: F.conv1d(x[0], _x(6, 4, 3)),
    "conv_transpose1d": lambda x: F.conv_transpose1d(x, _x(4, 3, 5), _x(3), stride=3),
    "max_pool1d": lambda x: F.max_pool1d(x, 2),
    "avg_pool1d": lambda x: F.avg_pool1d(x, 3, 2, 1, count_include_pad=False),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x, 1),
    "adaptive_avg_pool1d many": lambda x: F.adaptive_avg_pool1d(x[..., :10], 4),
    "nearest1d": lambda x: F.interpolate(x, scale_factor=2),
    "linear1d": lambda x: F.interpolate(x, scale_factor=3, mode="linear"),
    "batch_norm 1d": lambda x: F.batch_norm(x, _x(4), _x(4).abs() + 0.5),
    "prelu": lambda x: F.prelu(x, _x(4)),
    "layer_norm": lambda x: F.layer_norm(x, (13,), _x(13), _x(13)),
    "layer_norm two axes": lambda x: F.layer_norm(x[..., :5], (4, 5)),
    "rms_norm": lambda x: F.rms_norm(x[..., :5], (5,), _x(5)),
    "linear": lambda x: F.linear(x[..., :5], _x(7, 5), _x(7)),
    "linear 2d": lambda x: F.linear(x[:, 0, :5], _x(7, 5)),
}


def _assigned(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(x)
    y[:, 1:] = x[:, :-1]
    y[:, 0] = 7
    return y


_OTHERS: list[Case] = [
    ("multi-head attention", nn.MultiheadAttention(6, 2, batch_first=True).eval(), (X, Y, Y)),
    ("transformer layer", nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).eval(), (X,)),
    ("bool attention mask", lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=m), (X, X[0, :, :4] > -1)),
    ("weight norm", nn.utils.parametrizations.weight_norm(nn.Linear(6, 3)), (X,)),
]
