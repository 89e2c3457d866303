"""How a model is meant to be streamed: its hints, which its file carries as ``lstm_rt.hint.*``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from lstm_rt.model import TensorInfo

Hints = dict[str, Union[int, float]]

_KEY = "lstm_rt.hint."
MAX_SAMPLES = 1 << 24  # samples of a frame or a context
# Patterns are compiled by their first use: importing lstm_rt does not pay for them.
_RATE_NAME = r"(^|.*_)(sr|fs|sampl[a-z]*_?(rate|freq|frequency))$|^rate$"
_BATCH_NAME = r"(?i)(^|_)(n|b|bs|batch|batchsize)(_|$)"
_LEAST_RATE = 1000  # a number below is an index or a flag, not samples a second


def checked(given: Mapping[str, Any]) -> Hints:
    """Check hints.

    Parameters
    ----------
    given : mapping of str to number
        ``frame`` and ``context`` in samples, ``rate`` in samples a second, ``threshold`` of events.

    Returns
    -------
    dict of str to (int or float)
        The same, as plain numbers.

    Raises
    ------
    ValueError
        If a name is unknown or a value cannot be; the message says which.

    Examples
    --------
    >>> checked({"frame": 512, "rate": "16000"})
    {'frame': 512, 'rate': 16000}
    """
    return {name: _checked(name, value) for name, value in given.items()}


def _checked(name: str, value: Any) -> int | float:
    if name not in ("frame", "context", "rate", "threshold"):
        raise ValueError(f"there is no hint {name!r}. There are frame, context, rate and threshold.")
    try:
        number = float(str(value) if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    least, whole = {"frame": (1, True), "context": (0, True), "rate": (0, False), "threshold": (None, False)}[name]
    positive = least is None or (number > 0 if name == "rate" else number >= least)
    if not math.isfinite(number) or not positive or (whole and (number > MAX_SAMPLES or number % 1)):
        wanted = {"frame": "a whole number from 1", "context": "a whole number from 0", "rate": "a positive number"}
        raise ValueError(f"hint {name} is {value!r:.60}, expected {wanted.get(name, 'a finite number')}.")
    return int(number) if number % 1 == 0 and abs(number) < 1 << 53 else number


def of_metadata(metadata: Mapping[str, str]) -> Hints:
    """Read the hints of a model file, which may hold anything.

    Parameters
    ----------
    metadata : mapping of str to str
        Of the file.

    Returns
    -------
    dict of str to (int or float)
        The hints; empty if there are none.

    Raises
    ------
    ValueError
        If one cannot be.
    """
    return checked({key[len(_KEY) :]: text for key, text in metadata.items() if key.startswith(_KEY)})


def is_rate(name: str) -> bool:
    """Tell whether an input's name is that of a sample rate.

    Parameters
    ----------
    name : str
        Of any input.

    Returns
    -------
    bool
        True for ``sr`` or ``sampleRate``.

    Examples
    --------
    >>> is_rate("sampling_rate"), is_rate("learning_rate")
    (True, False)
    """
    return bool(re.match(_RATE_NAME, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


def rate_among(values: Mapping[str, Any]) -> dict[str, float]:
    """Find sample rates among the values of inputs.

    Parameters
    ----------
    values : mapping of str to array_like
        By name of the input.

    Returns
    -------
    dict of str to float
        Samples a second by name of the input.
    """
    found = {name: _number(value) for name, value in values.items() if is_rate(name)}
    return {name: number for name, number in found.items() if number is not None and number >= _LEAST_RATE}


def _number(value: Any) -> float | None:
    size = getattr(value, "size", 1)
    try:
        return float(value.item() if hasattr(value, "item") and size == 1 else value)
    except (TypeError, ValueError):
        return None


def window_of(
    port: TensorInfo, time_axis: int | None, context: int, frame: int | None, batch: int
) -> tuple[int, tuple[int, ...]]:
    """Find where samples run in an input that is given context.

    Parameters
    ----------
    port : TensorInfo
        The input.
    time_axis : int or None
        The axis of time, if a stream has proved one.
    context : int
        Samples before a frame.
    frame : int or None
        New samples of a step, if fixed.
    batch : int
        Size of the other free dims.

    Returns
    -------
    axis : int
        The axis of samples.
    dims : tuple of int
        Shape of the input; 0 at `axis` if the frame may have any length.

    Raises
    ------
    ArgumentError
        If no axis takes samples, or its fixed dim contradicts frame and context.
    """
    from lstm_rt.errors import ArgumentError

    shape = port.shape or ()
    whole = None if frame is None else context + frame
    open_axes = [
        axis
        for axis, (dim, name) in enumerate(zip(shape, port.dim_names))
        if (dim is None and not re.search(_BATCH_NAME, name)) or (dim is not None and dim == whole)
    ]
    axis = time_axis if time_axis is not None else open_axes[-1] if open_axes else None
    fixed = None if axis is None else shape[axis]
    if axis is None or (fixed is not None and (fixed <= context if whole is None else fixed != whole)):
        wanted = f"{context} samples of context" + (f" and a frame of {frame}" if frame else "")
        raise ArgumentError(f"input '{port.name}' {list(shape)} has no place for {wanted}.")
    dims = [batch if dim is None else dim for dim in shape]
    dims[axis] = whole or fixed or 0
    return axis, tuple(dims)
