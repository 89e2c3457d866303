"""What torch's dynamically quantised layers keep their weights in, whose integers are taken as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np

from ..graph import Array
from ..problems import Refusal
from .recurrent import Cell, Rows
from .tensors import Tensor
from .unpickle import Opaque

_CELL = "__torch__.torch.classes.rnn.CellParamsBase"
_LINEAR = "__torch__.torch.classes.quantized.LinearPackedParamsBase"


def packed_cell(entry: object, gates: int) -> Cell:
    """Read the weights of one direction of a quantised recurrent layer.

    Parameters
    ----------
    entry : object
        What a state_dict has under ``_all_weight_values.N.param``.
    gates : int
        Of the cell.

    Returns
    -------
    Cell
        With matrices of integers.

    Raises
    ------
    Refusal
        If it is not packed as torch.ao's dynamic quantisation packs it.
    """
    state = _state(entry, _CELL)
    tensors, linear = [], []
    for item in _walk(state):
        if isinstance(item, Tensor):
            tensors.append(item)
        elif isinstance(item, Opaque):
            linear.append(packed_linear(item)[0])
    if len(linear) != 2 or len(tensors) != 2:
        raise Refusal("its packed weights are not those of dynamic quantisation to int8. Save the float model.")
    w, r = linear
    b_ih, b_hh = (tensor.numbers() for tensor in tensors)
    rows = r.shape[0]
    if rows != gates * r.shape[1] or w.shape[0] != rows or not b_ih.shape == b_hh.shape == (rows,):
        raise Refusal(f"its packed weights do not fit each other: {w.shape}, {r.shape}. The file is damaged.")
    return Cell(w, r, (b_ih, b_hh))


def packed_linear(entry: object) -> tuple[Rows, Optional[Array]]:
    """Read the weights of a quantised linear layer.

    Parameters
    ----------
    entry : object
        A pair of weight and bias, or the object that holds it.

    Returns
    -------
    rows : Rows
        Of outputs.
    bias : numpy.ndarray or None
        float32.

    Raises
    ------
    Refusal
        If the weight is not int8 with a zero point of 0.
    """
    pair = _state(entry, _LINEAR) if isinstance(entry, Opaque) else entry
    if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], Tensor):
        raise Refusal("its packed weights are not those of a linear layer. Save the float model.")
    weight, bias = pair
    return _rows(weight), bias.numbers() if isinstance(bias, Tensor) else None


def _rows(weight: Tensor) -> Rows:
    quantization = weight.quantization
    if weight.dtype != "qint8" or quantization is None or len(weight.shape) != 2 or quantization.axis not in (None, 0):
        raise Refusal("its weights are not int8, one scale for all or one for each row. Save the float model.")
    scales, zeros = quantization.arrays()
    if zeros.any():
        raise Refusal("its weights have a zero point that is not 0. Quantise it anew, symmetrically.")
    rows = np.ascontiguousarray(weight.raw())
    return Rows(rows, np.broadcast_to(scales, rows.shape[:1]).astype(np.float32))


def _state(entry: object, kind: str) -> object:
    """What an object of one of torch's own classes keeps: a pair of state and name of the class."""
    state = entry.state if isinstance(entry, Opaque) else None
    if not isinstance(state, tuple) or len(state) != 2 or state[1] != kind:
        name = state[1] if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], str) else "unknown"
        raise Refusal(
            f"its weights are packed in an object of class {name[:100]}, which is not read. Save the float model."
        )
    return state[0]


def _walk(state: object, depth: int = 0) -> Iterator[object]:
    """Tensors and packed layers, in order."""
    if isinstance(state, (tuple, list)) and depth < 4 and len(state) <= 16:
        for item in state:
            yield from _walk(item, depth + 1)
    elif isinstance(state, (Tensor, Opaque)):
        yield state
