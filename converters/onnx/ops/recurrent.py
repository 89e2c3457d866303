"""LSTM, GRU and RNN. Gate order and layout stay ONNX's: the file uses the same.

Equations and defaults: ONNX LSTM-22, GRU-22, RNN-22 (unchanged since opset 7 but for layout, opset 14).
"""

from __future__ import annotations

from typing import Optional

from ...graph import Attribute, Value
from ..node import Node, handler

_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}

# What each activation takes: its alpha and beta, with the default of the ONNX operator of its name; None where it
# takes the number and there is no default.
_Taken = dict[str, Optional[float]]
_ACTIVATIONS: dict[str, _Taken] = {
    "Relu": {},
    "Tanh": {},
    "Sigmoid": {},
    "Affine": {"alpha": None, "beta": None},
    "LeakyRelu": {"alpha": 0.01},
    "ThresholdedRelu": {"alpha": 1.0},
    "ScaledTanh": {"alpha": None, "beta": None},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Elu": {"alpha": 1.0},
    "Softsign": {},
    "Softplus": {},
}
_CANONICAL = {name.lower(): name for name in _ACTIVATIONS}


@handler("LSTM")
def lstm(node: Node) -> None:
    inputs = node.inputs(3, 8)
    node.emit(inputs, lstm_attributes(node, _units(node, inputs[2])), most_outputs=3)


def lstm_attributes(node: Node, units: int | None) -> dict[str, Attribute]:
    """Read the attributes of an LSTM with that many hidden units, None where its weights do not tell."""
    attributes = _common(node, units, ["Sigmoid", "Tanh", "Tanh"])
    attributes["input_forget"] = node.integer("input_forget", 0)
    return attributes


@handler("GRU")
def gru(node: Node) -> None:
    inputs = node.inputs(3, 6)
    attributes = _common(node, _units(node, inputs[2]), ["Sigmoid", "Tanh"])
    attributes["linear_before_reset"] = node.integer("linear_before_reset", 0) if node.opset >= 3 else 0
    node.emit(inputs, attributes, most_outputs=2)


@handler("RNN")
def rnn(node: Node) -> None:
    inputs = node.inputs(3, 6)
    node.emit(inputs, _common(node, _units(node, inputs[2]), ["Tanh"]), most_outputs=2)


def _common(node: Node, units: int | None, defaults: list[str]) -> dict[str, Attribute]:
    """Read the attributes that LSTM, GRU and RNN share."""
    direction = node.text("direction", "forward")
    if direction not in _DIRECTIONS:
        node.refuse(f"direction {direction!r} is not one of {', '.join(_DIRECTIONS)}.")
    layout = node.integer("layout", 0) if node.opset >= 14 else 0
    if node.opset < 7:
        node.skip("output_sequence")  # whether Y is wanted, which its name says too
    if layout not in (0, 1):
        node.refuse(f"layout {layout} is neither 0 nor 1.")
    attributes: dict[str, Attribute] = {
        "direction": direction,
        "hidden_size": _hidden_size(node, units),
        "clip": _clip(node),
        "layout": layout,
    }
    attributes.update(_activations(node, defaults, _DIRECTIONS[direction]))
    return attributes


def _units(node: Node, recurrence: Value) -> int | None:
    """Count the hidden units: R is [directions, gates * units, units]."""
    weights = node.known(recurrence)
    if weights is None:
        return None
    if weights.ndim != 3:
        node.refuse(f"R has {weights.ndim} dims, not 3. The file is damaged.")
    return int(weights.shape[2])


def _hidden_size(node: Node, units: int | None) -> int:
    if units is None:
        if not node.has("hidden_size"):
            node.refuse("hidden_size is missing and R is computed in the graph. Export it with hidden_size.")
        return node.integer("hidden_size")
    if node.integer("hidden_size", units) != units:
        node.refuse(f"hidden_size is not the {units} units of R. The file is damaged.")
    return units


def _clip(node: Node) -> float:
    """The bound of what goes into the activations, 0 where there is none."""
    if not node.has("clip"):
        return 0.0
    clip = node.number("clip", 0.0)
    if not clip > 0.0:
        node.refuse(f"clip {clip:g} leaves nothing. Export it without clip, or with one above 0.")
    return clip


def _activations(node: Node, defaults: list[str], directions: int) -> dict[str, Attribute]:
    names = [_canonical(node, name) for name in node.texts("activations")]
    expected = len(defaults) * directions
    if node.type == "RNN" and directions == 1 and names == ["Tanh", "Tanh"]:
        names = ["Tanh"]  # the schema's default, written out by some tools whatever the direction
    if names and len(names) != expected:
        node.refuse(f"has {len(names)} activations, and needs {expected}: {len(defaults)} for each direction.")
    names = names or defaults * directions
    return {
        "activations": names,
        "activation_alpha": _numbers(node, names, "alpha"),
        "activation_beta": _numbers(node, names, "beta"),
    }


def _canonical(node: Node, name: str) -> str:
    if name.lower() not in _CANONICAL:
        node.refuse(f"activation {name!r} is not one of {', '.join(_ACTIVATIONS)}.")
    return _CANONICAL[name.lower()]


def _numbers(node: Node, names: list[str], which: str) -> list[float]:
    """One alpha (or beta) for each activation, 0 where it takes none.

    The list of a node is consumed in order, by the activations that take such a number and by no others; then
    defaults hold. That is how onnxruntime reads it. A list as long as the activations may have meant one number for
    each: it is taken where both readings agree, else refused.
    """
    given = node.numbers(f"activation_{which}")
    takers = [i for i, name in enumerate(names) if which in _ACTIVATIONS[name]]
    if len(given) > len(takers) and (len(given) != len(names) or [given[i] for i in takers] != given[: len(takers)]):
        node.refuse(
            f"activation_{which} has {len(given)} values, but {len(takers)} of the activations "
            f"{', '.join(names)} take one. Export it with one for each of those."
        )
    numbers = [0.0] * len(names)
    for n, i in enumerate(takers):
        number = given[n] if n < len(given) else _ACTIVATIONS[names[i]][which]
        if number is None:
            node.refuse(f"activation {names[i]!r} has no {which}. Export it with alpha and beta.")
        numbers[i] = number
    return numbers
