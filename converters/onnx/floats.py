"""Floats of other widths, which become float32 when a model is read, and the notes that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from onnx import AttributeProto, GraphProto, TensorProto, ValueInfoProto

from ..graph import Array
from ..problems import Refusal
from .prepare import all_nodes, subgraphs

# The ONNX element types that are read as float32, with their names in messages.
OTHER_FLOATS: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}

_EXACT_INTEGERS = 2.0**24  # float32 holds all integers up to here
_ALL_INTEGERS = 2.0**53  # from here on every float64 is an integer, and says nothing of what it counts


def to_float32(array: Array) -> Array:
    """The nearest float32 numbers; refuses numbers outside the range of float32."""
    wide = array.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        result = wide.astype(np.float32)
    lost = np.isinf(result) & np.isfinite(wide)
    if wide.size == 1:  # in a large weight a number this small adds nothing; alone it may be a divisor
        lost |= (result == 0) & (wide != 0)
    if lost.any():
        raise Refusal(
            f"it holds {wide[lost].flat[0]:g}, which is outside the range of float32. Export the model in float32."
        )
    return result


def inexact_integers(array: Array) -> Array | None:
    """The float64 numbers of a constant if some are integers that float32 rounds, else None."""
    if array.dtype != np.float64:
        return None
    size = np.abs(array[np.isfinite(array)])
    counts = size[(size > _EXACT_INTEGERS) & (size < _ALL_INTEGERS) & (size == np.floor(size))]
    return array if (counts.astype(np.float32) != counts).any() else None


def notes(proto: GraphProto) -> list[str]:
    """What becomes float32 in a model: its inputs and outputs, its tensors, and the arithmetic between Casts."""
    found = []
    for kind, ports in (("input", proto.input), ("output", proto.output)):
        weights = {tensor.name for tensor in proto.initializer}
        for port in ports:
            name = _name(port)
            if name and port.name not in weights:
                found.append(f"{kind} {port.name!r} is {name} in the source and float32 here.")
    tensors = Counter(OTHER_FLOATS[t.data_type] for t in _tensors(proto) if t.data_type in OTHER_FLOATS)
    found += [f"{count} tensors stored as {name} were converted to float32." for name, count in tensors.items()]
    casts = Counter(name for name in _casts(proto) if name)
    found += [
        f"{count} Cast nodes convert to {name} in the source and to float32 here: results may differ from the source's "
        f"by its rounding."
        for name, count in casts.items()
    ]
    return found


def _name(port: ValueInfoProto) -> str:
    return OTHER_FLOATS.get(port.type.tensor_type.elem_type, "")


def _tensors(proto: GraphProto) -> Iterator[TensorProto]:
    yield from proto.initializer
    for node in proto.node:
        yield from (a.t for a in node.attribute if a.type == AttributeProto.TENSOR)
        for graph in subgraphs(node):
            yield from _tensors(graph)


def _casts(proto: GraphProto) -> Iterator[str]:
    for node in all_nodes(proto.node):
        if node.op_type == "Cast":
            yield from (OTHER_FLOATS.get(a.i, "") for a in node.attribute if a.name == "to")
