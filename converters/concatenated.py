"""Finds states that a model gives back as one output, concatenated or stacked, and takes as several inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .bindings import is_sized, names_match
from .graph import Graph, Op, Port, Value

# Operations that change the shape of their first input and nothing else.
_RESHAPING = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze"})


def concatenated_states(graph: Graph) -> Iterator[dict[str, str]]:
    """Find inputs that may be the parts of an output.

    The parts of an output are the operands of the Concat that makes it, seen through operations that reshape. They are
    paired with as many inputs of one shape, if no other inputs could be meant: by their names, or else in their order.

    Parameters
    ----------
    graph : Graph
        Inputs and outputs that are bound are left out.

    Yields
    ------
    dict of str to str
        Input name to the name of a value inside the graph. Whether their shapes agree must be tried.
    """
    bound = {value for pair in graph.bindings for value in pair}
    inputs = [port for port in graph.inputs if port.value not in bound]
    makers = {value: op for op in graph.main.ops for value in op.outputs}
    for output in graph.outputs:
        if output.value in bound:
            continue
        for parts in _partitions(makers, output.value):
            states = _states(inputs, output, len(parts))
            if states and len(set(parts)) == len(parts) and len(states) < len(inputs):
                yield _paired([graph.name(port) for port in states], [graph.values[part] for part in parts])


def _partitions(makers: dict[Value, Op], output: Value) -> Iterator[list[Value]]:
    """Take an output apart, one level after the other."""
    parts = [output]
    while True:
        finer = [operand for part in parts for operand in _operands(makers.get(part), part)]
        if finer == parts:
            return
        parts = finer
        if len(parts) > 1:
            yield parts


def _operands(maker: Op | None, part: Value) -> Sequence[Value]:
    if maker is None:
        return [part]
    if maker.type in _RESHAPING:
        return maker.inputs[:1]
    return maker.inputs if maker.type == "Concat" else [part]


def _states(inputs: Sequence[Port], output: Port, count: int) -> list[Port]:
    """Return the only group of `count` inputs of one shape that are as large as the output together, else nothing."""
    groups: dict[object, list[Port]] = {}
    for port in inputs:
        if is_sized(port):
            groups.setdefault((port.dtype, port.shape), []).append(port)
    found = [group for group in groups.values() if len(group) == count and _are_as_large(group, output)]
    return found[0] if len(found) == 1 else []


def _are_as_large(group: Sequence[Port], output: Port) -> bool:
    shapes = [output.shape, *(port.shape for port in group)]
    if any(shape is None or None in shape for shape in shapes):
        return True
    sizes = [math.prod(dim or 0 for dim in shape or ()) for shape in shapes]
    return sizes[0] == sum(sizes[1:])


def _paired(inputs: Sequence[str], parts: Sequence[str]) -> dict[str, str]:
    named = {name: [part for part in parts if names_match(name, part)] for name in inputs}
    by_name = {name: found[0] for name, found in named.items() if len(found) == 1}
    return by_name if len(set(by_name.values())) == len(parts) else dict(zip(inputs, parts))
