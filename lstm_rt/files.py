"""Opens the files that users name. Every reader takes its files from here, so that none waits or reads without end."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Union

from lstm_rt.errors import ArgumentError, ModelFileError

AnyPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def path_text(path: AnyPath) -> str:
    """Return a path as a string that names the same file for Python and for C.

    Parameters
    ----------
    path : path-like
        A string, bytes, or an object with ``__fspath__``. Bytes that are not UTF-8 become surrogates, as in all of
        Python, and lead to the same file.

    Returns
    -------
    str
        The path.

    Raises
    ------
    ArgumentError
        If the path contains a NUL: the system would open the file whose name ends there.
    """
    text = os.fsdecode(path)
    if "\0" in text:
        raise ArgumentError(f"the path {text!r} contains a NUL character, which no file name has. Remove it.")
    return text


def open_regular(path: AnyPath) -> BinaryIO:
    """Open a regular file to read it as bytes.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    binary file
        To be closed by the caller.

    Raises
    ------
    ModelFileError
        If the path leads to a pipe, a device or a socket, which may have no end.
    OSError
        If there is no such file, it is a folder, or it may not be read.

    Examples
    --------
    >>> with open_regular("model.onnx") as file:  # doctest: +SKIP
    ...     data = file.read()
    """
    text = path_text(path)
    # Without O_NONBLOCK, opening a named pipe waits for a writer. Regular files ignore the flag.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(text, flags)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a socket, or a device that is not there
            raise _irregular(text, "a socket or device") from None
        raise
    try:
        _check_regular(text, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: AnyPath) -> bytes:
    """Read a regular file whole.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    bytes
        Its content. What `open_regular` raises passes through.
    """
    with open_regular(path) as file:
        return file.read()


def _check_regular(path: str, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise _irregular(path, next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file"))


def _irregular(path: str, kind: str) -> ModelFileError:
    return ModelFileError(
        f"{path}: this is {kind}, and only regular files are read here. Copy the data into a file, and give that."
    )
