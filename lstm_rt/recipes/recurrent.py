"""Recurrent layers of recipes. How many there are, of what size and in which directions, their weights say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Optional

import numpy as np

from lstm_rt.converters import Refusal, Value
from lstm_rt.converters.gates import GATES
from lstm_rt.converters.torch.packed import packed_cell
from lstm_rt.converters.torch.recurrent import Cell, layer_of, stack, step

from .layer import Place, Results, Weighted, agree, layer

_PACKED = "_all_weight_values."


@dataclass(frozen=True)
class _Recurrent(Weighted):
    """Base of stacked recurrent layers.

    Parameters
    ----------
    batch_first : bool
        Whether its input is [batch, time, features], else [time, batch, features].
    num_layers : int, optional
        Checked against the weights.
    bidirectional : bool, optional
        Checked against the weights.
    """

    batch_first: bool = False
    num_layers: Optional[int] = None
    bidirectional: Optional[bool] = None

    kind: ClassVar[str] = ""

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the layers."""
        layers = list(self._packed_layers(at) if at.has(_PACKED + "0.param") else self._layers(at))
        agree(self.num_layers, len(layers), "num_layers")
        agree(self.bidirectional, len(layers[0]) == 2, "bidirectional")
        x, *states = inputs
        made = [layer_of(at.build, self.kind, cells) for cells in layers]
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        outputs = stack(at.build, x, made, states, nonlinearity=nonlinearity, batch_first=self.batch_first)
        return dict(zip(("", "h", "c"), outputs))

    def _layers(self, at: Place) -> Iterator[list[Cell]]:
        suffixes = ["", "_reverse"] if at.has("weight_hh_l0_reverse") else [""]
        width: Optional[int] = None
        number = 0
        while number == 0 or at.has(f"weight_hh_l{number}"):
            cells = [read_cell(at, self.kind, f"_l{number}{suffix}", width) for suffix in suffixes]
            self._check(cells[0])
            yield cells
            width = outputs_of(cells[0]) * len(cells)
            number += 1

    def _packed_layers(self, at: Place) -> Iterator[list[Cell]]:
        count = len([name for name in at.weights.below(at.prefix) if name.startswith(_PACKED)])
        cells = [
            packed_cell(at.weights.packed(f"{at.prefix}{_PACKED}{i}.param"), GATES[self.kind]) for i in range(count)
        ]
        # A second cell that takes what the first takes is its other direction.
        two = self.bidirectional
        if two is None:
            width = cells[0].hidden.shape[1]
            two = count > 1 and cells[1].input.shape == cells[0].input.shape and cells[-1].input.shape[1] != width
            if count > 1 and cells[0].input.shape[1] in (width, 2 * width):
                raise Refusal("its packed weights do not say whether it is bidirectional. Say so: bidirectional=true.")
        yield from ([*cells[i : i + 1 + two]] for i in range(0, count, 1 + two))

    def _check(self, cell: Cell) -> None:
        """Compare what the options say of a layer with what its weights are."""


@layer
@dataclass(frozen=True)
class LSTM(_Recurrent):
    """torch.nn.LSTM; inputs x, or x, h and c; results also as ``name.h`` and ``name.c``."""

    proj_size: Optional[int] = None

    kind = "LSTM"
    most = 3

    def _check(self, cell: Cell) -> None:
        agree(self.proj_size, 0 if cell.projection is None else cell.projection.shape[0], "proj_size")


@layer
@dataclass(frozen=True)
class GRU(_Recurrent):
    """torch.nn.GRU; inputs x, or x and h; the last state is ``name.h``."""

    kind = "GRU"
    most = 2


@layer
@dataclass(frozen=True)
class RNN(_Recurrent):
    """torch.nn.RNN; inputs x, or x and h; the last state is ``name.h``."""

    nonlinearity: str = "tanh"

    kind = "RNN"
    most = 2

    def _check(self, cell: Cell) -> None:
        if self.nonlinearity not in ("tanh", "relu"):
            raise Refusal(f"nonlinearity is {self.nonlinearity!r}; torch has 'tanh' and 'relu'.")


@dataclass(frozen=True)
class _OneStep(Weighted):
    """Base of cells: one step, [batch, features] in and [batch, hidden] out."""

    kind: ClassVar[str] = ""

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add a sequence of one step."""
        x, *states = inputs
        made = layer_of(at.build, self.kind, [read_cell(at, self.kind, "", None)])
        h, *c = step(at.build, x, made, states, nonlinearity=getattr(self, "nonlinearity", "tanh"))
        return dict(zip(("", "h", "c"), (h, h, *c)))


@layer
@dataclass(frozen=True)
class LSTMCell(_OneStep):
    """torch.nn.LSTMCell; inputs x, or x, h and c; gives h, also as ``name.h``, and ``name.c``."""

    kind = "LSTM"
    most = 3


@layer
@dataclass(frozen=True)
class GRUCell(_OneStep):
    """torch.nn.GRUCell; inputs x, or x and h."""

    kind = "GRU"
    most = 2


@layer
@dataclass(frozen=True)
class RNNCell(_OneStep):
    """torch.nn.RNNCell; inputs x, or x and h."""

    nonlinearity: str = "tanh"

    kind = "RNN"
    most = 2


def outputs_of(cell: Cell) -> int:
    """Count the numbers of a cell's h."""
    return cell.hidden.shape[1]


def read_cell(at: Place, kind: str, suffix: str, inputs: Optional[int]) -> Cell:
    """Read the weights of one direction of one layer; names end with `suffix`, x has `inputs` features."""
    gates = GATES[kind]
    rows, width = at.get(f"weight_hh{suffix}", None, None).shape
    projects = kind == "LSTM" and at.has(f"weight_hr{suffix}")
    units = rows // gates
    if rows % gates or not units or (not projects and units != width):
        raise Refusal(
            f"weight {at.prefix}weight_hh{suffix} has the shape [{rows}, {width}]; that of {kind} is "
            f"[{gates} * hidden, hidden]. {_kind_of(rows, width, kind)}"
        )
    bias = [at.maybe(f"bias_{side}{suffix}", rows) for side in ("ih", "hh")]
    if (bias[0] is None) != (bias[1] is None):
        raise Refusal(f"it has one of bias_ih{suffix} and bias_hh{suffix}, not both. The file is damaged.")
    return Cell(
        at.get(f"weight_ih{suffix}", rows, inputs),
        at.get(f"weight_hh{suffix}", rows, width),
        None if bias[0] is None else (bias[0], np.asarray(bias[1])),
        at.get(f"weight_hr{suffix}", width, units) if projects else None,
    )


def _kind_of(rows: int, width: int, kind: str) -> str:
    fits = [other for other, gates in GATES.items() if rows == gates * width]
    return f"It fits {fits[0]}." if fits and fits != [kind] else "The file is damaged."
