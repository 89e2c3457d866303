"""Reads chunked datasets without HDF5's filters, which decompress without a limit.

Three filters are known: deflate, shuffle and fletcher32, which h5py calls gzip, shuffle and fletcher32.
"""

from __future__ import annotations

import zlib
from typing import Any

import h5py
import numpy as np

from lstm_rt.errors import ModelFileError

from ..budget import current
from ..graph import Array
from ..zipped import inflate

_CHECKSUM_BYTES = 4
_KNOWN = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)


def read_chunks(dataset: Any, data: bytes, where: str) -> Array:
    """Read a dataset that is stored in chunks.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of plain numbers; its size is charged by the caller.
    data : bytes
        The whole file.
    where : str
        For messages.

    Returns
    -------
    numpy.ndarray
        All elements; those of chunks that are not stored have the fill value.

    Raises
    ------
    ModelFileError
        If a chunk is damaged, or larger than its dataset.
    """
    chunk, shape = dataset.chunks, dataset.shape
    size = _product(chunk) * dataset.dtype.itemsize
    current().check(size, where)
    filters = _filters(dataset, where)
    if h5py.h5t.py_create(dataset.dtype) != dataset.id.get_type():
        raise ModelFileError(f"{where}: elements of type {dataset.dtype} in a form of their own. Save the model again.")
    whole = np.full(shape, dataset.fillvalue, dataset.dtype)
    count = dataset.id.get_num_chunks() if whole.size else 0
    if count > _product([-(-dim // step) for dim, step in zip(shape, chunk)]):
        raise ModelFileError(f"{where}: it has {count} chunks, more than its shape. The file is damaged.")
    for number in range(count):
        info = dataset.id.get_chunk_info(number)
        begin, end = info.byte_offset, (info.byte_offset or 0) + info.size
        if begin is None or end > len(data):
            raise ModelFileError(f"{where}: a chunk reaches past the end of the file. It is cut short.")
        current().spend(info.size + size, where)
        used = [name for place, name in enumerate(filters) if not info.filter_mask >> place & 1]
        plain = _decode(data[begin:end], used, size, dataset.dtype.itemsize, where)
        if len(plain) != size:
            raise ModelFileError(f"{where}: a chunk has {len(plain)} bytes, expected {size}. The file is damaged.")
        block = np.frombuffer(plain, dataset.dtype).reshape(chunk)
        place = tuple(slice(first, first + step) for first, step in zip(info.chunk_offset, chunk))
        inside = whole[place]
        inside[...] = block[tuple(slice(0, dim) for dim in inside.shape)]
    return whole


def _filters(dataset: Any, where: str) -> list[int]:
    """List the filters that the chunks were written with, in that order."""
    plist = dataset.id.get_create_plist()
    found = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    if len(set(found)) < len(found) or not set(found) <= set(_KNOWN):
        raise ModelFileError(
            f"{where}: it is compressed in a way that is not supported (gzip, shuffle and fletcher32 are). "
            "Save the model again without compression."
        )
    return found


def _decode(raw: bytes, filters: list[int], size: int, itemsize: int, where: str) -> bytes:
    for name in reversed(filters):
        if name == h5py.h5z.FILTER_FLETCHER32:
            raw = raw[:-_CHECKSUM_BYTES]
        elif name == h5py.h5z.FILTER_DEFLATE:
            raw = inflate(raw, size + _CHECKSUM_BYTES, zlib.MAX_WBITS, where)
        else:
            whole = len(raw) - len(raw) % itemsize
            rows = np.frombuffer(raw[:whole], np.uint8).reshape(itemsize, -1)
            raw = rows.T.tobytes() + raw[whole:]
    return raw


def _product(dims: Any) -> int:
    total = 1
    for dim in dims:
        total *= int(dim)
    return total
