"""The gates of recurrent layers: from the order of each framework to that of the model file, which is ONNX's.

A cell's weights are G blocks of H rows, one block for each gate. LSTM has i, o, f, c here; torch writes i, f, g, o and
Keras i, f, c, o. GRU has z, r, h here and in Keras; torch writes r, z, n.
"""

from __future__ import annotations

import numpy as np

from .graph import Array

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

_ORDERS = {
    ("torch", "LSTM"): (0, 3, 1, 2),
    ("keras", "LSTM"): (0, 3, 1, 2),
    ("torch", "GRU"): (1, 0, 2),
    ("keras", "GRU"): (0, 1, 2),
    ("torch", "RNN"): (0,),
    ("keras", "RNN"): (0,),
}


def reorder(framework: str, kind: str, array: Array, axis: int = 0) -> Array:
    """Bring the gates of a weight or bias into the order of the model file.

    Parameters
    ----------
    framework : {"torch", "keras"}
        Whose order the array has.
    kind : {"LSTM", "GRU", "RNN"}
        The cell.
    array : numpy.ndarray
        Its dim `axis` is G * H.
    axis : int, default 0
        Where the gates are.

    Returns
    -------
    numpy.ndarray
        A copy, of the same shape.

    Raises
    ------
    ValueError
        If the axis cannot be cut into as many gates.

    Examples
    --------
    >>> reorder("torch", "GRU", np.array([0, 0, 1, 1, 2, 2]))
    array([1, 1, 0, 0, 2, 2])
    """
    order = _ORDERS[framework, kind]
    if array.shape[axis] % len(order):
        raise ValueError(f"{array.shape[axis]} rows are not {len(order)} gates of {kind}")
    parts = np.split(array, len(order), axis)
    return np.concatenate([parts[gate] for gate in order], axis)
