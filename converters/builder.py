"""A short way to write graphs, for converters that build what a layer means from several ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .graph import ABSENT, Attribute, Block, DType, Graph, Value


class Builder:
    """Adds ops and constants to one block of a graph, and finds names for them.

    Ops, their inputs and their attributes are those of docs/file-format.md.

    Parameters
    ----------
    graph : Graph
        What is built.
    block : Block, optional
        Where ops are added: the model itself unless told otherwise.

    Attributes
    ----------
    name : str
        What ops are called after, as `part` set it.

    Examples
    --------
    >>> build = Builder(Graph())
    >>> x = build.graph.add_input("x", DType.FLOAT32, (None, 3))
    >>> build.part("dense", "Dense")
    >>> y = build.op("Relu", build.op("MatMul", x, build.constant(np.zeros((3, 2), np.float32), "kernel")))
    >>> [op.name for op in build.graph.main.ops]
    ['dense', 'dense']
    """

    def __init__(self, graph: Graph, block: Block | None = None) -> None:
        self.graph = graph
        self.block = graph.main if block is None else block
        self.name = ""

    def part(self, name: str, kind: str) -> None:
        """Begin a part of the source model: what follows is what it becomes.

        Parameters
        ----------
        name : str
            As the source calls it (``lstm_1``).
        kind : str
            Of what kind it is there (``LSTM``).
        """
        self.name = name
        self.graph.begin_part(name, kind)

    def op(self, type: str, *inputs: Value, **attributes: Attribute) -> Value:
        """Add an op of one output.

        Parameters
        ----------
        type : str
            One of the ops of docs/file-format.md.
        *inputs : Value
            ABSENT where left out.
        **attributes : Attribute
            In the form that docs/file-format.md gives them.

        Returns
        -------
        Value
            Its output.
        """
        return self.ops(type, inputs, 1, **attributes)[0]

    def ops(self, type: str, inputs: Sequence[Value], outputs: int, **attributes: Attribute) -> list[Value]:
        """Add an op of several outputs.

        Parameters
        ----------
        type : str
            One of the ops of docs/file-format.md.
        inputs : sequence of Value
            ABSENT where left out.
        outputs : int
            How many.
        **attributes : Attribute
            In the form that docs/file-format.md gives them.

        Returns
        -------
        list of Value
            As many.
        """
        name = self.name or type
        names: list[str] = []
        for i in range(outputs):
            names.append(self.graph.unique(f"{name}:{i}" if i else name))
            self.graph.reserve(names[-1:])
        given = list(inputs)
        while given and given[-1] == ABSENT:
            given.pop()
        return self.graph.add_op(self.block, type, name, given, names, attributes)

    def constant(self, array: npt.ArrayLike, name: str = "constant", dtype: npt.DTypeLike | None = None) -> Value:
        """Add a weight, named after the part it belongs to.

        Parameters
        ----------
        array : array_like
            Its elements.
        name : str, default "constant"
            What it is there (``kernel``).
        dtype : dtype_like, optional
            Of the weight; the array's own when left out.

        Returns
        -------
        Value
            The weight.
        """
        full = f"{self.name}/{name}" if self.name else name
        return self.graph.add_weight(self.graph.unique(full), np.asarray(array, dtype))

    def integers(self, items: Any) -> Value:
        """Add a constant of int64: a shape, axes, an index.

        Parameters
        ----------
        items : int or sequence of int
            A scalar, or a list.

        Returns
        -------
        Value
            The weight.
        """
        return self.constant(items, "integers", np.int64)

    def cast(self, value: Value, dtype: DType) -> Value:
        """Convert a value to another dtype.

        Parameters
        ----------
        value : Value
            Of any dtype.
        dtype : DType
            The wanted one.

        Returns
        -------
        Value
            The converted.
        """
        return self.op("Cast", value, dtype=int(dtype))

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Give the elements of a value another shape.

        Parameters
        ----------
        value : Value
            Of any dtype.
        shape : sequence of int
            0 keeps the dim that stands there, one -1 is worked out.

        Returns
        -------
        Value
            The same elements.
        """
        return self.op("Reshape", value, self.integers(shape))

    def transpose(self, value: Value, *order: int) -> Value:
        """Put axes in another order.

        Parameters
        ----------
        value : Value
            Of any dtype.
        *order : int
            Axis `order[i]` comes to stand at i.

        Returns
        -------
        Value
            The transposed.
        """
        return self.op("Transpose", value, perm=list(order))

    def slice(self, value: Value, axis: int, start: int, end: int | None = None, step: int = 1) -> Value:
        """Take a part along one axis, as ``value[..., start:end:step, ...]`` does.

        Parameters
        ----------
        value : Value
            Of any dtype.
        axis : int
            Counted from the end where negative.
        start : int
            The first; counted from the end where negative.
        end : int, optional
            The first that is left out; None to take all.
        step : int, default 1
            Not 0; negative goes backwards.

        Returns
        -------
        Value
            The part.
        """
        last = np.iinfo(np.int64)
        stop = (last.max if step > 0 else last.min) if end is None else end
        bounds = [self.integers([item]) for item in (start, stop, axis, step)]
        return self.op("Slice", value, *bounds)

    def squeeze(self, value: Value, *axes: int) -> Value:
        """Drop axes of size 1.

        Parameters
        ----------
        value : Value
            Of any dtype.
        *axes : int
            Which.

        Returns
        -------
        Value
            The same elements.
        """
        return self.op("Squeeze", value, self.integers(axes))

    def unsqueeze(self, value: Value, *axes: int) -> Value:
        """Put in axes of size 1.

        Parameters
        ----------
        value : Value
            Of any dtype.
        *axes : int
            Where they are to stand in the result.

        Returns
        -------
        Value
            The same elements.
        """
        return self.op("Unsqueeze", value, self.integers(axes))
