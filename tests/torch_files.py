"""Files of PyTorch made by hand, byte by byte: no torch, and no limit to what they may claim."""

from __future__ import annotations

import io
import pathlib
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

STORAGES = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage", "uint16": "BFloat16Storage"}


def op_global(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    """As the pickle machine pushes it, however large."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def storage(key: str, numel: int, kind: str = "FloatStorage") -> bytes:
    parts = text("storage") + op_global("torch", kind) + text(key) + text("cpu") + integer(numel)
    return b"(" + parts + b"tQ"


def integers(*values: int) -> bytes:
    return b"(" + b"".join(map(integer, values)) + b"t"


def tensor(
    key: str, numel: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, kind: str = "FloatStorage"
) -> bytes:
    """The operations that leave a tensor on the stack."""
    arguments = storage(key, numel, kind) + integer(offset) + integers(*shape) + integers(*strides) + b"\x89}"
    return op_global("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def state_dict(entries: Mapping[str, bytes]) -> bytes:
    """A pickle of a dict: operations for each value."""
    items = b"".join(text(name) + value for name, value in entries.items())
    return b"\x80\x02}(" + items + b"u."


def archive(
    path: pathlib.Path,
    pickled: bytes,
    storages: Mapping[str, bytes],
    compression: int = zipfile.ZIP_STORED,
    **more: bytes,
) -> pathlib.Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", "3\n")
        for key, raw in storages.items():
            file.writestr(f"archive/data/{key}", raw)
        for name, raw in more.items():
            file.writestr(f"archive/{name}", raw)
    return path


def save(path: pathlib.Path, arrays: Mapping[str, Array], inside: str = "") -> pathlib.Path:
    """Write tensors as torch.save does, inside a dict of that name if one is given. Arrays of uint16 mean bfloat16."""
    entries, storages = {}, {}
    for key, (name, array) in enumerate(arrays.items()):
        strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
        entries[name] = tensor(str(key), array.size, array.shape, strides, kind=STORAGES[str(array.dtype)])
        storages[str(key)] = array.tobytes()
    pickled = state_dict(entries)
    if inside:
        pickled = state_dict({inside: pickled[2:-1]})  # without the protocol and the stop
    return archive(path, pickled, storages)


class Runs:
    """Pickles to a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def dumps(value: Any, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    pickle.Pickler(stream, protocol).dump(value)
    return stream.getvalue()
