"""Reads safetensors files: a length, a JSON header that describes the tensors, and their bytes one after the other."""

from __future__ import annotations

import struct
from typing import Any

from lstm_rt.errors import ModelFileError, UnsupportedModelError

from ..budget import current
from ..graph import MAX_RANK, Array
from ..source import read_json
from .tensors import Storage, Tensor, count

_DTYPES = {
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F64": "float64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_LENGTH = struct.Struct("<Q")
_METADATA = "__metadata__"
_BYTES_PER_TENSOR = 1024  # what Python makes of one, without its elements


def read_safetensors(data: Array, label: str) -> dict[str, object]:
    """Read a safetensors file.

    Parameters
    ----------
    data : numpy.ndarray
        The file as uint8, at least 8 bytes; tensors are views of it.
    label : str
        What messages call the file.

    Returns
    -------
    dict of str to Tensor
        By name.

    Raises
    ------
    ModelFileError
        If the header is damaged, or the tensors do not fill the file one after the other.
    UnsupportedModelError
        If a tensor has a dtype that is not supported.
    """
    (length,) = _LENGTH.unpack(data[: _LENGTH.size].tobytes())
    begin = _LENGTH.size + length
    if begin > data.size:
        raise ModelFileError(f"{label}: no safetensors file, or cut short: its header claims {length} bytes.")
    header = read_json(data[_LENGTH.size : begin].tobytes(), f"{label}, header of safetensors")
    if not isinstance(header, dict):
        raise ModelFileError(f"{label}: no safetensors file: its header is not a JSON object.")
    entries = {name: entry for name, entry in header.items() if name != _METADATA}
    current().spend(_BYTES_PER_TENSOR * len(entries), label, len(entries))
    _check_dtypes(entries, label)
    body = data[begin:]
    placed = sorted((_place(entry, name, label), name) for name, entry in entries.items())
    end = 0
    for (first, last), name in placed:
        if first != end:
            raise ModelFileError(
                f"{label}: safetensors tensor {name!r} starts at byte {first}, expected {end}. The file is damaged."
            )
        end = last
    if end != body.size:
        raise ModelFileError(
            f"{label}: its safetensors header describes {end} bytes of tensors, but the file has {body.size}. "
            "The file is damaged."
        )
    places = {name: place for place, name in placed}
    return {name: _tensor(entry, body[slice(*places[name])], name, label) for name, entry in entries.items()}


def _check_dtypes(entries: dict[str, Any], label: str) -> None:
    dtypes: set[str] = set()
    for entry in entries.values():
        dtype = entry.get("dtype") if isinstance(entry, dict) else None
        dtypes.add(dtype if isinstance(dtype, str) else "")
    if "" in dtypes:
        raise ModelFileError(f"{label}: a tensor of its safetensors header has no dtype. The file is damaged.")
    unknown = sorted(dtypes - set(_DTYPES))
    if unknown:
        listed = ", ".join(dtype[:20] for dtype in unknown[:8])
        raise UnsupportedModelError(f"{label} has tensors of {listed}. Save them as float32.")


def _place(entry: dict[str, Any], name: str, label: str) -> tuple[int, int]:
    offsets = _sizes(entry.get("data_offsets"))
    if offsets is not None and len(offsets) == 2 and offsets[0] <= offsets[1]:
        return offsets[0], offsets[1]
    raise ModelFileError(f"{label}: safetensors tensor {name!r} has no data_offsets. The file is damaged.")


def _tensor(entry: dict[str, Any], raw: Array, name: str, label: str) -> Tensor:
    shape = _sizes(entry.get("shape"))
    if shape is None or len(shape) > MAX_RANK:
        raise ModelFileError(
            f"{label}: safetensors tensor {name!r} has no shape of at most {MAX_RANK} dims. The file is damaged."
        )
    storage = Storage(_DTYPES[entry["dtype"]], count(shape))
    if storage.numel * storage.itemsize != raw.size:
        raise ModelFileError(
            f"{label}: safetensors tensor {name!r} has {raw.size} bytes, not those of its shape {shape}. "
            "The file is damaged."
        )
    storage.fill(raw)
    strides = tuple(count(shape[axis + 1 :]) for axis in range(len(shape)))
    return Tensor(storage, 0, tuple(shape), strides)


def _sizes(given: object) -> list[int] | None:
    if isinstance(given, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in given):
        return given
    return None
