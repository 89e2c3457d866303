"""Walks the graphs of an ONNX model: names and their scopes, inputs, weights, and one handler call per node.

Everything that is wrong is collected, so that a user hears of it once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, numpy_helper

from ..graph import MAX_RANK, Array, Block, DType, Graph, Shape, Source, Value
from ..problems import Problems, Refusal
from ..registry import converter_version
from . import (
    floats,
    ops,  # noqa: F401  (registers the handlers)
    states,
)
from .domains import DEFAULT_DOMAINS
from .floats import inexact_integers
from .model import SourceModel, invalid_nodes
from .node import SHORTS, Enter, Node, dtype_of, handlers, key_of, to_array
from .opsets import Opsets

_DEEPEST = 64  # src/model/check_graph.cpp sets the same limit


_SAVED_FOR_ONE_MACHINE = (
    "onnxruntime wrote this operation for the CPU that saved the model. Convert the model that onnxruntime read, or "
    "save it with session_options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED."
)


class Scope:
    """The names one ONNX graph can see: its own, then those of the graphs around it.

    The outermost graph keeps its names. Inside branches they may come again; there a value gets a name of its own.
    """

    def __init__(self, graph: Graph, outer: Scope | None = None) -> None:
        self._graph = graph
        self._outer = outer
        self.depth: int = outer.depth + 1 if outer else 0
        self._values: dict[str, Value] = {}

    def find(self, name: str) -> Value:
        """The value of a name; refuses names that are not defined yet."""
        if name in self._values:
            return self._values[name]
        if self._outer is None:
            raise Refusal(f"value {name!r} is read, but nothing defines it. The file is damaged.")
        return self._outer.find(name)

    def claim(self, name: str) -> str:
        """The name under which the graph is to know a value that this scope calls `name`."""
        if name in self._values:
            raise Refusal(f"value {name!r} is defined twice. The file is damaged.")
        return name if self._outer is None else self._graph.unique(name)

    def define(self, name: str, value: Value) -> None:
        """Give a name its value; an empty name is no name."""
        if name:
            self._values[name] = value

    def has(self, name: str) -> bool:
        """Whether this graph, not those around it, has defined a name."""
        return name in self._values


class Importer:
    """Builds one `Graph`."""

    def __init__(self, opsets: Opsets, types: Mapping[str, TypeProto] | None = None) -> None:
        self.types = types or {}  # inferred, by name
        self.graph = Graph()
        self.opsets = opsets
        self.used: set[str] = set()  # names that some node or output of any graph asks for
        self.problems = Problems()
        self.shorts: dict[Value, int] = {}  # values of 16-bit integers, with their ONNX element types
        self.exact: dict[Value, Array] = {}  # float64 constants with integers that float32 rounds

    def model(self, proto: GraphProto, ir_version: int) -> None:
        """Import the outermost graph."""
        scope = Scope(self.graph)
        self.graph.reserve(_names_defined(proto))
        self.used.update(_names_used(proto))
        defaults = states.defaults(proto, ir_version)
        self._initializers(proto, scope, skip=defaults)
        for info in proto.input:
            if scope.has(info.name):  # a weight that the file lists as an input too
                continue
            if info.name not in self.used and not _is_supported(info):
                self.graph.notes.append(
                    f"input {info.name!r} is left out: nothing reads it, and its type is not supported"
                )
                continue
            if not self.problems.attempt(f"input {info.name!r}", partial(self._input, info, scope)):
                self._stand_in(info.name, scope)
        for tensor in proto.initializer:
            if tensor.name in defaults:
                self.problems.attempt(f"initializer {tensor.name!r}", partial(self._default, tensor, scope))
        self._nodes(proto, scope, self.graph.main)
        for info in proto.output:
            self.problems.attempt(f"output {info.name!r}", partial(self._output, info, scope))

    def inner(self, proto: GraphProto, outer: Scope, enter: Enter) -> Block:
        """Import a branch or a body, inside the scope of the node that has it; `enter` says what its inputs are."""
        scope, block = Scope(self.graph, outer), Block()
        if scope.depth > _DEEPEST:
            raise Refusal(f"more than {_DEEPEST} graphs are nested in each other. Simplify the model.")
        for info in proto.input:
            self.problems.attempt(f"input {info.name!r} of an inner graph", partial(_check_inner, info))
        names = []
        for info in proto.input:
            names.append(scope.claim(info.name))
            self.graph.reserve(names[-1:])
        for info, value in zip(proto.input, enter(block, names)):
            scope.define(info.name, value)
        self._initializers(proto, scope)
        self._nodes(proto, scope, block)
        block.outputs = [scope.find(info.name) for info in proto.output]
        if any(value in self.shorts for value in block.outputs):
            raise Refusal("an inner graph returns 16-bit integers. Cast them to int32 before.")
        return block

    # ---- Parts of a graph ----

    def _initializers(self, proto: GraphProto, scope: Scope, skip: Collection[str] = ()) -> None:
        for tensor in proto.initializer:
            if tensor.name in skip:
                continue
            where = f"initializer {tensor.name!r}"
            if not self.problems.attempt(where, partial(self._initializer, tensor, scope)):
                self._stand_in(tensor.name, scope)
        for sparse in proto.sparse_initializer:
            name = sparse.values.name
            self.problems.found.append(
                f"initializer {name!r}: sparse tensors are not supported. Export it as a dense one."
            )
            self._stand_in(name, scope)

    def _initializer(self, tensor: TensorProto, scope: Scope) -> None:
        value = self.graph.add_weight(scope.claim(tensor.name), to_array(tensor))
        scope.define(tensor.name, value)
        self.remember(tensor, value)

    def remember(self, tensor: TensorProto, value: Value) -> None:
        """Keep what the dtype of a weight does not say of the tensor it was read from."""
        if tensor.data_type in SHORTS:
            self.shorts[value] = tensor.data_type
        if tensor.data_type == TensorProto.DOUBLE:
            exact = inexact_integers(numpy_helper.to_array(tensor))
            if exact is not None:
                self.exact[value] = exact

    def _default(self, tensor: TensorProto, scope: Scope) -> None:
        """Keep the elements of an initial state for runs that leave it out."""
        array = to_array(tensor)
        port = next((port for port in self.graph.inputs if port.value == scope.find(tensor.name)), None)
        if port is not None:
            port.shape = port.shape if port.shape is not None else array.shape
            port.default = self.graph.add_weight(self.graph.unique(f"{tensor.name}_default"), array)

    def _input(self, info: ValueInfoProto, scope: Scope) -> None:
        dtype, shape, dim_names = _declared(info)
        value = self.graph.add_input(scope.claim(info.name), dtype, shape, dim_names)
        scope.define(info.name, value)

    def _output(self, info: ValueInfoProto, scope: Scope) -> None:
        value = scope.find(info.name)
        if value in self.graph.main.outputs:
            raise Refusal("it is listed twice. Export the model with each output once.")
        if info.type.WhichOneof("value"):
            declared = _declared(info)
            if value not in self.shorts:
                return self.graph.add_output(value, *declared)
        if value in self.shorts:
            raise Refusal("it is of 16-bit integers. Cast it to int32 before.")
        self.graph.add_output(value)  # named only: its type is known when the model is planned

    def _nodes(self, proto: GraphProto, scope: Scope, block: Block) -> None:
        for node in proto.node:
            if not self.problems.attempt(self._where(node), partial(self._node, node, scope, block)):
                for name in node.output:
                    self._stand_in(name, scope)

    def _node(self, proto: NodeProto, scope: Scope, block: Block) -> None:
        handle = handlers.get(key_of(proto.domain, proto.op_type))
        if proto.domain == "com.microsoft.nchwc":
            raise Refusal(_SAVED_FOR_ONE_MACHINE)
        if handle is None and proto.domain not in DEFAULT_DOMAINS:
            raise Refusal(f"no such operation of domain {proto.domain!r}. Export with standard ONNX operators.")
        if handle is None:
            raise Refusal("no such operation. Supported operations: lstm-rt inspect --ops. Split the model before it.")
        node = Node(proto, self, scope, block)
        self.graph.begin_part(node.name, node.type)
        handle(node)
        node.check_all_read()

    # ---- Problems ----

    def _where(self, node: NodeProto) -> str:
        named = f"node {node.name!r}"
        if not node.name:
            named = f"the node of {next(filter(None, node.output), '')!r}"
        return f"{named} ({node.op_type}{self.opsets.text(node.domain)})"

    def _stand_in(self, name: str, scope: Scope) -> None:
        """Define a value that could not be made, so that what uses it is not reported too."""
        if name and not scope.has(name):
            scope.define(name, self.graph.add_value(self.graph.unique(name)))


def import_model(model: SourceModel) -> Graph:
    """Make a graph of a model.

    Raises
    ------
    UnsupportedModelError
        If parts of the model cannot run: all of them, in one message.
    """
    importer = Importer(Opsets(model), model.types)
    importer.model(model.proto.graph, model.proto.ir_version)
    problems, graph = importer.problems, importer.graph
    if not problems.found and model.invalid:  # where ours say more, the checker's is only another word for them
        problems.found += invalid_nodes(model.proto)
        graph.notes.append(f"onnx.checker finds the model invalid: {model.invalid}")
    problems.raise_if_any(model.label)
    graph.notes += floats.notes(model.proto.graph)
    graph.drop_unused_weights()
    graph.source = Source(
        file=model.file,
        sha256=model.sha256,
        framework=" ".join(filter(None, (model.proto.producer_name, model.proto.producer_version))) or "onnx",
        converter=converter_version(),
    )
    return graph


def _names_defined(proto: GraphProto) -> list[str]:
    names = [tensor.name for tensor in proto.initializer]
    names += [info.name for info in proto.input]
    return names + [name for node in proto.node for name in node.output]


def _names_used(proto: GraphProto) -> Iterator[str]:
    yield from (info.name for info in proto.output)
    for node in proto.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _names_used(attribute.g)


def _is_supported(info: ValueInfoProto) -> bool:
    try:
        _declared(info)
    except Refusal:
        return False
    return True


def _check_inner(info: ValueInfoProto) -> None:
    """A body may carry sequences of tensors; types that the file leaves out are found when the model is planned."""
    items = info.type.sequence_type.elem_type if info.type.WhichOneof("value") == "sequence_type" else None
    if items is None or items.WhichOneof("value") not in (None, "tensor_type"):
        _check_tensor(info)


def _check_tensor(info: ValueInfoProto) -> None:
    kind = info.type.WhichOneof("value") or "tensor_type"  # bodies may leave types to be found out
    if kind != "tensor_type":
        raise Refusal(f"it is not a tensor but a {kind}. Only tensors are supported.")


def _declared(info: ValueInfoProto) -> tuple[DType, Shape | None, list[str]]:
    """What a graph declares of an input or output: dtype, shape, and names of the dims."""
    _check_tensor(info)
    tensor = info.type.tensor_type
    if not info.type.WhichOneof("value"):
        raise Refusal("it has no type. The file is damaged.")
    dtype = dtype_of(tensor.elem_type)
    if not tensor.HasField("shape"):
        return dtype, None, []
    dims = tensor.shape.dim
    if len(dims) > MAX_RANK:
        raise Refusal(f"{len(dims)} dims are too many. At most {MAX_RANK} are supported.")
    # Some exporters write 0 or -1 for a dim that is free.
    return dtype, tuple(d.dim_value if d.dim_value > 0 else None for d in dims), [d.dim_param for d in dims]
