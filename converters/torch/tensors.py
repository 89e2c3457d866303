"""Tensors of PyTorch's files: a storage of numbers, and how a tensor lies in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from lstm_rt.errors import ModelFileError

from ..budget import current
from ..graph import MAX_RANK, Array

_BYTES_PER_NUMBER = (8, 24)  # while a tensor is made an array: plain, and dequantised
_MOST = 1 << 48  # elements; more than any machine holds

# How the elements of each dtype lie in a storage. bfloat16 is the upper half of a float32.
DTYPES = {
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "float64": "f8",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "u1",
    "qint8": "i1",
    "quint8": "u1",
    "qint32": "i4",
}


@dataclass
class Storage:
    """Numbers one after the other, which several tensors may share.

    Attributes
    ----------
    dtype : str
        One of `DTYPES`.
    numel : int
        How many there are.
    data : numpy.ndarray, optional
        They themselves; in the old format they come after the tensors.
    """

    dtype: str
    numel: int
    data: Optional[Array] = None

    @property
    def itemsize(self) -> int:
        """Give the bytes of an element."""
        return int(DTYPES[self.dtype][1:])

    def fill(self, raw: Array, order: str = "<") -> None:
        """Take the bytes of the storage.

        Parameters
        ----------
        raw : numpy.ndarray
            uint8; a view of the file.
        order : {"<", ">"}, default "<"
            The order of the bytes of an element.
        """
        wanted = self.numel * self.itemsize
        if raw.size < wanted:
            raise ModelFileError(f"a storage has {raw.size} bytes where {wanted} were promised. The file is damaged.")
        self.data = raw[:wanted].view(order + DTYPES[self.dtype])


@dataclass(frozen=True)
class Quantization:
    """What the integers of a quantised tensor stand for: (integer - zero point) * scale.

    Attributes
    ----------
    scale : float or Tensor
        One, or one for each index along `axis`.
    zero_point : int or Tensor
        Likewise.
    axis : int, optional
        None where there is one of each.
    """

    scale: Union[float, Tensor]
    zero_point: Union[int, Tensor]
    axis: Optional[int] = None

    def arrays(self) -> tuple[Array, Array]:
        """Give scales and zero points, a list each."""
        scale, zero = (p.raw() if isinstance(p, Tensor) else np.array([p]) for p in (self.scale, self.zero_point))
        return scale.astype(np.float64), zero.astype(np.int64)


@dataclass(frozen=True)
class Tensor:
    """A tensor, whose numbers are not touched before they are asked for.

    Attributes
    ----------
    storage : Storage
        Where they are.
    offset : int
        Elements of the storage before the first.
    shape, strides : tuple of int
        In elements; made sure by `strided` to stay inside the storage.
    quantization : Quantization, optional
        Of quantised tensors.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    quantization: Optional[Quantization] = None

    @property
    def dtype(self) -> str:
        """Name the dtype as torch does."""
        return self.storage.dtype

    @property
    def nbytes(self) -> int:
        """Count the bytes of its elements, were they laid out one after the other."""
        return count(self.shape) * self.storage.itemsize

    def raw(self) -> Array:
        """Give the elements as they lie in the file: a view of it."""
        data = self.storage.data
        assert data is not None
        item = data.itemsize
        strides = [stride * item for stride in self.strides]
        if not count(self.shape):
            return np.zeros(self.shape, data.dtype)
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, strides, writeable=False)

    def numbers(self) -> Array:
        """Give the elements as values of a model have them.

        Returns
        -------
        numpy.ndarray
            float32 for every kind of float and for what is quantised, else bool or integers as they are.
        """
        current().spend(count(self.shape) * _BYTES_PER_NUMBER[self.quantization is not None], "a tensor")
        array = self.raw()
        if self.quantization is not None:
            return self._dequantized(array)
        if self.dtype == "bfloat16":
            wide: Array = array.astype(np.uint32) << np.uint32(16)
            return wide.view(np.float32)
        if self.dtype == "bool":
            return np.not_equal(array, 0)
        kind = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array, kind)

    def _dequantized(self, array: Array) -> Array:
        quantization = self.quantization
        assert quantization is not None
        shape = [1] * array.ndim
        if quantization.axis is not None:
            shape[quantization.axis] = -1
        scales, zeros = (each.reshape(shape) for each in quantization.arrays())
        return ((array - zeros) * scales).astype(np.float32)


def count(shape: Sequence[int]) -> int:
    """Count the elements of a shape."""
    total = 1
    for dim in shape:
        total *= dim
    return total


def tensor_of(array: Array) -> Tensor:
    """Make a tensor of an array in memory.

    Parameters
    ----------
    array : numpy.ndarray
        Of a dtype of `DTYPES`.

    Returns
    -------
    Tensor
        Of a copy, if the array is not contiguous.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    storage = Storage(array.dtype.name, flat.size)
    storage.fill(flat.view(np.uint8), "<" if sys.byteorder == "little" else ">")
    strides = tuple(count(array.shape[axis + 1 :]) for axis in range(array.ndim))
    return Tensor(storage, 0, array.shape, strides)


def strided(storage: object, offset: object, shape: object, strides: object, **more: Any) -> Tensor:
    """Make a tensor of what a file says of it.

    Parameters
    ----------
    storage, offset, shape, strides : object
        Not to be trusted.
    **more : Any
        Further attributes of `Tensor`.

    Returns
    -------
    Tensor
        Every element of which is inside its storage, and is its own.

    Raises
    ------
    ModelFileError
        If that cannot be.
    """
    if not isinstance(storage, Storage):
        raise ModelFileError("a tensor has no storage. The file is damaged.")
    dims, steps = _integers(shape), _integers(strides)
    (first,) = _integers((offset,))
    if len(dims) != len(steps) or len(dims) > MAX_RANK:
        raise ModelFileError(f"a tensor has {len(dims)} dims and {len(steps)} strides; at most {MAX_RANK} are allowed.")
    numel = count(dims)
    end = first + 1 + sum((dim - 1) * step for dim, step in zip(dims, steps)) if numel else first
    if end > storage.numel or numel > storage.numel:
        raise ModelFileError(
            f"a tensor of shape {dims} reaches outside its storage of {storage.numel} elements. The file is damaged."
        )
    return Tensor(storage, first, dims, steps, **more)


def _integers(given: object) -> tuple[int, ...]:
    items = given if isinstance(given, (tuple, list)) else (None,)
    if all(type(item) is int and 0 <= item < _MOST for item in items):
        return tuple(items)
    raise ModelFileError("the sizes of a tensor are no sizes. The file is damaged.")
