"""What the recurrent operators compute, written slowly and plainly: one function per cell, one loop per time step.

The equations are those of ONNX LSTM-22, GRU-22 and RNN-22. test_reference.py checks this file against onnxruntime,
the ONNX reference evaluator and torch; every other test trusts it.

Dimension letters: B batch, T steps, I inputs, H hidden units, D directions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]

# Which of alpha and beta an activation uses, with the defaults of the ONNX operator of that name (None: it has none).
ALPHA: dict[str, float | None] = {
    "Affine": None,
    "LeakyRelu": 0.01,
    "ThresholdedRelu": 1.0,
    "ScaledTanh": None,
    "HardSigmoid": 0.2,
    "Elu": 1.0,
}
BETA: dict[str, float | None] = {"Affine": None, "ScaledTanh": None, "HardSigmoid": 0.5}
ACTIVATIONS = (
    "Relu",
    "Tanh",
    "Sigmoid",
    "Affine",
    "LeakyRelu",
    "ThresholdedRelu",
    "ScaledTanh",
    "HardSigmoid",
    "Elu",
    "Softsign",
    "Softplus",
)


def sigmoid(x: Array) -> Array:
    # e^-|x| never overflows.
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def activation(name: str, alpha: float = 0.0, beta: float = 0.0) -> Function:
    """One of ONNX's activation functions for recurrent operators."""
    table: dict[str, Function] = {
        "Relu": lambda x: np.maximum(x, 0),
        "Tanh": np.tanh,
        "Sigmoid": sigmoid,
        "Affine": lambda x: alpha * x + beta,
        "LeakyRelu": lambda x: np.where(x >= 0, x, alpha * x),
        "ThresholdedRelu": lambda x: np.where(x >= alpha, x, 0),
        "ScaledTanh": lambda x: alpha * np.tanh(beta * x),
        "HardSigmoid": lambda x: np.minimum(np.maximum(alpha * x + beta, 0), 1),
        "Elu": lambda x: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
        "Softsign": lambda x: x / (1 + np.abs(x)),
        "Softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    }
    function = table[name]
    return lambda x: function(x).astype(x.dtype)


def activation_functions(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None
) -> list[Function]:
    """The functions of a node: alphas and betas are consumed in order by those that use one, then come the defaults."""
    alpha, beta = iter(alphas or ()), iter(betas or ())

    def take(name: str, values: Iterator[float], defaults: dict[str, float | None]) -> float:
        if name not in defaults:
            return 0.0
        value = next(values, defaults[name])
        if value is None:
            raise ValueError(f"{name} has no default alpha or beta")
        return value

    return [activation(n, take(n, alpha, ALPHA), take(n, beta, BETA)) for n in names]


def clipped(x: Array, clip: float) -> Array:
    return np.clip(x, -clip, clip) if clip else x


class Cell:
    """One direction of one node: its weights, and a step on vectors."""

    gates: int
    functions: tuple[str, ...]

    def __init__(
        self, w: Array, r: Array, b: Array, p: Array, functions: list[Function], options: dict[str, Any]
    ) -> None:
        hidden = p.size // 3
        self.w = w.reshape(self.gates, hidden, -1)
        self.r = r.reshape(self.gates, hidden, hidden)
        self.wb, self.rb = b.reshape(2, self.gates, hidden)
        self.p = p.reshape(3, hidden)
        self.functions_of_gates = functions
        self.clip = float(options.get("clip", 0.0))
        self.options = options

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        raise NotImplementedError


class LstmCell(Cell):
    """Gates i, o, f, c; peepholes i, o, f. clip bounds what goes into f and g, not the cell before h."""

    gates = 4
    functions = ("Sigmoid", "Tanh", "Tanh")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        f, g, output = self.functions_of_gates
        i_sum, o_sum, f_sum, c_sum = self.w @ x + self.r @ h + self.wb + self.rb
        p_i, p_o, p_f = self.p
        i_gate = f(clipped(i_sum + p_i * c, self.clip))
        if self.options.get("input_forget", 0):
            f_gate = 1 - i_gate
        else:
            f_gate = f(clipped(f_sum + p_f * c, self.clip))
        candidate = g(clipped(c_sum, self.clip))
        c_new = f_gate * c + i_gate * candidate
        o_gate = f(clipped(o_sum + p_o * c_new, self.clip))  # the output gate sees the new cell
        return o_gate * output(c_new), c_new


class GruCell(Cell):
    """Gates z, r, h."""

    gates = 3
    functions = ("Sigmoid", "Tanh")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        f, g = self.functions_of_gates
        xz, xr, xh = self.w @ x + self.wb
        z = f(clipped(xz + self.r[0] @ h + self.rb[0], self.clip))
        r = f(clipped(xr + self.r[1] @ h + self.rb[1], self.clip))
        if self.options.get("linear_before_reset", 0):
            candidate = xh + r * (self.r[2] @ h + self.rb[2])
        else:
            candidate = xh + self.r[2] @ (r * h) + self.rb[2]
        n = g(clipped(candidate, self.clip))
        return (1 - z) * n + z * h, c


class RnnCell(Cell):
    gates = 1
    functions = ("Tanh",)

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        (f,) = self.functions_of_gates
        return f(clipped(self.w[0] @ x + self.r[0] @ h + self.wb[0] + self.rb[0], self.clip)), c


CELLS: dict[str, type[Cell]] = {"LSTM": LstmCell, "GRU": GruCell, "RNN": RnnCell}


def recurrent(
    kind: str,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    *,
    direction: str = "forward",
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    layout: int = 0,
    dtype: npt.DTypeLike = np.float64,
    **options: Any,
) -> tuple[Array, Array, Array]:
    """One LSTM, GRU or RNN node; inputs, attributes and outputs (Y, Y_h, Y_c) as ONNX defines them.

    Past a sequence's length Y is zero; Y_h and Y_c are the state at the length; the reverse direction starts at the
    length less one. Everything is computed in `dtype`.
    """
    cell_type = CELLS[kind]
    directions, hidden = r.shape[0], r.shape[2]
    assert directions == (2 if direction == "bidirectional" else 1)

    def cast(a: Array | None, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape, dtype) if a is None else np.asarray(a, dtype)

    x = np.asarray(x, dtype)
    if layout:
        x = x.transpose(1, 0, 2)
    steps, batch, _ = x.shape
    h0 = cast(initial_h, (batch, directions, hidden) if layout else (directions, batch, hidden))
    c0 = cast(initial_c, h0.shape)
    if layout:
        h0, c0 = h0.transpose(1, 0, 2), c0.transpose(1, 0, 2)
    biases = cast(b, (directions, 2 * cell_type.gates * hidden))
    peepholes = cast(p, (directions, 3 * hidden))
    lengths = [steps] * batch if sequence_lens is None else [int(n) for n in sequence_lens]
    names = list(activations or cell_type.functions * directions)
    functions = activation_functions(names, activation_alpha, activation_beta)
    per_direction = len(cell_type.functions)

    y = np.zeros((steps, directions, batch, hidden), dtype)
    y_h = np.zeros((directions, batch, hidden), dtype)
    y_c = np.zeros((directions, batch, hidden), dtype)
    for d, n in itertools.product(range(directions), range(batch)):
        cell = cell_type(
            np.asarray(w[d], dtype),
            np.asarray(r[d], dtype),
            biases[d],
            peepholes[d],
            functions[d * per_direction : (d + 1) * per_direction],
            options,
        )
        order = range(lengths[n])
        h, c = h0[d, n], c0[d, n]
        for t in reversed(order) if direction == "reverse" or d == 1 else order:
            h, c = cell.step(x[t, n], h, c)
            y[t, d, n] = h
        y_h[d, n], y_c[d, n] = h, c
    if layout:
        return y.transpose(2, 0, 1, 3), y_h.transpose(1, 0, 2), y_c.transpose(1, 0, 2)
    return y, y_h, y_c


def lstm(x: Array, w: Array, r: Array, *args: Any, **options: Any) -> tuple[Array, Array, Array]:
    return recurrent("LSTM", x, w, r, *args, **options)


def gru(x: Array, w: Array, r: Array, *args: Any, **options: Any) -> tuple[Array, Array]:
    return recurrent("GRU", x, w, r, *args, **options)[:2]


def rnn(x: Array, w: Array, r: Array, *args: Any, **options: Any) -> tuple[Array, Array]:
    return recurrent("RNN", x, w, r, *args, **options)[:2]


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    group: int = 1,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """ONNX Conv over any number of spatial axes: x [B, C, ...], w [M, C/group, ...], pads all begins, then all ends."""
    x, w = np.asarray(x, dtype), np.asarray(w, dtype)
    rank = x.ndim - 2
    strides, dilations, pads = strides or [1] * rank, dilations or [1] * rank, pads or [0] * 2 * rank
    x = np.pad(x, [(0, 0), (0, 0)] + [(pads[a], pads[rank + a]) for a in range(rank)])
    extent = [(w.shape[2 + a] - 1) * dilations[a] + 1 for a in range(rank)]
    size = [(x.shape[2 + a] - extent[a]) // strides[a] + 1 for a in range(rank)]
    y = np.zeros((x.shape[0], w.shape[0], *size), dtype)
    channels, filters = w.shape[1], w.shape[0] // group
    for g in range(group):
        part = x[:, g * channels : (g + 1) * channels]
        weights = w[g * filters : (g + 1) * filters]
        for at in itertools.product(*(range(n) for n in size)):
            window = tuple(slice(at[a] * strides[a], at[a] * strides[a] + extent[a], dilations[a]) for a in range(rank))
            target: Any = (slice(None), slice(g * filters, (g + 1) * filters), *at)
            source: Any = (slice(None), slice(None), *window)
            y[target] = np.tensordot(part[source], weights, axes=(range(1, rank + 2), range(1, rank + 2)))
    return y if b is None else y + np.asarray(b, dtype).reshape(1, -1, *[1] * rank)
