"""Signals from files and pipes, and how they become the arrays a model takes."""

from __future__ import annotations

import re
import wave
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_rt import ArgumentError, Model, ModelFileError, ShapeError, UnsupportedModelError
from lstm_rt.cli.options import Array, load_npy
from lstm_rt.files import open_regular
from lstm_rt.model import TensorInfo

# Integer samples: what becomes 1.0, and what becomes 0.
_SCALES = {"int8": (1 << 7, 0), "uint8": (1 << 7, 1 << 7), "int16": (1 << 15, 0), "int32": (1 << 31, 0)}
_BATCH = re.compile(r"(^|_)(n|b|bs|batch|batchsize)(_|$)", re.IGNORECASE)


class Signal(NamedTuple):
    """Rows along time, in pieces: samples of shape (N,), or features of shape (T, ...).

    `rate` is rows a second and `length` the number of rows, if known; a live signal has no length. `row_size` is 1, or
    the number of features.
    """

    blocks: Iterable[Array]
    rate: float | None
    length: int | None = None
    row_size: int = 1
    notes: tuple[str, ...] = ()  # what was done to the samples, for the summary

    @classmethod
    def of(cls, rows: Array, rate: float | None) -> Signal:
        """Make a signal of an array."""
        return cls((rows,), rate, len(rows), rows[0].size)

    def rows(self) -> Array:
        """Give all rows; not for a live signal."""
        return np.concatenate(list(self.blocks))

    def of_dtype(self, dtype: np.dtype[Any] | None) -> Signal:
        """Convert all rows to the dtype of an input; not for a live signal."""
        rows, notes = as_samples(self.rows(), dtype)
        return self._replace(blocks=(rows,), notes=(*self.notes, *notes))


class Framing(NamedTuple):
    """How a signal is cut into steps, in rows: new ones, distance to the next step, earlier ones given again."""

    frame: int
    hop: int
    context: int

    def count(self, length: int) -> int:
        """Count the steps of a signal of this length."""
        return 1 + max(0, -(-(length - self.frame) // self.hop))

    def end(self, step: int) -> int:
        """Give the row behind a step's last: when its answer is known."""
        return step * self.hop + self.frame

    def seconds(self, step: int, rate: float) -> float:
        """Give the time when a step's answer is known, to the microsecond."""
        return round(self.end(step) / rate, 6)


def read_signal(path: str, rate: float | None = None) -> Signal:
    """Read a ``.wav`` or ``.npy`` file.

    Parameters
    ----------
    path : str
        The file.
    rate : float, optional
        Rows a second of a ``.npy`` file, which does not say.

    Returns
    -------
    Signal
        Samples of a ``.wav`` file are float32 in [-1, 1). An array loses leading dims of one beyond two dims; the first
        dim that is left is time, and the others are one row.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".wav":
        return read_wav(path)
    if suffix != ".npy":
        raise UnsupportedModelError(f"{path}: a signal is a .wav or a .npy file, or '-' for raw samples.")
    rows = load_npy(path)
    while rows.ndim > 2 and rows.shape[0] == 1:
        rows = rows[0]
    if not rows.ndim or not rows.size:
        raise ShapeError(f"{path}: shape {rows.shape} is no signal: wanted samples (N,) or rows of features (T, ...).")
    return Signal.of(rows, rate)


def as_samples(array: Array, dtype: np.dtype[Any] | None) -> tuple[Array, tuple[str, ...]]:
    """Convert an array from a file to the dtype of an input.

    Integers of up to 32 bits are samples where the input takes floats, and are scaled to [-1, 1) as those of a ``.wav``
    file are. An int64 array is taken as tokens or numbers, which are not scaled.

    Parameters
    ----------
    array : ndarray
        From a file.
    dtype : dtype or None
        What the input takes.

    Returns
    -------
    array : ndarray
        Unchanged if no harmless conversion exists; the model refuses it then.
    notes : tuple of str
        What was done, if it was more than nothing.
    """
    if dtype is None or array.dtype == dtype:
        return array, ()
    if dtype.kind == "f" and array.dtype.name in _SCALES:
        one, middle = _SCALES[array.dtype.name]
        scaled = ((array.astype(np.float64) - middle) / one).astype(dtype)
        return scaled, (f"{array.dtype} samples, scaled by 1/{one}",)
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        return array, ()
    notes = (f"{array.dtype} values, rounded to {dtype}",) if array.dtype.kind == "f" else ()
    return array.astype(dtype), notes


def require_rate(source: str, rates: Mapping[str, float | None]) -> float | None:
    """Return the rate that all who know one agree on.

    Parameters
    ----------
    source : str
        The signal, for the message.
    rates : mapping of str to (float or None)
        Samples a second by who says so (``"the file"``); None if unknown.

    Returns
    -------
    float or None
        The rate, if anybody knows it.

    Raises
    ------
    ArgumentError
        If two of them differ.
    """
    known = [(who, rate) for who, rate in rates.items() if rate is not None]
    for who, rate in known[1:]:
        first, of_first = known[0]
        if rate != of_first:
            raise ArgumentError(
                f"{source}: {first} has {of_first:g} samples a second, {who} has {rate:g}. "
                f"Resample the signal: ffmpeg -i {source if source != '-' else 'in.wav'} -ar {rate:.0f} -ac 1 out.wav"
            )
    return known[0][1] if known else None


def read_wav(path: str) -> Signal:
    """Read a mono PCM ``.wav`` file as float32 in [-1, 1)."""
    try:
        with open_regular(path) as opened, wave.open(opened, "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        why = str(error) or "the file is empty or cut short"
        raise ModelFileError(f"{path}: no PCM .wav file: {why}") from None
    if channels != 1:
        raise UnsupportedModelError(f"{path}: has {channels} channels; mix it down to mono first.")
    samples = _pcm(data[: len(data) // width * width], width)
    if not samples.size:
        raise ModelFileError(f"{path}: holds no samples.")
    return Signal.of(samples, float(rate))


def _pcm(data: bytes, width: int) -> Array:
    """Turn little-endian integer samples into floats; 8-bit ones are unsigned, as .wav files have them."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if width == 2:
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return (wide.view("<i4")[:, 0] / 2147483648).astype(np.float32)


def frames(signal: Signal, framing: Framing) -> Iterator[Array]:
    """Cut a signal into overlapping frames as it comes.

    Step k gets rows ``k * hop - context`` to ``k * hop + frame``; rows before the start, and those that the last frame
    lacks, are zeros.

    Parameters
    ----------
    signal : Signal
        In pieces of any length.
    framing : Framing
        Its hop is at most its frame.

    Yields
    ------
    ndarray, shape (context + frame, ...)
        One per step.
    """
    width = framing.context + framing.frame
    rows: Array | None = None
    old = framing.context  # rows at the start of `rows` that are no news
    for block in signal.blocks:
        rows = np.concatenate([_zeros_like(block, framing.context) if rows is None else rows, block])
        start = 0
        while len(rows) - start >= width:
            yield rows[start : start + width]
            start, old = start + framing.hop, width - framing.hop
        rows = rows[start:]
    if rows is not None and len(rows) > old:
        yield np.concatenate([rows, _zeros_like(rows, width - len(rows))])


def _zeros_like(rows: Array, length: int) -> Array:
    return np.zeros((length, *rows.shape[1:]), rows.dtype)


def arrange(rows: Array, port: TensorInfo, time_axis: int | None = None) -> Array:
    """Give rows the rank of an input: they fill its fixed dims, what is left over is time, all else is one.

    Parameters
    ----------
    rows : ndarray
        Samples, or rows of features.
    port : TensorInfo
        The input.
    time_axis : int, optional
        The axis that is time; if left out, the last free one that is not called batch.

    Returns
    -------
    ndarray
        Of the input's rank and dtype; a view where possible.
    """
    shape = port.shape or ()
    axis = _time_axis(port) if time_axis is None else time_axis
    fixed = fixed_values(port)
    wanted = [dim or 1 for dim in shape]
    if axis is not None and shape[axis] is None:
        wanted[axis] = rows.size // fixed
    if not rows.size or int(np.prod(wanted)) != rows.size:
        repeated = "" if axis is None else ", or a multiple of that"
        raise ShapeError(f"Input {port.name!r} takes {fixed} values{repeated}; {rows.size} were given.")
    return np.ascontiguousarray(rows, port.dtype).reshape(wanted)


def fixed_values(port: TensorInfo) -> int:
    """Count the values that the fixed dims of an input hold: 576 for [batch, 576]."""
    return int(np.prod([dim for dim in port.shape or () if dim is not None], dtype=np.int64))


def input_port(model: Model, name: str) -> TensorInfo:
    """Find an input by its name."""
    return next(port for port in model.inputs if port.name == name)


def _time_axis(port: TensorInfo) -> int | None:
    dims = enumerate(zip(port.shape or (), port.dim_names))
    free = [axis for axis, (dim, name) in dims if dim is None and not _BATCH.search(name)]
    return free[-1] if free else None
