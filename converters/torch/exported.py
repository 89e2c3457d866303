"""Makes a graph of an exported program: inputs, weights, one handler call per node, outputs and state.

Everything that is wrong is collected, so that a user hears of it once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Callable, TypeVar

from lstm_rt.errors import Error

from ..builder import Builder
from ..graph import MAX_RANK, Graph, Source, Value
from ..problems import Problems, Refusal
from ..registry import converter_version
from . import aten  # noqa: F401  (registers the handlers)
from .aliases import check_unused
from .archive import Archive
from .archive import Source as File
from .last_step import Steps, names_in
from .memory import Memory, functional
from .naming import input_names, output_names
from .node import Handler, Node, Sym, find_handler
from .schema import Meta, Tree

_T = TypeVar("_T")
_GENERATED = re.compile(r"s\d+")  # how torch.export names a free dim that the user did not name
_TENSORS = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}


def from_exported(source: File) -> Graph:
    """Make a graph of a ``.pt2`` file. Torch is not needed.

    Parameters
    ----------
    source : path-like or bytes
        What ``torch.export.save`` wrote.

    Returns
    -------
    Graph
        Float32, int64, int32, bool, uint8 and int8 values.

    Raises
    ------
    ModelFileError
        If this is no such file, or a damaged one.
    UnsupportedModelError
        If parts of it cannot run; the message lists all of them.

    Examples
    --------
    >>> graph = from_exported("model.pt2")  # doctest: +SKIP
    """
    archive = Archive(source)
    importer = Importer(archive)
    importer.run()
    importer.problems.raise_if_any(archive.label)
    graph = importer.build.graph
    graph.drop_unused_weights()
    version = archive.program.get("torch_version", "").text()
    graph.source = Source(archive.file, archive.sha256, f"torch {version}".strip(), converter_version())
    return graph


class Importer:
    """Builds one `Graph`."""

    def __init__(self, archive: Archive) -> None:
        self.build = Builder(Graph())
        self.problems = Problems()
        self.used: dict[str, int] = {}  # names that nodes or outputs ask for, and the number of the last that does
        self.makers: dict[str, str] = {}  # names of tensors, and the target of the node they are outputs of
        self.carried: dict[str, str] = {}  # tensors that are a layer's last state, and the tensor with its first
        self._archive = archive
        self._module = archive.program["graph_module"]
        self._graph = self._module["graph"]
        self._metas = self._graph["tensor_values"].mapping()
        self._values: dict[str, Value] = {}
        self._names: dict[Value, str] = {}
        self._symbols: dict[str, Sym] = {}
        self._dim_names: dict[str, str] = {}  # torch's own symbols, and the names that recurrent layers give them
        self._sequences: dict[Value, tuple[int, Value]] = {}  # what layers give: axis of time, and last states
        self._complex: set[str] = set()  # tensors of complex numbers, and what is made of them
        self._lost: set[str] = set()  # what could not be made, so that what uses it is not reported too
        self.memory = Memory()
        self._made: dict[tuple[object, ...], Any] = {}
        self._fed: list[str] = []

    # ---- What handlers ask for ----

    def tensor(self, name: str) -> Value:
        """The value of a tensor."""
        if name in self._values:
            return self._values[name]
        self._check_lost(name)
        raise Refusal(f"tensor {name!r} is used before it is defined. The file is damaged.")

    def symbol(self, name: str) -> Sym:
        """The value of a number that is known when shapes are."""
        if name in self._symbols:
            return self._symbols[name]
        self._check_lost(name)
        raise Refusal(f"the number {name!r} is not known even when shapes are. Make it an argument that is fixed.")

    def meta(self, name: str) -> Meta:
        """What is said of a tensor."""
        if name not in self._metas:
            raise Refusal(f"nothing is said of tensor {name!r}. The file is damaged.")
        return Meta(self._metas[name])

    def meta_of(self, value: Value) -> Meta:
        """What is said of the tensor that has a value."""
        return self.meta(self._names[value])

    def name_dims(self, tensor: str, names: Sequence[str]) -> None:
        """Name the free dims of a tensor whose meaning a layer knows. Names that the user chose are kept."""
        for symbol, name in zip(self.meta(tensor).dim_names, names):
            if _GENERATED.fullmatch(symbol) and name not in self._dim_names.values():
                self._dim_names.setdefault(symbol, name)

    def define(self, name: str, value: Value) -> None:
        """Give a tensor its value."""
        self._values[name] = value
        self._names.setdefault(value, name)

    def define_symbol(self, name: str, symbol: Sym) -> None:
        """Give a number its value."""
        self._symbols[name] = symbol

    def note_sequence(self, sequence: Value, axis: int, states: Value) -> None:
        """Remember that a layer gives all steps along an axis, and the last states of which the last are the steps'."""
        self._sequences[sequence] = (axis, states)

    def last_step(self, value: Value, axis: int, output: str) -> Value | None:
        """The last step of a tensor along an axis as the state of the layer that gives it; None if that cannot be."""
        found = self._sequences.get(value)
        if found is None or found[0] != axis or not self._steps.may_be_state(self._names[value], axis, output):
            return None
        last = self.build.constant(-1, "last", "int64")
        return self.build.op("Gather", found[1], last, axis=0)

    def once(self, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
        """What was made for the same key before, or is made now."""
        if key not in self._made:
            self._made[key] = make()
        made: _T = self._made[key]
        return made

    def _check_lost(self, name: str) -> None:
        if name in self._lost:
            raise _LostError

    # ---- The parts of a program ----

    def run(self) -> None:
        """Import the whole program."""
        signature = self._module["signature"]
        nodes = list(self._graph["nodes"])
        self._steps = Steps(nodes, self._metas, self._graph.get("sym_int_values", {}).mapping())
        for number, part in enumerate([*(tree["inputs"] for tree in nodes), self._graph["outputs"]]):
            self.used.update(dict.fromkeys(names_in(part), number))
        self._inputs(list(signature["input_specs"]))
        for number, tree in enumerate(nodes):
            self._node(tree, number)
        self._outputs(list(signature["output_specs"]))
        for port in self.build.graph.inputs + self.build.graph.outputs:
            port.dim_names = tuple(self._dim_names.get(name, name) for name in port.dim_names)
        unused = [name for name in self._fed if name not in self.used]
        self._attempt("inputs", [], lambda: check_unused(self._archive, self._fed, self.meta, unused))

    def _inputs(self, specs: list[Tree]) -> None:
        self._fed = input_names(self._module)
        self.build.graph.reserve(self._fed)
        for spec in specs:
            kind, item = spec.union()
            if kind == "constant_input":  # None, or a number that is part of the program
                continue
            tag, arg = item["arg"].union() if kind == "user_input" else ("as_tensor", item["arg"])
            name = arg["name"].text() if "name" in arg else arg.get("as_name", "").text()
            if kind == "user_input":
                self._attempt(f"input {name!r}", [name], partial(self._input, tag, name))
            elif kind in _TENSORS:
                full = item[_TENSORS[kind]].text()
                persistent = kind == "parameter" or (kind == "buffer" and item["persistent"].boolean())
                if name in self.used:
                    table = "weights" if persistent else "constants"
                    self._attempt(f"{kind} {full!r}", [name], partial(self._weight, name, full, table))
            else:
                self._attempt(f"input {name!r} ({kind})", [name], _refuse_input)

    def _input(self, tag: str, name: str) -> None:
        if tag != "as_tensor":
            raise Refusal("it is not a tensor but a number. Give the example as a number that is fixed, or a tensor.")
        meta = self.meta(name)
        if meta.is_complex:
            self._complex.add(name)
        if meta.rank > MAX_RANK:
            raise Refusal(f"{meta.rank} dims are too many. At most {MAX_RANK} are supported.")
        graph = self.build.graph
        value = graph.add_input(name, meta.dtype, meta.shape, meta.dim_names)
        self.define(name, value)

    def _weight(self, name: str, full: str, table: str) -> None:
        if name in self._metas and Meta(self._metas[name]).is_complex:
            self._complex.add(name)
        graph = self.build.graph
        value = graph.add_weight(graph.unique(full), self._archive.tensor(table, full))
        self.define(name, value)

    def _node(self, tree: Tree, number: int) -> None:
        target = tree["target"].text().replace("torch.ops.", "", 1)
        in_place = functional(target)
        node = Node(tree, self, in_place or target)
        outputs = node.output_names()
        self.makers.update(dict.fromkeys(outputs, target))
        name = tree.get("name", "").item or next(iter(outputs), target)
        where = f"node {name!r} ({target}){_place(tree)}"
        if any(each in self._complex for each in names_in(tree["inputs"])):  # reported where they come from
            self._lost.update(outputs)
            self._complex.update(outputs)
        elif any(each in self._metas and Meta(self._metas[each]).is_complex for each in outputs):
            self._attempt(where, outputs, self._refuse_complex)
            self._complex.update(outputs)
        else:
            self._attempt(where, outputs, partial(self._handle, node, str(name), number, bool(in_place)))

    def _handle(self, node: Node, name: str, number: int, in_place: bool) -> None:
        handle = find_handler(node.target)
        if handle is None:
            raise Refusal("no such operation. docs/pytorch-export.md lists those there are. Write it with those.")
        changed = self.memory.change(node, self.used, number) if in_place else ""
        self.build.part(name, node.target)
        _run(handle, node)
        node.check_all_read()
        self.memory.note(node)
        if changed:
            self.define(changed, self.tensor(node.output_names()[0]))

    def _refuse_complex(self) -> None:
        """Refuse the first node that gives complex numbers; the others are the same to the user."""
        if self._complex:
            raise _LostError
        raise Refusal(
            "it gives complex numbers, which are not supported. Write it with real ones: an FFT as products with "
            "matrices of cosines and sines, real and imaginary parts as two tensors."
        )

    def _outputs(self, specs: list[Tree]) -> None:
        tensors: list[str] = []
        for spec in specs:
            kind, item = spec.union()
            tag, arg = item["arg"].union() if kind == "user_output" else (kind, item)
            if kind == "user_output" and tag == "as_none":
                continue
            if kind != "user_output":
                where = item.get("buffer_name", kind).text()
                self.problems.found.append(
                    f"{kind} {where!r}: the module changes its own memory. Hand state in and out of forward instead."
                )
            elif tag != "as_tensor":
                self.problems.found.append(f"output {arg.where}: it is not a tensor. Return tensors only.")
            else:
                tensors.append(arg["name"].text())
        carried = {after: before for after, before in self.carried.items() if before in self._fed}
        names = output_names(self._module, tensors, carried)
        self.build.part("outputs", "outputs")
        for tensor, name in zip(tensors, names):
            self._attempt(f"output {name!r}", [], partial(self._output, tensor, name))

    def _output(self, tensor: str, name: str) -> None:
        graph = self.build.graph
        value, meta = self.tensor(tensor), self.meta(tensor)
        (named,) = graph.add_op(graph.main, "Identity", name, [value], [graph.unique(name)])
        graph.add_output(named, meta.dtype, meta.shape, meta.dim_names)

    def _attempt(self, where: str, outputs: list[str], work: Callable[[], object]) -> None:
        try:
            done = self.problems.attempt(where, work)
        except _LostError:
            done = False
        if not done:
            self._lost.update(outputs)


def _run(handle: Handler, node: Node) -> None:
    """Call a handler; what cannot be calculated with is a damaged program's."""
    try:
        handle(node)
    except Error:
        raise
    except (ArithmeticError, LookupError, StopIteration, ValueError) as error:
        raise Refusal(f"its arguments do not fit each other ({error}). The program is damaged.") from error


class _LostError(Exception):
    """Something is missing that was reported already."""


def _refuse_input() -> None:
    raise Refusal("only tensors are supported. Leave it out of forward.")


def _place(tree: Tree) -> str:
    """The submodule a node came from, as the user knows it."""
    stack = tree.get("metadata", {}).get("nn_module_stack", "")
    if not isinstance(stack.item, str):
        return ""
    paths = [entry.split(",")[1] for entry in stack.item.split(";") if entry.count(",") >= 2]
    path = next((path for path in reversed(paths) if path), "")
    return f" of {path!r}" if path else ""
