"""The machine's own limits, measured: read bandwidth for a working set of any size, and peak multiply-adds."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import mmap
import platform
import subprocess
from pathlib import Path

import numpy as np

from .packages import CACHE
from .workloads.workload import Array, Cost

SOURCE = Path(__file__).parent / "native" / "limits.c"
# No further unrolling: many load instructions, each with a long stride, defeat the prefetcher and halve what is read.
COMPILE = ("gcc", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
HUGE_PAGE = 2 << 20
GRAIN = 512  # the native loop reads whole blocks of this many bytes
PASS_NS = 100_000  # a round of passes lasts about this long
ROUNDS = 200


class LimitsError(Exception):
    """The limits cannot be measured here; the message says why."""


def floor_us(cost: Cost) -> float:
    """The least microseconds one call can take: its reads or its multiply-adds, whichever takes longer."""
    return 1e6 * max(cost.bytes / bandwidth(int(cost.footprint)), cost.macs / multiply_adds())


@functools.cache
def bandwidth(footprint: int) -> float:
    """Bytes per second when `footprint` bytes are read over and over by one core."""
    size = max(GRAIN, footprint // GRAIN * GRAIN)
    memory = _memory(size)
    passes = max(1, PASS_NS // max(1, size // 100))
    return size / float(_library().limits_read(ctypes.c_void_p(memory.ctypes.data), size, passes, ROUNDS))


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
def multiply_adds() -> float:
    """float32 multiply-adds per second of one core."""
    return float(_library().limits_multiply(ROUNDS))


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_compiled()))
    library.limits_read.restype = library.limits_multiply.restype = ctypes.c_double
    library.limits_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int]
    library.limits_multiply.argtypes = [ctypes.c_int]
    return library


def _compiled() -> Path:
    """The native part, compiled for this CPU the first time; kept by what was compiled, how and for which machine."""
    key = hashlib.sha256(SOURCE.read_bytes() + repr((COMPILE, platform.machine(), platform.node())).encode())
    library = CACHE / "bench" / f"limits-{key.hexdigest()[:16]}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run([*COMPILE, "-o", library, SOURCE], capture_output=True, text=True, check=False)
        except OSError as error:
            raise LimitsError(f"the limits need gcc: {error}") from error
        if done.returncode:
            raise LimitsError(f"gcc: {done.stderr.strip()}")
    return library
