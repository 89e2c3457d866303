"""Reads the tensors that an ONNX model keeps in other files (onnx/docs/ExternalData.md)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onnx import AttributeProto, GraphProto, TensorProto

from lstm_rt.errors import ModelFileError
from lstm_rt.files import open_regular

from ..source import add_file, read_part

_BITS = {
    **dict.fromkeys(("FLOAT", "INT32", "UINT32"), 32),
    **dict.fromkeys(("FLOAT16", "BFLOAT16", "INT16", "UINT16"), 16),
    **dict.fromkeys(("DOUBLE", "INT64", "UINT64", "COMPLEX64"), 64),
    **dict.fromkeys(("INT8", "UINT8", "BOOL"), 8),
    **dict.fromkeys(("INT4", "UINT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("INT2", "UINT2"), 2),
    **dict.fromkeys(("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"), 8),
    "COMPLEX128": 128,
}
_LONGEST_LOCATION = 1024


def load_external(graph: GraphProto, label: str, path: Path | None) -> None:
    """Read the elements of every tensor that is kept in another file into the model.

    Parameters
    ----------
    graph : GraphProto
        Changed in place.
    label : str
        What messages call the model.
    path : Path, optional
        The model's file, next to which other files are; without it the model must have none.

    Raises
    ------
    ModelFileError
        If a file is missing, is not next to the model, or does not hold what the tensor's dims say.
    """
    with contextlib.ExitStack() as stack:
        files: dict[Path, tuple[BinaryIO, int]] = {}
        for tensor in tensors_of(graph):
            if tensor.data_location != TensorProto.EXTERNAL:
                continue
            if path is None:
                raise ModelFileError(
                    f"{label}: tensor {tensor.name!r} is kept in another file. "
                    "Convert the model from its path, or load its external data before."
                )
            tensor.raw_data = _read(tensor, f"{label}: tensor {tensor.name!r}", path, files, stack)
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]


def tensors_of(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield the tensors of a graph and of the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == AttributeProto.TENSORS:
                yield from attribute.tensors
            elif attribute.type == AttributeProto.GRAPH:
                yield from tensors_of(attribute.g)
            elif attribute.type == AttributeProto.GRAPHS:
                for inner in attribute.graphs:
                    yield from tensors_of(inner)


def _read(
    tensor: TensorProto,
    where: str,
    path: Path,
    files: dict[Path, tuple[BinaryIO, int]],
    stack: contextlib.ExitStack,
) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    found = _resolve(where, location, path)
    where = f"{where} is kept in {location!r}"
    wanted = _bytes_of(tensor, where)
    offset, length = _number(entries, "offset", 0, where), _number(entries, "length", wanted, where)
    if length != wanted:
        raise ModelFileError(
            f"{where} with {length} bytes, but its dims {list(tensor.dims)} need {wanted}. The file is damaged."
        )
    if found not in files:
        try:
            opened = stack.enter_context(open_regular(found))
        except OSError as error:
            raise ModelFileError(f"{where}, which cannot be read: {error.strerror}.") from error
        files[found] = opened, add_file(opened)
    file, size = files[found]
    if offset + length > size:
        raise ModelFileError(f"{where} at {offset}, {length} bytes, but that file has {size}.")
    return read_part(file, offset, length, where)


def _bytes_of(tensor: TensorProto, where: str) -> int:
    """Count the bytes that a tensor's dims and dtype need."""
    known = {value: name for name, value in TensorProto.DataType.items()}
    bits = _BITS.get(known.get(tensor.data_type, ""))
    if bits is None or any(dim < 0 for dim in tensor.dims):
        raise ModelFileError(f"{where}, but it has no dtype or dims that can be. The file is damaged.")
    elements = 1
    for dim in tensor.dims:
        elements *= dim
    return (elements * bits + 7) // 8


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, "")
    if not text:
        return default
    if len(text) > 19 or not (text.isascii() and text.isdecimal()):
        raise ModelFileError(f"{where}, but its {key} {text[:40]!r} is not a number of bytes. The file is damaged.")
    return int(text)


def _resolve(where: str, location: str, path: Path) -> Path:
    """Resolve a location, which must lead nowhere but into the model's folder.

    A download cache may hold links to files elsewhere: then the folder that the model's own link leads to counts too.
    """
    if len(location) > _LONGEST_LOCATION:
        raise ModelFileError(f"{where} is kept in {location[:80]!r}, which is not the name of a file.")
    folder = path.parent.resolve()
    lexical = Path(os.path.normpath(folder / location))
    if os.path.isabs(location) or {"\\", "\0"} & set(location) or folder not in lexical.parents:
        raise ModelFileError(
            f"{where} is kept in {location!r}, which is not in the folder of the model. "
            "Only files next to the model are read."
        )
    try:
        real = lexical.resolve()
        is_file = real.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, links in a circle
        raise ModelFileError(f"{where} is kept in {location!r}, which cannot be read: {error}.") from error
    if not {folder, path.resolve().parent} & set(real.parents):
        raise ModelFileError(
            f"{where} is kept in {location!r}, a link that leads out of the folder of the model. "
            "Only files next to the model are read."
        )
    if not is_file:
        raise ModelFileError(
            f"{where} is kept in {location!r}, and there is no such file next to the model. Put it there."
        )
    return real
