"""Weights that a graph only moves about before a layer takes them, as torch's exporter writes the gates of an LSTM.

They are moved here, once, so that they can be quantised. What calculates with weights is left to the graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from lstm_rt.converters import ABSENT, Graph, Op, Value

Array = npt.NDArray[Any]


def fold_moved_weights(graph: Graph, uses: Sequence[tuple[Op, int]]) -> None:
    """Make weights of what is only moved about, and drop the ops that nothing uses then.

    Parameters
    ----------
    graph : Graph
        Changed in place.
    uses : sequence of (Op, int)
        Ops and the inputs that are to be weights.
    """
    folder = _Folder(graph)
    for op, i in uses:
        op.inputs[i] = folder.fold(op.inputs[i])
    _drop_unused(graph)


class _Folder:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._ops = {value: op for block in graph.main.walk() for op in block.ops for value in op.outputs}
        self._folded: dict[Value, Value] = {}
        self._kept: dict[tuple[Any, ...], Value] = {}  # by content: two layers may move one weight alike

    def fold(self, value: Value) -> Value:
        """The weight that a value is, where it can be told; else the value."""
        if value not in self._folded:
            array = None if value in self._graph.weights else self._array(value)
            self._folded[value] = value if array is None else self._keep(value, array)
        return self._folded[value]

    def _keep(self, value: Value, array: Array) -> Value:
        content = (array.dtype, array.shape, hashlib.sha256(array.tobytes()).digest())
        if content not in self._kept:
            self._kept[content] = self._graph.add_weight(self._graph.unique(self._graph.values[value]), array)
        return self._kept[content]

    def _array(self, value: Value) -> Array | None:
        """What a value is, without recursion: a chain of ops may be long."""
        known: dict[Value, Optional[Array]] = {ABSENT: None}
        waiting = [value]
        while waiting:
            at = waiting[-1]
            op = self._ops.get(at)
            if at in self._graph.weights or op is None or op.type not in _MOVERS:
                known[at] = self._graph.weights.get(at)
            missing = [] if at in known or op is None else [v for v in op.inputs if v not in known]
            waiting += missing
            if not missing:
                waiting.pop()
            if op is not None and at not in known and not missing:
                known[at] = _move(op, [known[v] for v in op.inputs])
        return known[value]


def _move(op: Op, inputs: list[Array | None]) -> Array | None:
    given = [array for array, value in zip(inputs, op.inputs) if value != ABSENT]
    if any(array is None for array in given):
        return None
    return _MOVERS[op.type](op, inputs)


def _axes(inputs: list[Any], at: int, otherwise: Sequence[int]) -> tuple[int, ...]:
    given = inputs[at] if len(inputs) > at else None
    return tuple(otherwise) if given is None else tuple(int(axis) for axis in given.reshape(-1))


def _unsqueeze(op: Op, inputs: list[Any]) -> Array:
    return np.asarray(np.expand_dims(inputs[0], _axes(inputs, 1, ())))


def _squeeze(op: Op, inputs: list[Any]) -> Array:
    ones = [axis for axis, dim in enumerate(inputs[0].shape) if dim == 1]
    return np.asarray(np.squeeze(inputs[0], _axes(inputs, 1, ones)))


def _transpose(op: Op, inputs: list[Any]) -> Array:
    order: Any = op.attributes.get("perm")
    return np.asarray(np.transpose(inputs[0], order))


def _concat(op: Op, inputs: list[Any]) -> Array:
    axis: Any = op.attributes["axis"]
    return np.asarray(np.concatenate(inputs, axis))


def _slice(op: Op, inputs: list[Any]) -> Array | None:
    """ONNX cuts ends off as Python does, but for steps backwards, which are left to the graph."""
    data, starts, ends = inputs[0], inputs[1], inputs[2]
    axes = _axes(inputs, 3, range(len(starts)))
    steps = _axes(inputs, 4, [1] * len(starts))
    if min(steps, default=1) < 1:
        return None
    cut = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps):
        cut[axis] = slice(int(start), int(end), step)
    return np.asarray(data[tuple(cut)])


def _identity(op: Op, inputs: list[Any]) -> Array:
    return np.asarray(inputs[0])


_MOVERS: dict[str, Callable[[Op, list[Any]], Optional[Array]]] = {
    "Concat": _concat,
    "Identity": _identity,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def _drop_unused(graph: Graph) -> None:
    """Drop ops that move what nothing uses; each that goes may leave others behind it."""
    blocks = list(graph.main.walk())
    left = -1
    while left != (left := sum(len(block.ops) for block in blocks)):
        used = {value for block in blocks for op in block.ops for value in op.inputs}
        used.update(value for block in blocks for value in block.outputs)
        for block in blocks:
            block.ops = [op for op in block.ops if op.type not in _MOVERS or used.intersection(op.outputs)]
