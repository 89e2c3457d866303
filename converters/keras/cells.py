"""Recurrent cells: their settings and weights, whatever Keras wrote them, in the form of Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from ..graph import Array
from ..problems import Refusal
from . import keras1
from .activations import Activation, activation_of
from .layer import Layer
from .weights import Weights

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "ConvLSTM1D": 4, "ConvLSTM2D": 4}
_PARTS = ("kernel", "recurrent_kernel", "bias")


@dataclass
class Cell:
    """One cell. Gates are in Keras's order, along the last axis of every array."""

    kind: str
    units: int
    kernel: Array
    recurrent: Array
    bias: Optional[Array]  # of the input; GRU with reset_after has two rows
    activation: Activation
    recurrent_activation: Activation
    reset_after: bool = False
    window: dict[str, object] = field(default_factory=dict)  # of a convolution

    @property
    def state_count(self) -> int:
        """How many states it has."""
        return 2 if self.kind not in ("GRU", "RNN") else 1


class OwnCell:
    """A cell of the user's, one step of which a function builds."""

    def __init__(self, kind: str, builder: Callable[..., Any], config: Mapping[str, Any], weights: list[Array]) -> None:
        self.kind, self.builder, self.config, self.weights = kind, builder, config, weights
        given = getattr(builder, "state_size", config.get("state_size", config.get("units")))
        sizes = list(given) if isinstance(given, (list, tuple)) else [given]
        if not sizes or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes):
            raise Refusal(
                f"cell {kind!r}: the sizes of its states are unknown. Set state_size on its builder: one number, or a "
                "list of several."
            )
        self.state_sizes: list[int] = sizes
        self.units: int = getattr(builder, "output_size", config.get("output_size", sizes[0]))

    @property
    def state_count(self) -> int:
        """How many states it has."""
        return len(self.state_sizes)


def read_cell(layer: Layer, kind: str, weights: Weights) -> Cell:
    """Read a cell from the config of a layer (or cell) and its weights."""
    config = layer.config
    convolves = kind.startswith("Conv")
    units = config.integer("filters" if convolves else "units")
    own_cudnn = layer.kind.startswith("CuDNN")
    use_bias = config.flag("use_bias", True)
    activation = activation_of(config.raw("activation", "tanh"))
    # Files older than Keras 2.3 may not say it; then it was hard_sigmoid.
    default = "sigmoid" if own_cudnn or layer.version >= (2, 3) else "hard_sigmoid"
    recurrent_activation = activation_of(config.raw("recurrent_activation", default)) if kind != "RNN" else ""
    arrays = _read(layer, kind, weights, use_bias)
    arrays = _from_cudnn(kind, units, arrays, own_cudnn)
    kernel, recurrent = arrays[:2]
    bias = arrays[2] if use_bias else None
    columns = GATES[kind] * units
    if (
        kernel.ndim != recurrent.ndim
        or kernel.shape[-1] != columns
        or recurrent.shape[-1] != columns
        or (bias is not None and bias.shape[-1] != columns)
    ):
        layer.refuse(f"its weights are {', '.join(str(a.shape) for a in arrays)}, not of {units} units.")
    reset_after = kind == "GRU" and config.flag("reset_after", bias is not None and bias.ndim == 2)
    if own_cudnn:
        reset_after = kind == "GRU"
    if bias is not None and bias.ndim != 1 + reset_after:
        layer.refuse(f"its bias is {bias.shape}, which does not fit reset_after = {reset_after}. The file is damaged.")
    return Cell(kind, units, kernel, recurrent, bias, activation, recurrent_activation, reset_after)


def _read(layer: Layer, kind: str, weights: Weights, use_bias: bool) -> list[Array]:
    if layer.version[0] == 1 and not kind.startswith("Conv") and layer.config.raw("consume_less", "cpu") != "gpu":
        names = [f"{part}_{gate}" for gate in range(GATES[kind]) for part in _PARTS]
        return keras1.joined(kind, weights.take(names))
    return weights.take(_PARTS[: 2 + use_bias])


def _from_cudnn(kind: str, units: int, arrays: list[Array], own: bool) -> list[Array]:
    """Undo cuDNN's layout, which the size of the bias gives away where the class does not."""
    flat = len(arrays) == 3 and arrays[2].ndim == 1 and arrays[2].size == 2 * GATES[kind] * units
    return keras1.cudnn(kind, arrays) if (own or flat) and kind in ("LSTM", "GRU") else arrays


def halves(cell: Cell) -> tuple[Array, Array]:
    """The biases of the input and of the recurrent part."""
    columns = GATES[cell.kind] * cell.units
    zeros = np.zeros(columns, np.float32)
    if cell.bias is None:
        return zeros, zeros
    if cell.bias.ndim == 2:
        return cell.bias[0], cell.bias[1]
    return cell.bias, zeros
