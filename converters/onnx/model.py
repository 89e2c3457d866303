"""Reads an ONNX model whole: the file, the tensors it keeps beside itself, and its functions put in place."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TypeProto

from lstm_rt.errors import ModelFileError

from ..budget import current
from ..source import admit_bytes, read_file
from .external import load_external
from .prepare import all_nodes, infer_types, prepare, subgraphs
from .wire import charge_messages

_STRANGERS = {"SimplifiedLayerNormalization"}
_MOST_NODES = 2**18  # the reader of model files takes no more ops
_PROTOBUF_LIMIT = 2**31 - 1  # the checker and the inliner cannot take more


@dataclass
class SourceModel:
    """An ONNX model in memory, with what is known of where it came from."""

    proto: ModelProto
    file: str
    sha256: str
    invalid: str = ""  # what onnx.checker finds wrong, if anything
    types: dict[str, TypeProto] = field(default_factory=dict)  # inferred, of the outermost graph

    @property
    def label(self) -> str:
        """What messages call the model."""
        return self.file or "the model"


def read_model(source: str | os.PathLike[str] | bytes | ModelProto) -> SourceModel:
    """Read a model and everything that belongs to it.

    Raises
    ------
    ModelFileError
        If this is no ONNX model, or tensors outside of it are missing or not beside it.
    """
    if isinstance(source, ModelProto):
        current().add_source(source.ByteSize())
        proto = ModelProto()
        proto.CopyFrom(source)
        model = SourceModel(proto, "", _digest(source))
        folder = None
    elif isinstance(source, (bytes, bytearray, memoryview)):
        model = _parse(admit_bytes(bytes(source), "These bytes"), "")
        folder = None
    else:
        path = Path(source)
        model = _parse(read_file(path), path.name)
        folder = path
    prepare(model.proto, model.label)
    if model.proto.functions:
        _inline_functions(model)
        prepare(model.proto, model.label)  # what the functions gave may be unused
    _name_strangers(model.proto)
    load_external(model.proto.graph, model.label, folder)
    model.types = infer_types(model.proto)
    model.invalid = _check(model.proto)
    return model


def _digest(proto: ModelProto) -> str:
    if proto.ByteSize() > _PROTOBUF_LIMIT:
        return ""
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


def _parse(data: bytes, file: str) -> SourceModel:
    current().spend(len(data), file or "These bytes")  # protobuf copies
    charge_messages(data, file or "These bytes")
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelFileError(f"{file or 'These bytes'}: not an ONNX model, or cut short.") from error
    if not proto.HasField("graph"):
        raise ModelFileError(f"{file or 'These bytes'}: not an ONNX model: there is no graph in it.")
    texts = [proto.producer_name, proto.producer_version, *(opset.domain for opset in proto.opset_import)]
    texts += _texts(proto.graph)
    for function in proto.functions:
        texts += [function.name, function.domain, *function.input, *function.output]
        texts += (opset.domain for opset in function.opset_import)
        texts += _texts_of_nodes(function.node)
    if not all(isinstance(text, str) for text in texts):  # protobuf gives bytes for what it cannot decode
        raise ModelFileError(f"{file or 'These bytes'}: damaged: a name in it is not UTF-8.")
    return SourceModel(proto, file, hashlib.sha256(data).hexdigest())


def _texts(graph: GraphProto) -> Iterator[str]:
    """Every name in a graph that is used or shown."""
    for info in (*graph.input, *graph.output):
        yield info.name
        yield from (dim.dim_param for dim in info.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)
    yield from _texts_of_nodes(graph.node)


def _texts_of_nodes(nodes: Iterable[NodeProto]) -> Iterator[str]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            if attribute.type == AttributeProto.GRAPH:
                yield from _texts(attribute.g)


def _check(proto: ModelProto) -> str:
    if proto.ByteSize() > _PROTOBUF_LIMIT:
        return ""
    current().spend(2 * proto.ByteSize(), "onnx.checker")  # it is given a copy, and makes another
    shapeless = [port.type.tensor_type for port in (*proto.graph.input, *proto.graph.output)]
    shapeless = [tensor for tensor in shapeless if tensor.elem_type and not tensor.HasField("shape")]
    for tensor in shapeless:
        tensor.shape.SetInParent()  # the checker wants a shape, where to us none is fine
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError) as error:
        return " ".join(str(error).split())
    finally:
        for tensor in shapeless:
            tensor.ClearField("shape")
    return ""


def invalid_nodes(proto: ModelProto) -> list[str]:
    """What onnx.checker finds wrong with single nodes, which onnxruntime refuses too."""
    context = onnx.checker.DEFAULT_CONTEXT
    checked = type(context)()
    checked.ir_version = _as_int32(proto.ir_version) or context.ir_version
    checked.opset_imports = {o.domain: _as_int32(o.version) for o in proto.opset_import}
    found = []
    for node in all_nodes(proto.graph.node):
        if _is_deprecated(node, checked.opset_imports.get(node.domain, 0)):
            continue  # onnxruntime runs such operators; those that have no handler are refused anyway
        alone = NodeProto()
        alone.CopyFrom(node)
        for graph in subgraphs(alone):  # names of outer graphs are not known here
            graph.Clear()
            graph.name = "body"
        try:
            onnx.checker.check_node(alone, checked)
        except (onnx.checker.ValidationError, ValueError) as error:
            found.append(f"onnx.checker finds the model invalid: {' '.join(str(error).split())}")
    return found


def _as_int32(version: int) -> int:
    """Bring a version of a file into the range that onnx's C++ takes."""
    return min(max(version, 0), 2**31 - 1)


def _is_deprecated(node: NodeProto, opset: int) -> bool:
    try:
        return bool(onnx.defs.get_schema(node.op_type, opset, node.domain).deprecated)
    except onnx.defs.SchemaError:
        return False


def _name_strangers(proto: ModelProto) -> None:
    """Say whose the ops are that onnxruntime writes into ONNX's own domain, where the checker knows none of them."""
    strangers = [node for node in all_nodes(proto.graph.node) if node.op_type in _STRANGERS and not node.domain]
    for node in strangers:
        node.domain = "com.microsoft"
    if strangers and all(opset.domain != "com.microsoft" for opset in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


def _inline_functions(model: SourceModel) -> None:
    from onnx.inliner import inline_local_functions

    _check_functions(model)
    try:
        model.proto = inline_local_functions(model.proto, convert_version=_mixes_opsets(model.proto))
    except Exception as error:  # the inliner throws what C++ threw, of many types
        raise ModelFileError(
            f"{model.label}: its functions cannot be inlined: {' '.join(str(error).split())}"
        ) from error


def _check_functions(model: SourceModel) -> None:
    """Refuse functions that call themselves, or each other so often that no memory would hold what they make."""
    bodies = {_function_key(f): f.node for f in model.proto.functions}
    calls = {key: Counter(_function_key(node) for node in all_nodes(nodes)) for key, nodes in bodies.items()}
    try:
        known = {key: made.keys() & bodies.keys() for key, made in calls.items()}
        order = list(TopologicalSorter(known).static_order())
    except CycleError as error:
        name = error.args[1][0][1]
        raise ModelFileError(f"{model.label}: function {name!r} calls itself. The file is damaged.") from error
    own = {_function_key(f): f.ByteSize() for f in model.proto.functions}
    sizes: dict[_FunctionKey, int] = {}
    weights: dict[_FunctionKey, int] = {}
    for key in order:  # those that are called come first
        sizes[key] = sum(times * sizes.get(called, 1) for called, times in calls[key].items())
        weights[key] = own[key] + sum(times * weights.get(called, 0) for called, times in calls[key].items())
    called = Counter(_function_key(node) for node in all_nodes(model.proto.graph.node))
    current().spend(
        2 * sum(times * weights.get(key, 0) for key, times in called.items()), f"{model.label}: its functions in place"
    )
    total = sum(times * sizes.get(key, 1) for key, times in called.items())
    if total > _MOST_NODES:
        raise ModelFileError(
            f"{model.label}: with its functions put in place it has {total} nodes; at most {_MOST_NODES} are supported."
        )


_FunctionKey = tuple[str, str, str]


def _function_key(item: NodeProto | FunctionProto) -> _FunctionKey:
    name = item.op_type if isinstance(item, NodeProto) else item.name
    return item.domain, name, getattr(item, "overload", "")  # overloads came with onnx 1.16


def _mixes_opsets(proto: ModelProto) -> bool:
    """Whether a function is written for another version of a domain than the model."""
    versions = {o.domain: o.version for o in proto.opset_import}
    return any(versions.get(o.domain, o.version) != o.version for f in proto.functions for o in f.opset_import)
