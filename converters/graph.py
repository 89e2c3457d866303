"""The graph a converter builds: ops over named values, weights as plain row-major arrays.

Every value is defined exactly once: as an input, as a weight, or as an output of one op. Ops are added in an order in
which they can run. docs/file-format.md has the form this takes in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NewType, Optional, Union

import numpy as np
import numpy.typing as npt

from lstm_rt.errors import ModelFileError

from .budget import current

Array = npt.NDArray[Any]
Shape = tuple[Optional[int], ...]  # None where free

Value = NewType("Value", int)  # an index into Graph.values
ABSENT = Value(-1)  # an optional input left out, or an output nobody wants

MAX_RANK = 8
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTES_PER_VALUE, _BYTES_PER_OP = 256, 1024  # of Python's objects


class DType(IntEnum):
    """The dtypes of values, with their codes in the file."""

    FLOAT32 = 0
    INT64 = 1
    INT32 = 2
    BOOL = 3
    UINT8 = 4
    INT8 = 5

    @property
    def numpy(self) -> np.dtype[Any]:
        """Give the NumPy dtype of the same elements.

        Returns
        -------
        numpy.dtype
            In the machine's byte order.
        """
        return np.dtype(self.name.lower())

    @classmethod
    def of(cls, dtype: npt.DTypeLike) -> DType:
        """Find the DType of a NumPy dtype.

        Parameters
        ----------
        dtype : dtype_like
            Of either byte order.

        Returns
        -------
        DType
            Its equal.

        Raises
        ------
        KeyError
            If values cannot have this dtype.

        Examples
        --------
        >>> DType.of("float32").name
        'FLOAT32'
        """
        return cls[np.dtype(dtype).name.upper()]


class PackedDType(IntEnum):
    """The dtypes that only weights of layers have, with their codes in the file. NumPy has neither."""

    BFLOAT16 = 6
    INT4 = 7


@dataclass(frozen=True)
class Packed:
    """A weight of a dtype that NumPy does not have.

    Attributes
    ----------
    dtype : PackedDType
        Of its elements.
    shape : tuple of int
        Of its elements; the last dim of an int4 weight is a multiple of 32.
    data : numpy.ndarray
        uint8, [..., bytes of the last axis], as it stands in the file.
    """

    dtype: PackedDType
    shape: tuple[int, ...]
    data: Array


@dataclass
class Block:
    """Ops that run together: the model, one branch of an If, or the body of a Loop, which alone has inputs."""

    ops: list[Op] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)

    def walk(self) -> Iterator[Block]:
        """Yield this block, then every block inside it, outer ones first."""
        waiting = [self]
        for block in waiting:
            yield block
            for op in block.ops:
                waiting += [a for a in op.attributes.values() if isinstance(a, Block)]


Attribute = Union[int, float, str, Sequence[int], Sequence[float], Sequence[str], Block]


@dataclass
class Op:
    """One operation. Its type, inputs and attributes are those of docs/file-format.md."""

    type: str
    name: str
    inputs: list[Value]
    outputs: list[Value]
    attributes: dict[str, Attribute]


@dataclass
class Port:
    """An input of the model, or what the source declared of an output."""

    value: Value
    dtype: DType | None
    shape: Shape | None  # None where the source does not say
    dim_names: tuple[str, ...] = ()  # one per dim, empty where none
    usual: Shape | None = None  # as the source declares it, for self-tests and checks, if `shape` is freer
    default: Value | None = None  # a weight: elements of an input that runs may leave out


@dataclass
class SelfTest:
    """Inputs and the exact outputs they gave, in the order of the model's inputs and outputs."""

    inputs: list[Array]
    outputs: list[Array]


@dataclass
class Source:
    """Where a model came from."""

    file: str = ""
    sha256: str = ""
    framework: str = ""
    converter: str = ""


@dataclass
class Part:
    """One part of the source model (a node, a layer, a module) and the ops it became, for reports."""

    name: str
    kind: str
    ops: list[str] = field(default_factory=list)


class Graph:
    """A model under construction.

    Examples
    --------
    >>> graph = Graph()
    >>> x = graph.add_input("x", DType.FLOAT32, (None, 3), ("batch", ""))
    >>> w = graph.add_weight("w", np.zeros((3, 2), np.float32))
    >>> (y,) = graph.add_op(graph.main, "MatMul", "dense", [x, w], ["y"])
    >>> graph.add_output(y, DType.FLOAT32, (None, 2), ("batch", ""))
    >>> graph.values
    ['x', 'w', 'y']
    """

    def __init__(self) -> None:
        self.values: list[str] = []
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self.weights: dict[Value, Array] = {}
        self.packed: dict[Value, Packed] = {}  # quantised weights
        self.main = Block()
        self.bindings: list[tuple[Value, Value]] = []
        self.selftests: list[SelfTest] = []
        self.source = Source()
        self.hints: dict[str, int | float] = {}  # how the model is meant to be streamed, as lstm_rt.hints checks them
        self.parts: list[Part] = []
        self.notes: list[str] = []  # what a converter took for granted or left out, for the report
        self.fixed: dict[Value, str] = {}  # inputs whose fixed dims cannot be free, and why
        self._names: set[str] = set()
        self._numbers: dict[str, int] = {}  # of each name, the last that `unique` tried

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names out of what `unique` gives, for values that are still to come.

        Parameters
        ----------
        names : iterable of str
            They may be taken already.
        """
        self._names.update(names)

    def unique(self, name: str) -> str:
        """Give `name`, or the first of ``name.1``, ``name.2``, … that is not taken.

        Parameters
        ----------
        name : str
            What the value is best called; may be empty.

        Returns
        -------
        str
            A name that no value has. It is not taken by this call.
        """
        name = name or "value"
        if name not in self._names:
            return name
        number = self._numbers.get(name, 1)
        while f"{name}.{number}" in self._names:
            number += 1
        self._numbers[name] = number  # names are never given back
        return f"{name}.{number}"

    def begin_part(self, name: str, kind: str) -> None:
        """Say of which part of the source model the ops are that are added from now on.

        Parameters
        ----------
        name : str
            As the source calls it (``lstm_1``).
        kind : str
            Of what kind it is there (``LSTM``).
        """
        self.parts.append(Part(name, kind))

    def add_value(self, name: str) -> Value:
        """Add a value that is to be defined by the caller.

        Parameters
        ----------
        name : str
            The caller sees to it that no other value has it.

        Returns
        -------
        Value
            The value.
        """
        current().spend(_BYTES_PER_VALUE + len(name), f"value {name[:80]!r}")
        if not name.isascii() and _SURROGATE.search(name):
            raise ModelFileError(f"value {name[:80]!a}: its name is not Unicode text. The file is damaged.")
        self._names.add(name)
        self.values.append(name)
        return Value(len(self.values) - 1)

    def add_input(self, name: str, dtype: DType, shape: Shape | None, dim_names: Sequence[str] = ()) -> Value:
        """Add an input.

        Parameters
        ----------
        name : str
            Unlike that of any other value.
        dtype : DType
            Of its elements.
        shape : tuple of (int or None), or None
            None for a free dim; None as a whole where only `Options` will tell.
        dim_names : sequence of str, optional
            One per dim, empty where none.

        Returns
        -------
        Value
            The input.
        """
        value = self.add_value(name)
        self.inputs.append(Port(value, dtype, shape, tuple(dim_names)))
        return value

    def add_weight(self, name: str, array: Array) -> Value:
        """Add a weight.

        Parameters
        ----------
        name : str
            Unlike that of any other value.
        array : numpy.ndarray
            Kept as it is where it is row-major and in the machine's byte order, else copied.

        Returns
        -------
        Value
            The weight.

        Raises
        ------
        KeyError
            If the array's dtype is not one of `DType`.
        """
        dtype = DType.of(array.dtype)
        value = self.add_value(name)
        current().spend(array.nbytes, f"weight {name[:80]!r}")
        self.weights[value] = np.require(array, dtype.numpy, "C")  # not big endian
        return value

    def add_packed(self, name: str, packed: Packed) -> Value:
        """Add a weight of a dtype that only weights have.

        Parameters
        ----------
        name : str
            Unlike that of any other value.
        packed : Packed
            Kept as it is.

        Returns
        -------
        Value
            The weight.
        """
        value = self.add_value(name)
        self.packed[value] = packed
        return value

    def add_op(
        self,
        block: Block,
        type: str,
        name: str,
        inputs: Sequence[Value],
        outputs: Sequence[str],
        attributes: Mapping[str, Attribute] | None = None,
    ) -> list[Value]:
        """Add an op at the end of a block.

        Parameters
        ----------
        block : Block
            `main`, or a block that is to be an attribute of another op.
        type : str
            One of the ops of docs/file-format.md.
        name : str
            What messages call the op.
        inputs : sequence of Value
            ABSENT where left out.
        outputs : sequence of str
            Names of the outputs, unlike those of any other value; empty for an output nobody wants.
        attributes : mapping of str to Attribute, optional
            In the form that docs/file-format.md gives them.

        Returns
        -------
        list of Value
            The outputs, ABSENT where the name was empty.
        """
        current().spend(_BYTES_PER_OP, f"op {name[:80]!r} ({type})")
        values = [self.add_value(output) if output else ABSENT for output in outputs]
        block.ops.append(Op(type, name, list(inputs), values, dict(attributes or {})))
        if self.parts:
            self.parts[-1].ops.append(type)
        return values

    def add_output(
        self,
        value: Value,
        dtype: DType | None = None,
        shape: Shape | None = None,
        dim_names: Sequence[str] = (),
    ) -> None:
        """Make a value an output of the model.

        Parameters
        ----------
        value : Value
            Of any kind.
        dtype : DType, optional
            What the source declared, if it did.
        shape : tuple of (int or None), optional
            What the source declared, if it did; None for a free dim.
        dim_names : sequence of str, optional
            One per dim, empty where none.
        """
        self.main.outputs.append(value)
        self.outputs.append(Port(value, dtype, shape, tuple(dim_names)))

    def name(self, port: Port) -> str:
        """Give the name of an input or output.

        Parameters
        ----------
        port : Port
            One of `inputs` or `outputs`.

        Returns
        -------
        str
            Its name.
        """
        return self.values[port.value]

    def drop_unused_weights(self) -> None:
        """Forget weights that no op and no output uses; values are numbered anew."""
        used = {port.value for port in self.inputs}
        used.update(port.default for port in self.inputs if port.default is not None)
        for block in self.main.walk():
            used.update(block.inputs, block.outputs)
            for op in block.ops:
                used.update(op.inputs, op.outputs)
        self._renumber([Value(i) for i in range(len(self.values)) if i in used])

    def _renumber(self, kept: list[Value]) -> None:
        number = {old: Value(new) for new, old in enumerate(kept)}
        number[ABSENT] = ABSENT
        self.values = [self.values[old] for old in kept]
        self.weights = {number[v]: array for v, array in self.weights.items() if v in number}
        self.packed = {number[v]: packed for v, packed in self.packed.items() if v in number}
        self.bindings = [(number[i], number[o]) for i, o in self.bindings]
        for port in self.inputs + self.outputs:
            port.value = number[port.value]
            port.default = None if port.default is None else number[port.default]
        for block in self.main.walk():
            block.inputs = [number[v] for v in block.inputs]
            block.outputs = [number[v] for v in block.outputs]
            for op in block.ops:
                op.inputs = [number[v] for v in op.inputs]
                op.outputs = [number[v] for v in op.outputs]
