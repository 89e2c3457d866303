"""The boundary around every reader: whatever goes wrong with a file ends as an `lstm_rt.Error` with its place.

A reader checks what it reads and raises errors of its own. The boundary is for what a reader did not foresee. Each
exception that it has to translate is a bug of the reader, so tests and fuzzing watch it through `observers`.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, TypeVar, cast

from lstm_rt.errors import Error, ModelFileError, OutOfMemoryError

from .budget import one_budget
from .problems import Refusal, places_of

_C = TypeVar("_C", bound=Callable[..., Any])
_LONGEST = 300  # of what a foreign exception says

# Called with each foreign exception before it is translated; one that raises it again ends a test.
observers: list[Callable[[Exception], None]] = []


class CallersError(Exception):
    """Wraps an exception of the caller's own code, which passes the boundary unchanged.

    Parameters
    ----------
    error : Exception
        The exception that the caller's code raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextlib.contextmanager
def callers_code() -> Iterator[None]:
    """Run a function that the caller gave: its exceptions are the caller's."""
    try:
        yield
    except (Error, Refusal):
        raise
    except Exception as error:
        raise CallersError(error) from error


def guarded(function: _C) -> _C:
    """Put the boundary around a converter, and a budget if none is in use.

    Parameters
    ----------
    function : callable
        Takes the source first. Sources that are neither a path, nor bytes, nor a protobuf message are objects of the
        caller's, whose exceptions are left alone.

    Returns
    -------
    callable
        Raises nothing but what `lstm_rt.errors` has, and the OSError of a file that cannot be opened.
    """

    @functools.wraps(function)
    def converter(source: Any, *args: Any, **options: Any) -> Any:  # numpydoc ignore=GL08
        with one_budget():
            if not _is_file(source):
                return _unwrapped(function, source, *args, **options)
            with boundary(label_of(source)):
                return function(source, *args, **options)

    return cast("_C", converter)


@contextlib.contextmanager
def boundary(label: str) -> Iterator[None]:
    """Translate every exception that is not one of lstm_rt's.

    Parameters
    ----------
    label : str
        What messages call the source.
    """
    try:
        yield
    except Error:
        raise
    except CallersError as wrapped:
        raise wrapped.error from None
    except OSError as error:
        if error.filename is not None:  # a file that is missing, or may not be read
            raise
        raise _translated(label, error) from error
    except MemoryError as error:
        raise OutOfMemoryError(f"{_where(label, error)}: there is not enough memory to read it.") from error
    except Exception as error:
        raise _translated(label, error) from error


def label_of(source: object) -> str:
    """Return the name that messages use for a source.

    Parameters
    ----------
    source : object
        A path, or anything else that a converter accepts.

    Returns
    -------
    str
        The file name of a path, otherwise "the model".
    """
    return Path(source).name if isinstance(source, (str, os.PathLike)) else "the model"


def _translated(label: str, error: Exception) -> ModelFileError:
    for observer in observers:
        observer(error)
    said = " ".join(str(error).split())[:_LONGEST]
    return ModelFileError(
        f"{_where(label, error)}: the file is damaged, or lstm_rt's reader has a bug ({type(error).__name__}: {said}). "
        "If the file opens in its own framework, please report it."
    )


def _where(label: str, error: Exception) -> str:
    return ", ".join([label, *places_of(error)])


def _is_file(source: object) -> bool:
    return isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(source, "ParseFromString")


def _unwrapped(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        return function(*args, **options)
    except CallersError as wrapped:
        raise wrapped.error from None
