"""What a handler sees of one node, and the list of handlers.

A handler reads a node's inputs and attributes and emits ops. What it does not read is not ignored: an attribute left
unread is refused, for the model then means something the handler does not know of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, NoReturn, TypeVar

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, numpy_helper

from ..builder import Builder
from ..graph import ABSENT, MAX_RANK, Array, Attribute, Block, DType, Value
from ..problems import Refusal
from .domains import DEFAULT_DOMAINS
from .floats import OTHER_FLOATS, to_float32

if TYPE_CHECKING:
    from .importer import Importer, Scope

Handler = Callable[["Node"], None]
Enter = Callable[[Block, Sequence[str]], Sequence[Value]]  # of the inputs of a subgraph
_H = TypeVar("_H", bound=Handler)

handlers: dict[str, Handler] = {}  # by `key_of` their op

_DTYPES: dict[int, DType] = {
    TensorProto.FLOAT: DType.FLOAT32,
    TensorProto.INT64: DType.INT64,
    TensorProto.INT32: DType.INT32,
    TensorProto.BOOL: DType.BOOL,
    TensorProto.UINT8: DType.UINT8,
    TensorProto.INT8: DType.INT8,
    **dict.fromkeys(OTHER_FLOATS, DType.FLOAT32),
}
# Integers of 16 bits are kept as int32. Only quantisation, and ops that move elements, may read them.
SHORTS: dict[int, DType] = {TensorProto.INT16: DType.INT32, TensorProto.UINT16: DType.INT32}
_MOVES_SHORTS = frozenset({"Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze"})
_MOVES_SHORTS |= {"Tile", "Transpose", "Unsqueeze"}
_READS_SHORTS = _MOVES_SHORTS | {"Cast", "DequantizeLinear", "QuantizeLinear", "Shape", "Size"}


def key_of(domain: str, op_type: str) -> str:
    """What `handlers` calls an op: its type, and for other domains than ONNX's own the domain before it.

    Examples
    --------
    >>> key_of("", "Relu"), key_of("com.microsoft", "FusedConv")
    ('Relu', 'com.microsoft::FusedConv')
    """
    return op_type if domain in DEFAULT_DOMAINS else f"{domain}::{op_type}"


def handler(*op_types: str) -> Callable[[_H], _H]:
    """Register the handler of an op, or of several that differ in nothing but their names.

    Examples
    --------
    >>> @handler("Example", "com.example::Example")
    ... def example(node):
    ...     node.emit(node.inputs(1))
    """

    def register(function: _H) -> _H:
        for op_type in op_types:
            if op_type in handlers:
                raise ValueError(f"{op_type} has a handler already: {handlers[op_type]}")
            handlers[op_type] = function
        return function

    return register


def dtype_of(code: int) -> DType:
    """The DType of an ONNX element type; refuses those that lstm_rt does not have."""
    if code in _DTYPES:
        return _DTYPES[code]
    known = code in TensorProto.DataType.values()
    name = TensorProto.DataType.Name(code).lower() if known else f"unknown ({code})"
    hint = "Convert the model to float32" if "float" in name else "Export it with another"
    raise Refusal(f"dtype {name} is not supported. {hint}; supported: {', '.join(_names())}.")


def _names() -> list[str]:
    return [dtype.name.lower() for dtype in DType]


def to_array(tensor: TensorProto) -> Array:
    """The elements of a tensor; refuses dtypes and ranks lstm_rt does not have, and damaged tensors."""
    dtype = SHORTS.get(tensor.data_type) or dtype_of(tensor.data_type)
    if len(tensor.dims) > MAX_RANK:
        raise Refusal(f"{len(tensor.dims)} dims are too many. At most {MAX_RANK} are supported.")
    if any(dim < 0 for dim in tensor.dims):
        raise Refusal(f"a dim of {min(tensor.dims)}. The file is damaged.")
    if tensor.data_location == TensorProto.EXTERNAL:  # what belongs to the model has been read by now
        raise Refusal("its elements are in another file. Load them before.")
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
        return to_float32(array) if tensor.data_type in OTHER_FLOATS else np.asarray(array, dtype.numpy)
    except (ValueError, TypeError) as error:
        raise Refusal(f"the tensor is damaged: {error}") from error


class Node:
    """One node, as its handler sees it. Every accessor refuses what is missing or of the wrong type."""

    def __init__(self, proto: NodeProto, importer: Importer, scope: Scope, block: Block) -> None:
        self._proto = proto
        self._importer = importer
        self._scope = scope
        self._block = block
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}
        self._unread = set(self._attributes)

    @property
    def type(self) -> str:
        """The op type."""
        return self._proto.op_type

    @property
    def opset(self) -> int:
        """The version of the operator set, of the node's own domain, that the model was written for."""
        return self._importer.opsets.version(self._proto.domain)

    @property
    def name(self) -> str:
        """The node's name, or that of its first output where it has none."""
        return self._proto.name or next(filter(None, self._proto.output), self._proto.op_type)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, empty where left out or used by nothing."""
        return [name if name in self._importer.used else "" for name in self._proto.output]

    def refuse(self, what: str) -> NoReturn:
        """Say that this node cannot run: what is wrong, and what to do."""
        raise Refusal(what)

    # ---- Inputs ----

    def inputs(self, least: int, most: int | None = None) -> list[Value]:
        """The inputs: at least `least` that are there, and `most` in all, ABSENT where left out.

        `most` is `least` unless told; a variadic op says ``most=-1``.
        """
        given = [self._scope.find(name) if name else ABSENT for name in self._proto.input]
        self._check_exotic(given)
        most = least if most is None else most
        if ABSENT in given[:least] or len(given) < least:
            self.refuse(f"needs {least} inputs, and some are missing. The file is damaged.")
        if most >= 0 and len(given) > most:
            self.refuse(f"has {len(given)} inputs; at most {most} are supported.")
        return given + [ABSENT] * (most - len(given))

    def _check_exotic(self, given: Sequence[Value]) -> None:
        """Refuse what only some ops read rightly: 16-bit integers, and float64 integers that float32 rounds."""
        for value in given:
            if value in self._importer.shorts and self.type not in _READS_SHORTS:
                self.refuse(
                    "an input is of 16-bit integers, which only quantisation supports. Cast it to int32 before."
                )
            exact = self._importer.exact.get(value)
            if exact is not None and self.type != "Cast":
                self.refuse(
                    f"a float64 constant, {exact.flat[np.abs(exact).argmax()]:.17g}, is an integer that float32 "
                    "rounds. Export the model with int64 there."
                )

    def short(self, value: Value) -> int:
        """The ONNX element type of a value of 16-bit integers, else 0."""
        return self._importer.shorts.get(value, 0)

    def exact(self, value: Value) -> Array | None:
        """The float64 elements of a constant if float32 rounds some of its integers, else None."""
        return self._importer.exact.get(value)

    def known(self, value: Value) -> Array | None:
        """The elements of a value that is a weight, else None."""
        return self._importer.graph.weights.get(value)

    def rank(self, value: Value) -> int | None:
        """How many dims a value has, where it is a weight or an input that says so, else None."""
        array = self.known(value)
        if array is not None:
            return int(array.ndim)
        shapes = [port.shape for port in self._importer.graph.inputs if port.value == value]
        return len(shapes[0]) if shapes and shapes[0] is not None else None

    def weight(self, purpose: str, array: Array) -> Value:
        """Make a constant, named after the node and what it is for."""
        graph = self._importer.graph
        return graph.add_weight(graph.unique(f"{self.name}/{purpose}"), array)

    # ---- Attributes ----

    def has(self, name: str) -> bool:
        """Whether the node has an attribute; it stays unread."""
        return name in self._attributes

    def _read(self, name: str, kind: int) -> Any:
        self._unread.discard(name)
        attribute = self._attributes.get(name)
        if attribute is None:
            return None
        if attribute.type != kind:
            self.refuse(f"attribute {name!r} is of the wrong type. The file is damaged.")
        return attribute

    def integer(self, name: str, default: int | None = None) -> int:
        """Read an integer; required where there is no default."""
        attribute = self._read(name, AttributeProto.INT)
        return int(self._or_default(name, attribute and attribute.i, default))

    def number(self, name: str, default: float) -> float:
        """Read a float."""
        attribute = self._read(name, AttributeProto.FLOAT)
        return float(self._or_default(name, attribute and attribute.f, default))

    def text(self, name: str, default: str) -> str:
        """Read a string."""
        attribute = self._read(name, AttributeProto.STRING)
        return str(self._or_default(name, attribute and self._decoded(name, attribute.s), default))

    def integers(self, name: str) -> list[int] | None:
        """Read a list of integers, None where there is none."""
        attribute = self._read(name, AttributeProto.INTS)
        return list(attribute.ints) if attribute else None

    def numbers(self, name: str) -> list[float]:
        """Read a list of floats, empty where there is none."""
        attribute = self._read(name, AttributeProto.FLOATS)
        return list(attribute.floats) if attribute else []

    def texts(self, name: str) -> list[str]:
        """Read a list of strings, empty where there is none."""
        attribute = self._read(name, AttributeProto.STRINGS)
        return [self._decoded(name, item) for item in attribute.strings] if attribute else []

    def tensor(self, name: str) -> Array | None:
        """Read a tensor, None where there is none."""
        attribute = self._read(name, AttributeProto.TENSOR)
        if attribute and attribute.t.data_type in SHORTS and self.type != "Constant":
            self.refuse(f"attribute {name!r} is of 16-bit integers, which are not supported here.")
        return to_array(attribute.t) if attribute else None

    def proto_tensor(self, name: str) -> TensorProto:
        """A tensor attribute as it stands in the file; it stays unread."""
        tensor: TensorProto = self._attributes[name].t
        return tensor

    def block(self, name: str, enter: Enter) -> Block:
        """Read a subgraph, which sees every value defined so far.

        `enter` is given the block, still empty, and names for the inputs of the subgraph; it returns what they are.
        """
        attribute = self._read(name, AttributeProto.GRAPH)
        graph: GraphProto = self._or_default(name, attribute and attribute.g, None)
        return self._importer.inner(graph, self._scope, enter)

    def body_outputs(self, name: str) -> Sequence[ValueInfoProto]:
        """What a subgraph declares of its outputs."""
        outputs: Sequence[ValueInfoProto] = self._attributes[name].g.output
        return outputs

    def inferred(self, output: int) -> TypeProto.Tensor | None:
        """What shape inference finds of an output, if it was used and found anything."""
        kind = self._importer.types.get(self._proto.output[output]) if output < len(self._proto.output) else None
        return kind.tensor_type if kind is not None and kind.tensor_type.HasField("shape") else None

    def unique(self, *purposes: str) -> list[str]:
        """Names for values of this node that the source has none for."""
        return [self._importer.graph.unique(f"{self.name}/{purpose}") for purpose in purposes]

    def body_inputs(self, block: Block, names: Sequence[str]) -> list[Value]:
        """Give a block inputs, which whoever runs it defines."""
        values = [self._importer.graph.add_value(name) for name in names]
        block.inputs += values
        return values

    def skip(self, *names: str) -> None:
        """Say that attributes may have any value: they change nothing of what is supported."""
        self._unread.difference_update(names)

    def _or_default(self, name: str, given: Any, default: Any) -> Any:
        if given is None and default is None:
            self.refuse(f"attribute {name!r} is missing. The file is damaged.")
        return default if given is None else given

    def _decoded(self, name: str, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError:
            self.refuse(f"attribute {name!r} is not UTF-8. The file is damaged.")

    def check_all_read(self) -> None:
        """Refuse the node if its handler left an attribute unread."""
        if self.opset < 6:
            self.skip("consumed_inputs")  # which inputs may be overwritten
        if self._unread:
            names = ", ".join(repr(name) for name in sorted(self._unread))
            self.refuse(f"attribute {names} is not supported here. Export the model without it.")

    # ---- Outputs ----

    @property
    def build(self) -> Builder:
        """For ops between the inputs of this node and the op that gives its outputs, which `emit` adds."""
        return self.build_in(self._block)

    def build_in(self, block: Block) -> Builder:
        """For ops in a block of this node."""
        builder = Builder(self._importer.graph, block)
        builder.name = self.name
        return builder

    def emit(
        self,
        inputs: Sequence[Value],
        attributes: Mapping[str, Attribute] | None = None,
        *,
        type: str | None = None,
        most_outputs: int = 1,
        only: int | None = None,
    ) -> None:
        """Add the op that gives this node's outputs, of the node's own type unless told, or `only` one of them."""
        while inputs and inputs[-1] == ABSENT:
            inputs = inputs[:-1]
        if only is None and most_outputs >= 0 and any(self.output_names[most_outputs:]):
            self.refuse(f"has {len(self.output_names)} outputs; at most {most_outputs} are supported.")
        names = self.output_names if most_outputs < 0 else self.output_names[:most_outputs]
        if only is not None:
            names = self.output_names[only : only + 1]
        if not any(names):
            return
        outputs = [self._scope.claim(name) if name else "" for name in names]
        graph = self._importer.graph
        values = graph.add_op(self._block, type or self.type, self.name, inputs, outputs, attributes)
        short = self._importer.shorts.get(inputs[0], 0) if inputs and self.type in _MOVES_SHORTS else 0
        for name, value in zip(names, values):
            self._scope.define(name, value)
            if short:
                self._importer.shorts[value] = short

    def mark_short(self, name: str, code: int) -> None:
        """Say that a value that this node defined is of 16-bit integers."""
        if name:
            self._importer.shorts[self._scope.find(name)] = code

    def emit_constant(self, array: Array, source: TensorProto | None = None) -> None:
        """Give this node's output a value that is known now; `source` is the tensor it was read from, if any."""
        for name in filter(None, self.output_names[:1]):
            value = self._importer.graph.add_weight(self._scope.claim(name), array)
            self._scope.define(name, value)
            if source is not None:
                self._importer.remember(source, value)
