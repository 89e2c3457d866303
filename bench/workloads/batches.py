"""One step of many streams at once: a server that serves many callers with one model."""

from __future__ import annotations

from functools import partial

from .layers import GATES, layer_case
from .workload import Workload

SIZES = (128, 256, 512)
BATCHES = (8, 64)
QUICK = ((8, 128),)


def workloads() -> list[Workload]:
    def make(cell: str, batch: int, size: int) -> Workload:
        case = partial(layer_case, cell, size, batch=batch)
        what = f"one step of {batch} streams of {cell} {size}, state kept"
        return Workload(f"{cell.lower()}/batch{batch}/{size}", what, case, (batch, size) in QUICK)

    return [make(cell, batch, size) for cell in GATES for batch in BATCHES for size in SIZES]
