"""Reads the attributes and plain arrays of an HDF5 file that are inside the file.

Links to other files and virtual and external datasets lead outside; they are refused. Datasets that store less than
their shape, and many references to one text, fill the memory: their sizes are charged before anything is read.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

import h5py
import numpy as np

from lstm_rt.errors import Error, ModelFileError

from ..budget import current
from ..graph import MAX_RANK, Array
from .chunks import read_chunks
from .heaps import TextHeaps

# What h5py raises at damaged files.
_DAMAGED = (AttributeError, IndexError, KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError)
_MOST_OBJECTS = 1 << 16
_MOST_PARTS = 1 << 10  # of a list of texts that is spread over several attributes
_DEEPEST = 64
_BYTES_PER_OBJECT = 4096  # what HDF5 and h5py hold of an open object
_LONGEST_ATTRIBUTE = 16 << 20


class File:
    """An open HDF5 file."""

    def __init__(self, data: bytes, label: str) -> None:
        self.label = label
        self.data = data
        self._objects = _MOST_OBJECTS
        try:
            self._file = h5py.File(io.BytesIO(data), "r")
            widths = self._file.id.get_create_plist().get_sizes()
        except _DAMAGED as error:
            raise ModelFileError(f"{label}: not an HDF5 file, or a damaged one: {_line(error)}.") from error
        if widths != (8, 8):
            raise ModelFileError(f"{label}: its addresses have {widths[0]} bytes, expected 8. The file is damaged.")
        self.heaps = TextHeaps(data, self._file.userblock_size, label)

    @property
    def root(self) -> Group:
        """The outermost group."""
        return Group(self, self._file, "")

    def refuse(self, where: str, what: str) -> ModelFileError:
        """Say what is wrong with one object of the file."""
        return ModelFileError(f"{self.label}: {where or '/'}: {what}")

    @contextlib.contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """Translate what h5py raises at a damaged file."""
        try:
            yield
        except Error:
            raise
        except _DAMAGED as error:
            raise self.refuse(where, f"cannot be read: {_line(error)}. The file is damaged.") from error

    def count(self, where: str) -> None:
        """Keep a file from holding more objects than anyone would read."""
        current().spend(_BYTES_PER_OBJECT, f"{self.label}: {where}")
        self._objects -= 1
        if self._objects < 0:
            raise self.refuse(where, f"more than {_MOST_OBJECTS} objects are in the file. It is damaged.")


class Group:
    """One group: its attributes, its arrays and the groups inside."""

    def __init__(self, file: File, group: Any, path: str) -> None:
        self._file = file
        self._group = group
        self.path = path

    def names(self) -> list[str]:
        """Names of what is inside."""
        with self._file.reading(self.path):
            return [str(name) for name in self._group]

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
        *groups, last = _parts(path) or [""]
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

    def attribute(self, name: str) -> str | list[str] | None:
        """An attribute: text, or a list of texts; None where there is none."""
        where = f"{self.path}, attribute {name!r}"
        return self._attribute(self._group, where, name)

    def _attribute(self, item: Any, where: str, name: str) -> str | list[str] | None:
        with self._file.reading(where):
            if name not in item.attrs:
                return None
            self._admit_attribute(item, where, name)
            value = item.attrs[name]
        if isinstance(value, np.ndarray):
            texts = [_decode(item) for item in value.ravel()]
            current().spend(sum(map(len, texts)), f"{self._file.label}: {where}", len(texts))
            return texts
        if isinstance(value, (bytes, str, np.generic)):
            text = _decode(value)
            current().spend(len(text), f"{self._file.label}: {where}")
            return text
        return None  # h5py.Empty

    def texts(self, name: str) -> list[str]:
        """A list of texts, which Keras spreads over several attributes where it is long."""
        whole = self.attribute(name)
        if whole is not None:
            return whole if isinstance(whole, list) else [whole]
        found: list[str] = []
        for number in range(_MOST_PARTS):
            part = self.attribute(f"{name}{number}")
            if part is None:
                break
            found += part if isinstance(part, list) else [part]
        return found

    def _admit_attribute(self, item: Any, where: str, name: str) -> None:
        """Refuse an attribute that could be larger than the budget: references to texts may all lead to one."""
        kept = item.attrs.get_id(name)
        if kept.dtype.kind not in "iufbSO" or (kept.dtype.kind == "O" and not h5py.check_string_dtype(kept.dtype)):
            raise self._file.refuse(where, f"is of type {kept.dtype}, which Keras does not write. The file is damaged.")
        count = _product(kept.shape or ())
        if count * kept.dtype.itemsize > _LONGEST_ATTRIBUTE:
            raise self._file.refuse(where, f"is {count * kept.dtype.itemsize} bytes long. The file is damaged.")
        apart = self._file.heaps.length(name, count) if kept.dtype.kind == "O" and count else 0
        current().check(count * kept.dtype.itemsize + apart, f"{self._file.label}: {where}")

    def _child(self, name: str) -> Any:
        where = f"{self.path}/{name}"
        self._file.count(where)
        with self._file.reading(where):
            link = self._group.get(name, getlink=True)
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise self._file.refuse(where, "a link that leads elsewhere. Only what is inside the file is read.")
            child = self._group[name]
        if isinstance(child, h5py.Group):
            if where.count("/") > _DEEPEST:
                raise self._file.refuse(where, "groups are nested too deep. The file is damaged.")
            return Group(self._file, child, where)
        return child if isinstance(child, h5py.Dataset) else None

    def _read(self, where: str, dataset: Any) -> Array:
        label = f"{self._file.label}: {where}"
        with self._file.reading(where):
            if dataset.is_virtual or dataset.external:
                raise self._file.refuse(where, "its elements are in another file. Only what is inside is read.")
            if dataset.ndim > MAX_RANK:
                raise self._file.refuse(where, f"{dataset.ndim} dims are too many. At most {MAX_RANK} are supported.")
            kind, itemsize = dataset.dtype.kind, dataset.dtype.itemsize
            if dataset.shape is None or not (kind in "fiub" or (kind, itemsize) == ("V", 2)):
                raise self._file.refuse(where, f"elements of type {dataset.dtype} are not supported.")
            current().spend(_product(dataset.shape) * itemsize, label)
            array = np.asarray(read_chunks(dataset, self._file.data, label) if dataset.chunks else dataset[()])
        bfloat16 = itemsize == 2 and kind != "f" and self._attribute(dataset, where, "dtype") == "bfloat16"
        if bfloat16 and array.dtype.itemsize == 2:
            return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        if array.dtype.kind == "f":
            return np.asarray(array, np.float32)
        if array.dtype.kind in "iub" and array.dtype.itemsize <= 8:
            return array
        raise self._file.refuse(where, f"elements of type {array.dtype} are not supported.")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _product(dims: Iterable[int]) -> int:
    total = 1
    for dim in dims:
        total *= int(dim)
    return total


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _decode(item: Any) -> str:
    text = item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape")  # as h5py decodes
    return text.decode("utf-8", "replace")
