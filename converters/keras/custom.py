"""Layers that the user describes: `custom_layers` of `from_keras`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..boundary import callers_code
from ..graph import ABSENT, DType, Value
from .layer import Layer, Tensor


def call_custom(builder: Callable[..., Any], layer: Layer) -> list[Tensor]:
    """Let the user's function build a layer.

    It gives a value, or a value and its shape (None where free) where its rank is not that of the first input, or a
    list of either.
    """
    inputs = layer.inputs
    config = {name: layer.config.raw(name) for name in layer.config.names()}
    if any(x.mask != ABSENT for x in inputs):
        layer.importer.graph.notes.append(f"layer {layer.name!r} ({layer.kind}): the mask of its input ends here.")
    weights = layer.weights.rest()
    with callers_code():
        found = builder(layer.build, config, weights, [x.value for x in inputs])
    items = found if isinstance(found, list) else [found]
    return [_tensor(item, layer) for item in items]


def _tensor(item: Any, layer: Layer) -> Tensor:
    value, shape = item if isinstance(item, tuple) else (item, None)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(layer.importer.graph.values):
        layer.refuse(f"its builder in custom_layers returned {value!r}, which is not a Value of this graph.")
    like = layer.inputs[0] if layer.inputs else Tensor(Value(value), (None,))
    free = (like.shape[0], *[None] * (like.rank - 1)) if like.rank else ()
    return replace(
        like, value=Value(value), shape=free if shape is None else tuple(shape), mask=ABSENT, dtype=DType.FLOAT32
    )
