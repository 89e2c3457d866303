"""Recurrent layers of torch as ops: gates permuted, directions side by side, states cut and joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np

from ..builder import Builder
from ..gates import GATES, reorder
from ..graph import ABSENT, Array, Attribute, Value

_ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


@dataclass(frozen=True)
class Rows:
    """A matrix of integers with a scale for each row.

    Attributes
    ----------
    integers : numpy.ndarray
        int8.
    scales : numpy.ndarray
        float32, as many as rows.
    """

    integers: Array
    scales: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the shape of the matrix."""
        return self.integers.shape


Matrix = Union[Array, Rows]


@dataclass(frozen=True)
class Cell:
    """The weights of one direction of one layer, in torch's order of gates.

    Attributes
    ----------
    input, hidden : numpy.ndarray or Rows
        ``weight_ih`` and ``weight_hh``.
    biases : tuple of numpy.ndarray, optional
        ``bias_ih`` and ``bias_hh``.
    projection : numpy.ndarray, optional
        ``weight_hr``.
    """

    input: Matrix
    hidden: Matrix
    biases: Optional[tuple[Array, Array]] = None
    projection: Optional[Array] = None


@dataclass(frozen=True)
class Outputs:
    """What a stack of layers gives, as torch shapes it.

    Attributes
    ----------
    y : Value
        h of the last layer at every step.
    h : Value
        The last h of every layer and direction.
    c : Value
        Likewise, of LSTM; else ABSENT.
    """

    y: Value
    h: Value
    c: Value = ABSENT


def stack(
    build: Builder,
    kind: str,
    x: Value,
    layers: Sequence[Sequence[Cell]],
    *,
    batch_first: bool = False,
    nonlinearity: str = "tanh",
    h: Value = ABSENT,
    c: Value = ABSENT,
) -> Outputs:
    """Add recurrent layers on top of one another.

    Parameters
    ----------
    build : Builder
        Where.
    kind : {"LSTM", "GRU", "RNN"}
        The cell.
    x : Value
        [time, batch, features], or [batch, time, features].
    layers : sequence of sequence of Cell
        Of each layer one cell, or two: forward and backward.
    batch_first : bool, default False
        Which of the two x is.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        Of RNN.
    h, c : Value, optional
        The states at the beginning, [layers * directions, batch, hidden]; zeros where left out.

    Returns
    -------
    Outputs
        With y as x is laid out, and the states as h and c are.
    """
    hs: list[Value] = []
    cs: list[Value] = []
    for number, cells in enumerate(layers):
        states = [_own_state(build, state, number, len(layers), len(cells), batch_first) for state in (h, c)]
        x, *last = _layer(build, kind, x, cells, batch_first, nonlinearity, states)
        for kept, state in zip((hs, cs), last):
            kept.append(build.transpose(state, 1, 0, 2) if batch_first else state)
    return Outputs(x, _joined(build, hs), _joined(build, cs) if cs else ABSENT)


def _own_state(build: Builder, state: Value, number: int, layers: int, directions: int, batch_first: bool) -> Value:
    """Cut the state of one layer out of that of all."""
    if state == ABSENT:
        return ABSENT
    if layers > 1:
        state = build.slice(state, 0, number * directions, (number + 1) * directions)
    return build.transpose(state, 1, 0, 2) if batch_first else state


def _joined(build: Builder, states: list[Value]) -> Value:
    return states[0] if len(states) == 1 else build.op("Concat", *states, axis=0)


def _layer(
    build: Builder,
    kind: str,
    x: Value,
    cells: Sequence[Cell],
    batch_first: bool,
    nonlinearity: str,
    states: list[Value],
) -> list[Value]:
    w, w_scale = _matrix(build, kind, [cell.input for cell in cells], "W")
    r, r_scale = _matrix(build, kind, [cell.hidden for cell in cells], "R")
    inputs = [x, w, r, _biases(build, kind, cells), ABSENT, *states, ABSENT, w_scale, r_scale]
    if cells[0].projection is not None:
        inputs.append(build.constant(np.stack([_of(cell.projection) for cell in cells]), "projection"))
    attributes = _attributes(kind, cells, batch_first, nonlinearity)
    if w_scale != ABSENT:
        attributes["activation_bits"] = 8
    y, *last = build.ops(kind, inputs, 3 if kind == "LSTM" else 2, **attributes)
    directions_axis = 2 if batch_first else 1
    if len(cells) == 1:
        return [build.squeeze(y, directions_axis), *last]
    if not batch_first:  # [T, D, B, H]
        y = build.transpose(y, 0, 2, 1, 3)
    return [build.reshape(y, (0, 0, -1)), *last]


def _of(array: Optional[Array]) -> Array:
    assert array is not None  # the directions of a layer are alike
    return array


def _attributes(kind: str, cells: Sequence[Cell], batch_first: bool, nonlinearity: str) -> dict[str, Attribute]:
    activations = ["Relu"] if nonlinearity == "relu" else _ACTIVATIONS[kind]
    count = len(activations) * len(cells)
    attributes: dict[str, Attribute] = {
        "direction": "bidirectional" if len(cells) == 2 else "forward",
        "hidden_size": cells[0].hidden.shape[0] // GATES[kind],
        "clip": 0.0,
        "layout": int(batch_first),
        "activations": activations * len(cells),
        "activation_alpha": [0.0] * count,
        "activation_beta": [0.0] * count,
    }
    if kind == "LSTM":
        attributes["input_forget"] = 0
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    return attributes


def _matrix(build: Builder, kind: str, matrices: list[Matrix], name: str) -> tuple[Value, Value]:
    """Add the matrices of all directions, and their scales if they have such."""
    integers = [matrix for matrix in matrices if isinstance(matrix, Rows)]
    plain = [matrix for matrix in matrices if not isinstance(matrix, Rows)]
    if plain:
        return build.constant(np.stack([reorder("torch", kind, each) for each in plain]), name), ABSENT
    values = np.stack([reorder("torch", kind, each.integers) for each in integers])
    scales = np.stack([reorder("torch", kind, each.scales) for each in integers])
    return build.constant(values, name), build.constant(scales, f"{name}.scale")


def _biases(build: Builder, kind: str, cells: Sequence[Cell]) -> Value:
    if cells[0].biases is None:
        return ABSENT
    both = [[reorder("torch", kind, bias) for bias in cell.biases or ()] for cell in cells]
    return build.constant(np.stack([np.concatenate(each) for each in both]), "B")
