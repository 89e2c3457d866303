"""One step of many streams at once: a server that serves many callers with one model.

A batch steps all its streams together, always the same ones. A pool steps those it is given; the other runtimes have
none, so they are given the same streams as a batch.
"""

from __future__ import annotations

from functools import partial

from .layers import CELLS, SIZES, layer_case
from .workload import Workload

BATCHES = (8, 64)
POOL = 64
QUICK = ((8, 128), (64, 256))


def workloads() -> list[Workload]:
    return [
        *(_workload(cell, batch, size, pool=False) for cell in CELLS for batch in BATCHES for size in SIZES),
        *(_workload(cell, POOL, size, pool=True) for cell in CELLS for size in SIZES),
    ]


def _workload(cell: str, batch: int, size: int, *, pool: bool) -> Workload:
    case = partial(layer_case, cell, size, batch=batch, pool=pool)
    shape, how = ("pool", "in a pool") if pool else ("batch", "as a batch")
    what = f"one step of {batch} streams of {cell} {size} {how}, state kept"
    return Workload(f"{cell.lower()}/{shape}{batch}/{size}", what, case, (batch, size) in QUICK)
