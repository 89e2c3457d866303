"""Inputs made up for a model that has just been converted, to try it with: for self-tests and for checks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lstm_rt.errors import Error, ShapeError
from lstm_rt.hints import is_rate

if TYPE_CHECKING:
    from lstm_rt.converters import Graph, Port
    from lstm_rt.model import Model

Arrays = dict[str, npt.NDArray[Any]]

# Dims tried where a dim is free and does not look like a batch, values tried for inputs that choose branches or shapes
# (flags, sample rates), and the number of trials where no input does.
_FREE_DIMS = (4, 16, 64, 160, 256, 512, 576, 1024, 1)
_AUDIO_DIMS = (576, 512, 256, 160, 64, 16, 4, 1024, 1)  # a frame of sound has hundreds of samples
_CONTROL_VALUES = (0, 1, 8000, 16000)
_TRIALS = 2
_MOST_ELEMENTS = 1 << 20
_SEED = 20240607
_UNNAMED = re.compile(r"unk__\d+|\?|.*_dynamic_axes_\d+")  # names that exporters make up
_BATCH = re.compile(r"(^|_)(n|b|bs|batch|batchsize|streams?)(_|$)", re.IGNORECASE)


class Trial(NamedTuple):
    """Inputs, and the outputs that the model gave for them."""

    inputs: Arrays
    outputs: Arrays


class Trials:
    """Runs of a model on inputs that fit it.

    Parameters
    ----------
    graph : Graph
        What the model was made of.
    model : Model
        The model.

    Attributes
    ----------
    failures : list of Error
        What went wrong with shapes that did not fit.
    """

    def __init__(self, graph: Graph, model: Model) -> None:
        self.failures: list[Error] = []
        self._graph = graph
        self._model = model

    def __iter__(self) -> Iterator[Trial]:
        """Yield some runs for every value of the inputs that choose branches, each with the first sizes that fit."""
        controls = set(self._model.control_inputs)
        rates = any(map(is_rate, controls))
        for control in (_CONTROL_VALUES[::-1] if rates else _CONTROL_VALUES) if controls else (0,):
            yield from self._of_first_fit(controls, control, _AUDIO_DIMS if rates else _FREE_DIMS)

    def _of_first_fit(self, controls: set[str], control: int, sizes: tuple[int, ...]) -> list[Trial]:
        hints = self._graph.hints
        step = (int(hints["frame"] + hints.get("context", 0)),) if "frame" in hints else ()
        integers = any(port.dtype is not None and port.dtype.numpy.kind == "i" for port in self._graph.inputs)
        for largest in (1, 0) if integers else (1,):  # a table of one row takes nothing but 0
            for size in (*step, *sizes):
                make = _InputMaker(self._graph, controls, control, size, largest)
                try:
                    made = [make(i) for i in range(1 if controls else _TRIALS)]
                    return [Trial(inputs, self._model.run(inputs)) for inputs in made]
                except Error as error:
                    self.failures.append(error)
        return []


class _InputMaker:
    """Makes pseudo-random inputs, all free dims being of one size."""

    def __init__(self, graph: Graph, controls: set[str], control: int, size: int, largest: int) -> None:
        self._graph = graph
        self._states = {before for before, _ in graph.bindings}
        self._controls = controls
        self._control = control
        self._size = size
        self._largest = largest

    def __call__(self, number: int) -> Arrays:
        rng = np.random.default_rng([_SEED, number])
        elements = sum(math.prod(self._shape(port)) for port in self._graph.inputs)
        if elements > _MOST_ELEMENTS:
            raise ShapeError(f"Inputs of {elements} elements are too large to try the model with.")
        return {self._graph.name(port): self._array(port, rng) for port in self._graph.inputs}

    def _array(self, port: Port, rng: np.random.Generator) -> npt.NDArray[Any]:
        assert port.dtype is not None
        shape = self._shape(port)
        if self._graph.name(port) in self._controls:
            return np.full(shape, self._control).astype(port.dtype.numpy)
        if port.dtype.numpy.kind == "f":
            return (0.5 * rng.standard_normal(shape)).astype(port.dtype.numpy)
        return rng.integers(0, self._largest + 1, shape).astype(port.dtype.numpy)  # a flag, a token, a length

    def _shape(self, port: Port) -> list[int]:
        assert port.shape is not None
        usual = port.usual or (None,) * len(port.shape)
        known = [usual[axis] if dim is None else dim for axis, dim in enumerate(port.shape)]
        return [self._free_dim(port, axis) if dim is None else dim for axis, dim in enumerate(known)]

    def _free_dim(self, port: Port, axis: int) -> int:
        name = port.dim_names[axis] if port.dim_names else ""
        if name and not _UNNAMED.fullmatch(name):
            return 1 if _BATCH.search(name) else self._size
        first_of_many = axis == 0 and len(port.shape or ()) > 1
        return 1 if first_of_many or port.value in self._states else self._size
