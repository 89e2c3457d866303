"""Opens PyTorch's files of weights: the zip layout, the older one before it, and safetensors.

The file is mapped, and tensors are views of the map: what it claims costs nothing before it is checked.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from lstm_rt.errors import ModelFileError, UnsupportedModelError

from ..budget import current
from ..graph import Array
from ..source import map_file
from ..zipped import Zip
from .safetensors import read_safetensors
from .tensors import Storage, Tensor
from .unpickle import Opaque, Unpickler
from .weights_pickle import TABLE, storage_of

_LEGACY_MAGIC = bytes.fromhex("80028a0a6cfc9c46")
_LEGACY_NUMBER = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_MOST_PICKLE = 32 << 20  # of the old layout, where nothing says how long the pickles are


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
    data = map_file(path)
    if data.size < 8:
        raise ModelFileError(f"{path.name}: this is no file of weights: it has {data.size} bytes.")
    try:
        skipped: dict[str, None] = {}
        content = _read(path, data, skipped)
    except ModelFileError as error:
        if str(error).startswith(path.name):
            raise
        raise ModelFileError(f"{path.name}: {error}") from error
    current().check(sum(tensor.nbytes for tensor in _tensors(content)), f"{path.name}: its tensors")
    return WeightFile(content, path.name, hashlib.sha256(data.data).hexdigest(), list(skipped))


def _read(path: Path, data: Array, skipped: dict[str, None]) -> object:
    head = data[:8].tobytes()
    if head == _LEGACY_MAGIC:
        return _read_legacy(data, skipped)
    if head.startswith(b"PK"):
        return _read_zip(path, data, skipped)
    if path.suffix.lower() == ".safetensors" or data[8:9].tobytes() == b"{":
        return read_safetensors(data, path.name)
    if head.startswith(b"\x80"):
        _read_legacy(data, skipped)
    raise ModelFileError("this is no file of PyTorch: neither a zip nor a pickle nor safetensors.")


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


def _read_zip(path: Path, data: Array, skipped: dict[str, None]) -> object:
    archive = Zip(data, path.name)
    pickles = [name for name in archive.names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ModelFileError("it is a zip archive, but none that torch.save writes: it has no data.pkl, or several.")
    folder = pickles[0][: -len("data.pkl")]
    if folder + "constants.pkl" in archive:
        raise UnsupportedModelError(f"{path.name} is TorchScript, which is not read here.")
    raw = archive.view(pickles[0])
    current().spend(raw.size, f"{path.name}: its pickle")
    storages: dict[str, Storage] = {}
    unpickler = Unpickler(TABLE, lambda identity: storage_of(identity, storages), skipped)
    content = unpickler.load(BytesIO(raw.tobytes()))
    order = "<"
    if folder + "byteorder" in archive:
        order = ">" if archive.view(folder + "byteorder")[:3].tobytes() == b"big" else "<"
    for key, storage in storages.items():
        storage.fill(archive.view(f"{folder}data/{key}"), order)
    return content


# ---- The layout before torch 1.6: pickles one after the other, then the storages ----


def _read_legacy(data: Array, skipped: dict[str, None]) -> object:
    current().spend(min(data.size, _MOST_PICKLE), "its pickle")
    stream = BytesIO(data[:_MOST_PICKLE].tobytes())
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
