"""100 steps of one layer in one call, batch 1, from a zero state: files, utterances, windows of a time series."""

from __future__ import annotations

from functools import partial

from .layers import CELLS, SIZES, layer_case
from .workload import Workload

QUICK = (128,)
STEPS = 100


def workloads() -> list[Workload]:
    def make(cell: str, size: int) -> Workload:
        case = partial(layer_case, cell, size, steps=STEPS, stream=False)
        return Workload(f"{cell.lower()}/seq{STEPS}/{size}", f"{STEPS} steps of {cell} {size}", case, size in QUICK)

    return [make(cell, size) for cell in CELLS for size in SIZES]
