"""What may be read of an HDF5 file: attributes and plain arrays that are inside the file, and no larger than it.

Links to other files, virtual and external datasets are how such a file reaches outside itself; a dataset of a huge
shape that stores nothing, or little, is how it fills the memory. Keras writes none of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from lstm_rt.errors import ModelFileError

from ..graph import MAX_RANK, Array

# What h5py raises at damaged files.
_DAMAGED = (KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError)
# Weights hardly compress: a file that claims many times its size is not one of weights.
_EXPANSION = 16
_SLACK = 1 << 20
_MOST_OBJECTS = 1 << 16
_LONGEST_ATTRIBUTE = 16 << 20


class File:
    """An open HDF5 file."""

    def __init__(self, data: bytes, label: str) -> None:
        self.label = label
        self._left = _EXPANSION * len(data) + _SLACK
        self._objects = _MOST_OBJECTS
        self._spent: set[str] = set()
        try:
            self._file = h5py.File(io.BytesIO(data), "r")
        except _DAMAGED as error:
            raise ModelFileError(f"{label}: not an HDF5 file, or a damaged one: {error}") from error

    @property
    def root(self) -> Group:
        """The outermost group."""
        return Group(self, self._file, "")

    def refuse(self, where: str, what: str) -> ModelFileError:
        """Say what is wrong with one object of the file."""
        return ModelFileError(f"{self.label}: {where or '/'}: {what}")

    def count(self, where: str) -> None:
        """Keep a file from holding more objects than anyone would read."""
        self._objects -= 1
        if self._objects < 0:
            raise self.refuse(where, f"more than {_MOST_OBJECTS} objects are in the file. It is damaged.")

    def spend(self, where: str, size: int) -> None:
        """Keep arrays from being larger than the file could hold. A shared layer's are read more than once."""
        self._left -= 0 if where in self._spent else size
        self._spent.add(where)
        if self._left < 0:
            raise self.refuse(where, f"claims {size} bytes, more than the file can hold. It is damaged.")


class Group:
    """One group: its attributes, its arrays and the groups inside."""

    def __init__(self, file: File, group: Any, path: str) -> None:
        self._file = file
        self._group = group
        self.path = path

    def names(self) -> list[str]:
        """Names of what is inside."""
        try:
            return [str(name) for name in self._group]
        except _DAMAGED as error:
            raise self._file.refuse(self.path, f"damaged: {error}") from error

    def group(self, path: str) -> Group | None:
        """A group inside, None where there is none."""
        found: Any = self
        for name in _parts(path):
            found = found._child(name)
            if not isinstance(found, Group):
                return None
        return found if isinstance(found, Group) else None

    def array(self, path: str) -> Array:
        """An array inside."""
        *groups, last = _parts(path)
        at: Group | None = self.group("/".join(groups)) if groups else self
        child = at._child(last) if at is not None else None
        where = f"{self.path}/{path}"
        if child is None or isinstance(child, Group):
            raise self._file.refuse(where, "there is no such array. The file is damaged.")
        return self._read(where, child)

    def walk(self) -> Iterator[str]:
        """Paths of all arrays inside."""
        for name in self.names():
            child = self._child(name)
            if isinstance(child, Group):
                yield from (f"{name}/{path}" for path in child.walk())
            elif child is not None:
                yield name

    def attribute(self, name: str) -> Any:
        """An attribute: text, or a list of texts; None where there is none."""
        where = f"{self.path}, attribute {name!r}"
        try:
            if name not in self._group.attrs:
                return None
            self._check_attribute(where, name)
            value = self._group.attrs[name]
        except _DAMAGED as error:
            raise self._file.refuse(where, f"cannot be read: {error}. The file is damaged.") from error
        if isinstance(value, (bytes, np.bytes_)):
            return _decode(value)
        if isinstance(value, np.ndarray):
            return [_decode(item) for item in value.ravel()]
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts, which Keras spreads over several attributes where it is long."""
        whole = self.attribute(name)
        if whole is not None:
            return [str(item) for item in whole] if isinstance(whole, list) else [str(whole)]
        found: list[str] = []
        for number in range(_MOST_OBJECTS):
            part = self.attribute(f"{name}{number}")
            if part is None:
                break
            found += [str(item) for item in part]
        return found

    def _check_attribute(self, where: str, name: str) -> None:
        kept = h5py.h5a.open(self._group.id, name.encode())
        size = int(np.prod(kept.shape, dtype=np.float64)) * max(1, kept.dtype.itemsize)
        if size > _LONGEST_ATTRIBUTE:
            raise self._file.refuse(where, f"is {size} bytes long. The file is damaged.")

    def _child(self, name: str) -> Any:
        where = f"{self.path}/{name}"
        self._file.count(where)
        try:
            link = self._group.get(name, getlink=True)
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise self._file.refuse(where, "a link that leads elsewhere. Only what is inside the file is read.")
            child = self._group[name]
        except _DAMAGED as error:
            raise self._file.refuse(where, f"cannot be opened: {error}. The file is damaged.") from error
        if isinstance(child, h5py.Group):
            if where.count("/") > 64:
                raise self._file.refuse(where, "groups are nested too deep. The file is damaged.")
            return Group(self._file, child, where)
        return child if isinstance(child, h5py.Dataset) else None

    def _read(self, where: str, dataset: Any) -> Array:
        try:
            if dataset.is_virtual or dataset.external:
                raise self._file.refuse(where, "its elements are in another file. Only what is inside is read.")
            if dataset.ndim > MAX_RANK:
                raise self._file.refuse(where, f"{dataset.ndim} dims are too many. At most {MAX_RANK} are supported.")
            self._file.spend(where, int(np.prod(dataset.shape, dtype=np.float64)) * dataset.dtype.itemsize)
            array = np.asarray(dataset[()])
            bfloat16 = dataset.attrs.get("dtype") == "bfloat16"
        except _DAMAGED as error:
            raise self._file.refuse(where, f"cannot be read: {error}. The file is damaged.") from error
        if bfloat16 and array.dtype.itemsize == 2:
            return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        if array.dtype.kind == "f":
            return np.asarray(array, np.float32)
        if array.dtype.kind in "iub" and array.dtype.itemsize <= 8:
            return array
        raise self._file.refuse(where, f"elements of type {array.dtype} are not supported.")


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _decode(item: Any) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
