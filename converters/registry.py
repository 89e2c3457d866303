"""Which converter reads which kind of file."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, TypeVar

from lstm_rt._version import __version__
from lstm_rt.errors import MissingPackageError, UnsupportedModelError

from .boundary import guarded
from .graph import Graph
from .sniff import kind_of_file

Converter = Callable[..., Graph]  # of the source, and of options it names as keywords
_C = TypeVar("_C", bound=Converter)

_converters: dict[str, Converter] = {}
_frameworks: dict[str, Converter] = {}


def converter(*file_extensions: str, framework: str = "") -> Callable[[_C], _C]:
    """Register a function that makes a graph of a file with one of these extensions.

    Its first parameter is the source. Keyword-only parameters are options that `lstm_rt.convert` hands on.

    Parameters
    ----------
    *file_extensions : str
        Lower case, with the dot.
    framework : str, optional
        The top-level module whose objects (models in memory) the function takes too.

    Returns
    -------
    callable
        Decorator that returns the function with the boundary around it.

    Raises
    ------
    ValueError
        If an extension has a converter already.

    Examples
    --------
    >>> @converter(".example")
    ... def from_example(source):
    ...     return Graph()
    """

    def _register(unguarded: _C) -> _C:
        function = guarded(unguarded)
        for extension in file_extensions:
            if extension in _converters:
                raise ValueError(f"{extension} has a converter already: {_converters[extension]}")
            _converters[extension] = function
        if framework:
            _frameworks[framework] = function
        return function

    return _register


def extensions() -> list[str]:
    """List the extensions that can be converted.

    Returns
    -------
    list of str
        In alphabetical order.
    """
    return sorted(_converters)


def converter_for(path: str | os.PathLike[str]) -> Converter:
    """Find the converter for a file by its content, or by the extension of its name if the content does not show it.

    Parameters
    ----------
    path : path-like
        The file, which may be missing.

    Returns
    -------
    callable
        Takes the path and returns a `Graph`.

    Raises
    ------
    UnsupportedModelError
        If no converter is registered for it; the message lists those that are. If the file is packed.

    Examples
    --------
    >>> converter_for("model.tflite")
    Traceback (most recent call last):
    ...
    lstm_rt.errors.UnsupportedModelError: model.tflite: no converter for '.tflite'. There are converters for .onnx.
    """
    path = Path(path)
    found = _converters.get(kind_of_file(path)) or _converters.get(path.suffix.lower())
    if found is None:
        raise UnsupportedModelError(
            f"{path.name}: no converter for {path.suffix!r}. There are converters for {', '.join(extensions())}."
        )
    return found


def converter_of_object(model: object) -> Converter:
    """Find the converter for a model in memory by the module its class, or a class it derives from, is of.

    Parameters
    ----------
    model : object
        Of any class.

    Returns
    -------
    callable
        Takes the object and returns a `Graph`.

    Raises
    ------
    UnsupportedModelError
        If no converter takes such objects.

    Examples
    --------
    >>> converter_of_object(onnx.ModelProto())  # doctest: +SKIP
    """
    if isinstance(model, Mapping):  # a state_dict
        return _frameworks["torch"]
    for base in type(model).__mro__:
        found = _frameworks.get(base.__module__.partition(".")[0])
        if found is not None:
            return found
    raise UnsupportedModelError(
        f"A model of class '{type(model).__module__}.{type(model).__qualname__}' cannot be converted. Give a path, "
        f"bytes of an ONNX model, a state_dict, or a model of {', '.join(sorted(_frameworks))}."
    )


def options_of(function: Converter) -> list[str]:
    """List the options that a converter takes beside its source.

    Parameters
    ----------
    function : callable
        A converter.

    Returns
    -------
    list of str
        Names of its keyword-only parameters.
    """
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def missing_package(extra: str, error: ImportError) -> MissingPackageError:
    """Say which extra of lstm_rt installs what an import did not find.

    Parameters
    ----------
    extra : str
        The extra (``onnx``).
    error : ImportError
        What the import raised.

    Returns
    -------
    MissingPackageError
        To be raised by the caller.
    """
    return MissingPackageError(
        f"Converting needs the package {error.name!r}. Install it with: pip install 'lstm_rt[{extra}]'"
    )


def converter_version() -> str:
    """Name the program that makes a file, for its provenance.

    Returns
    -------
    str
        Name and version.
    """
    return f"lstm_rt {__version__}"
