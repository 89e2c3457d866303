"""What a user asks for: one precision for all layers, or one for each pattern of layer names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Union

from lstm_rt.errors import ArgumentError, QuantizationError

from .layers import Layer

FLOAT32 = "float32"
PRECISIONS = ("int8", "int8x16", "int4", "bf16")

Choice = Union[str, Mapping[str, str]]

_LISTED = 25


def choose(layers: Sequence[Layer], choice: Choice) -> list[str]:
    """Find the precision asked for each layer.

    Parameters
    ----------
    layers : sequence of Layer
        Those of the graph.
    choice : str or mapping of str to str
        A precision for all; or patterns of names, with ``*`` and ``?``, and the precision of what they match, of which
        the last that matches a layer counts. A layer that is best left float is quantised where its whole name is
        given.

    Returns
    -------
    list of str
        One of `PRECISIONS`, or "float32", for each layer.

    Raises
    ------
    ArgumentError
        If there is no such precision, or a pattern matches no layer.
    QuantizationError
        If a layer that cannot be quantised is named in full.
    """
    if isinstance(choice, str):
        _check_precision(choice)
        return [FLOAT32 if layer.stays else choice for layer in layers]
    for pattern, precision in choice.items():
        _check_precision(precision)
        _check_pattern(pattern, layers)
    return [_chosen(layer, choice) for layer in layers]


def _chosen(layer: Layer, choice: Mapping[str, str]) -> str:
    chosen = FLOAT32
    for pattern, precision in choice.items():
        if layer.name == pattern:
            if not layer.weights and precision != FLOAT32:
                raise QuantizationError(f"layer {layer.name!r} ({layer.op.type}) cannot be quantised: {layer.stays}")
            chosen = precision
        elif fnmatchcase(layer.name, pattern):
            chosen = FLOAT32 if layer.stays else precision
    return chosen


def _check_precision(precision: str) -> None:
    known = (*PRECISIONS, FLOAT32)
    if precision not in known:
        raise ArgumentError(f"quantize: there is no precision {precision!r}. There are {', '.join(known)}.")


def _check_pattern(pattern: str, layers: Sequence[Layer]) -> None:
    if any(layer.name == pattern or fnmatchcase(layer.name, pattern) for layer in layers):
        return
    names = [repr(layer.name) for layer in layers[:_LISTED]]
    names += [f"and {len(layers) - _LISTED} more"] if len(layers) > _LISTED else []
    raise ArgumentError(f"quantize: {pattern!r} matches no layer. The layers: {', '.join(names) or 'none'}.")
