"""Reads zip archives in memory: every size is checked against the bytes that are there before anything is allocated."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np

from lstm_rt.errors import ModelFileError

from .budget import current
from .graph import Array

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENTRY = b"PK\1\2"
_BYTES_PER_ENTRY = 1024  # what Python's zipfile makes of an entry of the directory
_ENCRYPTED = 1
_BLOCK = 1 << 20
# Exceptions that zipfile raises for a damaged directory.
_DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, ValueError, OverflowError, OSError, RuntimeError),
    *(EOFError, IndexError, KeyError, TypeError),
)


class Zip:
    """A zip archive.

    Parameters
    ----------
    data : bytes or numpy.ndarray
        The file; an array is a map of it.
    label : str
        What messages call the file.

    Attributes
    ----------
    names : list of str
        Of its members, in the order of the directory.

    Raises
    ------
    ModelFileError
        If this is no zip archive, or its directory is damaged or has a name twice.
    """

    def __init__(self, data: bytes | Array, label: str) -> None:
        self.label = label
        self._data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        entries = _count(self._data, _ENTRY)
        current().spend(_BYTES_PER_ENTRY * entries, f"{label}: its directory", entries)
        try:
            with zipfile.ZipFile(_Window(self._data)) as archive:
                infos = archive.infolist()
        except _DAMAGED as error:
            raise ModelFileError(f"{label}: not a zip archive, or cut short ({error}).") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.filename in self._members:
                raise ModelFileError(f"{label}: holds {_shown(info.filename)} twice. The file is damaged.")
            self._members[info.filename] = info
        self.names = list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def view(self, name: str) -> Array:
        """Show the bytes of a member that is stored without compression.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        numpy.ndarray
            Bytes of the member, dtype uint8, as a view of the file.

        Raises
        ------
        ModelFileError
            If there is no such member, or it is compressed, encrypted, or reaches outside the file.
        """
        info = self._find(name)
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ModelFileError(
                f"{self.label}: {_shown(name)} is compressed, which torch never does. Save the file again with torch."
            )
        return self._raw(info)

    def read(self, name: str, most: int | None = None) -> bytes:
        """Read a member, which may be compressed by deflate.

        Parameters
        ----------
        name : str
            One of `names`.
        most : int, optional
            The most bytes that it may have.

        Returns
        -------
        bytes
            Its content.

        Raises
        ------
        ModelFileError
            If there is no such member, or it is not what the directory says.
        """
        info = self._find(name)
        raw = self._raw(info)
        where = f"{self.label}: {_shown(name)}"
        if most is not None and info.file_size > most:
            raise ModelFileError(f"{where} claims {info.file_size} bytes; at most {most} are read.")
        current().spend(info.file_size, where)
        if info.compress_type == zipfile.ZIP_STORED:
            content = raw.tobytes()
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            content = inflate(raw, info.file_size, -zlib.MAX_WBITS, where)
        else:
            raise ModelFileError(f"{where} is compressed in a way that is not supported. Save the model again.")
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise ModelFileError(f"{where} is not what the archive's directory says. The file is damaged.")
        return content

    def _find(self, name: str) -> zipfile.ZipInfo:
        info = self._members.get(name)
        if info is None:
            raise ModelFileError(f"{self.label}: {_shown(name)} is missing. The file is damaged.")
        if info.flag_bits & _ENCRYPTED:
            raise ModelFileError(f"{self.label}: {_shown(name)} is encrypted. Save the model again.")
        return info

    def _raw(self, info: zipfile.ZipInfo) -> Array:
        at = info.header_offset
        header = self._data[at : at + _LOCAL_HEADER.size].tobytes() if at >= 0 else b""
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\3\4":
            raise ModelFileError(
                f"{self.label}: {_shown(info.filename)} is not where the directory says. The file is damaged."
            )
        fields = _LOCAL_HEADER.unpack(header)
        begin = at + _LOCAL_HEADER.size + fields[-2] + fields[-1]
        if begin + info.compress_size > self._data.size:
            raise ModelFileError(f"{self.label}: {_shown(info.filename)} reaches past the end of the file.")
        return self._data[begin : begin + info.compress_size]


def inflate(raw: bytes | Array, size: int, window: int, where: str) -> bytes:
    """Decompress by deflate, up to the size that was promised and no further.

    Parameters
    ----------
    raw : bytes or numpy.ndarray
        Compressed.
    size : int
        How many bytes there must be; charged by the caller.
    window : int
        As zlib takes it: negative without a header.
    where : str
        For messages.

    Returns
    -------
    bytes
        At most `size`, fewer if the data ends before.

    Raises
    ------
    ModelFileError
        If there are more, or the data is damaged.
    """
    machine = zlib.decompressobj(window)
    try:
        found = machine.decompress(bytes(raw), size + 1)
    except zlib.error as error:
        raise ModelFileError(f"{where} cannot be decompressed ({error}). The file is damaged.") from error
    if len(found) > size:
        raise ModelFileError(f"{where} holds more than the {size} bytes that it claims. The file is damaged.")
    return found


class _Window(io.RawIOBase):
    """A file over an array, which zipfile reads without a copy of the whole."""

    def __init__(self, data: Array) -> None:
        self._data, self._at = data, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        at = offset + (0, self._at, self._data.size)[whence]
        if at < 0:
            raise ValueError("a negative position")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._data.size if size is None or size < 0 else min(self._at + size, self._data.size)
        found: bytes = self._data[self._at : end].tobytes()
        self._at += len(found)
        return found


def _count(data: Array, pattern: bytes) -> int:
    """Count the places of a pattern, block by block: a map is not copied."""
    overlap = len(pattern) - 1
    return sum(data[at : at + _BLOCK + overlap].tobytes().count(pattern) for at in range(0, data.size, _BLOCK))


def _shown(name: str) -> str:
    return ascii(name) if len(name) < 200 else f"{name[:200]!a}…"
