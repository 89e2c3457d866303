"""Packed sequences, as padded tensors and lengths, while a module is exported.

Torch packs by lengths, which are data, so the shapes that come out depend on data and cannot be exported. While
`packing` holds, a PackedSequence has the padded tensor [time, batch, …] in place of its rows and the lengths in place
of its batch sizes, and recurrent layers take it through operators of our own, which give at every place that counts
what torch would. What is computed on ``packed.data`` row by row stays right; live.py compares the rest with torch.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.utils import rnn

KINDS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN, "rnn_relu": torch.nn.RNN}
_packed: list[Any] = []
_REST = "Tensor[] params, bool has_biases, int num_layers, bool bidirectional) -> (Tensor, Tensor"


# ---- Operators ----


def _run(kind: str, x: Any, lengths: Any, hx: Any, params: Any, biases: bool, layers: int, two: bool) -> Any:
    """What torch does: pack, run, unpack, with rows in the order of their lengths in between."""
    lengths = lengths.to("cpu", torch.int64)
    sorted_lengths, order = torch.sort(lengths, descending=True)
    back = torch.argsort(order)
    data, batch_sizes = torch._VF._pack_padded_sequence(x[:, order], sorted_lengths, False)
    first = [state[:, order] for state in hx] if kind == "lstm" else hx[:, order]
    layer = getattr(torch._VF, kind)
    y, *last = layer(data, batch_sizes, first, params, biases, layers, 0.0, False, two)
    y, _ = torch._VF._pad_packed_sequence(y, batch_sizes, False, 0.0, x.shape[0])
    return (y[:, back].contiguous(), *(state[:, back].contiguous() for state in last))


def _shapes(kind: str, x: Any, lengths: Any, hx: Any, params: Any, biases: bool, layers: int, two: bool) -> Any:
    states = hx if kind == "lstm" else [hx]
    y = x.new_empty((x.shape[0], x.shape[1], states[0].shape[2] * (2 if two else 1)))
    return (y, *(state.new_empty(state.shape) for state in states))


def _unpack(x: Any, lengths: Any, padding_value: float) -> Any:
    """The steps of each row past its length, of [time, batch, …], filled."""
    inside = torch.arange(x.shape[0])[:, None] < lengths[None, :]
    return torch.where(inside.reshape(inside.shape + (1,) * (x.dim() - 2)), x, padding_value)


@functools.lru_cache(maxsize=1)
def operators() -> Any:
    """Register the operators, once."""
    library: Any = torch.library.Library("lstm_rt", "FRAGMENT")
    for kind in KINDS:
        state, more = ("Tensor[] hx", ", Tensor)") if kind == "lstm" else ("Tensor hx", ")")
        name = f"packed_{kind}"
        library.define(f"{name}(Tensor input, Tensor lengths, {state}, {_REST}{more}")
        library.impl(name, functools.partial(_run, kind), "CompositeExplicitAutograd")
        torch.library.register_fake(f"lstm_rt::{name}", functools.partial(_shapes, kind), lib=library)
    library.define("unpack(Tensor input, Tensor lengths, float padding_value) -> Tensor")
    library.impl("unpack", _unpack, "CompositeExplicitAutograd")
    torch.library.register_fake("lstm_rt::unpack", lambda x, lengths, padding: x.new_empty(x.shape), lib=library)
    return library


# ---- In place of torch's functions ----


def pack(x: Any, lengths: Any, batch_first: bool) -> Any:
    """What pack_padded_sequence gives meanwhile; rows need not be in the order of their lengths."""
    lengths = torch.as_tensor(lengths, dtype=torch.int64, device="cpu")
    _packed.append(lengths)
    return rnn.PackedSequence(x.transpose(0, 1) if batch_first else x, lengths)


def unpack(sequence: Any, batch_first: bool, padding_value: float, total_length: Any) -> Any:
    """What pad_packed_sequence gives meanwhile: as many steps as were packed, not as the longest row has."""
    x, lengths = sequence.data, sequence.batch_sizes
    if total_length is not None and total_length != x.shape[0]:
        raise RuntimeError("total_length has to be the number of steps that were packed")
    y = torch.ops.lstm_rt.unpack(x, lengths, padding_value)
    return y.transpose(0, 1) if batch_first else y, lengths


def forward(layer: Any, sequence: Any, hx: Any = None) -> Any:
    """What a recurrent layer does with a sequence of ours."""
    x, lengths = sequence.data, sequence.batch_sizes
    if x.shape[2] != layer.input_size:  # which is thereby fixed
        raise RuntimeError(f"rows of {x.shape[2]} for a layer that takes {layer.input_size}")
    kind = layer.mode.lower()
    first = _first_states(layer, x) if hx is None else hx
    operator = getattr(torch.ops.lstm_rt, f"packed_{kind}")
    y, *last = operator(x, lengths, first, layer._flat_weights, layer.bias, layer.num_layers, layer.bidirectional)
    return rnn.PackedSequence(y, lengths), tuple(last) if kind == "lstm" else last[0]


def _first_states(layer: Any, x: Any) -> Any:
    cells = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes: Sequence[int] = [layer.proj_size or layer.hidden_size, layer.hidden_size]
    zeros = [x.new_zeros((cells, x.shape[1], size)) for size in sizes]
    return zeros if layer.mode == "LSTM" else zeros[0]


def _pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> Any:
    from lstm_rt.converters.torch import packing  # runs among the names of torch's module

    return packing.pack(input, lengths, batch_first)


def _pad_packed_sequence(
    sequence: Any, batch_first: bool = False, padding_value: float = 0.0, total_length: Any = None
) -> Any:
    from lstm_rt.converters.torch import packing  # runs among the names of torch's module

    return packing.unpack(sequence, batch_first, padding_value, total_length)


@contextlib.contextmanager
def packing() -> Iterator[list[Any]]:
    """Work on such sequences, and collect their lengths.

    Torch's functions get other code, so it is no matter how the module imported them.
    """
    operators()
    with contextlib.ExitStack() as stack:
        for function, ours in (
            (rnn.pack_padded_sequence, _pack_padded_sequence),
            (rnn.pad_packed_sequence, _pad_packed_sequence),
        ):
            stack.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = ours.__code__
        for layer in (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN):
            stack.callback(setattr, layer, "forward", layer.forward)
            setattr(layer, "forward", _with_packed(layer.forward))  # noqa: B010  (no method may be assigned to)
        stack.callback(_packed.clear)
        yield _packed


def _with_packed(original: Any) -> Any:
    @functools.wraps(original)
    def either(self: Any, input: Any, hx: Any = None) -> Any:
        return forward(self, input, hx) if isinstance(input, rnn.PackedSequence) else original(self, input, hx)

    return either
