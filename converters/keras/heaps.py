"""Checks references to texts in an HDF5 file before libhdf5 follows them.

A text of variable length is kept in a global heap; the attribute holds its length, the heap's address and a number.
libhdf5 allocates the length that the reference claims, up to 4 GiB, before it looks at the heap, and then copies what
the heap holds. Both must agree, so they are compared in the bytes of the file. Layouts are those of the HDF5 File
Format Specification 3.0: III.E (global heap), III.G (fractal heap) and IV.A.2.m (attribute message).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator

from lstm_rt.errors import ModelFileError

from ..budget import current

_HEAP = re.compile(rb"GCOL\x01\0\0\0")
_HEAP_HEADER, _HEAP_OBJECT = struct.Struct("<8xQ"), struct.Struct("<H6xQ")  # size; index and size
_ATTRIBUTE = struct.Struct("<BBHHH")  # version, flags, sizes of the name, the datatype and the dataspace
_REFERENCE = struct.Struct("<IQI")  # length, address, index
_FILTERED_HEAP = re.compile(rb"FRHP\0..(?!\0\0)", re.DOTALL)  # attributes in it would be compressed
_VARIABLE_LENGTH = 9  # the class of a datatype


class TextHeaps:
    """The global heaps of a file.

    Parameters
    ----------
    data : bytes
        The whole file.
    base : int
        The position in the file that addresses count from.
    label : str
        The name that messages use for the file.
    """

    def __init__(self, data: bytes, base: int, label: str) -> None:
        self._data = data
        self._base = base
        self._label = label
        self._sizes: dict[int, dict[int, int]] = {}  # of the objects by their index, of each heap by its position
        self._lengths: dict[str, dict[int, int | None]] = {}

    def length(self, attribute: str, count: int) -> int:
        """Return the bytes of all texts that an attribute refers to.

        Parameters
        ----------
        attribute : str
            Its name. Every attribute of the file with this name is checked, and the longest one counts.
        count : int
            The number of its texts.

        Returns
        -------
        int
            Bytes.

        Raises
        ------
        ModelFileError
            If a reference does not agree with its heap, or no such attribute is found.
        """
        if attribute not in self._lengths:
            self._check_heaps()
            self._lengths[attribute] = self._measure(attribute.encode())
        found = self._lengths[attribute].get(count)
        if found is None:
            raise self._refuse(f"attribute {attribute!r}", "its texts are not where the file says")
        return found

    def _measure(self, name: bytes) -> dict[int, int | None]:
        """Return the bytes of the longest attribute by its number of texts; None if a reference does not agree."""
        measured: dict[int, int | None] = {}
        for count, place in self._attributes(name):
            length = self._length_at(place, count)
            before = measured.get(count, 0)
            measured[count] = None if length is None or before is None else max(length, before)
        return measured

    def _attributes(self, name: bytes) -> Iterator[tuple[int, int]]:
        """Find attributes of texts: their number and the position of the references.

        An object header or a heap keeps the message of an attribute in one piece, with the name in it.
        """
        at = self._data.find(name)
        while at >= 0:
            current().spend(0, f"{self._label}: byte {at}")
            for version, header in ((1, 8), (2, 8), (3, 9)):
                found = _attribute(self._data, at - header, version, name) if at >= header else None
                if found:
                    yield found
            at = self._data.find(name, at + 1)

    def _length_at(self, place: int, count: int) -> int | None:
        current().spend(0, f"{self._label}: byte {place}", count)
        total = 0
        for length, address, index in _REFERENCE.iter_unpack(self._data[place : place + count * _REFERENCE.size]):
            if length and self._sizes_at(address + self._base).get(index) != length:
                return None
            total += length
        return total

    def _sizes_at(self, place: int) -> dict[int, int]:
        if place not in self._sizes:
            known = _HEAP.match(self._data, place) if place < len(self._data) else None
            self._sizes[place] = dict(self._objects(place)) if known else {}
        return self._sizes[place]

    def _check_heaps(self) -> None:
        """Refuse heaps whose objects have no end, in which libhdf5 goes round for ever, and compressed attributes."""
        if self._lengths:
            return
        if _FILTERED_HEAP.search(self._data):
            raise self._refuse("a fractal heap", "compressed attributes are not supported")
        for found in _HEAP.finditer(self._data):
            for _ in self._objects(found.start()):
                pass

    def _objects(self, at: int) -> Iterator[tuple[int, int]]:
        """Yield index and size of the objects of a heap."""
        if len(self._data) < at + _HEAP_HEADER.size:
            return
        (size,) = _HEAP_HEADER.unpack_from(self._data, at)
        end, place = min(at + size, len(self._data)), at + _HEAP_HEADER.size
        while place + _HEAP_OBJECT.size <= end:
            index, length = _HEAP_OBJECT.unpack_from(self._data, place)
            taken = length if index == 0 else _HEAP_OBJECT.size + (length + 7) // 8 * 8
            current().spend(0, f"{self._label}: the heap at byte {at}")  # heaps of a forged file may overlap
            if taken < _HEAP_OBJECT.size or place + taken > end:
                raise self._refuse(f"the heap at byte {at}", "its objects do not fit it")
            if index:
                yield index, length
            place += taken

    def _refuse(self, where: str, what: str) -> ModelFileError:
        return ModelFileError(f"{self._label}: {where}: {what}. The file is damaged.")


def _attribute(data: bytes, at: int, version: int, name: bytes) -> tuple[int, int] | None:
    """Read an attribute message: the number of its texts and where their references begin. None if it has no texts."""
    seen, flags, *sizes = _ATTRIBUTE.unpack_from(data, at)
    if seen != version or sizes[0] != len(name) + 1:
        return None
    start = at + (9 if version == 3 else 8)
    if version == 1:
        sizes = [(size + 7) // 8 * 8 for size in sizes]
    datatype, dataspace = start + sizes[0], start + sizes[0] + sizes[1]
    place = dataspace + sizes[2]
    if place > len(data) or (not flags & 1 and data[datatype] & 15 != _VARIABLE_LENGTH):
        return None
    count = _elements(data, dataspace)
    return (count, place) if 0 < count <= (len(data) - place) // _REFERENCE.size else None


def _elements(data: bytes, at: int) -> int:
    """Multiply the dims of a dataspace message."""
    version, rank, _, kind = data[at : at + 4] if at + 4 <= len(data) else bytes(4)
    header = {1: 8, 2: 4}.get(version, 0)
    if not header or at + header + 8 * rank > len(data) or (version, kind) == (2, 2):
        return 0  # unknown, or of no elements
    return math.prod(struct.unpack_from(f"<{rank}Q", data, at + header))
