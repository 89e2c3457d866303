"""The errors of lstm_rt: all derive from `Error` and from the nearest builtin."""

from __future__ import annotations

from collections.abc import Sequence

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
    "Error",
    "MissingPackageError",
    "ModelFileError",
    "OutOfMemoryError",
    "QuantizationError",
    "ShapeError",
    "StateError",
    "UnsupportedModelError",
]
