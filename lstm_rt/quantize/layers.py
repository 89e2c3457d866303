"""The layers of a graph that can be quantised: where their weights are, and the form those take in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstm_rt.converters import ABSENT, Block, Graph, Op, Value

Array = npt.NDArray[Any]

LEAST_K = 8  # products of fewer terms cost next to nothing
_DEPTHWISE = 4  # filters of a group of one channel, at most
_RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Weight:
    """One weight of a layer, as rows of what products sum over.

    Attributes
    ----------
    value : Value
        Where it stands in the graph.
    input : int
        The input of the op that takes it.
    scale_input : int
        The input of the op that takes the scales of int8.
    form : tuple
        What was done to it to get rows: weights that two layers share are stored once where it is the same.
    to_rows : callable
        From the array of the graph to [..., N, K].
    from_rows : callable
        Back again, for the formats that keep the array's own shape.
    """

    value: Value
    input: int
    scale_input: int
    form: tuple[Any, ...]
    to_rows: Callable[[Array], Array]
    from_rows: Callable[[Array], Array]


@dataclass
class Layer:
    """An op that multiplies by weights.

    Attributes
    ----------
    op : Op
        The op, which `lstm_rt.quantize` changes.
    name : str
        What a user calls it: the op's name, else that of its first output.
    weights : list of Weight
        Empty where it cannot be quantised.
    stays : str
        Why it cannot, or by default is not, quantised; empty where it is.
    """

    op: Op
    name: str
    weights: list[Weight]
    stays: str = ""


def find_layers(graph: Graph) -> list[Layer]:
    """List the layers of a graph, those inside branches too.

    Parameters
    ----------
    graph : Graph
        Any graph.

    Returns
    -------
    list of Layer
        Outer blocks first. A product of two values that both depend on the data is none.
    """
    constants = _constants(graph)
    layers = []
    for op in (op for block in graph.main.walk() for op in block.ops):
        inputs = _inputs_of_weights(op)
        if not inputs or op.inputs[0] in constants or not all(op.inputs[i] in constants for i in inputs):
            continue
        layers.append(_layer(graph, op, inputs))
    return layers


def weight_inputs(graph: Graph) -> list[tuple[Op, int]]:
    """List where layers take their weights.

    Parameters
    ----------
    graph : Graph
        Any graph.

    Returns
    -------
    list of (Op, int)
        Ops and the numbers of their inputs.
    """
    ops = (op for block in graph.main.walk() for op in block.ops)
    return [(op, i) for op in ops for i in _inputs_of_weights(op)]


def _inputs_of_weights(op: Op) -> tuple[int, ...]:
    inputs = _WEIGHT_INPUTS.get(op.type, ())
    projects = op.type == "LSTM" and len(op.inputs) > _PROJECTION and op.inputs[_PROJECTION] != ABSENT
    return (*inputs, _PROJECTION) if projects else inputs


_PROJECTION = 10  # of LSTM
_WEIGHT_INPUTS = {**dict.fromkeys(_RECURRENT, (1, 2)), **dict.fromkeys(("MatMul", "Gemm", "Conv"), (1,))}


def _constants(graph: Graph) -> set[Value]:
    """The weights, and what ops make of nothing else."""
    constants = {*graph.weights, *graph.packed, ABSENT}

    def follow(block: Block) -> None:
        for op in block.ops:
            branches = [a for a in op.attributes.values() if isinstance(a, Block)]
            for branch in branches:
                follow(branch)
            if not branches and all(value in constants for value in op.inputs):
                constants.update(op.outputs)

    follow(graph.main)
    return constants


def _layer(graph: Graph, op: Op, inputs: tuple[int, ...]) -> Layer:
    names = [op.name, *(graph.values[value] for value in op.outputs if value != ABSENT), op.type]
    layer = Layer(op, next(name for name in names if name), [], _why_not(graph, op, inputs))
    if not layer.stays:
        arrays = [graph.weights[op.inputs[i]] for i in inputs]
        layer.weights = list(_weights(op, arrays))
        layer.stays = _why_not_worth_it(op, arrays, layer.weights)
    return layer


def _why_not(graph: Graph, op: Op, inputs: tuple[int, ...]) -> str:
    for i in inputs:
        array = graph.weights.get(op.inputs[i])
        if op.inputs[i] in graph.packed or (array is not None and array.dtype == np.int8):
            return "its weights are quantised already"
        if array is None:
            return "its weights are computed in the graph"
        if array.dtype != np.float32:
            return f"its weights are {array.dtype}"
        if array.size == 0:
            return "it has no weights"
        if op.type == "MatMul" and array.ndim != 2:
            return f"its weights have {array.ndim} dims, not 2"
    return ""


def _why_not_worth_it(op: Op, arrays: list[Array], weights: list[Weight]) -> str:
    if op.type == "Conv" and arrays[0].shape[1] == 1 and arrays[0].shape[0] <= _DEPTHWISE * _integer(op, "group", 1):
        return "it is depthwise"
    longest = max(weight.to_rows(array).shape[-1] for weight, array in zip(weights, arrays))
    return f"its sums have fewer than {LEAST_K} terms" if longest < LEAST_K else ""


def _weights(op: Op, arrays: list[Array]) -> Iterator[Weight]:
    if op.type in _RECURRENT:
        for i, scale_input in ((1, 8), (2, 9), (_PROJECTION, 11))[: len(arrays)]:
            yield Weight(op.inputs[i], i, scale_input, (), _same, _same)
    elif op.type == "MatMul":
        yield Weight(op.inputs[1], 1, 2, ("columns",), _transposed, _transposed)
    elif op.type == "Gemm":
        yield _gemm_weight(op)
    else:
        yield _conv_weight(op, arrays[0])


def _gemm_weight(op: Op) -> Weight:
    alpha = np.float32(_number(op, "alpha", 1.0))
    turn = _same if _integer(op, "transB", 0) else _transposed
    # The first is as MatMul's, so that the two may share.
    kind = "rows" if turn is _same else "columns"
    form = (kind,) if alpha == 1 else (kind, float(alpha))

    def scaled(array: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(turn(array) * alpha, np.float32)

    return Weight(op.inputs[1], 1, 3, form, turn if alpha == 1 else scaled, turn)


def _conv_weight(op: Op, array: Array) -> Weight:
    """Rows of a filter each, k in the order height, width, channel."""
    filters, channels, *kernel = array.shape

    def to_rows(weights: Array) -> Array:
        return np.moveaxis(weights, 1, -1).reshape(filters, -1)

    def from_rows(rows: Array) -> Array:
        return np.asarray(np.moveaxis(rows.reshape(filters, *kernel, channels), -1, 1))

    return Weight(op.inputs[1], 1, 3, ("filters",), to_rows, from_rows)


def _same(array: Array) -> Array:
    return array


def _transposed(array: Array) -> Array:
    return np.asarray(array.T)


def _integer(op: Op, name: str, otherwise: int) -> int:
    value = op.attributes.get(name, otherwise)
    assert isinstance(value, int)
    return value


def _number(op: Op, name: str, otherwise: float) -> float:
    value = op.attributes.get(name, otherwise)
    assert isinstance(value, (int, float))
    return float(value)
