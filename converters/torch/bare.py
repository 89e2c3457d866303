"""The state_dict of a lone nn.LSTM, nn.GRU or nn.RNN: recognised by the shapes of its weights."""

from __future__ import annotations

import re

from lstm_rt.errors import ArgumentError, UnsupportedModelError

from ..gates import GATES
from .checkpoint import Weights

_NAME = re.compile(r"(?:(.*)\.)?(?:(?:weight|bias)_(?:ih|hh|hr)_l\d+(?:_reverse)?|_all_weight_values\.\d+\.param)")
_SHOWN, _LINES = 8, 60  # of names, and of a draft, in a message


def lone_layer(weights: Weights) -> tuple[str, str]:
    """Find out what a state_dict without a recipe is.

    Parameters
    ----------
    weights : Weights
        All there are.

    Returns
    -------
    kind : {"LSTM", "GRU", "RNN"}
        Of the layers.
    place : str
        What the names of their weights begin with, without the last dot.

    Raises
    ------
    UnsupportedModelError
        If it is anything but the weights of one such module.
    """
    matches = {name: _NAME.fullmatch(name) for name in weights.entries}
    places = {match[1] or "" for match in matches.values() if match}
    others = [name for name, match in matches.items() if not match]
    if len(places) != 1 or others:
        from lstm_rt.recipes.draft import draft

        names = list(weights.entries)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise UnsupportedModelError(
            f"{weights.label} holds {len(names)} weights ({', '.join(names[:_SHOWN])}{more}) and does not say what is "
            "done with them. Give a recipe, recipe='model.toml' (docs/pytorch.md), or convert the module itself: "
            "lstm_rt.from_torch(module, example_inputs). `lstm-rt recipe FILE` prints this draft of a recipe:\n\n"
            f"{_cut(draft(weights))}"
        )
    (place,) = places
    return _kind(weights, f"{place}." if place else ""), place


def _cut(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= _LINES else [*lines[:_LINES], f"# and {len(lines) - _LINES} lines more"])


def _kind(weights: Weights, prefix: str) -> str:
    hidden = f"{prefix}weight_hh_l0"
    if not weights.has(hidden):
        raise UnsupportedModelError(
            f"{weights.label}: the quantised weights do not say which kind of layer they are. Give a recipe."
            if not weights.below(prefix) or "_all_weight_values.0.param" in weights.below(prefix)
            else f"{weights.label} has no weight {hidden!r}. The file is damaged."
        )
    rows, columns = (*weights.shape(hidden), 0, 0)[:2]
    if weights.has(f"{prefix}weight_hr_l0"):  # only LSTM has one: hidden may then be anything
        return "LSTM"
    for kind, gates in GATES.items():
        if rows == gates * columns:
            return kind
    raise UnsupportedModelError(
        f"{weights.label}: {hidden!r} of shape [{rows}, {columns}] is of no LSTM, GRU or RNN. Give a recipe."
    )


def assumptions(kind: str, batch_first: bool | None, nonlinearity: str | None) -> list[str]:
    """Say what the weights do not tell and the caller did not: one sentence, or none.

    Parameters
    ----------
    kind : {"LSTM", "GRU", "RNN"}
        Of the layers.
    batch_first, nonlinearity : optional
        As the caller gave them.

    Returns
    -------
    list of str
        For the report.

    Raises
    ------
    ArgumentError
        If there is a nonlinearity where there is none to choose.
    """
    assumed = []
    if batch_first is None:
        assumed.append("batch_first=False (its input is [time, batch, features])")
    if kind == "RNN" and nonlinearity is None:
        assumed.append("nonlinearity='tanh'")
    if kind != "RNN" and nonlinearity is not None:
        raise ArgumentError(f"nonlinearity: the weights are those of {kind}, which has none to choose.")
    if not assumed:
        return []
    return [f"The weights of {kind} do not tell, and torch's defaults were taken: {', '.join(assumed)}."]
