"""Finds the initial states among the initializers that a file lists as inputs too.

From IR version 4 on, an initializer with the name of an input is a default that callers may replace. Exporters list all
weights so, which layers must know when a model is loaded; only initial states are worth giving at run time.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto

from ..bindings import names_match
from .prepare import subgraphs

_FIRST_IR_WITH_DEFAULTS = 4

# Where ops take initial states.
_STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,), "DynamicQuantizeLSTM": (5, 6)}
# Ops that may stand between an input and the layer whose state it is.
_MOVES = frozenset({"Cast", "Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile"})
_MOVES |= {"Transpose", "Unsqueeze"}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def defaults(proto: GraphProto, ir_version: int) -> set[str]:
    """Names of the initializers that are initial states which callers may give."""
    if ir_version < _FIRST_IR_WITH_DEFAULTS:
        return set()
    inputs = {info.name for info in proto.input}
    given = [tensor for tensor in proto.initializer if tensor.name in inputs and tensor.data_type in _FLOATS]
    if not given:
        return set()
    states = _state_names(proto)
    return {t.name for t in given if t.name in states or any(_pairs(t, output) for output in proto.output)}


def _pairs(tensor: TensorProto, output: ValueInfoProto) -> bool:
    """Whether an output has the name and the shape of the state after a step."""
    dims = output.type.tensor_type.shape.dim
    agree = len(dims) == len(tensor.dims) and all(d.dim_value in (0, size) for d, size in zip(dims, tensor.dims))
    return agree and names_match(tensor.name, output.name)


def _state_names(proto: GraphProto) -> set[str]:
    """Names of initial states of layers and loops. Nodes are in order, so one walk back finds all."""
    states: set[str] = set()
    for node in reversed(proto.node):
        for graph in subgraphs(node):
            states |= _state_names(graph)
        states.update(_taken_as_state(node))
        if node.op_type in _MOVES and states.intersection(node.output):
            states.update(node.input if node.op_type == "Concat" else node.input[:1])
    return states


def _taken_as_state(node: NodeProto) -> Iterator[str]:
    if node.op_type == "Loop":
        yield from node.input[2:]
    elif node.op_type == "Scan":
        scanned = next((a.i for a in node.attribute if a.name == "num_scan_inputs" and a.type == AttributeProto.INT), 0)
        yield from node.input[: max(len(node.input) - scanned, 0)]
    else:
        places = _STATES.get(node.op_type, ())
        yield from (node.input[place] for place in places if place < len(node.input))
