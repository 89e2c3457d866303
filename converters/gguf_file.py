"""Writes a graph as the file of docs/file-format.md. The tables here and that page must agree, key for key."""

from __future__ import annotations

import errno
import math
import os
import re
import secrets
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Union

import gguf
import numpy as np

from lstm_rt.errors import UnsupportedModelError
from lstm_rt.files import path_text
from lstm_rt.text import printable

from .graph import ABSENT, Array, Attribute, Block, DType, Graph, Packed, PackedDType, Port

FORMAT_VERSION = 1
ALIGNMENT = 32

_INT32 = gguf.GGUFValueType.INT32
_INT64 = gguf.GGUFValueType.INT64
_UINT32 = gguf.GGUFValueType.UINT32
_FLOAT32 = gguf.GGUFValueType.FLOAT32
_STRING = gguf.GGUFValueType.STRING

_HEADER_CHECKSUM = "lstm_rt.checksum.header"
_KIND_INTS, _KIND_FLOATS, _KIND_STRINGS, _KIND_BLOCK = range(4)
_MAX_NAME_BYTES = 65535
_MAX_ELEMENTS = 1 << 40  # of one tensor
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NAME_BYTES = 63  # GGUF's limit is 64 with the final zero
_GGUF_RANKS = range(1, 5)
_PACKED = {
    PackedDType.BFLOAT16: gguf.GGMLQuantizationType.BF16,
    PackedDType.INT4: gguf.GGMLQuantizationType.Q4_0,
}

_Tensor = Union[Array, Packed]


def write(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph to a file, which appears whole or not at all.

    Parameters
    ----------
    graph : Graph
        A complete graph: every input has a shape.
    path : path-like
        The file to make or to replace.

    Raises
    ------
    OSError
        If the file cannot be written. What was there before is untouched.
    UnsupportedModelError
        If a name of the model exceeds the limit of the format or contains a NUL.
    ArgumentError
        If the path contains a NUL.

    Examples
    --------
    >>> write(graph, "model.gguf")  # doctest: +SKIP
    """
    path = Path(path_text(path))
    _check_names(graph)
    _check_ports(graph)
    # Short, whatever the length of the target's name, which may be the longest that the file system takes.
    temporary = path.parent / f".lstm_rt-{secrets.token_hex(8)}.tmp"
    try:
        _require_file(path)
        _seal(temporary, _write(graph, temporary))
        _sync(temporary)  # before the name is there: after a loss of power the old file or the new one is found, whole
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:  # with the name that was asked for, and always a number
        why = error.strerror or f"{error} (is the disk full?)"
        raise OSError(error.errno or errno.EIO, f"cannot write the model: {why}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _require_file(path: Path) -> None:
    """Refuse a target that is no file: renaming a file over a device such as /dev/null would remove the device."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "this is a pipe, a socket or a device, which would be lost. Give another name")


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    if path.is_dir() and os.name == "nt":  # where folders cannot be opened, names are written with the files
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(graph: Graph, path: Path) -> int:
    """Write all but the header's checksum; the size of the header."""
    writer = gguf.GGUFWriter(path, "lstm_rt")
    try:
        writer.add_custom_alignment(ALIGNMENT)
        writer.add_uint32(_HEADER_CHECKSUM, 0)  # before any text of the source: found first
        writer.add_uint32("lstm_rt.format_version", FORMAT_VERSION)
        _add_source(writer, graph)
        _add_ports(writer, graph)
        _add_blocks(writer, graph)
        _add_tensors(writer, graph)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        return _write_tensors(writer)
    finally:
        writer.close()


def _write_tensors(writer: Any) -> int:
    """Write the tensors' data; where it starts. The writer's own way misses a disk that is full at the end."""
    (file,) = writer.fout
    writer.write_padding(file, file.tell())
    start: int = file.tell()
    for tensor in writer.tensors[0].values():
        file.write(tensor.tensor.data)
        writer.write_padding(file, tensor.nbytes)
    return start


def _seal(path: Path, header_bytes: int) -> None:
    """Set the checksum of the header, in which its own place counts as zeros."""
    key = struct.pack("<Q", len(_HEADER_CHECKSUM)) + _HEADER_CHECKSUM.encode() + struct.pack("<I", _UINT32)
    with path.open("r+b") as file:
        header = file.read(header_bytes)
        file.seek(header.index(key) + len(key))
        file.write(struct.pack("<I", zlib.crc32(header)))


def _add_array(writer: gguf.GGUFWriter, key: str, items: Sequence[Any], kind: gguf.GGUFValueType) -> None:
    if items:  # an empty array is left out
        writer.add_key_value(f"lstm_rt.{key}", items, gguf.GGUFValueType.ARRAY, sub_type=kind)


def _add_source(writer: gguf.GGUFWriter, graph: Graph) -> None:
    for key in ("file", "sha256", "framework", "converter"):
        writer.add_string(f"lstm_rt.source.{key}", printable(getattr(graph.source, key)))
    for key, number in graph.hints.items():
        writer.add_string(f"lstm_rt.hint.{key}", repr(number))


def _check_names(graph: Graph) -> None:
    """Refuse names that the core would take for damage: is_label in src/model/text.cpp."""
    ports = (*graph.inputs, *graph.outputs)
    texts = [("value", name) for name in graph.values]
    texts += [("dim", name) for port in ports for name in _dim_names(port)]
    for op in (op for block in graph.main.walk() for op in block.ops):
        texts += [(f"{op.type} node", op.name), *((f"attribute of {op.type}", name) for name in op.attributes)]
    for what, name in texts:
        size = len(name.encode(errors="surrogatepass"))
        if size > _MAX_NAME_BYTES:
            raise UnsupportedModelError(
                f"{what} '{name[:40]}…': the name has {size} bytes, expected at most {_MAX_NAME_BYTES}. "
                "Rename it in the source."
            )
        if _UNSTORABLE.search(name):
            raise UnsupportedModelError(
                f"{what} {name!a:.80}: the name holds a NUL, or is not Unicode text. Rename it in the source."
            )


def _check_ports(graph: Graph) -> None:
    """Refuse declared shapes that the core would take for damage: check_dims in src/model/read_graph.cpp."""
    for port in (*graph.inputs, *graph.outputs):
        if math.prod(max(dim or 1, 1) for dim in port.shape or ()) > _MAX_ELEMENTS:
            raise UnsupportedModelError(
                f"'{printable(graph.name(port))[:80]}' declares the shape {port.shape}, of more than 2^40 elements. "
                "Correct it in the source."
            )


def _add_ports(writer: gguf.GGUFWriter, graph: Graph) -> None:
    _add_array(writer, "graph.values", graph.values, _STRING)
    _add_array(writer, "graph.inputs", [port.value for port in graph.inputs], _INT32)
    _add_array(writer, "graph.weights", [*graph.weights, *graph.packed], _INT32)
    for key, ports in (("input", graph.inputs), ("output", graph.outputs)):
        _add_port_table(writer, key, ports)
    if any(port.default is not None for port in graph.inputs):
        defaults = [ABSENT if port.default is None else port.default for port in graph.inputs]
        _add_array(writer, "input.defaults", defaults, _INT32)
    _add_array(writer, "bindings", [v for pair in graph.bindings for v in pair], _INT32)


def _add_port_table(writer: gguf.GGUFWriter, key: str, ports: Sequence[Port]) -> None:
    dtypes = [-1 if port.dtype is None else int(port.dtype) for port in ports]
    ranks = [-1 if port.shape is None else len(port.shape) for port in ports]
    dims = [-1 if dim is None else dim for port in ports for dim in port.shape or ()]
    names = [name for port in ports for name in _dim_names(port)]
    _add_array(writer, f"{key}.dtypes", dtypes, _INT32)
    _add_array(writer, f"{key}.ranks", ranks, _INT32)
    _add_array(writer, f"{key}.dims", dims, _INT64)
    _add_array(writer, f"{key}.dim_names", names, _STRING)


def _dim_names(port: Port) -> Sequence[str]:
    rank = len(port.shape or ())
    return port.dim_names if len(port.dim_names) == rank else [""] * rank


def _add_blocks(writer: gguf.GGUFWriter, graph: Graph) -> None:
    blocks = list(graph.main.walk())
    ops = [op for block in blocks for op in block.ops]
    _add_array(writer, "block.op_counts", [len(block.ops) for block in blocks], _INT32)
    if any(block.inputs for block in blocks):
        _add_array(writer, "block.input_counts", [len(block.inputs) for block in blocks], _INT32)
        _add_array(writer, "block.inputs", [v for block in blocks for v in block.inputs], _INT32)
    _add_array(writer, "block.output_counts", [len(block.outputs) for block in blocks], _INT32)
    _add_array(writer, "block.outputs", [v for block in blocks for v in block.outputs], _INT32)
    _add_array(writer, "op.types", [op.type for op in ops], _STRING)
    _add_array(writer, "op.names", [op.name for op in ops], _STRING)
    _add_array(writer, "op.input_counts", [len(op.inputs) for op in ops], _INT32)
    _add_array(writer, "op.inputs", [v for op in ops for v in op.inputs], _INT32)
    _add_array(writer, "op.output_counts", [len(op.outputs) for op in ops], _INT32)
    _add_array(writer, "op.outputs", [v for op in ops for v in op.outputs], _INT32)
    _add_array(writer, "attr.counts", [len(op.attributes) for op in ops], _INT32)
    attributes = [item for op in ops for item in op.attributes.items()]
    _add_attributes(writer, attributes, {id(block): i for i, block in enumerate(blocks)})


def _add_attributes(
    writer: gguf.GGUFWriter, attributes: Iterable[tuple[str, Attribute]], blocks: dict[int, int]
) -> None:
    names: list[str] = []
    kinds: list[int] = []
    lengths: list[int] = []
    pools: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for name, attribute in attributes:
        kind, items = _pooled(attribute, blocks)
        names.append(name)
        kinds.append(kind)
        lengths.append(len(items))
        pools[_KIND_INTS if kind == _KIND_BLOCK else kind].extend(items)
    _add_array(writer, "attr.names", names, _STRING)
    _add_array(writer, "attr.kinds", kinds, _INT32)
    _add_array(writer, "attr.lengths", lengths, _INT32)
    _add_array(writer, "attr.ints", pools[_KIND_INTS], _INT64)
    _add_array(writer, "attr.floats", pools[_KIND_FLOATS], _FLOAT32)
    _add_array(writer, "attr.strings", pools[_KIND_STRINGS], _STRING)


def _pooled(attribute: Attribute, blocks: dict[int, int]) -> tuple[int, list[Any]]:
    """The kind of an attribute and the items it takes of that kind's pool."""
    if isinstance(attribute, Block):
        return _KIND_BLOCK, [blocks[id(attribute)]]
    items: list[Any] = [attribute] if isinstance(attribute, (int, float, str)) else list(attribute)
    if any(isinstance(item, str) for item in items):
        return _KIND_STRINGS, items
    if any(isinstance(item, (float, np.floating)) for item in items):
        return _KIND_FLOATS, [float(item) for item in items]
    return _KIND_INTS, [int(item) for item in items]


def _add_tensors(writer: gguf.GGUFWriter, graph: Graph) -> None:
    tensors = _named_tensors(graph)
    _add_array(writer, "tensor.dtypes", [_dtype_code(a) for _, a in tensors], _INT32)
    _add_array(writer, "tensor.ranks", [len(a.shape) for _, a in tensors], _INT32)
    _add_array(writer, "tensor.dims", [d for _, a in tensors for d in a.shape], _INT64)
    writer.add_uint32("lstm_rt.selftest.count", len(graph.selftests))
    names: set[str] = set()
    stored = [_as_gguf(array) for _, array in tensors]
    _add_array(writer, "checksum.tensors", [zlib.crc32(array.data) for array in stored], _UINT32)
    for (name, array), data in zip(tensors, stored):
        kind = _PACKED[array.dtype] if isinstance(array, Packed) else None
        writer.add_tensor(_tensor_name(name, names), data, raw_dtype=kind)


def _dtype_code(tensor: _Tensor) -> int:
    return int(tensor.dtype) if isinstance(tensor, Packed) else int(DType.of(tensor.dtype))


def _named_tensors(graph: Graph) -> list[tuple[str, _Tensor]]:
    """Every tensor of the file, in its order: the weights, then each self-test's inputs and outputs."""
    tensors: list[tuple[str, _Tensor]] = [(graph.values[v], array) for v, array in graph.weights.items()]
    tensors += [(graph.values[v], packed) for v, packed in graph.packed.items()]
    for i, test in enumerate(graph.selftests):
        for ports, arrays in ((graph.inputs, test.inputs), (graph.outputs, test.outputs)):
            tensors += [(f"selftest.{i}.{graph.name(p)}", a) for p, a in zip(ports, arrays)]
    return tensors


def _tensor_name(name: str, taken: set[str]) -> str:
    """Cut a name to what GGUF allows, and make it unlike any in `taken`, where it is noted."""
    candidate, number = _cut(name, _NAME_BYTES), 0
    while candidate in taken:
        number += 1
        suffix = f".{number}"
        candidate = _cut(name, _NAME_BYTES - len(suffix)) + suffix
    taken.add(candidate)
    return candidate


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")


def _as_gguf(tensor: _Tensor) -> Array:
    """The same bytes as an array GGUF can name: 1 to 4 dims, bool and uint8 as int8."""
    array = tensor.data if isinstance(tensor, Packed) else tensor
    if array is tensor and array.dtype in (np.bool_, np.uint8):
        array = array.view(np.int8)
    return np.ascontiguousarray(array if array.ndim in _GGUF_RANKS else array.reshape(-1))
