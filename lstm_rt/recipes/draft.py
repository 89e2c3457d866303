"""A draft of a recipe, made from the names and shapes of weights: what `lstm-rt recipe` prints."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from lstm_rt.converters import Refusal
from lstm_rt.converters.gates import GATES
from lstm_rt.converters.torch.checkpoint import Weights

_STACKED = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?")
_CELL = re.compile(r"(weight|bias)_(ih|hh)")
_COUNTER = "num_batches_tracked"

# Where the features of a layer's input are: last, or behind the batch.
_LAST, _SECOND = "last", "second"


@dataclass
class _Found:
    """One layer that the weights show."""

    kind: str
    place: str
    layout: str = ""  # of its input and output; empty if it takes any
    width: int = 0  # of its input, if the weights show it
    options: dict[str, str] = field(default_factory=dict)
    doubt: str = ""


def draft_recipe(source: Union[str, os.PathLike[str], Mapping[str, Any]], key: Optional[str] = None) -> str:
    """Write a draft of a recipe for a file of weights.

    Parameters
    ----------
    source : path-like or mapping
        The file, or a state_dict in memory.
    key : str, optional
        Where in it the weights are, as for `lstm_rt.converters.from_torch`.

    Returns
    -------
    str
        TOML, with comments where something must be checked.

    Raises
    ------
    ArgumentError
        If `key` is needed or wrong.
    ModelFileError
        If the file is damaged.
    UnsupportedModelError
        If it holds no named weights.

    Examples
    --------
    >>> print(draft_recipe("tagger.pth"))  # doctest: +SKIP
    """
    from lstm_rt.converters.boundary import guarded
    from lstm_rt.converters.torch.checkpoint import find_weights
    from lstm_rt.converters.torch.state_dict import read

    def read_and_draft(source: Any, key: Optional[str]) -> str:  # numpydoc ignore=GL08
        return draft(find_weights(read(source), key))

    return guarded(read_and_draft)(source, key)


def draft(weights: Weights) -> str:
    """Write a recipe for weights, as far as their names and shapes show one.

    Parameters
    ----------
    weights : Weights
        Of a whole model.

    Returns
    -------
    str
        TOML, with comments where something must be checked.
    """
    groups: dict[str, list[str]] = {}
    for name in weights.entries:
        place, _, leaf = name.rpartition(".")
        if leaf != _COUNTER:
            groups.setdefault(place, []).append(leaf)
    found: list[_Found] = []
    unknown: list[str] = []
    for place, leaves in groups.items():
        if set(leaves) <= {"scale", "zero_point"}:  # of a quantised layer, whose weights are packed elsewhere
            continue
        layer = _layer(weights, place, leaves, not found)
        if layer is None:
            unknown += [f"{place}.{leaf}" if place else leaf for leaf in leaves]
        else:
            found.append(layer)
    lines = [
        f"# A draft made from the names and shapes of the weights in {_comment(weights.label)}.",
        "# Check the order of the layers, and add what has no weights: activations, pooling, reshaping.",
    ]
    lines += [f"# Not recognised: {_comment(name)} {list(weights.shape(name))}" for name in _tensors(weights, unknown)]
    return "\n".join([*lines, "", *_input(found), *_layers(found)]) + "\n"


def _tensors(weights: Weights, names: list[str]) -> Iterator[str]:
    from lstm_rt.converters.torch.tensors import Tensor

    return (name for name in names if isinstance(weights.entries[name], Tensor))


def _layer(weights: Weights, place: str, leaves: list[str], first: bool) -> Optional[_Found]:
    def shape(leaf: str) -> tuple[int, ...]:
        name = f"{place}.{leaf}" if place else leaf
        try:
            return weights.shape(name) if leaf in leaves else ()
        except Refusal:  # not a tensor
            return ()

    for recognise in (_recurrent, _cell, _norm, _convolution, _matrix):
        layer = recognise(place, leaves, shape)
        if layer is not None:
            if layer.kind == "Linear" and first and "bias" not in leaves and "emb" in place.lower():
                return _Found("Embedding", place, _LAST)
            return layer
    return None


_Shape = Callable[[str], "tuple[int, ...]"]


def _recurrent(place: str, leaves: list[str], shape: _Shape) -> Optional[_Found]:
    hidden, taken = shape("weight_hh_l0"), shape("weight_ih_l0")
    if len(hidden) != 2 or len(taken) != 2 or not all(_STACKED.fullmatch(leaf) for leaf in leaves):
        return None
    kind = "LSTM" if "weight_hr_l0" in leaves else _kind(hidden)
    found = _Found(kind, place, _LAST, taken[1], {"batch_first": "true"}) if kind else None
    if found is not None and kind == "RNN":
        found.doubt = 'nonlinearity = "relu" if the module has it'
    return found


def _cell(place: str, leaves: list[str], shape: _Shape) -> Optional[_Found]:
    hidden, taken = shape("weight_hh"), shape("weight_ih")
    if len(hidden) != 2 or len(taken) != 2 or not all(_CELL.fullmatch(leaf) for leaf in leaves):
        return None
    kind = _kind(hidden)
    return _Found(f"{kind}Cell", place, _LAST, taken[1], {}, "one step; name its states as inputs") if kind else None


def _kind(hidden: tuple[int, ...]) -> str:
    return next((kind for kind, gates in GATES.items() if hidden[0] == gates * hidden[1]), "")


def _norm(place: str, leaves: list[str], shape: _Shape) -> Optional[_Found]:
    mean, weight = shape("running_mean"), shape("weight")
    if len(mean) == 1:
        return _Found("BatchNorm1d", place, _SECOND, mean[0], {}, "BatchNorm2d for images")
    if len(weight) == 1 and shape("bias") == weight:
        return _Found("LayerNorm", place, "", weight[0], {}, "GroupNorm has the same weights")
    if weight == (1,) and leaves == ["weight"]:
        return _Found("PReLU", place)
    return None


def _convolution(place: str, leaves: list[str], shape: _Shape) -> Optional[_Found]:
    weight, bias = shape("weight"), shape("bias")
    if len(weight) not in (3, 4):
        return None
    rank = len(weight) - 2
    transposed = len(bias) == 1 and bias[0] != weight[0] and bias[0] == weight[1]
    kind = f"Conv{'Transpose' if transposed else ''}{rank}d"
    width = weight[0] if transposed else weight[1]
    return _Found(kind, place, _SECOND, width, {}, "stride, padding, dilation and groups are not in the weights")


def _matrix(place: str, leaves: list[str], shape: _Shape) -> Optional[_Found]:
    weight = shape("weight")
    if len(weight) == 2 and set(leaves) <= {"weight", "bias"}:
        return _Found("Linear", place, _LAST, weight[1])
    if "_packed_params" in leaves:
        return _Found("Linear", place.rpartition(".")[0], _LAST)
    return None


def _input(found: list[_Found]) -> list[str]:
    first = found[0] if found else _Found("", "")
    if first.kind == "Embedding":
        return ["[inputs.ids]", 'shape = ["batch", "time"]', 'dtype = "int64"']
    width = str(first.width) if first.width else '"features"'
    if first.layout == _SECOND:
        dims = ['"batch"', width, '"height"', '"time"'] if first.kind.endswith("2d") else ['"batch"', width, '"time"']
    elif first.kind.endswith("Cell"):
        dims = ['"batch"', width]
    else:
        dims = ['"batch"', '"time"', width]
    return ["[inputs.x]", f"shape = [{', '.join(dims)}]"]


def _layers(found: list[_Found]) -> Iterator[str]:
    layout = found[0].layout if found else ""
    for layer in found:
        if layer.layout and layout and layer.layout != layout and not layer.kind.endswith("2d"):
            yield from ("", "[[layers]]", 'kind = "Permute"', "dims = [0, 2, 1]  # features last, or behind the batch")
        layout = layer.layout or layout
        yield from ("", "[[layers]]", f'kind = "{layer.kind}"{"  # " + layer.doubt if layer.doubt else ""}')
        yield f"name = {_text(layer.place or layer.kind.lower())}"
        if not layer.place:
            yield 'weights = ""'
        yield from (f"{name} = {value}" for name, value in layer.options.items())


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")  # what JSON escapes, TOML does too


def _comment(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)
