"""Cells that recurrent ops do not have, written out step by step: other activations, and convolutions for products.

A state of None is all zeros: what it would be multiplied by is left out.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..graph import ABSENT, Array, Value
from .activations import activate, number, where
from .cells import Cell, OwnCell, halves
from .layer import Dims, Layer, Tensor
from .shapes import require_size
from .window import Window, channels_last, convolve, out_first, read_window, window

_MOST_STEPS = 1024
_State = Optional[Value]


def unroll(
    layer: Layer, cell: Cell | OwnCell, x: Tensor, initial: list[Value], backwards: bool
) -> tuple[Value, Value, list[Value], Dims]:
    """Write out a cell along [batch, steps, ...]: outputs, last output, last states, dims of an output."""
    steps = x.shape[1]
    if steps is None:
        layer.refuse(
            f"a cell like this ({_described(cell)}) is written out step by step, and the number of steps is free. "
            "Build the model with a fixed number of steps."
        )
    if steps > _MOST_STEPS:
        layer.refuse(f"{steps} steps are too many to write out. At most {_MOST_STEPS} are.")
    made = _steps_of(layer, cell, x)
    states: list[_State] = [made.inwards(state) for state in initial] or [None] * cell.state_count
    if made.has_output:
        states.insert(0, None)
    outputs: dict[int, Value] = {}
    for t in reversed(range(steps)) if backwards else range(steps):
        new = made.step(t, states)
        states = [_held(layer, x.mask, t, a, b, made.rank) for a, b in zip(new, states)]
        outputs[t] = _known(states[0])
    build = layer.build
    sequence = build.op("Concat", *[build.unsqueeze(made.outwards(outputs[t]), 1) for t in range(steps)], axis=1)
    lasts = [made.outwards(_known(state)) for state in states]
    return sequence, lasts[0], lasts[1:] if made.has_output else lasts, made.features


def _described(cell: Cell | OwnCell) -> str:
    if isinstance(cell, OwnCell):
        return f"{cell.kind}, of custom_layers"
    return f"{cell.kind}, activations '{cell.activation}' and '{cell.recurrent_activation}'"


def _steps_of(layer: Layer, cell: Cell | OwnCell, x: Tensor) -> _Steps:
    if isinstance(cell, OwnCell):
        return _Own(layer, cell, x)
    return _Convolved(layer, cell, x) if cell.kind.startswith("Conv") else _Dense(layer, cell, x)


def _known(state: _State) -> Value:
    assert state is not None  # there is at least one step
    return state


def _held(layer: Layer, mask: Value, t: int, new: Value, old: _State, rank: int) -> Value:
    """The new state where the step counts, else the old."""
    if mask == ABSENT:
        return new
    build = layer.build
    counts = build.slice(mask, 1, t, t + 1)
    if rank > 2:
        counts = build.unsqueeze(counts, *range(2, rank))
    return where(build, counts, new, number(build, 0.0) if old is None else old)


class _Steps:
    """How a cell takes a step; states are [batch, units] unless told otherwise."""

    rank = 2
    has_output = False  # apart from its first state
    features: Dims

    def inwards(self, state: Value) -> Value:
        """A state as Keras has it, in the form steps use."""
        return state

    def outwards(self, state: Value) -> Value:
        """A state in the form steps use, as Keras has it."""
        return state

    def step(self, t: int, states: list[_State]) -> list[Value]:
        """One step: the new states, of which the first is the output."""
        raise NotImplementedError


class _Own(_Steps):
    """A cell of the user's."""

    has_output = True

    def __init__(self, layer: Layer, cell: OwnCell, x: Tensor) -> None:
        self.layer, self.cell, self.x = layer, cell, x
        self.features = (cell.units,)
        if x.rank != 3:
            layer.refuse(f"its input has {x.rank} dims, not 3.")
        build = layer.build
        batch = build.op("Shape", x.value, start=0, end=1)
        self.zeros = [
            build.op("Expand", number(build, 0.0), build.op("Concat", batch, build.integers([size]), axis=0))
            for size in cell.state_sizes
        ]

    def step(self, t: int, states: list[_State]) -> list[Value]:
        """See `_Steps`."""
        build, cell = self.layer.build, self.cell
        frame = build.squeeze(build.slice(self.x.value, 1, t, t + 1), 1)
        before = [zero if state is None else state for state, zero in zip(states[1:], self.zeros)]
        found = cell.builder(build, dict(cell.config), list(cell.weights), [frame, *before])
        values = list(found) if isinstance(found, (list, tuple)) else [found]
        known = len(self.layer.importer.graph.values)
        if len(values) != 1 + cell.state_count or any(
            isinstance(v, bool) or not isinstance(v, int) or not 0 <= v < known for v in values
        ):
            self.layer.refuse(
                f"the builder of cell {cell.kind!r} returned {found!r}. It returns a list of Values: the output, then "
                f"{cell.state_count} new states."
            )
        return [Value(v) for v in values]


class _Dense(_Steps):
    """Cells of matrix products."""

    def __init__(self, layer: Layer, cell: Cell, x: Tensor) -> None:
        self.layer, self.cell = layer, cell
        self.features: Dims = (cell.units,)
        self.at = -1  # where gates are
        build = layer.build
        require_size(x.shape[2], int(cell.kernel.shape[0]), "the last dim of its input")
        self.bias, self.recurrent_bias = halves(cell)
        sums = build.op("MatMul", x.value, layer.constant(cell.kernel, "kernel"))
        self.sums = build.op("Add", sums, layer.constant(self.bias, "bias"))

    def input(self, t: int) -> Value:
        """What step t takes of the input: its gate sums."""
        return self.layer.build.squeeze(self.layer.build.slice(self.sums, 1, t, t + 1), 1)

    def product(self, h: Value, gates: slice) -> Value:
        """The recurrent kernel of some gates, applied to h."""
        units = self.cell.units
        part = self.cell.recurrent[:, gates.start * units : gates.stop * units]
        return self.layer.build.op("MatMul", h, self.layer.constant(part, "recurrent_kernel"))

    def step(self, t: int, states: list[_State]) -> list[Value]:
        """See `_Steps`."""
        if self.cell.kind == "RNN":
            return [self._rnn(t, states[0])]
        if self.cell.kind == "GRU":
            return [self._gru(t, states[0])]
        return self._lstm(t, states[0], states[1])

    def _rnn(self, t: int, h: _State) -> Value:
        total = self.input(t)
        return self._activate(self._plus(total, h, slice(0, 1)))

    def _lstm(self, t: int, h: _State, c: _State) -> list[Value]:
        build = self.layer.build
        total = self._plus(self.input(t), h, slice(0, 4))
        i, f, g, o = self._split(total, 4)
        new = build.op("Mul", self._gate(i), self._activate(g))
        if c is not None:
            new = build.op("Add", build.op("Mul", self._gate(f), c), new)
        return [build.op("Mul", self._gate(o), self._activate(new)), new]

    def _gru(self, t: int, h: _State) -> Value:
        build = self.layer.build
        zr, candidate = self._parts(self.input(t), 2)
        rest, candidate_bias = (self._bias(gates) for gates in (slice(0, 2), slice(2, 3)))
        zr = build.op("Add", self._plus(zr, h, slice(0, 2)), rest)
        z, r = (self._gate(part) for part in self._split(zr, 2))
        if h is None:
            total = build.op("Add", candidate, build.op("Mul", r, candidate_bias))
        elif self.cell.reset_after:
            inner = build.op("Add", self.product(h, slice(2, 3)), candidate_bias)
            total = build.op("Add", candidate, build.op("Mul", r, inner))
        else:
            total = build.op("Add", candidate, self.product(build.op("Mul", r, h), slice(2, 3)))
        new = self._activate(total)
        new = build.op("Sub", new, build.op("Mul", z, new))
        return new if h is None else build.op("Add", build.op("Mul", z, h), new)

    def _plus(self, total: Value, h: _State, gates: slice) -> Value:
        return total if h is None else self.layer.build.op("Add", total, self.product(h, gates))

    def _bias(self, gates: slice) -> Value:
        units = self.cell.units
        part: Array = self.recurrent_bias[gates.start * units : gates.stop * units]
        return self.layer.constant(np.ascontiguousarray(part), "recurrent_bias")

    def _parts(self, total: Value, first: int) -> tuple[Value, Value]:
        """The first gates, and the others."""
        at, units = self.at, self.cell.units
        build = self.layer.build
        return build.slice(total, at, 0, first * units), build.slice(total, at, first * units)

    def _split(self, total: Value, count: int) -> list[Value]:
        sizes = self.layer.build.integers([self.cell.units] * count)
        return self.layer.build.ops("Split", [total, sizes], count, axis=self.at)

    def _gate(self, x: Value) -> Value:
        return activate(self.layer, x, self.cell.recurrent_activation)

    def _activate(self, x: Value) -> Value:
        return activate(self.layer, x, self.cell.activation)


class _Convolved(_Dense):
    """LSTMs of convolutions; states are [batch, units, places] between steps."""

    def __init__(self, layer: Layer, cell: Cell, x: Tensor) -> None:
        self.layer, self.cell = layer, cell
        self.at = 1
        spatial = int(cell.kind[-2])
        if x.rank != spatial + 3:
            layer.refuse(f"its input has {x.rank} dims, not {spatial + 3}.")
        self.rank = spatial + 2
        self.window: Window = read_window(layer, spatial)
        self.last = channels_last(layer)
        build = layer.build
        self.x = build.transpose(x.value, 0, 1, x.rank - 1, *range(2, x.rank - 1)) if self.last else x.value
        w = self.window
        require_size(x.shape[-1 if self.last else 2], int(cell.kernel.shape[-2]), "the channels of its input")
        sizes = x.shape[2:-1] if self.last else x.shape[3:]
        places = tuple(window(n, k, s, d, w.padding) for n, k, s, d in zip(sizes, w.kernel, w.strides, w.dilation))
        self.features = (*places, cell.units) if self.last else (cell.units, *places)

    def inwards(self, state: Value) -> Value:
        """See `_Dense`."""
        return self.layer.build.transpose(state, 0, self.rank - 1, *range(1, self.rank - 1)) if self.last else state

    def outwards(self, state: Value) -> Value:
        """See `_Dense`."""
        return self.layer.build.transpose(state, 0, *range(2, self.rank), 1) if self.last else state

    def input(self, t: int) -> Value:
        """See `_Dense`."""
        build = self.layer.build
        frame = build.squeeze(build.slice(self.x, 1, t, t + 1), 1)
        return convolve(self.layer, frame, out_first(self.cell.kernel), self.cell.bias, 1, self.window, "kernel")

    def product(self, h: Value, gates: slice) -> Value:
        """See `_Dense`."""
        spatial = self.window.spatial
        sizes = list(self.cell.recurrent.shape[:spatial])
        w = Window(spatial, sizes, [1] * spatial, [1] * spatial, "same", self.last)
        return convolve(self.layer, h, out_first(self.cell.recurrent), None, 1, w, "recurrent_kernel")
