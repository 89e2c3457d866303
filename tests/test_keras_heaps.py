"""Texts of variable length in HDF5 attributes: read in every layout, refused if a reference and its heap disagree."""

from __future__ import annotations

import io
import struct
from typing import Any

import h5py
import numpy as np
import pytest
from lstm_rt.converters.budget import one_budget
from lstm_rt.converters.keras.hdf5 import File

import lstm_rt

TEXT = h5py.string_dtype()
ATTRIBUTES: dict[str, Any] = {
    "scalar": "a text",
    "empty": "",
    "names": ["kernel", "", "größe", "x" * 3000],
    "matrix": [["a", "b"], ["c", "d"]],
    "größe": "named with two bytes",
}


def file_of(attributes: dict[str, Any], more: int = 0, **options: Any) -> bytes:
    """An HDF5 file with attributes of texts, and `more` numbers, which make HDF5 store attributes in a heap."""
    written = io.BytesIO()
    with h5py.File(written, "w", **options) as file:
        group = file.create_group("layer")
        for name, value in attributes.items():
            group.attrs.create(name, np.array(value, object) if isinstance(value, list) else value, dtype=TEXT)
        for number in range(more):
            group.attrs[f"number{number}"] = number
    return written.getvalue()


def read(data: bytes, name: str) -> Any:
    with one_budget():
        group = File(data, "m.h5").root.group("layer")
        assert group is not None
        return group.attribute(name)


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize(
    "options",
    [{}, {"libver": "latest"}, {"libver": "latest", "more": 20}, {"userblock_size": 512}, {"track_order": True}],
    ids=["earliest", "latest", "dense", "user block", "ordered"],
)
def test_texts_are_read_in_every_layout(name: str, options: dict[str, Any]) -> None:
    wanted = ATTRIBUTES[name]
    flat = np.ravel(np.array(wanted, object)).tolist() if isinstance(wanted, list) else wanted
    assert read(file_of(ATTRIBUTES, **options), name) == flat


def reference_of(data: bytes) -> int:
    """Position of the only reference to a text in a file."""
    heap = struct.pack("<Q", data.index(b"GCOL"))
    (place,) = [at for at in range(len(data)) if data.startswith(heap, at)]
    return place - 4


@pytest.mark.parametrize("length", [1, 19_999, 20_001, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF])
def test_length_that_is_not_the_heaps_is_refused(length: int) -> None:
    data = bytearray(file_of({"names": ["x" * 20_000]}))
    place = reference_of(data)
    assert struct.unpack_from("<I", data, place) == (20_000,)
    struct.pack_into("<I", data, place, length)
    with pytest.raises(lstm_rt.ModelFileError, match="its texts are not where the file says"):
        read(bytes(data), "names")


@pytest.mark.parametrize("address", [0, 1, 8, 1 << 20, 1 << 62, (1 << 64) - 1])
def test_address_of_no_heap_is_refused(address: int) -> None:
    data = bytearray(file_of({"names": ["x" * 20_000]}))
    struct.pack_into("<Q", data, reference_of(data) + 4, address)
    with pytest.raises(lstm_rt.ModelFileError, match="its texts are not where the file says"):
        read(bytes(data), "names")


@pytest.mark.parametrize("index", [0, 2, 0xFFFFFFFF])
def test_index_of_no_text_is_refused(index: int) -> None:
    data = bytearray(file_of({"names": ["x" * 20_000]}))
    struct.pack_into("<I", data, reference_of(data) + 12, index)
    with pytest.raises(lstm_rt.ModelFileError, match="its texts are not where the file says"):
        read(bytes(data), "names")


def test_compressed_attributes_are_refused() -> None:
    data = bytearray(file_of({"names": ["x"]}, more=20, libver="latest"))
    struct.pack_into("<H", data, data.index(b"FRHP") + 7, 8)  # the size of the description of a filter
    with pytest.raises(lstm_rt.ModelFileError):
        read(bytes(data), "names")
