"""The errors of lstm_rt: all derive from `Error` and from the nearest builtin."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from lstm_rt.report import Conversion

from lstm_rt.text import printable

_SHOWN = 25  # a model of one unknown operation in a thousand nodes is one finding, not a thousand lines


class Error(Exception):
    """Base of every error raised by lstm_rt. Its text is safe to print, even where it quotes a file."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ArgumentError(Error, ValueError):
    """An argument names something the model does not have, or two arguments contradict each other."""


class MissingPackageError(Error, ImportError):
    """Work was asked for that needs a package which is not installed."""


class ModelFileError(Error, ValueError):
    """A model file is damaged, or is not what its name says."""


class FileAccessError(OSError, ModelFileError):
    """A file cannot be opened. Made by `file_access_error`, so that it is also the builtin of the same fault."""

    def __str__(self) -> str:
        named = self.filename is not None and self.strerror
        return printable(f"{self.filename}: {self.strerror}" if named else super().__str__())


class MissingFileError(FileAccessError, FileNotFoundError):
    """A file does not exist."""


class ForbiddenFileError(FileAccessError, PermissionError):
    """A file may not be read by this user."""


class FolderError(FileAccessError, IsADirectoryError):
    """A path is a folder where a file is expected."""


def file_access_error(error: OSError, path: object = None) -> FileAccessError:
    """Make the error of lstm_rt for what the system raised.

    Parameters
    ----------
    error : OSError
        From opening or reading a file.
    path : object, optional
        The file, if the error does not name it.

    Returns
    -------
    FileAccessError
        To be raised by the caller.

    Examples
    --------
    >>> print(file_access_error(FileNotFoundError(2, "No such file or directory", "a.onnx")))
    a.onnx: No such file or directory
    """
    kinds = (MissingFileError, ForbiddenFileError, FolderError)
    kind = next((kind for kind in kinds if isinstance(error, kind.__mro__[2])), FileAccessError)
    name = error.filename if error.filename is not None else path
    return kind(error.errno, error.strerror or str(error), None if name is None else str(name))


def require_file(path: str | os.PathLike[str]) -> None:
    """Raise the error of lstm_rt for a path that leads nowhere, or to what this user may not read.

    Parameters
    ----------
    path : path-like
        A file or a folder.

    Raises
    ------
    FileAccessError
        If there is no such file, or it may not be read.
    """
    try:
        os.stat(path)
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    except OSError as error:
        raise file_access_error(error, path) from None
    except ValueError:  # a path with a NUL, which no file has: the reader refuses it
        pass


class CheckError(Error, ValueError):
    """A converted model differs from its source, or frame by frame from the whole. No file was written.

    Attributes
    ----------
    report : Conversion or None
        The report of the conversion, with the comparisons in ``report.check`` and ``report.stream_check``.
    """

    report: Optional[Conversion] = None


class UnsupportedModelError(Error, ValueError):
    """A model uses something lstm_rt does not have.

    Attributes
    ----------
    problems : tuple of str
        One entry for each part that cannot run, as listed in the message; empty where the
        message stands for itself.
    """

    problems: tuple[str, ...] = ()

    @classmethod
    def collected(cls, source: str, problems: Sequence[str]) -> UnsupportedModelError:
        """Make one error of all that was found.

        Parameters
        ----------
        source : str
            What was converted, as the user knows it (``decoder.onnx``).
        problems : sequence of str
            Each says where, what is wrong, and what to do.

        Returns
        -------
        UnsupportedModelError
            To be raised by the caller.

        Examples
        --------
        >>> print(UnsupportedModelError.collected("a.onnx", ["node 'r' (Resize): no such operation."]))
        1 part of a.onnx cannot run:
          1. node 'r' (Resize): no such operation.
        """
        parts = "1 part" if len(problems) == 1 else f"{len(problems)} parts"
        lines = [f"{parts} of {source} cannot run:"]
        lines += [f"  {i}. {problem}" for i, problem in enumerate(problems[:_SHOWN], start=1)]
        if len(problems) > _SHOWN:
            lines.append(f"  and {len(problems) - _SHOWN} more.")
        error = cls("\n".join(lines))
        error.problems = tuple(problems)
        return error


class ShapeError(Error, ValueError):
    """The shape or dtype of an array does not fit."""


class StateError(Error, RuntimeError):
    """A state or a stream is used against its rules."""


class OutOfMemoryError(Error, MemoryError):
    """There is no more memory, or a model needs more than `max_memory` allows."""


class QuantizationError(Error, ValueError):
    """A model cannot be quantised as asked, or not within the error allowed."""


__all__ = [
    "ArgumentError",
    "CheckError",
    "Error",
    "FileAccessError",
    "FolderError",
    "ForbiddenFileError",
    "MissingFileError",
    "MissingPackageError",
    "ModelFileError",
    "OutOfMemoryError",
    "QuantizationError",
    "ShapeError",
    "StateError",
    "UnsupportedModelError",
]
