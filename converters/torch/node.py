"""What a handler sees of one node of an exported program, and the list of handlers.

A handler reads a node's arguments by the names of the operator's schema and builds ops. What it does not read is not
ignored: an argument left unread is refused, for the model then means something the handler does not know of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, NoReturn, TypeVar, Union

import numpy as np

from ..builder import Builder
from ..graph import ABSENT, Array, DType, Value
from ..problems import Refusal
from .schema import Meta, Tree, dtype_of

if TYPE_CHECKING:
    from .exported import Importer

Handler = Callable[["Node"], None]
_H = TypeVar("_H", bound=Handler)
_T = TypeVar("_T")

handlers: dict[str, Handler] = {}

_MOST = 2**24

# Where a tensor lies and how it got there is nothing to us.
_OF_NO_MEANING = {
    "device",
    "dst_device",
    "generator",
    "layout",
    "memory_format",
    "non_blocking",
    "pin_memory",
    "copy",
    "cudnn_enabled",
    "_stacklevel",
}


@dataclass(frozen=True)
class Sym:
    """A number that is known when shapes are: an int64 value of shape [1]."""

    value: Value


Dim = Union[int, Sym]
Number = Union[int, float, bool, Sym]


def handler(*targets: str) -> Callable[[_H], _H]:
    """Register the handler of an operator, with or without its overload, or of several.

    Examples
    --------
    >>> @handler("aten.example", "aten.other.Tensor")
    ... def example(node):
    ...     node.give(node.build.op("Relu", node.tensor("self")))
    """

    def register(function: _H) -> _H:
        for target in targets:
            if target in handlers:
                raise ValueError(f"{target} has a handler already: {handlers[target]}")
            handlers[target] = function
        return function

    return register


def find_handler(target: str) -> Handler | None:
    """The handler of a target such as ``aten.add.Tensor``: of the overload, else of the operator."""
    return handlers.get(target) or handlers.get(target.rpartition(".")[0])


class Node:
    """One node, as its handler sees it. Every accessor refuses what is missing or of the wrong type."""

    def __init__(self, tree: Tree, importer: Importer, target: str) -> None:
        self._importer = importer
        self._arguments = {given["name"].text(): given["arg"] for given in tree["inputs"]}
        self._unread = {name for name, arg in self._arguments.items() if "as_none" not in arg} - _OF_NO_MEANING
        self._outputs = list(tree["outputs"])
        self.target = target

    @property
    def build(self) -> Builder:
        """What ops are added with."""
        return self._importer.build

    def refuse(self, what: str) -> NoReturn:
        """Say that this node cannot run: what is wrong, and what to do."""
        raise Refusal(what)

    # ---- Tensors ----

    def has(self, name: str) -> bool:
        """Whether an argument is given, and not as None."""
        return name in self._arguments and "as_none" not in self._arguments[name]

    def tensor(self, name: str) -> Value:
        """A tensor."""
        return self._importer.tensor(self._tensor_name(name))

    def optional(self, name: str) -> Value:
        """A tensor, or ABSENT."""
        self._unread.discard(name)
        return self.tensor(name) if self._present(name) else ABSENT

    def tensors(self, name: str) -> list[Value]:
        """A list of tensors."""
        return [self._importer.tensor(item) for item in self._tensor_names(name)]

    def optional_tensors(self, name: str) -> list[Value]:
        """A list of tensors, ABSENT where None."""
        tag, tree = self._argument(name)
        if tag == "as_tensors":
            return self.tensors(name)
        if tag != "as_optional_tensors":
            raise tree.damaged("is not a list of tensors")
        return [
            self._importer.tensor(item["as_tensor"]["name"].text()) if "as_tensor" in item else ABSENT for item in tree
        ]

    def meta(self, name: str) -> Meta:
        """What is said of a tensor."""
        return self._importer.meta(self._tensor_name(name))

    def metas(self, name: str) -> list[Meta]:
        """What is said of each of a list of tensors."""
        return [self._importer.meta(item) for item in self._tensor_names(name)]

    def is_tensor(self, name: str) -> bool:
        """Whether an argument is a tensor, not a number."""
        return self.has(name) and "as_tensor" in self._unwrapped(name)[1]

    def comes_from(self, name: str, target: str) -> bool:
        """Whether a tensor is an output of a node whose target begins so."""
        return self._importer.makers.get(self._tensor_name(name), "").startswith(target)

    def shape_of(self, value: Value) -> tuple[int | None, ...]:
        """The dims that are said of a value that is a tensor of the program, None where free."""
        return self._importer.meta_of(value).shape

    def dtype_of(self, value: Value) -> DType:
        """The dtype that is said of a value that is a tensor of the program."""
        return self._importer.meta_of(value).dtype

    def known(self, value: Value) -> Array | None:
        """The elements of a value that is a weight, else None."""
        return self.build.graph.weights.get(value)

    def once(self, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
        """What was made of the same things before, or is made now: layers that share weights go on sharing them."""
        return self._importer.once(key, make)

    def axis(self, name: str, default: int | None = None, of: str = "self", extra: int = 0) -> int:
        """An axis of a tensor, counted from the front; `extra` axes come in besides."""
        rank = self.meta(of).rank + extra
        return self._axis(self.integer(name, default), rank)

    def axes(self, name: str, of: str = "self") -> list[int] | None:
        """Axes of a tensor, counted from the front; None where left out or empty, which means all."""
        if not self.has(name):
            return None
        tag, _ = self._argument(name)
        items = [self.integer(name)] if tag == "as_int" else self.integers(name)
        rank = self.meta(of).rank
        return [self._axis(item, rank) for item in items] or None

    def _axis(self, item: int, rank: int) -> int:
        if not -max(rank, 1) <= item < max(rank, 1):
            self.refuse(f"axis {item} is not one of {rank}. The program is damaged.")
        return item % max(rank, 1)

    def name_dims(self, name: str, *names: str) -> None:
        """Name the first free dims of a tensor, for the ports of the model."""
        self._importer.name_dims(self._tensor_name(name), names)

    def argument_name(self, name: str) -> str:
        """What the program calls a tensor."""
        return self._tensor_name(name)

    # ---- Numbers ----

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer that is known now; required where there is no default."""
        dim = self.dim(name, default)
        if isinstance(dim, Sym):
            self.refuse(f"{name} depends on the sizes of inputs; it has to be a number.")
        return dim

    def dim(self, name: str, default: int | None = None) -> Dim:
        """An integer, or one that is known when shapes are."""
        if not self._present(name) and default is not None:
            return default
        tag, tree = self._argument(name)
        if tag == "as_int":
            return tree.integer()
        if tag == "as_sym_int":
            return self._sym(tree)
        if tag == "as_bool":
            return int(tree.boolean())
        raise tree.damaged("is not an integer")

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A list of integers that are known now."""
        dims = self.dims(name, default)
        fixed = [dim for dim in dims if isinstance(dim, int)]
        if len(fixed) < len(dims):
            self.refuse(f"{name} depends on the sizes of inputs; it has to be numbers.")
        return fixed

    def dims(self, name: str, default: Sequence[int] | None = None) -> list[Dim]:
        """A list of integers, some of which may be known only when shapes are."""
        if not self._present(name) and default is not None:
            return list(default)
        tag, tree = self._argument(name)
        if tag == "as_ints":
            return [item.integer() for item in tree]
        if tag == "as_sym_ints":
            return [self._sym(item) for item in tree]
        if tag == "as_tensors" and tree.item == []:  # how an empty list of anything is written
            return []
        raise tree.damaged("is not a list of integers")

    def repeated(self, name: str, count: int, default: int) -> list[int]:
        """One integer for each spatial axis, where one for all may be given, or none."""
        items = self.integers(name, [default])
        return items * count if len(items) == 1 else (items or [default] * count)

    def number(self, name: str, default: float | None = None) -> float:
        """A float."""
        given = self.scalar(name, default)
        if isinstance(given, Sym):
            self.refuse(f"{name} depends on the sizes of inputs; it has to be a number.")
        return float(given)

    def scalar(self, name: str, default: float | None = None) -> Number:
        """A number of any kind."""
        if not self._present(name) and default is not None:
            return default
        tag, tree = self._argument(name)
        if tag == "as_float":
            return tree.number()
        if tag == "as_bool":
            return tree.boolean()
        if tag == "as_sym_float":
            which, item = tree.union()
            return item.number() if which == "as_float" else self._importer.symbol(item.text())
        return self.dim(name)

    def numbers(self, name: str) -> list[float]:
        """A list of floats."""
        tag, tree = self._argument(name)
        if tag not in ("as_floats", "as_ints"):
            raise tree.damaged("is not a list of numbers")
        return [item.number() for item in tree]

    def boolean(self, name: str, default: bool | None = None) -> bool:
        """Either true or false."""
        if not self._present(name) and default is not None:
            return default
        return self._argument(name)[1].boolean()

    def text(self, name: str, default: str | None = None) -> str:
        """A string."""
        if not self._present(name) and default is not None:
            return default
        return self._argument(name)[1].text()

    def dtype(self, name: str = "dtype") -> DType | None:
        """A dtype, None where it is left out."""
        if not self._present(name):
            return None
        return dtype_of(self._argument(name)[1].integer())

    def skip(self, *names: str) -> None:
        """Say that arguments may have any value: they change nothing of what is supported."""
        self._unread.difference_update(names)

    def skip_all(self) -> None:
        """Say that the node does nothing, whatever its arguments."""
        self._unread.clear()

    # ---- What ops are given ----

    def vector(self, dims: Sequence[Dim]) -> Value:
        """A list of dims as an int64 value, such as Reshape takes."""
        if all(isinstance(dim, int) for dim in dims):
            return self.build.integers([dim for dim in dims if isinstance(dim, int)])
        parts = [dim.value if isinstance(dim, Sym) else self.build.integers([dim]) for dim in dims]
        return parts[0] if len(parts) == 1 else self.build.op("Concat", *parts, axis=0)

    def operand(self, name: str, dtype: DType) -> Value:
        """A tensor or number as a value of a dtype."""
        if self.is_tensor(name):
            return self.cast(self.tensor(name), self.meta(name).dtype, dtype)
        return self.constant(self.scalar(name), dtype, name)

    def constant(self, number: Number, dtype: DType, name: str = "constant") -> Value:
        """A number as a value without dims."""
        if isinstance(number, Sym):
            return self.build.op("Reshape", self.build.cast(number.value, dtype), self.build.integers([]))
        return self.build.constant(np.array(number).astype(dtype.numpy), name)

    def check_count(self, count: int) -> int:
        """Refuse to make more than a model can mean: how many elements, or parts."""
        if count > _MOST:
            self.refuse(f"{count} elements made of numbers are too many. Make it a buffer of the module.")
        return count

    def cast(self, value: Value, seen: DType, wanted: DType) -> Value:
        """A value in another dtype."""
        return value if seen == wanted else self.build.cast(value, wanted)

    # ---- Outputs ----

    def result(self, output: int = 0) -> Meta:
        """What is said of an output."""
        return self._importer.meta(self._output_names()[output])

    @property
    def outputs(self) -> int:
        """How many outputs there are."""
        return len(self._output_names())

    def wanted(self, output: int) -> bool:
        """Whether anything reads an output."""
        names = self._output_names()
        return output < len(names) and names[output] in self._importer.used

    def give(self, *values: Value) -> None:
        """Say what the outputs are; those at the end that are not given must be read by nothing."""
        names = self._output_names()
        for i, name in enumerate(names):
            if i < len(values):
                self._importer.define(name, values[i])
            elif name in self._importer.used:
                self.refuse(f"output {i} is used, which is not supported. Do without it.")

    def note_sequence(self, sequence: Value, axis: int, states: Value) -> None:
        """Remember that one value has all steps of a layer along an axis, and another its last states."""
        self._importer.note_sequence(sequence, axis, states)

    def last_step(self, name: str, axis: int) -> Value | None:
        """The last step of a tensor along an axis as a layer's state, without that axis; None if that cannot be."""
        return self._importer.last_step(self.tensor(name), axis, self._output_names()[0])

    def carry(self, state: str, first_output: int) -> None:
        """Say that outputs, from one on, are the last state of a layer whose first state is an argument."""
        tag, _ = self._argument(state)
        firsts = [self._tensor_name(state)] if tag == "as_tensor" else self._tensor_names(state)
        self._importer.carried.update(zip(self._output_names()[first_output:], firsts))

    def give_symbol(self, value: Value) -> None:
        """Say what the output is, a number."""
        for name in self.output_names():  # none where nothing reads it
            self._importer.define_symbol(name, Sym(value))

    def check_all_read(self) -> None:
        """Refuse the node if its handler left an argument unread."""
        if self._unread:
            names = ", ".join(sorted(self._unread))
            self.refuse(f"argument {names} is not supported here. Do without it.")

    def output_names(self) -> list[str]:
        """The names of the outputs, whatever they are, for those who use them when the node is refused."""
        names: list[str] = []
        for output in self._outputs:
            tag, item = output.union()
            names += _names(tag, item)
        return names

    # ---- Within ----

    def _present(self, name: str) -> bool:
        self._unread.discard(name)
        return self.has(name)

    def _unwrapped(self, name: str) -> tuple[str, Tree]:
        tree = self._arguments[name]
        if "as_optional_tensor" in tree:
            tree = tree["as_optional_tensor"]
        return name, tree

    def _argument(self, name: str) -> tuple[str, Tree]:
        self._unread.discard(name)
        if name not in self._arguments:
            self.refuse(f"argument {name} is missing. The program is damaged.")
        return self._unwrapped(name)[1].union()

    def _tensor_name(self, name: str) -> str:
        tag, tree = self._argument(name)
        if tag != "as_tensor":
            raise tree.damaged("is not a tensor")
        return tree["name"].text()

    def _tensor_names(self, name: str) -> list[str]:
        tag, tree = self._argument(name)
        if tag == "as_optional_tensors" and all("as_tensor" in item for item in tree):
            return [item["as_tensor"]["name"].text() for item in tree]
        if tag != "as_tensors":
            raise tree.damaged("is not a list of tensors")
        return [item["name"].text() for item in tree]

    def _output_names(self) -> list[str]:
        for output in self._outputs:
            tag, item = output.union()
            if tag not in ("as_tensor", "as_tensors", "as_none"):
                raise item.damaged("is not a tensor")
        return self.output_names()

    def _sym(self, tree: Tree) -> Dim:
        tag, item = tree.union()
        return item.integer() if tag == "as_int" else self._importer.symbol(item.text())


def _names(tag: str, item: Tree) -> list[str]:
    if tag == "as_tensor":
        return [item["name"].text()]
    if tag == "as_tensors":
        return [part["name"].text() for part in item]
    if tag in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        which, name = item.union()
        return [name.text()] if which == "as_name" else []
    return []
