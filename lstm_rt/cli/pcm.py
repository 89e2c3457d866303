"""Raw samples (PCM) from standard input, as a recorder writes them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from types import FrameType
from typing import cast

import numpy as np

from lstm_rt import ModelFileError
from lstm_rt.cli.options import Array

FORMATS = {"s16le": ("<i2", 1 << 15), "s32le": ("<i4", 1 << 31), "f32le": ("<f4", 1)}  # dtype, what becomes 1.0
_READ_BYTES = 1 << 16
_STOPS = (signal.SIGINT, signal.SIGTERM)


class Pcm:
    """Blocks of float32 samples in [-1, 1), as they come, until the end of the pipe or a signal to stop.

    A signal is heeded while waiting for samples, so nothing that follows from those already here is cut off.

    Parameters
    ----------
    encoding : str
        One of `FORMATS`.
    channels : int
        Interleaved channels, whose mean is taken.
    """

    def __init__(self, encoding: str, channels: int) -> None:
        self._dtype, self._one = FORMATS[encoding]
        self._channels = channels
        self._row_bytes = np.dtype(self._dtype).itemsize * channels
        self._rest = b""
        self._waiting = self.stopped = False
        self.length = 0  # rows read so far

    @property
    def spare_bytes(self) -> int:
        """Bytes at the end that are no whole sample of every channel."""
        return len(self._rest)

    def __iter__(self) -> Iterator[Array]:
        pipe = cast(BufferedReader, sys.stdin.buffer)
        with self._handlers():
            while data := self._read(pipe):
                data = self._rest + data
                whole = len(data) // self._row_bytes * self._row_bytes
                self._rest = data[whole:]
                yield self._samples(data[:whole])

    def _read(self, pipe: BufferedReader) -> bytes:
        try:
            self._waiting = True
            data = b"" if self.stopped else pipe.read1(_READ_BYTES)
            self._waiting = False
        except KeyboardInterrupt:
            return b""
        return data

    def _samples(self, data: bytes) -> Array:
        values = np.frombuffer(data, self._dtype).reshape(-1, self._channels)
        samples: Array = (values / np.float32(self._one)).astype(np.float32, copy=False).mean(1, dtype=np.float32)
        if not np.isfinite(samples).all():
            at = self.length + int(np.flatnonzero(~np.isfinite(samples))[0])
            raise ModelFileError(f"Sample {at} is not a finite number. Are these samples f32le? See --pcm.")
        self.length += len(samples)
        return samples

    @contextmanager
    def _handlers(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._stop) for number in _STOPS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        if self._waiting:
            self._waiting = False
            raise KeyboardInterrupt
