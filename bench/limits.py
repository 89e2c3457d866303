"""The machine's own limits, measured: read bandwidth for a working set of any size, and peak multiply-adds."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
from pathlib import Path

import numpy as np

from .compiled import CompileError, compiled
from .precision import FLOAT32, Precision
from .workloads.workload import Array, Cost

SOURCE = Path(__file__).parent / "native" / "limits.c"
# No further unrolling: many load instructions, each with a long stride, defeat the prefetcher and halve what is read.
COMPILE = ("gcc", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
HUGE_PAGE = 2 << 20
GRAIN = 512  # the native loop reads whole blocks of this many bytes
PASS_NS = 100_000  # a round of passes lasts about this long
ROUNDS = 200
SLOW_ROUNDS = 30  # where one pass takes longer than a round should
UNITS = ("float32", "int8")


class LimitsError(Exception):
    """The limits cannot be measured here; the message says why."""


def floor_us(cost: Cost, precision: Precision = FLOAT32) -> float:
    """The least microseconds one call can take: its reads or its multiply-adds, whichever takes longer."""
    size = precision.bits / FLOAT32.bits  # costs are those of float32
    reading = cost.bytes * size / bandwidth(int(cost.footprint * size))
    multiplying = cost.macs * precision.products / multiply_adds(precision.unit)
    return 1e6 * max(reading, multiplying)


@functools.cache
def bandwidth(footprint: int) -> float:
    """Bytes per second when `footprint` bytes are read over and over by one core."""
    size = max(GRAIN, footprint // GRAIN * GRAIN)
    memory = _memory(size)
    passes = max(1, PASS_NS // max(1, size // 100))
    rounds = ROUNDS if size < 100 * PASS_NS else SLOW_ROUNDS
    return size / float(_library().limits_read(ctypes.c_void_p(memory.ctypes.data), size, passes, rounds))


def _memory(size: int) -> Array:
    """Bytes that start a huge page where the system has them, so that page tables do not lower the limit."""
    block = mmap.mmap(-1, size + HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Kernels built without huge pages refuse the wish.
        with contextlib.suppress(OSError):
            block.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(block, np.uint8)
    memory = whole[-whole.ctypes.data % HUGE_PAGE :][:size]
    memory[:] = 1
    return memory


@functools.cache
def multiply_adds(unit: str = "float32") -> float:
    """Multiply-adds per second of one core; `unit` is one of UNITS. int8 is float32's where it has no instruction."""
    if unit == "float32":
        return float(_library().limits_multiply(ROUNDS))
    return float(_library().limits_multiply_int8(ROUNDS)) or multiply_adds("float32")


def int8_instruction() -> str:
    """The instructions that products of int8 were measured with; empty where there are none."""
    name: bytes = _library().limits_int8_instruction()
    return name.decode()


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(compiled(SOURCE, COMPILE, ".so")))
    except CompileError as error:
        raise LimitsError(str(error)) from error
    library.limits_read.restype = library.limits_multiply.restype = ctypes.c_double
    library.limits_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int]
    library.limits_multiply_int8.restype = ctypes.c_double
    library.limits_multiply.argtypes = library.limits_multiply_int8.argtypes = [ctypes.c_int]
    library.limits_int8_instruction.restype = ctypes.c_char_p
    return library
