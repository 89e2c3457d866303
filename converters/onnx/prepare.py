"""Brings a model into the one form that the importer reads, before any of it is imported.

Files may list nodes in any order, write ONNX's own domain in two ways, hold nodes that nothing reads, and name outputs
without a type. onnxruntime takes all of these.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Union

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto

from lstm_rt.errors import ModelFileError

from .domains import DEFAULT_DOMAINS

_Body = Union[GraphProto, FunctionProto]

_SMALL = 1024  # elements: larger tensors are no shapes, so shape inference needs no data of them
_SHOWN = 4


def prepare(proto: ModelProto, label: str) -> None:
    """Sort and clean the graph and the functions of a model, in place.

    Raises
    ------
    ModelFileError
        If nodes read each other's outputs in a circle.
    """
    _name_default_domain(proto)
    for function in proto.functions:
        _arrange(function, label)
    _arrange(proto.graph, label)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs inside a node."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def all_nodes(nodes: Sequence[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from all_nodes(graph.node)


# ---- The domain ----


def _name_default_domain(proto: ModelProto) -> None:
    """Write the domain of ONNX's own operators as "", which onnx's checker and inliner compare it with."""
    bodies: list[_Body] = [proto.graph, *proto.functions]
    for body in bodies:
        for node in all_nodes(body.node):
            if node.domain in DEFAULT_DOMAINS:
                node.domain = ""
    for importer in (proto, *proto.functions):
        if isinstance(importer, FunctionProto) and importer.domain in DEFAULT_DOMAINS:
            importer.domain = ""
        versions = {("" if o.domain in DEFAULT_DOMAINS else o.domain, o.version): o for o in importer.opset_import}
        kept = [onnx.helper.make_opsetid(domain, version) for domain, version in versions]
        del importer.opset_import[:]
        importer.opset_import.extend(kept)


# ---- Order, and what nothing reads ----


def _arrange(body: _Body, label: str) -> set[str]:
    """Sort the nodes of a body and of the graphs inside, and drop what nothing reads.

    Returns the names of outer graphs that the body reads.
    """
    reads = [set(node.input).union(*(_arrange(graph, label) for graph in subgraphs(node))) for node in body.node]
    order = _sorted(body.node, reads, label)
    live = {output if isinstance(output, str) else output.name for output in body.output}
    kept: list[int] = []
    for i in reversed(order):
        if live.isdisjoint(filter(None, body.node[i].output)):
            continue
        kept.append(i)
        live |= reads[i]
    kept.reverse()
    if kept != list(range(len(body.node))):
        nodes = [body.node[i] for i in kept]
        arranged = type(body)()
        arranged.node.extend(nodes)
        del body.node[:]
        body.node.extend(arranged.node)
    if isinstance(body, FunctionProto):
        return live
    _drop_unused_tensors(body, live)
    return live.difference(_own_names(body), {""})


def _sorted(nodes: Sequence[NodeProto], reads: Sequence[set[str]], label: str) -> list[int]:
    """An order in which every node comes after those whose outputs it reads; otherwise the order of the file."""
    makers: dict[str, int] = {}
    for i, node in enumerate(nodes):
        for name in filter(None, node.output):
            makers.setdefault(name, i)
    waits = [{makers[name] for name in names if name in makers} for names in reads]
    readers: list[list[int]] = [[] for _ in nodes]
    for i, before in enumerate(waits):
        for j in before:
            readers[j].append(i)
    missing = [len(before) for before in waits]
    ready = [i for i, count in enumerate(missing) if not count]
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for reader in readers[i]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        circle = _circle(waits, set(range(len(nodes))).difference(order))
        names = [repr(nodes[i].name or next(filter(None, nodes[i].output), nodes[i].op_type)) for i in circle]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise ModelFileError(
            f"{label}: nodes {', '.join(names[:_SHOWN])}{more} read each other's outputs in a circle. "
            "The file is damaged. Export the model again."
        )
    return order


def _circle(waits: Sequence[set[int]], left: set[int]) -> list[int]:
    """One circle among the nodes that could not be sorted: each of them waits for another of them."""
    path: list[int] = []
    place: dict[int, int] = {}
    at = min(left)
    while at not in place:
        place[at] = len(path)
        path.append(at)
        at = min(waits[at] & left)
    return path[place[at] :][::-1]


def _own_names(graph: GraphProto) -> set[str]:
    names = {info.name for info in graph.input} | {tensor.name for tensor in graph.initializer}
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    return names.union(*(node.output for node in graph.node)) if graph.node else names


def _drop_unused_tensors(graph: GraphProto, live: set[str]) -> None:
    """Drop the initializers that nothing reads, whatever their dtype is, and the inputs whose defaults they are."""
    unused = {tensor.name for tensor in graph.initializer} - live
    for i in reversed(range(len(graph.input))):
        if graph.input[i].name in unused:
            del graph.input[i]
    for i in reversed(range(len(graph.initializer))):
        if graph.initializer[i].name not in live:
            del graph.initializer[i]
    for i in reversed(range(len(graph.sparse_initializer))):
        if graph.sparse_initializer[i].values.name not in live:
            del graph.sparse_initializer[i]


# ---- Types that the file leaves out ----


def infer_types(proto: ModelProto) -> dict[str, TypeProto]:
    """The types that onnx's shape inference finds, if some are needed: of outputs that are declared by name only, which
    are given them, and of what loops stack."""
    bare = [info for info in proto.graph.output if not info.type.WhichOneof("value")]
    if not bare and not any(node.op_type in ("Loop", "Scan") for node in proto.graph.node):
        return {}
    try:
        found = onnx.shape_inference.infer_shapes(_without_large_tensors(proto))
    except Exception:  # the C++ code raises many types; the types stay unknown until the model is planned
        return {}
    types = {info.name: info.type for info in (*found.graph.value_info, *found.graph.output, *found.graph.input)}
    for info in bare:
        if info.name in types:
            info.type.CopyFrom(types[info.name])
    return types


def _without_large_tensors(proto: ModelProto) -> ModelProto:
    """A copy of a model in which large initializers have a dtype and a shape, but no elements."""
    lean = ModelProto(ir_version=proto.ir_version)
    lean.opset_import.extend(proto.opset_import)
    lean.graph.name = proto.graph.name
    lean.graph.node.extend(proto.graph.node)
    lean.graph.input.extend(proto.graph.input)
    lean.graph.output.extend(proto.graph.output)
    for tensor in proto.graph.initializer:
        size = 1
        for dim in tensor.dims:
            size *= dim
        if size <= _SMALL and tensor.data_location != TensorProto.EXTERNAL:
            lean.graph.initializer.append(tensor)
        else:
            lean.graph.initializer.append(TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims))
    return lean
