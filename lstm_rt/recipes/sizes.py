"""Sizes that are one number or one for each axis, and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

from lstm_rt.converters import ABSENT, Builder, Refusal, Value

Size = Union[int, Sequence[int]]


def pair(size: Size, rank: int, what: str, least: int = 1) -> list[int]:
    """Give one number for each axis.

    Parameters
    ----------
    size : int or sequence of int
        As torch takes it.
    rank : int
        How many are wanted.
    what : str
        What it is called, for the message.
    least : int, default 1
        The smallest that will do.

    Returns
    -------
    list of int
        As many as wanted.

    Raises
    ------
    Refusal
        If there are more or fewer, or others than ints.
    """
    given = [size] * rank if isinstance(size, int) else list(size) if isinstance(size, (list, tuple)) else []
    if len(given) != rank or any(type(item) is not int or item < least for item in given):
        raise Refusal(f"{what} is {size!r}; use an integer from {least} on, or {rank} of them.")
    return given


def padded(build: Builder, x: Value, pads: Sequence[int], mode: str, value: Optional[float] = None) -> Value:
    """Pad the last axes.

    Parameters
    ----------
    build : Builder
        Where.
    x : Value
        [batch, channels, …].
    pads : sequence of int
        All begins, then all ends.
    mode : str
        As Pad has it.
    value : float, optional
        Of the padding, where it is constant.

    Returns
    -------
    Value
        The padded.
    """
    count = len(pads) // 2
    constant = ABSENT if value is None else build.constant(value, "value", "float32")
    axes = build.integers(list(range(-count, 0)))
    return build.op("Pad", x, build.integers(list(pads)), constant, axes, mode=mode)
