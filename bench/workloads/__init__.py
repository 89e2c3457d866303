"""The workloads, one file per family."""

from __future__ import annotations

from . import batches, nsnet2, sequences, silero, steps
from .workload import Workload

FAMILIES = (steps, sequences, batches, silero, nsnet2)


def all_workloads() -> list[Workload]:
    return [workload for family in FAMILIES for workload in family.workloads()]
