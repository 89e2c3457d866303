"""Opens PyTorch's files of weights: the zip layout, the older one before it, and safetensors.

The file is mapped, and tensors are views of the map: what it claims costs nothing before it is checked.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from lstm_rt.errors import ModelFileError, UnsupportedModelError

from ..graph import Array
from ..registry import missing_package
from .tensors import DTYPES, Storage, Tensor, count
from .unpickle import MOST_BYTES, Opaque, Unpickler
from .weights_pickle import TABLE, storage_of

_LEGACY_MAGIC = bytes.fromhex("80028a0a6cfc9c46")
_LEGACY_NUMBER = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_SHARED = 16  # times that the elements of a file may be used, on the average, by tensors that share them
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights holds.

    Attributes
    ----------
    content : object
        Dicts and lists of `Tensor` and of plain values, as they were saved.
    label : str
        The file's name, for messages.
    sha256 : str
        Of its bytes.
    skipped : list of str
        The classes of objects in it that are not read.
    """

    content: object
    label: str
    sha256: str
    skipped: list[str] = field(default_factory=list)


def read_weights(path: str | os.PathLike[str]) -> WeightFile:
    """Read a file of weights.

    Parameters
    ----------
    path : path-like
        ``.pt``, ``.pth``, ``.bin`` or ``.safetensors``; what it is shows in its first bytes.

    Returns
    -------
    WeightFile
        Its content.

    Raises
    ------
    ModelFileError
        If it is damaged, or no such file.
    UnsupportedModelError
        If it holds anything but weights.
    """
    path = Path(path)
    if path.stat().st_size < 8:
        raise ModelFileError(f"{path.name}: this is no file of weights: it has {path.stat().st_size} bytes.")
    data: Array = np.memmap(path, np.uint8, "r")
    try:
        skipped: dict[str, None] = {}
        content = _read(path, data, skipped)
    except ModelFileError as error:
        raise ModelFileError(f"{path.name}: {error}") from None
    _check_claims(content, path, data.size)
    return WeightFile(content, path.name, hashlib.sha256(data.data).hexdigest(), list(skipped))


def _read(path: Path, data: Array, skipped: dict[str, None]) -> object:
    head = data[:8].tobytes()
    if head == _LEGACY_MAGIC:
        return _read_legacy(data, skipped)
    if head.startswith(b"PK"):
        return _read_zip(path, data, skipped)
    if path.suffix.lower() == ".safetensors" or data[8:9].tobytes() == b"{":
        return _read_safetensors(path)
    if head.startswith(b"\x80"):
        _read_legacy(data, skipped)
    raise ModelFileError("this is no file of PyTorch: neither a zip nor a pickle nor safetensors.")


def _check_claims(content: object, path: Path, size: int) -> None:
    """Refuse a small file whose tensors, each within its storage, add up to a large one."""
    claimed = sum(tensor.nbytes for tensor in _tensors(content))
    if claimed > _SHARED * size + (1 << 20):
        raise ModelFileError(f"{path.name}: its tensors claim {claimed} bytes, and the file has {size}. It is damaged.")


def parts_of(item: object) -> Iterable[object]:
    """Give what a container of a file holds; nothing where the item is none."""
    if isinstance(item, dict):
        return item.values()
    if isinstance(item, Opaque):
        return (item.state,)
    return item if isinstance(item, (list, tuple)) else ()


def _tensors(content: object) -> list[Tensor]:
    """Every tensor, as often as it has a place of its own; containers that are met again are not gone into."""
    seen: set[int] = set()
    waiting, found = [content], []
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, (dict, list, tuple, Opaque)) and id(item) not in seen:
            seen.add(id(item))
            waiting += parts_of(item)
    return found


# ---- The zip layout ----


class _Archive:
    """The members of a zip file that are plain stretches of it."""

    def __init__(self, path: Path, data: Array) -> None:
        self._data = data
        try:
            with zipfile.ZipFile(path) as archive:
                self.members = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError, struct.error) as error:
            raise ModelFileError(f"its zip archive is damaged: {error}") from None

    def read(self, name: str) -> Array:
        info = self.members.get(name)
        if info is None:
            raise ModelFileError(f"{name[:200]!r} is missing from its archive. The file is damaged.")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            raise ModelFileError(f"{name!r} is compressed or encrypted, which torch.save never does. Save it anew.")
        at = info.header_offset
        header = self._data[at : at + _LOCAL_HEADER.size].tobytes() if at >= 0 else b""
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\3\4":
            raise ModelFileError(f"{name!r} is not where its archive says. The file is damaged.")
        fields = _LOCAL_HEADER.unpack(header)
        begin = at + _LOCAL_HEADER.size + fields[-2] + fields[-1]
        if begin + info.file_size > self._data.size:
            raise ModelFileError(f"{name!r} reaches past the end of the file. It is cut short.")
        return self._data[begin : begin + info.file_size]


def _read_zip(path: Path, data: Array, skipped: dict[str, None]) -> object:
    archive = _Archive(path, data)
    pickles = [name for name in archive.members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ModelFileError("it is a zip archive, but none that torch.save writes: it has no data.pkl, or several.")
    folder = pickles[0][: -len("data.pkl")]
    if folder + "constants.pkl" in archive.members:
        raise UnsupportedModelError(f"{path.name} is TorchScript, which is not read here.")
    raw = archive.read(pickles[0])
    if raw.size > MOST_BYTES:
        raise ModelFileError(
            f"its pickle has {raw.size} bytes; at most {MOST_BYTES} are read. Save the state_dict alone."
        )
    storages: dict[str, Storage] = {}
    unpickler = Unpickler(TABLE, lambda identity: storage_of(identity, storages), skipped)
    content = unpickler.load(BytesIO(raw.tobytes()))
    order = "<"
    if folder + "byteorder" in archive.members:
        order = ">" if archive.read(folder + "byteorder")[:3].tobytes() == b"big" else "<"
    for key, storage in storages.items():
        storage.fill(archive.read(f"{folder}data/{key}"), order)
    return content


# ---- The layout before torch 1.6: pickles one after the other, then the storages ----


def _read_legacy(data: Array, skipped: dict[str, None]) -> object:
    stream = BytesIO(data[:MOST_BYTES].tobytes())
    storages: dict[str, Storage] = {}
    unpickler = Unpickler(TABLE, lambda identity: storage_of(identity, storages), skipped)

    def load() -> Any:
        return unpickler.load(stream)

    if load() != _LEGACY_NUMBER or load() != _LEGACY_VERSION:
        raise ModelFileError("it is a pickle, but none that torch.save writes.")
    system, content, keys = load(), load(), load()
    if not isinstance(system, dict) or not isinstance(keys, list):
        raise ModelFileError("it is a pickle, but none that torch.save writes.")
    order = "<" if system.get("little_endian", True) else ">"
    _fill_legacy(data, stream.tell(), keys, storages, order)
    return content


def _fill_legacy(data: Array, at: int, keys: list[Any], storages: dict[str, Storage], order: str) -> None:
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None:
            raise ModelFileError(
                "it holds a storage that no tensor has, or one of a dtype that is not read. Save the state_dict alone."
            )
        (numel,) = struct.unpack(order + "q", data[at : at + 8].tobytes().ljust(8, b"\xff"))
        if numel != storage.numel:
            raise ModelFileError(f"storage {key[:50]!r} is not of the size that its tensors say. The file is damaged.")
        end = at + 8 + numel * storage.itemsize
        storage.fill(data[at + 8 : end], order)
        at = end
    if any(storage.data is None for storage in storages.values()):
        raise ModelFileError("a tensor's storage is missing. The file is damaged.")


# ---- safetensors ----

_SAFETENSORS = {
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


def _read_safetensors(path: Path) -> object:
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise missing_package("torch", error) from error
    try:
        tensors = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ModelFileError(f"it is no safetensors file, or a damaged one: {error}") from None
    unknown = sorted({str(each["dtype"]) for _, each in tensors} - set(_SAFETENSORS))
    if unknown:
        raise UnsupportedModelError(f"{path.name} has tensors of {', '.join(unknown)}. Save them as float32.")
    return {name: _tensor(each) for name, each in tensors}


def _tensor(given: dict[str, Any]) -> Tensor:
    shape = tuple(given["shape"])
    dtype = _SAFETENSORS[given["dtype"]]
    storage = Storage(dtype, count(shape))
    storage.fill(np.frombuffer(given["data"], np.uint8))
    strides = tuple(count(shape[axis + 1 :]) for axis in range(len(shape)))
    assert dtype in DTYPES
    return Tensor(storage, 0, shape, strides)
