"""Refuses files to write that would destroy what is there: a source, or a file of another kind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lstm_rt.errors import ArgumentError

# First bytes of every kind of file that is written; none of a .csv file, which is text.
_FIRST_BYTES = {
    ".gguf": (b"GGUF",),
    ".npz": (b"PK",),
    ".png": (b"\x89PNG",),
    ".svg": (b"<?xml", b"<svg"),
    ".pdf": (b"%PDF",),
    ".jpg": (b"\xff\xd8",),
    ".jpeg": (b"\xff\xd8",),
}
_LOOKED_AT = 512


def refuse_loss(
    target: str | os.PathLike[str], sources: Iterable[str | os.PathLike[str]] = (), kind: str | None = None
) -> None:
    """Refuse a target that is a source, or that holds a file of another kind.

    Weights and external data of a source are files of another kind, whatever their names. Links of every sort lead to
    the file that they stand for.

    Parameters
    ----------
    target : path-like
        The file to write.
    sources : iterable of path-like, optional
        Files that are read; those that do not exist are passed over.
    kind : str, optional
        The kind of file that is written (``.gguf``); the extension of the target if left out.

    Raises
    ------
    ArgumentError
        If writing would destroy the file.

    Examples
    --------
    >>> refuse_loss("new.gguf", ["model.onnx"])
    """
    path = Path(target)
    for source in sources:
        if _same_file(path, Path(source)):
            raise ArgumentError(f"{path}: this is the source, {source}, which would be overwritten. Give another name.")
    kind = kind or path.suffix.lower()
    if path.is_file() and not _holds(path, kind):
        raise ArgumentError(
            f"{path}: the file exists and is not a {kind} file, so it is not overwritten. "
            "Give another name, or remove it first."
        )


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _holds(path: Path, kind: str) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError:
        return True  # writing will say what is wrong
    if not start:
        return True
    return start.startswith(_FIRST_BYTES[kind]) if kind in _FIRST_BYTES else b"\0" not in start
