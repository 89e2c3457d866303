"""Makes the number of steps free: a model built for a fixed number is read for any, unless a layer needs the number.

Whether a layer needs it is found by reading the model three times: as declared, with a free number, and for another
number of steps and a batch of known size, where every shape that follows from the weights contradicts a wrong number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph import Graph, Port, Source
from ..problems import Problems, Refusal
from ..registry import converter_version
from .files import KerasFile
from .layer import Dims
from .model import Importer

_STEPS = 1  # the axis
_MOST_GROUPS = 4
_BATCH = 97  # of the trial: no model has a dim of this size by chance
_Shapes = Mapping[str, Dims]


def import_model(file: KerasFile, custom_layers: Mapping[str, Any]) -> Graph:
    """Make a graph of a model, with the number of steps free if its layers allow any.

    Raises
    ------
    UnsupportedModelError
        If parts of the model cannot run: all of them, in one message.
    """
    importer, problems = _read(file, custom_layers, {})
    problems.raise_if_any(file.label)
    graph = _with_free_steps(file, custom_layers, importer.graph)
    graph.drop_unused_weights()
    graph.source = Source(
        file=file.label,
        sha256=file.sha256,
        framework=f"keras {file.version_text}",
        converter=converter_version(),
    )
    return graph


def _read(file: KerasFile, custom_layers: Mapping[str, Any], shapes: _Shapes) -> tuple[Importer, Problems]:
    importer = Importer(file, custom_layers, shapes)
    importer.problems.attempt("the model", importer.top)
    return importer, importer.problems


def _with_free_steps(file: KerasFile, custom_layers: Mapping[str, Any], declared: Graph) -> Graph:
    """Free the steps of all inputs together, else of those that have one number of steps, one group after the other."""
    fixed = [port for port in declared.inputs if _steps_of(port) is not None]
    numbers = sorted({_steps_of(port) or 0 for port in fixed})
    groups = [[port for port in fixed if _steps_of(port) == number] for number in numbers]
    found, reason = _freed(file, custom_layers, declared, fixed)
    if found is None and 1 < len(groups) <= _MOST_GROUPS:
        chosen: list[Port] = []
        for group in groups:
            trial, why = _freed(file, custom_layers, declared, chosen + group)
            if trial is None:
                reason = why
            else:
                found, chosen = trial, chosen + group
    graph = found or declared
    for port, before in zip(graph.inputs, declared.inputs):
        if _steps_of(port) is not None:
            name = declared.name(before)
            graph.fixed[port.value] = f"A layer needs this size: {reason}"
            graph.notes.append(f"input {name!r}: dim {_STEPS} stays {_steps_of(port)} and cannot be free: {reason}")
        port.usual = before.shape
    return graph


def _steps_of(port: Port) -> int | None:
    return port.shape[_STEPS] if port.shape is not None and len(port.shape) > _STEPS else None


def _freed(
    file: KerasFile, custom_layers: Mapping[str, Any], declared: Graph, ports: list[Port]
) -> tuple[Graph | None, str]:
    """The model with free steps of some inputs, or why that cannot be."""
    if not ports:
        return None, ""
    importer, problems = _read(file, custom_layers, _shapes(declared, ports, None))
    if not problems.found:
        longer = {number: 2 * number + 1 for number in (_steps_of(port) or 0 for port in ports)}
        trial, problems = _read(file, custom_layers, _shapes(declared, ports, longer))
        problems.attempt("the outputs", lambda: _check_rows(declared, trial.graph))
        if problems.found:
            return None, f"with {', '.join(map(str, longer.values()))} in its place, {problems.found[0]}"
    return (None, problems.found[0]) if problems.found else (importer.graph, "")


def _shapes(declared: Graph, ports: list[Port], longer: Mapping[int, int] | None) -> dict[str, Dims]:
    """Shapes of all inputs: free along the steps, or for a trial with another number of steps and a known batch."""
    shapes = {}
    for port in declared.inputs:
        dims = list(port.shape or ())
        if any(port is other for other in ports):
            dims[_STEPS] = None if longer is None else longer[dims[_STEPS] or 0]
        if longer is not None and dims and dims[0] is None:
            dims[0] = _BATCH
        shapes[declared.name(port)] = tuple(dims)
    return shapes


def _check_rows(declared: Graph, trial: Graph) -> None:
    for before, after in zip(declared.outputs, trial.outputs):
        if before.shape and after.shape and before.shape[0] is None and after.shape[0] not in (None, _BATCH):
            raise Refusal(f"{declared.name(before)!r} joins steps and rows of the batch.")
