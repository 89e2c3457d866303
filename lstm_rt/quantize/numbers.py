"""Weights as fewer bits: what is stored, and what it stands for.

Every function takes float32 weights whose last axis is the one that products sum over (k), and is pure NumPy.
docs/file-format.md has the layouts, docs/numerics.md how layers compute with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 32  # elements of k that share a scale of int4
BLOCK_BYTES = 2 + BLOCK // 2

_LARGEST = 127  # of an int8 weight
# What a block's element of greatest magnitude may become, as a number of steps. -8 is the end of the range that has
# one more number; the others leave that element a little off where the rest of the block gains by it.
_ENDS = (-8.0, 7.0, -7.0, -7.5, 7.5, -8.5, -9.0)


def int8_rows(weights: Array) -> tuple[Array, Array]:
    """Round each row to multiples of a scale of its own, symmetrically about zero.

    Parameters
    ----------
    weights : numpy.ndarray
        Finite float32, [..., K].

    Returns
    -------
    values : numpy.ndarray
        int8 in [-127, 127], [..., K].
    scales : numpy.ndarray
        float32, [...]; 0 for a row of zeros.

    Examples
    --------
    >>> values, scales = int8_rows(np.array([[1.0, -2.0, 0.5]], np.float32))
    >>> values
    array([[  64, -127,   32]], dtype=int8)
    """
    scales = np.abs(weights).max(axis=-1, initial=0).astype(np.float32) / np.float32(_LARGEST)
    divisors = np.where(scales > 0, scales, np.float32(np.inf))[..., np.newaxis]
    values = np.clip(np.rint(weights / divisors), -_LARGEST, _LARGEST)
    return values.astype(np.int8), scales


def from_int8_rows(values: Array, scales: Array) -> Array:
    """Undo `int8_rows`, but for the rounding.

    Parameters
    ----------
    values : numpy.ndarray
        int8, [..., K].
    scales : numpy.ndarray
        float32, [...].

    Returns
    -------
    numpy.ndarray
        float32, [..., K].
    """
    return np.asarray(values * scales[..., np.newaxis], np.float32)


def int4_blocks(weights: Array) -> Array:
    """Round blocks of 32 along k to 16 steps each, with the float16 scale of several that errs least.

    Parameters
    ----------
    weights : numpy.ndarray
        Finite float32, [..., K]. K is filled up with zeros to a multiple of 32.

    Returns
    -------
    numpy.ndarray
        uint8, [..., blocks, 18]: GGUF's Q4_0. A scale that float16 cannot hold is infinite.
    """
    blocks = _blocks(weights)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1, keepdims=True), axis=-1)
    best_scales = np.zeros(peak.shape, np.float16)
    best_steps = np.full(blocks.shape, 8, np.uint8)
    least = np.full(peak.shape, np.inf)
    for end in _ENDS:
        with np.errstate(over="ignore"):
            scales = (peak / np.float32(end)).astype(np.float16) + np.float16(0)  # no negative zeros
        steps = _steps(blocks, scales)
        wide = scales.astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.square(wide * (steps - np.float32(8)) - blocks, dtype=np.float64).sum(axis=-1, keepdims=True)
        better = error < least
        least = np.where(better, error, least)
        best_scales = np.where(better, scales, best_scales)
        best_steps = np.where(better, steps, best_steps)
    best_scales = np.where(np.isfinite(least), best_scales, np.float16(np.inf))
    halves = best_steps[..., : BLOCK // 2] | best_steps[..., BLOCK // 2 :] << 4
    return np.asarray(np.concatenate([best_scales.astype("<f2").view(np.uint8), halves], axis=-1))


def _blocks(weights: Array) -> Array:
    """[..., K] as [..., blocks, 32], the last block filled up with zeros."""
    k = weights.shape[-1]
    padded = np.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, -k % BLOCK)])
    return padded.reshape(*weights.shape[:-1], -1, BLOCK)


def _steps(blocks: Array, scales: Array) -> Array:
    """The nibble nearest to each weight; 8, which is zero, where there is no scale."""
    usable = np.isfinite(scales) & (scales != 0)
    divisors = np.where(usable, scales.astype(np.float32), np.float32(np.inf))
    return np.asarray(np.clip(np.rint(blocks / divisors) + 8, 0, 15), np.uint8)


def from_int4_blocks(packed: Array) -> Array:
    """Undo `int4_blocks`, but for the rounding.

    Parameters
    ----------
    packed : numpy.ndarray
        uint8, [..., blocks, 18].

    Returns
    -------
    numpy.ndarray
        float32, [..., 32 * blocks].
    """
    steps, scales = split_int4(packed)
    return (steps * scales[..., np.newaxis]).reshape(*packed.shape[:-2], -1)


def split_int4(packed: Array) -> tuple[Array, Array]:
    """Take blocks apart.

    Parameters
    ----------
    packed : numpy.ndarray
        uint8, [..., blocks, 18].

    Returns
    -------
    steps : numpy.ndarray
        float32 whole numbers in [-8, 7], [..., blocks, 32].
    scales : numpy.ndarray
        float32, [..., blocks].
    """
    scales = np.ascontiguousarray(packed[..., :2]).view("<f2")[..., 0].astype(np.float32)
    halves = packed[..., 2:]
    steps = np.concatenate([halves & 15, halves >> 4], axis=-1).astype(np.float32) - np.float32(8)
    return steps, scales


def bfloat16(weights: Array) -> Array:
    """Round to the nearest bfloat16, ties to even.

    Parameters
    ----------
    weights : numpy.ndarray
        Finite float32.

    Returns
    -------
    numpy.ndarray
        The bits, uint16. What is too large becomes infinite.
    """
    bits = np.ascontiguousarray(weights, np.float32).view(np.uint32)
    return np.asarray((bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16, np.uint16).reshape(weights.shape)


def from_bfloat16(bits: Array) -> Array:
    """Widen bfloat16, which is exact.

    Parameters
    ----------
    bits : numpy.ndarray
        uint16.

    Returns
    -------
    numpy.ndarray
        float32.
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)
