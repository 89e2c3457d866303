"""What layers with quantised weights compute, written slowly and plainly. The cells are those of reference.py.

A product takes one row x of length K at a time: a time step's input or hidden state, a row of a matrix, the patch of
an image under a filter. What docs/numerics.md says is rounded to float32 is so here; other sums are float64.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import reference

from lstm_rt.quantize import numbers

Array = npt.NDArray[Any]

PRECISIONS = ("int8", "int8x16", "int4", "bf16")
LEAST = np.float32(1e-30)  # rows that reach no further are zeros


def quantized_row(x: Array, steps: int, centred: bool = True) -> tuple[Array, np.float32, np.float32]:
    """A row as whole numbers from -steps to steps, what one step is worth, and what 0 stands for. NaN if not finite."""
    x = np.asarray(x, np.float32)
    half = np.float32(0.5)
    if not np.isfinite(x).all():
        return np.zeros(x.shape), np.float32(np.nan), np.float32(0)
    above, below = max(x.max(initial=0), np.float32(0)), max(-x.min(initial=0), np.float32(0))
    middle = half * above - half * below if centred else np.float32(0)
    reach = max(above - middle, below + middle)
    if reach < LEAST:
        return np.zeros(x.shape), np.float32(0), np.float32(0)
    inverse = np.float32(steps) / reach
    return np.rint((x - middle) * inverse).astype(np.float64), reach / np.float32(steps), middle


@dataclasses.dataclass(frozen=True)
class Rows:
    """Quantised weights as rows of k. `rows @ x` is what each row's product with x adds to its sum."""

    precision: str
    k: int
    values: Array  # float64 numbers; whole but for bf16. [..., N, K], for int4 [..., N, blocks, 32]
    scales: Array  # float32. int4: [..., N, blocks]; else [..., N], which bf16 does not use

    @classmethod
    def of(cls, weights: Array, precision: str) -> Rows:
        weights = np.ascontiguousarray(weights, np.float32)
        k = weights.shape[-1]
        if precision == "bf16":
            wide = numbers.from_bfloat16(numbers.bfloat16(weights))
            return cls(precision, k, wide.astype(np.float64), np.zeros(weights.shape[:-1], np.float32))
        if precision == "int4":
            steps, scales = numbers.split_int4(numbers.int4_blocks(weights))
            return cls(precision, k, steps.astype(np.float64), scales)
        values, scales = numbers.int8_rows(weights)
        return cls(precision, k, values.astype(np.float64), scales)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.values.shape[: -2 if self.precision == "int4" else -1], self.k)

    def reshape(self, gates: int, hidden: int, _: int) -> Rows:
        values, scales = (a.reshape(gates, hidden, *a.shape[1:]) for a in (self.values, self.scales))
        return dataclasses.replace(self, values=values, scales=scales)

    def __getitem__(self, index: Any) -> Rows:
        return dataclasses.replace(self, values=self.values[index], scales=self.scales[index])

    def __matmul__(self, x: Array) -> Array:
        product = {"bf16": self._bf16, "int8": self._int8, "int8x16": self._int8x16, "int4": self._int4}
        with np.errstate(invalid="ignore"):
            return product[self.precision](x)

    def _bf16(self, x: Array) -> Array:
        return np.asarray(self.values @ np.asarray(x, np.float32).astype(np.float64))

    def _int8(self, x: Array) -> Array:
        q, step, middle = quantized_row(x, 127)
        return self._scaled((self.values @ q).astype(np.float32), step, middle)

    def _scaled(self, sums: Array, step: np.float32, middle: np.float32) -> Array:
        around = middle * self.values.sum(-1).astype(np.float32)
        total = (sums.astype(np.float64) * step + around).astype(np.float32)
        return np.asarray(total.astype(np.float64) * self.scales)

    def _int8x16(self, x: Array) -> Array:
        q, step, middle = quantized_row(x, 127 * 256)
        high = np.rint(q / 255)
        low = q - 255 * high
        assert max(np.abs(high).max(initial=0), np.abs(low).max(initial=0)) <= 127
        sums = (self.values @ high).astype(np.float32).astype(np.float64) * 255 + (self.values @ low).astype(np.float32)
        return self._scaled(sums.astype(np.float32), step, middle)

    def _int4(self, x: Array) -> Array:
        q, step, _ = quantized_row(x, 127, centred=False)
        q = np.pad(q, (0, -len(q) % numbers.BLOCK)).reshape(-1, numbers.BLOCK)
        sums = np.zeros(self.scales.shape[:-1], np.float32)
        for block in range(len(q)):
            exact = self.values[..., block, :] @ q[block]
            sums = (exact * self.scales[..., block] + sums).astype(np.float32)
        return np.asarray(sums.astype(np.float64) * step)


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
    precision: str,
    follow: Array | None = None,
    direction: str = "forward",
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    layout: int = 0,
    **options: Any,
) -> tuple[Array, Array, Array]:
    """As `reference.recurrent`, with float weights w and r quantised here.

    follow: a Y that was computed elsewhere. Each step then starts from its h in place of this function's own: an h that
    differs in its last bit may be rounded to another whole number, and would drag all that follows along.
    """
    cell_type = reference.CELLS[kind]
    if layout:
        x = x.transpose(1, 0, 2)
        initial_h, initial_c = (None if s is None else s.transpose(1, 0, 2) for s in (initial_h, initial_c))
        follow = None if follow is None else follow.transpose(1, 2, 0, 3)
    steps, batch, _ = x.shape
    directions, hidden = r.shape[0], r.shape[2]
    functions = reference.activation_functions(
        list(activations or cell_type.functions * directions), activation_alpha, activation_beta
    )
    each = len(cell_type.functions)
    lengths = [steps] * batch if sequence_lens is None else [int(n) for n in sequence_lens]
    biases = np.zeros((directions, 2 * cell_type.gates * hidden)) if b is None else b.astype(np.float64)
    peepholes = np.zeros((directions, 3 * hidden)) if p is None else p.astype(np.float64)
    y = np.zeros((steps, directions, batch, hidden))
    y_h, y_c = np.zeros((2, directions, batch, hidden))
    for d, n in itertools.product(range(directions), range(batch)):
        quantized: Any = [Rows.of(weights[d], precision) for weights in (w, r)]
        cell = cell_type(*quantized, biases[d], peepholes[d], functions[d * each :][:each], options)
        h, c = (np.zeros(hidden) if s is None else s[d, n].astype(np.float64) for s in (initial_h, initial_c))
        order = range(lengths[n])
        for t in reversed(order) if direction == "reverse" or d == 1 else order:
            h, c = cell.step(x[t, n], h, c)
            y[t, d, n] = h
            if follow is not None:
                h = follow[t, d, n]
        y_h[d, n], y_c[d, n] = h, c
    if layout:
        return y.transpose(2, 0, 1, 3), y_h.transpose(1, 0, 2), y_c.transpose(1, 0, 2)
    return y, y_h, y_c


def matmul(x: Array, rows: Rows, start: Array | float = 0.0) -> Array:
    """x [..., K] by the weights, row for row."""
    flat = x.reshape(-1, x.shape[-1])
    product = np.stack([rows @ row for row in flat]) if len(flat) else np.zeros((0, rows.shape[0]))
    return product.reshape(*x.shape[:-1], rows.shape[0]) + start


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    precision: str,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    group: int = 1,
) -> Array:
    """ONNX Conv, each patch of each group quantised by itself. What lies in the padding is zero."""
    rank = x.ndim - 2
    strides, dilations, pads = strides or [1] * rank, dilations or [1] * rank, pads or [0] * 2 * rank
    x = np.pad(x, [(0, 0), (0, 0)] + [(pads[a], pads[rank + a]) for a in range(rank)])
    extent = [(w.shape[2 + a] - 1) * dilations[a] + 1 for a in range(rank)]
    size = [(x.shape[2 + a] - extent[a]) // strides[a] + 1 for a in range(rank)]
    channels, filters = w.shape[1], w.shape[0] // group
    rows = Rows.of(np.moveaxis(w, 1, -1).reshape(w.shape[0], -1), precision)
    y = np.zeros((x.shape[0], w.shape[0], *size))
    for g, n in itertools.product(range(group), range(x.shape[0])):
        part = x[n, g * channels : (g + 1) * channels]
        for at in itertools.product(*(range(s) for s in size)):
            window = tuple(slice(at[a] * strides[a], at[a] * strides[a] + extent[a], dilations[a]) for a in range(rank))
            patch = np.moveaxis(part[(slice(None), *window)], 0, -1).ravel()
            target: Any = (n, slice(g * filters, (g + 1) * filters), *at)
            y[target] = rows[g * filters : (g + 1) * filters] @ patch
    return y if b is None else y + b.reshape(1, -1, *[1] * rank)
