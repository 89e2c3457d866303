"""One streaming step of one layer, batch 1: what a real-time application calls for every frame."""

from __future__ import annotations

from functools import partial

from .layers import CELLS, SIZES, layer_case
from .workload import Workload

QUICK = (32, 128, 512)


def workloads() -> list[Workload]:
    return [
        Workload(f"{c.lower()}/step/{n}", f"one step of {c} {n}, state kept", partial(layer_case, c, n), n in QUICK)
        for c in CELLS
        for n in SIZES
    ]
