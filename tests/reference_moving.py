"""What pools, transposed convolutions and their like compute, in NumPy and by the most obvious loops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np
from models import Array


def places(
    start: Sequence[int], kernel: Sequence[int], dilations: Sequence[int], shape: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each place of a kernel at `start`, with the position it meets, which may be outside."""
    for place in itertools.product(*map(range, kernel)):
        yield place, tuple(s + k * d for s, k, d in zip(start, place, dilations))


def inside(position: Sequence[int], shape: Sequence[int]) -> bool:
    return all(0 <= p < n for p, n in zip(position, shape))


def pool(
    x: Array,
    kernel: Sequence[int],
    function: Callable[[Array], float],
    *,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil: bool = False,
    count_pads: bool = False,
) -> Array:
    """`function` of what each window meets; zeros of the pads are met too where `count_pads`."""
    rank, shape = len(kernel), x.shape[2:]
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    before, after = (pads or [0] * 2 * rank)[:rank], (pads or [0] * 2 * rank)[rank:]
    sizes = []
    for n, k, s, d, b, a in zip(shape, kernel, strides, dilations, before, after):
        room = n + b + a - (k - 1) * d - 1
        size = (-(-room // s) if ceil else room // s) + 1
        sizes.append(size - 1 if ceil and (size - 1) * s >= n + b else size)
    out = np.zeros((*x.shape[:2], *sizes), np.float64)
    for at in itertools.product(*map(range, sizes)):
        start = [i * s - b for i, s, b in zip(at, strides, before)]
        met = [p for _, p in places(start, kernel, dilations, shape)]
        values = [x[(slice(None), slice(None), *p)].astype(np.float64) for p in met if inside(p, shape)]
        if count_pads:
            zeros = [p for p in met if not inside(p, shape) and all(i < n + a for i, n, a in zip(p, shape, after))]
            values += [np.zeros(x.shape[:2])] * len(zeros)
        for n, c in np.ndindex(*x.shape[:2]):
            out[(n, c, *at)] = function(np.array([v[n, c] for v in values]))
    return out


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    group: int = 1,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
) -> Array:
    """Each input position adds the kernel, weighted by what stands there."""
    rank, kernel = x.ndim - 2, w.shape[2:]
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    more = output_padding or [0] * rank
    before, after = (pads or [0] * 2 * rank)[:rank], (pads or [0] * 2 * rank)[rank:]
    sizes = [
        (n - 1) * s + (k - 1) * d + 1 + m - p - q
        for n, s, k, d, m, p, q in zip(x.shape[2:], strides, kernel, dilations, more, before, after)
    ]
    filters, channels = w.shape[1], w.shape[0] // group
    out = np.zeros((x.shape[0], filters * group, *sizes), np.float64)
    for g, at in itertools.product(range(group), np.ndindex(*x.shape[2:])):
        own = slice(g * channels, (g + 1) * channels)
        start = [i * s - p for i, s, p in zip(at, strides, before)]
        for place, position in places(start, kernel, dilations, sizes):
            if inside(position, sizes):
                added = x[(slice(None), own, *at)].astype(np.float64) @ w[(own, slice(None), *place)]
                out[(slice(None), slice(g * filters, (g + 1) * filters), *position)] += added
    return out if b is None else out + b.reshape(1, -1, *[1] * rank)


def scatter_elements(data: Array, indices: Array, updates: Array, axis: int, function: Any = None) -> Array:
    """A copy of the data, updated element by element."""
    out = data.copy()
    for at in np.ndindex(*indices.shape):
        to = list(at)
        to[axis] = int(indices[at])
        old = out[tuple(to)]
        out[tuple(to)] = updates[at] if function is None else function(old, updates[at])
    return out


def scatter_nd(data: Array, indices: Array, updates: Array, function: Any = None) -> Array:
    """A copy of the data, updated block by block."""
    out = data.copy()
    for at in np.ndindex(*indices.shape[:-1]):
        to = tuple(int(i) for i in indices[at])
        out[to] = updates[at] if function is None else function(out[to], updates[at])
    return out


def gather_nd(data: Array, indices: Array, batch_dims: int) -> Array:
    """Blocks by tuples of indices, batch by batch."""
    lead = indices.shape[:-1]
    rows = [data[(*at[:batch_dims], *(int(i) for i in indices[at]))] for at in np.ndindex(*lead)]
    return np.array(rows, data.dtype).reshape(*lead, *data.shape[batch_dims + indices.shape[-1] :])
