"""Weights that a state_dict keeps as what they are computed from: weight norm, spectral norm, pruning, weight drop.

Modules with such weights compute them anew in every call. The names show how: ``weight_g`` and ``weight_v`` of
`torch.nn.utils.weight_norm`, ``parametrizations.weight.original0`` and ``original1`` of its newer form, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable, Union

import numpy as np

from ..graph import Array
from .tensors import Tensor, tensor_of

_PARAMETRIZED = re.compile(r"(.*\.|)parametrizations\.(\w+)\.(.+)")
_RECURRENT = re.compile(r"(.*\.|)((?:weight|bias)_(?:ih|hh|hr)_l\d+(?:_reverse)?)_raw")
_SMALLEST = 1e-12  # of a norm, as torch has it
_OTHER = (
    "a parametrization computes it, and the file does not show how. Save the state_dict after "
    "torch.nn.utils.parametrize.remove_parametrizations. The file has its parts"
)

Found = Union[Array, str, None]  # the weight, why it cannot be known, or nothing to derive


@dataclass(frozen=True)
class Unknown:
    """A weight that the file does not determine, and why."""

    why: str


def with_derived(entries: dict[str, object]) -> dict[str, object]:
    """Put derived weights in the place of what they are computed from.

    Parameters
    ----------
    entries : dict of str to object
        By name, as in a state_dict.

    Returns
    -------
    dict of str to object
        `Tensor` under the plain names of weights; `Unknown` if a parametrization is not known.
    """
    found = dict(entries)
    for name, parts, weight in [*_parametrized(found), *_suffixed(found), *_dropped(found)]:
        for part in parts:
            found.pop(part, None)
        found[name] = tensor_of(weight) if isinstance(weight, np.ndarray) else Unknown(str(weight))
    return found


_Derived = Iterator[tuple[str, list[str], Found]]  # name, what it is made of, and the weight


def _parametrized(entries: dict[str, object]) -> _Derived:
    groups: dict[str, dict[str, str]] = {}
    for name in entries:
        match = _PARAMETRIZED.fullmatch(name)
        if match:
            groups.setdefault(match[1] + match[2], {})[match[3]] = name
    for name, names in groups.items():
        parts = {key: _numbers(entries, full) for key, full in names.items()}
        weight: Found = None
        if set(parts) == {"original0", "original1"}:
            weight = _weight_norm(parts["original0"], parts["original1"])
        elif set(parts) == {"original", "0._u", "0._v"}:
            weight = _spectral_norm(parts["original"], parts["0._u"], parts["0._v"])
        yield name, list(names.values()), f"{_OTHER} ({', '.join(names)})." if weight is None else weight


def _suffixed(entries: dict[str, object]) -> _Derived:
    for name in list(entries):
        for suffix, others, derive in _SUFFIXES:
            stem = name[: -len(suffix)]
            names = [name, *(stem + other for other in others)]
            if not name.endswith(suffix) or stem in entries or not all(each in entries for each in names):
                continue
            weight = derive(*(_numbers(entries, each) for each in names))
            if weight is not None:
                yield stem, names, weight
                break


def _dropped(entries: dict[str, object]) -> _Derived:
    """WeightDrop keeps the weight as ``_raw``; a weight without it, if there is one, is what dropout left of it."""
    for name in list(entries):
        match = _RECURRENT.fullmatch(name)
        raw = _numbers(entries, name) if match else None
        if match and raw is not None:
            inner = f"{match[1]}module."  # fastai's wrapper has the raw weight, the layer in it all others
            of_layer = inner if any(other.startswith(f"{inner}weight_ih_l") for other in entries) else match[1]
            yield of_layer + match[2], [name], raw


def _numbers(entries: dict[str, object], name: str) -> Array | None:
    entry = entries.get(name)
    return entry.numbers() if isinstance(entry, Tensor) and entry.quantization is None else None


def _weight_norm(g: Array | None, v: Array | None) -> Found:
    """Scale v to the norm g: one for each index of the axis that g has, or one for all of v."""
    if g is None or v is None or (g.ndim not in (0, v.ndim) and g.size != 1):
        return None
    kept = [axis for axis in range(v.ndim) if g.ndim == v.ndim and g.shape[axis] != 1]
    if len(kept) > 1 or any(g.shape[axis] != v.shape[axis] for axis in kept):
        return None
    axes = tuple(axis for axis in range(v.ndim) if axis not in kept)
    wide = v.astype(np.float64)
    norm = np.sqrt(np.square(wide).sum(axis=axes, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN for a norm of 0, as in torch
        weight: Array = (wide * (g.reshape(norm.shape) / norm)).astype(np.float32)
    return weight


def _spectral_norm(weight: Array | None, u: Array | None, v: Array | None) -> Found:
    """Divide by the largest singular value, of which u and v are the vectors."""
    if weight is None or u is None or v is None or u.ndim != 1 or v.ndim != 1 or u.size * v.size != weight.size:
        return None
    axes = [axis for axis, dim in enumerate(weight.shape) if dim == u.size]
    if not axes:
        return None
    if len(axes) > 1 and weight.ndim > 2:
        return (
            "its spectral norm may be over either of two axes of the same size. Save the state_dict after "
            "torch.nn.utils.remove_spectral_norm or remove_parametrizations."
        )
    matrix = np.moveaxis(weight, axes[0], 0).reshape(u.size, -1).astype(np.float64)
    return (weight / max(float(u @ matrix @ v), _SMALLEST)).astype(np.float32)


def _pruned(weight: Array | None, mask: Array | None) -> Found:
    return None if weight is None or mask is None or weight.shape != mask.shape else weight * mask


_SUFFIXES: tuple[tuple[str, tuple[str, ...], Callable[..., Found]], ...] = (
    ("_g", ("_v",), _weight_norm),
    ("_orig", ("_u", "_v"), _spectral_norm),
    ("_orig", ("_mask",), _pruned),
)
