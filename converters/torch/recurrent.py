"""Recurrent layers of torch as ops: gates permuted, directions side by side, states cut and joined.

Files of weights and exported programs both come here, the ones with arrays, the others also with computed weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np

from ..builder import Builder
from ..gates import GATES, reorder
from ..graph import ABSENT, Array, Attribute, Value
from ..problems import Refusal

_ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_EXTRA: dict[str, dict[str, Attribute]] = {"LSTM": {"input_forget": 0}, "GRU": {"linear_before_reset": 1}, "RNN": {}}
_SCALES = 8  # of W, the first input of an op whose weights are integers


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


@dataclass(frozen=True)
class Computed:
    """A weight that the model computes (a weight norm, say).

    Attributes
    ----------
    value : Value
        Where it is.
    shape : tuple of int
        Its dims.
    """

    value: Value
    shape: tuple[int, ...]


Weight = Union[Array, Computed]
Matrix = Union[Weight, Rows]


@dataclass(frozen=True)
class Cell:
    """The weights of one direction of one layer, in torch's order of gates.

    Attributes
    ----------
    input, hidden : numpy.ndarray, Computed or Rows
        ``weight_ih`` and ``weight_hh``.
    biases : tuple of numpy.ndarray or Computed, optional
        ``bias_ih`` and ``bias_hh``.
    projection : numpy.ndarray or Computed, optional
        ``weight_hr``.
    """

    input: Matrix
    hidden: Matrix
    biases: Optional[tuple[Weight, Weight]] = None
    projection: Optional[Weight] = None


@dataclass(frozen=True)
class Layer:
    """One layer in the model: its weights as values that begin with directions, gates in the order of the op."""

    kind: str
    directions: int
    hidden_size: int
    w: Value
    r: Value
    b: Value
    more: tuple[Value, ...]  # scales of W and R, and the projection


# ---- Weights ----


def layer_of(build: Builder, kind: str, cells: Sequence[Cell]) -> Layer:
    """Add the weights of a layer.

    Parameters
    ----------
    build : Builder
        Where.
    kind : {"LSTM", "GRU", "RNN"}
        Of the cells.
    cells : sequence of Cell
        One, or two: forward and backward.

    Returns
    -------
    Layer
        What `stack` and `step` run, once or several times.

    Raises
    ------
    Refusal
        If the weights of the two do not fit each other.
    """
    w, w_scale = _matrix(build, kind, [cell.input for cell in cells], "W")
    r, r_scale = _matrix(build, kind, [cell.hidden for cell in cells], "R")
    b = _joined(build, "B", [[_reordered(build, kind, bias) for bias in cell.biases or ()] for cell in cells])
    projections = [[] if cell.projection is None else [cell.projection] for cell in cells]
    more = (w_scale, r_scale, _joined(build, "projection", projections))
    return Layer(kind, len(cells), cells[0].hidden.shape[0] // GATES[kind], w, r, b, more)


def _matrix(build: Builder, kind: str, matrices: list[Matrix], name: str) -> tuple[Value, Value]:
    """The matrices of all directions, and their scales if they have such."""
    plain = [each.integers if isinstance(each, Rows) else each for each in matrices]
    scales = [[reorder("torch", kind, each.scales)] if isinstance(each, Rows) else [] for each in matrices]
    weights = [[_reordered(build, kind, each)] for each in plain]
    return _joined(build, name, weights), _joined(build, f"{name}.scale", scales)


def _reordered(build: Builder, kind: str, weight: Weight) -> Weight:
    if not isinstance(weight, Computed):
        return reorder("torch", kind, weight)
    gates = build.ops("Split", [weight.value], GATES[kind], axis=0, num_outputs=GATES[kind])
    order = reorder("torch", kind, np.arange(GATES[kind]))
    return Computed(build.op("Concat", *(gates[int(gate)] for gate in order), axis=0), weight.shape)


def _joined(build: Builder, name: str, directions: Sequence[Sequence[Weight]]) -> Value:
    """One value of what each direction has, its parts one after another; ABSENT where they have none."""
    parts = [part for direction in directions for part in direction]
    if not parts:
        return ABSENT
    if len({len(direction) for direction in directions}) > 1 or len({part.shape for part in parts}) > 1:
        shapes = ", ".join(str(list(part.shape)) for part in parts)
        raise Refusal(f"its weights {name}, of shapes {shapes}, do not fit each other. The model is damaged.")
    first, *rest = parts[0].shape
    shape = [len(directions), len(directions[0]) * first, *rest]
    arrays = [part for part in parts if not isinstance(part, Computed)]
    if len(arrays) == len(parts):
        return build.constant(np.concatenate(arrays).reshape(shape), name)
    values = [part.value if isinstance(part, Computed) else build.constant(part, name) for part in parts]
    return build.reshape(build.op("Concat", *values, axis=0), shape)


# ---- Ops ----


def stack(
    build: Builder,
    x: Value,
    layers: Sequence[Layer],
    states: Sequence[Value] = (),
    *,
    nonlinearity: str = "tanh",
    batch_first: bool = False,
    lengths: Value = ABSENT,
) -> list[Value]:
    """Run layers on top of one another.

    Parameters
    ----------
    build : Builder
        Where.
    x : Value
        [time, batch, features], or [batch, time, features].
    layers : sequence of Layer
        Of one kind.
    states : sequence of Value, optional
        h, and c of LSTM, at the beginning: [layers * directions, batch, hidden]; zeros where left out.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        Of RNN.
    batch_first : bool, default False
        How x is laid out.
    lengths : Value, optional
        int32, the steps of each row that count; all where left out.

    Returns
    -------
    list of Value
        h of the last layer at every step, as x is laid out; then the last h and, of LSTM, c, as states are.
    """
    lasts: list[list[Value]] = []
    for number, layer in enumerate(layers):
        firsts = [_of_layer(build, state, number, len(layers), layer.directions, batch_first) for state in states]
        y, *ends = _run(build, layer, x, firsts, nonlinearity, batch_first, lengths)
        x = _merged(build, y, layer.directions, batch_first)
        lasts.append([build.transpose(end, 1, 0, 2) if batch_first else end for end in ends])
    return [x, *(ends[0] if len(ends) == 1 else build.op("Concat", *ends, axis=0) for ends in zip(*lasts))]


def step(
    build: Builder, x: Value, layer: Layer, states: Sequence[Value] = (), *, nonlinearity: str = "tanh"
) -> list[Value]:
    """Run a layer of one direction for one step.

    Parameters
    ----------
    build : Builder
        Where.
    x : Value
        [batch, features].
    layer : Layer
        The cell.
    states : sequence of Value, optional
        h, and c of LSTM, before: [batch, hidden]; zeros where left out.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        Of RNN.

    Returns
    -------
    list of Value
        The states after.
    """
    firsts = [state if state == ABSENT else build.unsqueeze(state, 0) for state in states]
    _, *ends = _run(build, layer, build.unsqueeze(x, 0), firsts, nonlinearity)
    return [build.squeeze(end, 0) for end in ends]


def _run(
    build: Builder,
    layer: Layer,
    x: Value,
    states: list[Value],
    nonlinearity: str,
    batch_first: bool = False,
    lengths: Value = ABSENT,
) -> list[Value]:
    """Add the op of one layer: its Y, Y_h and, of LSTM, Y_c. States begin with directions, or batch first."""
    inputs = [x, layer.w, layer.r, layer.b, lengths, *states]
    inputs += [ABSENT] * (_SCALES - len(inputs))
    activations = ["Relu"] if nonlinearity == "relu" else _ACTIVATIONS[layer.kind]
    attributes = dict(_EXTRA[layer.kind])
    if layer.more[0] != ABSENT:
        attributes["activation_bits"] = 8
    return build.ops(
        layer.kind,
        [*inputs, *layer.more],
        3 if layer.kind == "LSTM" else 2,
        direction="bidirectional" if layer.directions == 2 else "forward",
        hidden_size=layer.hidden_size,
        clip=0.0,
        layout=int(batch_first),
        activations=activations * layer.directions,
        activation_alpha=[0.0] * (len(activations) * layer.directions),
        activation_beta=[0.0] * (len(activations) * layer.directions),
        **attributes,
    )


def _of_layer(build: Builder, state: Value, number: int, layers: int, directions: int, batch_first: bool) -> Value:
    """Cut the state of one layer out of that of all."""
    if state == ABSENT:
        return ABSENT
    if layers > 1:
        state = build.slice(state, 0, number * directions, (number + 1) * directions)
    return build.transpose(state, 1, 0, 2) if batch_first else state


def _merged(build: Builder, y: Value, directions: int, batch_first: bool) -> Value:
    """Y, [time, directions, batch, units] or [batch, time, directions, units], with directions side by side."""
    if directions == 1:
        return build.squeeze(y, 2 if batch_first else 1)
    return build.reshape(y if batch_first else build.transpose(y, 0, 2, 1, 3), [0, 0, -1])
