"""Checks of arguments that are numbers or shapes."""

from __future__ import annotations

import operator
from typing import Optional

import numpy as np

from lstm_rt.errors import ArgumentError, ShapeError


def as_integer(value: object, name: str, least: int = 1, most: int = 2**63 - 1) -> int:
    """Return an argument as an int. Fractions, truth values and numbers out of range are refused.

    Parameters
    ----------
    value : int
        The argument; a NumPy integer will do.
    name : str
        Its name, for the message.
    least, most : int
        The range that is allowed.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ArgumentError
        If it is no integer, or out of range.

    Examples
    --------
    >>> as_integer(np.int64(3), "batch")
    3
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError(f"{name} is {value!r}, expected an integer of at least {least}.") from None
    if not least <= number <= most:
        limit = f"at least {least}" if number < least else f"at most {most}"
        raise ArgumentError(f"{name} is {number}, expected {limit}.")
    return number


def as_shape(dims: object, name: str, least: int = 0, free: bool = False) -> tuple[Optional[int], ...]:
    """Return an argument as a shape.

    Parameters
    ----------
    dims : sequence of int
        The argument.
    name : str
        The input's name, for the message.
    least : int
        The least that a dim may be.
    free : bool
        Whether None may stand for a free dim.

    Returns
    -------
    tuple of int or None
        The dims.

    Raises
    ------
    ShapeError
        If the argument is no sequence, or an item is no integer, or less than `least`.

    Examples
    --------
    >>> as_shape([1, None, 40], "x", least=1, free=True)
    (1, None, 40)
    """
    try:
        if isinstance(dims, (str, bytes)):
            raise TypeError
        return tuple(
            None if free and dim is None else as_integer(dim, name, least)
            for dim in dims  # type: ignore[attr-defined]
        )
    except (TypeError, ArgumentError):
        hint = f"integers of at least {least}{', None where free' if free else ''}"
        raise ShapeError(f"Input {name!r}: {dims!r} is no shape. Give {hint}.") from None
