"""Opens the files that are converted. All readers take their bytes and their JSON from here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lstm_rt.errors import ModelFileError
from lstm_rt.files import open_regular

from .budget import MAX_DEPTH, Budget, current
from .graph import Array

_MOST_DIGITS = 400  # of a number in JSON; float64 has no larger one
_MOST_EXTENTS = 4096
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def read_file(path: Path, label: str = "") -> bytes:
    """Read a file whole.

    Parameters
    ----------
    path : Path
        The file.
    label : str, optional
        What messages call it; its name when left out.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    ModelFileError
        If it is empty, or has holes so large that it exceeds the budget.
    OSError
        If it cannot be opened.
    """
    with open_regular(path) as file:
        size = _admit(file, label or path.name)
        current().spend(size, label or path.name)
        return file.read(size)


def map_file(path: Path) -> Array:
    """Map a file whose tensors are views of it: what nobody asks for is never read.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    numpy.ndarray
        Bytes of the file, dtype uint8, read-only.

    Raises
    ------
    ModelFileError
        If it is empty, or has holes so large that it exceeds the budget.
    OSError
        If it cannot be opened.
    """
    with open_regular(path) as file:
        size = _admit(file, path.name)
        current().check(size, path.name)  # its checksum reads all of it
        return np.memmap(file, np.uint8, "r", shape=(size,))


def admit_bytes(data: bytes, label: str) -> bytes:
    """Count bytes that the caller holds as a source of the current budget.

    Parameters
    ----------
    data : bytes
        The whole file.
    label : str
        The name that messages use for the source.

    Returns
    -------
    bytes
        The same object.

    Raises
    ------
    ModelFileError
        If `data` is empty.
    """
    if not data:
        raise ModelFileError(f"{label}: the file is empty.")
    current().add_source(len(data))
    return data


def read_part(file: BinaryIO, offset: int, length: int, where: str) -> bytes:
    """Read a stretch of an open file.

    Parameters
    ----------
    file : binary file
        Noted as a source with `add_file`.
    offset, length : int
        Inside the file.
    where : str
        For messages.

    Returns
    -------
    bytes
        Exactly `length` bytes.
    """
    current().spend(length, where)
    file.seek(offset)
    found = file.read(length)
    if len(found) != length:
        raise ModelFileError(f"{where}: the file ends after {len(found)} of {length} bytes. It is cut short.")
    return found


def add_file(file: BinaryIO) -> int:
    """Count an open file as a source of the current budget. Only stored bytes, not holes, raise the limit.

    Parameters
    ----------
    file : binary file
        A regular file.

    Returns
    -------
    int
        The size of the file in bytes, with its holes.
    """
    status = os.fstat(file.fileno())
    current().add_source(_stored(file, status.st_size), (status.st_dev, status.st_ino))
    return status.st_size


def _admit(file: BinaryIO, label: str) -> int:
    size = add_file(file)
    if not size:
        raise ModelFileError(f"{label}: the file is empty.")
    return size


def _stored(file: BinaryIO, size: int) -> int:
    """Count the bytes of a file that are not holes, where the system tells."""
    if not hasattr(os, "SEEK_DATA"):
        return size
    descriptor, at, stored = file.fileno(), 0, 0
    try:
        for _ in range(_MOST_EXTENTS):
            begin = os.lseek(descriptor, at, os.SEEK_DATA)  # fails where only a hole is left
            at = os.lseek(descriptor, begin, os.SEEK_HOLE)
            stored += at - begin
            if at >= size:
                break
    except OSError:
        pass
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return stored


# ---- JSON ----


def read_json(data: bytes | str, where: str) -> Any:
    """Read JSON that came with a model.

    Parameters
    ----------
    data : bytes or str
        The text; bytes are UTF-8.
    where : str
        What messages call it.

    Returns
    -------
    Any
        Dicts, lists, strings, numbers, bools and None.

    Raises
    ------
    ModelFileError
        If it is damaged, nested too deep, has a key twice, a number of hundreds of digits, or text that is not Unicode.
    """
    budget = current()
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{where}: not JSON: not UTF-8 ({error}).") from error
    containers, items = text.count("[") + text.count("{"), text.count(",") + text.count(":")
    budget.spend(3 * len(text) + 128 * containers + 64 * items, where, containers + items)
    try:
        found = json.loads(text, parse_int=_integer, parse_float=_float, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{where}: not JSON, or damaged: {str(error)[:200]}") from error
    _check_tree(found, where, budget)
    return found


def _integer(text: str) -> int:
    _check_digits(text)
    return int(text)


def _float(text: str) -> float:
    _check_digits(text)
    return float(text)


def _check_digits(text: str) -> None:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in pairs:
        if name in found:
            raise ValueError(f"key {name[:50]!r} is there twice")
        found[name] = item
    return found


def _check_tree(tree: Any, where: str, budget: Budget) -> None:
    """Refuse what is nested too deep for recursion, and half of a surrogate pair, which no file can hold as UTF-8."""
    level, depth = [tree], 0
    while level:
        if depth > MAX_DEPTH:
            raise ModelFileError(f"{where}: nested more than {MAX_DEPTH} deep. The file is damaged.")
        budget.spend(0, where, 0)
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not item.isascii() and _SURROGATE.search(item):
                raise ModelFileError(f"{where}: {ascii(item)[:80]} is not Unicode text. The file is damaged.")
        level, depth = below, depth + 1
