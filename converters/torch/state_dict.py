"""Makes a graph of weights: of a file, or of a state_dict in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from lstm_rt.errors import ArgumentError, UnsupportedModelError

from ..graph import Graph, Source
from ..problems import Refusal
from ..registry import converter_version
from .checkpoint import Weights, find_weights
from .files import WeightFile, read_weights
from .tensors import DTYPES, tensor_of
from .weights_pickle import shown

if TYPE_CHECKING:
    from lstm_rt.recipes import Recipe

    Given = Union[Recipe, Mapping[str, Any], str, os.PathLike[str], None]

_LABEL = "the state_dict"
_DEEPEST = 8  # dicts inside each other


def from_weights(
    source: str | os.PathLike[str] | Mapping[str, Any],
    recipe: Given,
    key: str | None,
    batch_first: bool | None,
    nonlinearity: str | None,
) -> Graph:
    """Make a graph of weights, as `from_torch` describes it."""
    from lstm_rt.recipes.build import build_graph, read_recipe

    if recipe is not None:
        refuse_options({"batch_first": batch_first, "nonlinearity": nonlinearity}, "a recipe, whose layers say it")
        followed = read_recipe(recipe)
    file = read(source)
    notes: list[str] = []
    skipped = f"Objects of {shown(file.skipped)} in {file.label} were not read." if file.skipped else ""
    try:
        weights = find_weights(file, key)
        if recipe is None:
            followed, notes = _lone(weights, batch_first, nonlinearity)
        graph = build_graph(followed, weights)
    except Refusal as refusal:
        raise UnsupportedModelError(f"{file.label}: {refusal}") from None
    except UnsupportedModelError as error:
        if not skipped or file.skipped[0] in str(error):
            raise
        raise UnsupportedModelError(f"{error} {skipped}") from None
    graph.notes += [*notes, *([skipped] if skipped else [])]
    graph.source = Source(file.label if file.sha256 else "", file.sha256, "torch", converter_version())
    return graph


def read(source: str | os.PathLike[str] | Mapping[str, Any]) -> WeightFile:
    """Read weights from a file, or take those of a state_dict or checkpoint in memory.

    Parameters
    ----------
    source : path-like or mapping
        A mapping has tensors of torch or arrays, also in mappings inside it.

    Returns
    -------
    WeightFile
        Its content.
    """
    if isinstance(source, Mapping):
        return WeightFile(_taken(source, 0), _LABEL, "")
    return read_weights(source)


def _taken(item: Any, depth: int) -> object:
    if isinstance(item, Mapping) and depth < _DEEPEST:
        return {key: _taken(value, depth + 1) for key, value in item.items()}
    if hasattr(item, "detach") and hasattr(item, "numpy"):
        item = _array_of(item.detach())
    if isinstance(item, np.ndarray) and item.dtype.name in DTYPES:
        return tensor_of(item)
    return item


def _array_of(tensor: Any) -> Any:
    """A tensor of torch as an array; what arrays cannot hold stays as it is, and is refused where it is needed."""
    if getattr(tensor, "is_quantized", False) or tensor.is_complex():
        return None
    return (tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor).cpu().numpy()


def refuse_options(options: Mapping[str, object], kind: str) -> None:
    """Refuse options that a kind of source does not take."""
    given = [name for name, option in options.items() if option is not None]
    if given:
        raise ArgumentError(f"{', '.join(given)}: not for {kind}.")


def _lone(weights: Weights, batch_first: bool | None, nonlinearity: str | None) -> tuple[Recipe, list[str]]:
    """The recipe of a recurrent module that is alone in its file, and what it takes for granted."""
    from lstm_rt.recipes import Recipe

    from .bare import assumptions, lone_layer

    kind, place = lone_layer(weights)
    notes = assumptions(kind, batch_first, nonlinearity)
    layer = {"kind": kind, "name": "layer", "weights": place, "batch_first": bool(batch_first)}
    if nonlinearity is not None:
        layer["nonlinearity"] = nonlinearity
    first = f"{place}.weight_ih_l0" if place else "weight_ih_l0"
    shape = weights.shape(first)
    if len(shape) != 2 or 0 in shape:
        raise Refusal(f"weight {first!r} has the shape {list(shape)}, wanted [gates, features].")
    dims = ["batch", "time"] if batch_first else ["time", "batch"]
    states = {"hn": "layer.h", "cn": "layer.c"} if kind == "LSTM" else {"hn": "layer.h"}
    content = {
        "inputs": {"input": {"shape": [*dims, shape[1]]}},
        "layers": [layer],
        "outputs": {"output": "layer", **states},
    }
    return Recipe.from_dict(content, f"the shapes of {kind}"), notes
