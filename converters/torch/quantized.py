"""Dynamically quantised layers of torch.ao, as operators of our own while a module is exported, so that integers stay.

Torch keeps such weights in objects that cannot be exported. Here stand-ins take the layers' places in a copy of the
module; they hold the same integers and scales as buffers.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch.ao.nn.quantized import dynamic

from ..problems import Problems, Refusal

_LAYER = "Tensor[] weights, Tensor[] scales, Tensor[] biases, int num_layers, bool bidirectional, bool batch_first"


def with_stand_ins(module: Any) -> Any:
    """The module, or a copy in which stand-ins are for its quantised layers.

    Raises
    ------
    UnsupportedModelError
        If some are not quantised dynamically to int8.
    """
    places = [name for name, part in module.named_modules() if isinstance(part, _QUANTIZED)]
    if not places:
        return module
    operators()
    made = torch.nn.Sequential()
    made.add_module("module", copy.deepcopy(module))  # so that a lone layer has a place too
    problems = Problems()
    for name in places:
        problems.attempt(f"layer {name!r}", functools.partial(_replace, made, f"module.{name}".rstrip(".")))
    problems.raise_if_any(type(module).__name__)
    return made.module


_QUANTIZED = (dynamic.Linear, dynamic.LSTM, dynamic.GRU, dynamic.RNNCell, dynamic.LSTMCell, dynamic.GRUCell)


def _replace(module: Any, name: str) -> None:
    part = module.get_submodule(name)
    if isinstance(part, dynamic.Linear):
        made: Any = Linear(part)
    elif isinstance(part, (dynamic.LSTM, dynamic.GRU)):
        made = Recurrent(part)
    else:
        raise Refusal("cells that are quantised are not supported. Convert the float module with quantize='int8'.")
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, made.eval())


def _integers(weight: Any) -> tuple[Any, Any]:
    """The integers of a weight, and the scale of each row."""
    if weight is None or weight.dtype != torch.qint8:
        raise Refusal("its weights are not int8. Convert the float module with quantize='bf16' or another.")
    rows = weight.shape[0]
    if weight.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric):
        scales, zeros = weight.q_per_channel_scales().float(), weight.q_per_channel_zero_points()
    else:
        scales, zeros = torch.full((rows,), weight.q_scale()), torch.tensor(weight.q_zero_point())
    if zeros.any():
        raise Refusal("its weights have a zero point that is not 0. Quantise it anew, symmetrically.")
    return weight.int_repr().clone(), scales.clone()


class Linear(torch.nn.Module):  # type: ignore[misc]
    """For a quantised Linear."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        integers, scales = _integers(layer.weight())
        bias = layer.bias()
        self.register_buffer("weight", integers)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Any) -> Any:
        """As the layer would, in float."""
        return torch.ops.lstm_rt.quantized_linear(x, self.weight, self.scales, self.bias)


class Recurrent(torch.nn.Module):  # type: ignore[misc]
    """For a quantised LSTM or GRU."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.is_lstm = isinstance(layer, dynamic.LSTM)
        self.kept = layer.num_layers, layer.bidirectional, layer.batch_first
        self.cells, self.size = layer.num_layers * (2 if layer.bidirectional else 1), layer.hidden_size
        weights, biases = layer.get_weight(), layer.get_bias()
        for place, name in enumerate(sorted(weights, key=_order)):
            integers, scales = _integers(weights[name])
            self.register_buffer(f"weight_{place}", integers)
            self.register_buffer(f"scale_{place}", scales)
            self.register_buffer(f"bias_{place}", biases[name.replace("weight", "bias")].detach().clone())

    def forward(self, x: Any, hx: Any = None) -> Any:
        """As the layer would, in float."""
        if hx is None:
            zeros = x.new_zeros((self.cells, x.shape[0 if self.kept[2] else 1], self.size))
            hx = (zeros, zeros) if self.is_lstm else zeros
        lists = [[getattr(self, f"{kind}_{i}") for i in range(2 * self.cells)] for kind in ("weight", "scale", "bias")]
        operator = torch.ops.lstm_rt.quantized_lstm if self.is_lstm else torch.ops.lstm_rt.quantized_gru
        y, *last = operator(x, list(hx) if self.is_lstm else hx, *lists, *self.kept)
        return y, tuple(last) if self.is_lstm else last[0]


def _order(name: str) -> tuple[int, bool, bool]:
    """Of ``weight_hh_l0_reverse``: layer by layer, forward first, what meets the input first."""
    parts = name.split("_")
    return int(parts[2][1:]), len(parts) > 3, parts[1] == "hh"


# ---- Operators ----


@functools.lru_cache(maxsize=1)
def operators() -> Any:
    """Register the operators, once."""
    library: Any = torch.library.Library("lstm_rt", "FRAGMENT")
    library.define("quantized_linear(Tensor input, Tensor weight, Tensor scales, Tensor? bias) -> Tensor")
    library.define(f"quantized_lstm(Tensor input, Tensor[] hx, {_LAYER}) -> (Tensor, Tensor, Tensor)")
    library.define(f"quantized_gru(Tensor input, Tensor hx, {_LAYER}) -> (Tensor, Tensor)")
    library.impl("quantized_linear", _linear, "CompositeExplicitAutograd")
    torch.library.register_fake("lstm_rt::quantized_linear", _linear, lib=library)
    for kind in ("lstm", "gru"):
        library.impl(f"quantized_{kind}", functools.partial(_run, kind), "CompositeExplicitAutograd")
        torch.library.register_fake(f"lstm_rt::quantized_{kind}", functools.partial(_shapes, kind), lib=library)
    return library


def _linear(x: Any, weight: Any, scales: Any, bias: Any) -> Any:
    return torch.nn.functional.linear(x, weight * scales[:, None], bias)


def _run(
    kind: str, x: Any, hx: Any, weights: Any, scales: Any, biases: Any, layers: int, two: bool, batch_first: bool
) -> Any:
    params: list[Any] = []
    for i in range(0, len(weights), 2):
        params += [weights[j] * scales[j][:, None] for j in (i, i + 1)] + [biases[i], biases[i + 1]]
    return getattr(torch._VF, kind)(x, hx, params, True, layers, 0.0, False, two, batch_first)


def _shapes(kind: str, x: Any, hx: Any, weights: Any, scales: Any, biases: Any, layers: int, two: bool, _: bool) -> Any:
    if x.shape[2] != weights[0].shape[1]:  # which is thereby fixed
        raise RuntimeError(f"rows of {x.shape[2]} for a layer that takes {weights[0].shape[1]}")
    states = hx if kind == "lstm" else [hx]
    y = x.new_empty((x.shape[0], x.shape[1], states[0].shape[2] * (2 if two else 1)))
    return (y, *(state.new_empty(state.shape) for state in states))
