"""Checks the options of a layer against their declared types: a recipe may come from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Union, get_args, get_origin, get_type_hints

_LARGEST = 1 << 31


def mistakes(layer: object) -> list[str]:
    """List the options of a layer that are not of their type.

    Parameters
    ----------
    layer : Layer
        Any; what is not a layer is one mistake.

    Returns
    -------
    list of str
        One sentence each.
    """
    hints = get_type_hints(type(layer)) if hasattr(type(layer), "__dataclass_fields__") else {}
    if "inputs" not in hints:
        return ["it is no layer. Use those of lstm_rt.recipes."]
    wrong = []
    for option in fields(layer):  # type: ignore[arg-type]
        value, wanted = getattr(layer, option.name), hints[option.name]
        if not _fits(value, wanted):
            wrong.append(f"{option.name} is {str(value)[:60]!r}, which is not {describe(wanted)}.")
    return wrong


def describe(hint: Any) -> str:
    """Say in words what an option may be.

    Parameters
    ----------
    hint : type
        As the option declares it.

    Returns
    -------
    str
        As in "integer or list of integers".
    """
    plain = {int: "integer", float: "number", bool: "true or false", str: "text"}
    if hint in plain:
        return plain[hint]
    if get_origin(hint) is Union:
        return " or ".join(describe(item) for item in get_args(hint) if item is not type(None))
    (item,) = get_args(hint)
    return f"list of {describe(item)}s"


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) is Union:
        return any(_fits(value, item) for item in get_args(hint))
    if hint is int:
        return type(value) is int and -_LARGEST <= value < _LARGEST
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    (item,) = get_args(hint)
    return isinstance(value, Sequence) and not isinstance(value, str) and all(_fits(each, item) for each in value)
