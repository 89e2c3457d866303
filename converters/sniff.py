"""Finds out what a file is by its content. The end of its name counts only if the content shows nothing."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lstm_rt.errors import UnsupportedModelError
from lstm_rt.files import open_regular

_HEAD = 512
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_BLOCKS = (0, *(512 << i for i in range(12)))  # a block of the user's own may come before the signature
_TAR = (257, b"ustar")
_END_OF_ZIP, _END_OF_ZIP64, _ENTRY_OF_ZIP = b"PK\5\6", b"PK\6\6", b"PK\1\2"
_TAIL = 66 << 10  # in which the end of a zip archive must be
_DIRECTORY = 1 << 20  # of a zip archive, so many bytes are looked at
_LARGEST_HEADER = 100 << 20  # of safetensors
_ONNX_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2}  # of a ModelProto: wire types
_ONNX_GRAPH = 7
_OTHERS = {
    b"TFL3": (4, "a TensorFlow Lite model, from which weights cannot be taken back. Convert the Keras model itself"),
    b"\xfd7zXZ": (0, "compressed with xz. Unpack it first"),
    b"\x1f\x8b": (0, "compressed with gzip. Unpack it first"),
    b"BZh": (0, "compressed with bzip2. Unpack it first"),
    b"\x28\xb5\x2f\xfd": (0, "compressed with zstd. Unpack it first"),
    b"\x04\x22\x4d\x18": (0, "compressed with lz4. Unpack it first"),
    b"version https://git-lfs": (0, "a pointer of Git LFS, not the model. Run: git lfs pull"),
}


def kind_of_file(path: str | os.PathLike[str]) -> str:
    """Find out what a file is by its content.

    Parameters
    ----------
    path : path-like
        The file. Nothing but a regular file is opened.

    Returns
    -------
    str
        An ending that stands for its kind (``.gguf``, ``.onnx``, ``.keras``, ``.h5``, ``.pt2``, ``.jit``, ``.pt`` or
        ``.safetensors``), empty if the content shows none of these.

    Raises
    ------
    UnsupportedModelError
        If the file is packed, or of a format that is known and not read.
    """
    try:
        with open_regular(path) as file:
            return _kind(file, Path(path).name)
    except UnsupportedModelError:
        raise
    except (OSError, ValueError):  # no file, or no path: its reader says what is wrong with it
        return ""


def _kind(file: BinaryIO, name: str) -> str:
    size = os.fstat(file.fileno()).st_size
    head = file.read(_HEAD)
    if head[:4] == b"GGUF":
        return ".gguf"
    if head[:2] == b"PK":
        return _kind_of_zip(list(_zip_names(file, size)))
    if any(_at(file, block, len(_HDF5)) == _HDF5 for block in _HDF5_BLOCKS if block < size):
        return ".h5"
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):  # a pickle; its reader looks closer
        return ".pt"
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= length <= min(size - 8, _LARGEST_HEADER):
        return ".safetensors"
    for magic, (offset, what) in _OTHERS.items():
        if head[offset : offset + len(magic)] == magic:
            raise UnsupportedModelError(f"{name} is {what}.")
    if head[_TAR[0] : _TAR[0] + len(_TAR[1])] == _TAR[1]:
        raise UnsupportedModelError(
            f"{name} is a tar archive: unpack it first. If it is a checkpoint of torch before 0.1.10, load it with "
            "torch and save its state_dict."
        )
    return ".onnx" if _is_onnx(file, size) else ""


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _kind_of_zip(names: list[str]) -> str:
    leaves = {name.rpartition("/")[2] for name in names}
    if "config.json" in names and {"model.weights.h5", "metadata.json"} & set(names):
        return ".keras"
    if "constants.pkl" in leaves or any("/code/" in f"/{name}" for name in names):
        return ".jit"
    if "serialized_exported_program.json" in leaves or any("/models/" in f"/{name}" for name in names):
        return ".pt2"
    return ".pt" if "data.pkl" in leaves else ""


def _zip_names(file: BinaryIO, size: int) -> Iterator[str]:
    """The first names in the directory of a zip archive; none if it is damaged, as its reader says."""
    begin = max(size - _TAIL, 0)
    tail = _at(file, begin, _TAIL)
    at = tail.rfind(_END_OF_ZIP)
    if at < 0 or len(tail) < at + 22:
        return
    length, offset = struct.unpack_from("<2I", tail, at + 12)
    far = tail.rfind(_END_OF_ZIP64, 0, at)
    if 0xFFFFFFFF in (length, offset) and far >= 0 and len(tail) >= far + 56:
        length, offset = struct.unpack_from("<2Q", tail, far + 40)
    if offset > size:
        return
    directory, at = _at(file, offset, min(length, _DIRECTORY)), 0
    while directory[at : at + 4] == _ENTRY_OF_ZIP and len(directory) >= at + 46:
        sizes = struct.unpack_from("<3H", directory, at + 28)
        yield directory[at + 46 : at + 46 + sizes[0]].decode("utf-8", "replace")
        at += 46 + sum(sizes)


def _is_onnx(file: BinaryIO, size: int) -> bool:
    """Whether the file is a protobuf message with the fields of a ModelProto, its graph among them."""
    at, seen = 0, set()
    while at < size:
        head = _at(file, at, 20)
        tag, used = _varint(head)
        field, wire = tag >> 3, tag & 7
        if used == 0 or _ONNX_FIELDS.get(field) != wire:
            return False
        value, more = _varint(head[used:])
        at += used + more + (value if wire == 2 else 0)
        if more == 0 or at > size:
            return False
        seen.add(field)
    return _ONNX_GRAPH in seen


def _varint(data: bytes) -> tuple[int, int]:
    """A number, and how many bytes it takes; 0 bytes if there is none."""
    value = 0
    for i, byte in enumerate(data[:10]):
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value, i + 1
    return 0, 0
