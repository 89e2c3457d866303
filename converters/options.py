"""What a user can say about a model while it is converted: frozen inputs, fixed shapes, bindings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstm_rt.arguments import as_shape
from lstm_rt.errors import ArgumentError, ShapeError

from .bindings import find_bindings, fits
from .graph import MAX_RANK, Array, Graph, Port, Shape


@dataclass(frozen=True)
class Options:
    """The options of `lstm_rt.convert` that change the graph.

    Attributes
    ----------
    bind : mapping of str to str, optional
        Input name to the name of an output, or of a value inside, in place of the pairs that are found by name.
    freeze : mapping of str to array_like, optional
        Inputs that become weights, with their values.
    shapes : mapping of str to sequence of (int or None), optional
        Shapes of inputs, None where free. A named dim that is fixed is fixed wherever its name occurs.
    """

    bind: Mapping[str, str] | None = None
    freeze: Mapping[str, npt.ArrayLike] | None = None
    shapes: Mapping[str, Sequence[int | None]] | None = None

    def apply(self, graph: Graph) -> None:
        """Change a graph as asked.

        Parameters
        ----------
        graph : Graph
            Its inputs may lack shapes; after this call they have them.

        Raises
        ------
        ArgumentError
            If a name is not one of the graph's, or a binding cannot be.
        ShapeError
            If a shape or a frozen value contradicts what the model declares, frees a dim that the model fixes, or an
            input has no shape.
        """
        wanted = [
            (_port(graph, graph.inputs, "input", name), as_shape(dims, name, least=1, free=True))
            for name, dims in (self.shapes or {}).items()
        ]
        for port, shape in wanted:
            _require_free(graph, port, shape)
        for port, shape in wanted:
            _fix_shape(graph, port, shape)
        for name, array in (self.freeze or {}).items():
            _freeze(graph, _port(graph, graph.inputs, "input", name), array)
        _check_shapes(graph)
        _check_defaults(graph)
        if self.bind is not None:
            bind(graph, self.bind)
        elif not graph.bindings:  # the source may say what carries state
            graph.bindings = find_bindings(graph)


def _port(graph: Graph, ports: Sequence[Port], kind: str, name: str) -> Port:
    for port in ports:
        if graph.name(port) == name:
            return port
    names = ", ".join(repr(graph.name(port)) for port in ports)
    raise ArgumentError(f"The model has no {kind} {name!r}. Its {kind}s: {names or 'none'}.")


def _check_shapes(graph: Graph) -> None:
    missing = [graph.name(port) for port in graph.inputs if port.shape is None]
    if missing:
        raise ShapeError(
            f"The model does not declare the shape of {', '.join(map(repr, missing))}. "
            f"Give it: shapes={{{missing[0]!r}: (1, None, 40)}}, None where free."
        )


def _check_defaults(graph: Graph) -> None:
    """Drop defaults of zeros that do not fit a shape, as a state starts as zeros anyway; refuse others."""
    for port in graph.inputs:
        if port.default is None or port.shape is None:
            continue
        array = graph.weights[port.default]
        if len(array.shape) == len(port.shape) and all(b in (None, a) for a, b in zip(array.shape, port.shape)):
            continue
        if array.any():
            raise ShapeError(
                f"Input {graph.name(port)!r}: its default has shape {array.shape}, which does not fit {port.shape}. "
                "Leave that shape as the model declares it, or freeze the input."
            )
        port.default = None


def _fix_shape(graph: Graph, port: Port, wanted: Shape) -> None:
    if len(wanted) > MAX_RANK:
        raise ShapeError(f"Input {graph.name(port)!r}: {wanted} is no shape. Use at most {MAX_RANK} dims.")
    if port.shape is None:
        port.shape, port.dim_names = wanted, ("",) * len(wanted)
        return
    _require_fit(graph, port, wanted)
    for axis, dim in enumerate(wanted):
        if dim is not None:
            _fix_dim(graph, port, axis, dim)


def _require_free(graph: Graph, port: Port, wanted: Shape) -> None:
    """Refuse to free a dim that the model fixes: a shape that changes nothing is an error."""
    for axis, (dim, declared) in enumerate(zip(wanted, port.shape or ())):
        if dim is None and declared is not None:
            reason = graph.fixed.get(port.value, "The model declares it so.")
            raise ShapeError(
                f"Input {graph.name(port)!r}: dim {axis} is {declared} and cannot be free. {reason} "
                f"Give {declared} for it, or leave the input out of shapes."
            )


def _require_fit(graph: Graph, port: Port, shape: Shape) -> None:
    declared = port.shape or ()
    if len(declared) != len(shape) or any(a is not None and b is not None and a != b for a, b in zip(declared, shape)):
        raise ShapeError(f"Input {graph.name(port)!r}: shape {shape} was given, the model declares {declared}.")


def _fix_dim(graph: Graph, port: Port, axis: int, dim: int) -> None:
    """Fix one dim, and every other that has its name."""
    name = port.dim_names[axis] if port.dim_names else ""
    for other in graph.inputs + graph.outputs:
        if other.shape is None:
            continue
        other_names = other.dim_names or ("",) * len(other.shape)
        same = [bool(name) and n == name for n in other_names]
        if other is port:
            same[axis] = True
        for a, b in zip(other.shape, same):
            if b and a is not None and a != dim:
                raise ShapeError(f"Dim {name!r} cannot be {dim}: it was given as {a} before.")
        other.shape = tuple(dim if b else a for a, b in zip(other.shape, same))


def _freeze(graph: Graph, port: Port, given: npt.ArrayLike) -> None:
    array = _frozen_value(graph, port, given)
    if port.shape is not None:
        if array.ndim == 0 and all(dim == 1 for dim in port.shape):
            array = array.reshape((1,) * len(port.shape))
        _require_fit(graph, port, array.shape)
        for axis, dim in enumerate(array.shape):
            _fix_dim(graph, port, axis, dim)
    graph.weights[port.value] = np.require(array, requirements="C")
    graph.inputs.remove(port)


def _frozen_value(graph: Graph, port: Port, given: npt.ArrayLike) -> Array:
    assert port.dtype is not None  # inputs have one
    wanted = port.dtype.numpy
    try:
        array = np.array(given)
    except (TypeError, ValueError, OverflowError) as error:  # a ragged list
        raise ShapeError(
            f"Input {graph.name(port)!r}: the frozen value is not an array of {wanted}: {error}."
        ) from error
    if np.can_cast(array.dtype, wanted, "same_kind") or array.dtype.kind == wanted.kind == "i":
        frozen = array.astype(wanted)
        if wanted.kind == "f" or np.array_equal(frozen, array):
            return frozen
    raise ShapeError(f"Input {graph.name(port)!r}: a frozen value of dtype {array.dtype} does not fit {wanted}.")


def bind(graph: Graph, pairs: Mapping[str, str]) -> None:
    """Bind inputs to the values that are their next ones.

    Parameters
    ----------
    graph : Graph
        A value inside that is bound becomes an output.
    pairs : mapping of str to str
        Input name to the name of an output, or of a value that an operation of the model computes.

    Raises
    ------
    ArgumentError
        If there is no such input or value, or their declared dtypes and shapes do not agree.
    """
    if len(set(pairs.values())) < len(pairs):
        raise ArgumentError("bind: an output is bound to two inputs.")
    graph.bindings = []
    for source, target in pairs.items():
        before = _port(graph, graph.inputs, "input", source)
        _bring_out(graph, target)
        after = _port(graph, graph.outputs, "output", target)
        undeclared = after.dtype is None or after.shape is None
        if not undeclared and not fits(before, after):
            raise ArgumentError(
                f"bind: output {target!r} {after.shape} cannot be fed to input {source!r} "
                f"{before.shape}: dtypes and shapes must agree."
            )
        graph.bindings.append((before.value, after.value))


def _bring_out(graph: Graph, name: str) -> None:
    """Make a value inside the graph an output."""
    if any(graph.name(port) == name for port in graph.outputs):
        return
    for value in (value for op in graph.main.ops for value in op.outputs):
        if value >= 0 and graph.values[value] == name:
            graph.add_output(value)
            return
