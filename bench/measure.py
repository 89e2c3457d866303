"""Timing that survives a busy machine: one core, short samples, all engines in turn within each round."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns

import numpy as np

Call = Callable[[], object]

# Long enough that reading the clock is lost in it, short enough that few samples meet an interruption.
SAMPLE_NS = 20_000
ROUNDS = 12
LEAST_SAMPLES = 3


@dataclass(frozen=True)
class Timing:
    """Microseconds per call. Where a sample holds several calls, p99 is of the samples' means.

    `spread` is the noise of this timing: the interquartile range of the medians of its rounds.
    """

    median: float
    p99: float
    fastest: float
    samples: int
    calls_per_sample: int
    spread: float


def pin(core: int | None) -> int | None:
    """Keep this process on one core, by default the last it may use. None where the system has no way to."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def interleaved(calls: Mapping[str, Call], seconds: float) -> dict[str, Timing]:
    """Time calls for `seconds` each, in rounds A B C A B C, so that a change of the machine's pace meets all alike."""
    samples: dict[str, list[list[float]]] = {name: [] for name in calls}
    with _no_collection():
        batch = {name: _calls_per_sample(call) for name, call in calls.items()}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                samples[name].append(_round(call, batch[name], int(seconds * 1e9 / ROUNDS)))
    return {name: timing(samples[name], batch[name]) for name in calls}


def _round(call: Call, batch: int, budget_ns: int) -> list[float]:
    # The engine before left its own weights in the caches.
    _time(call, batch)
    _time(call, batch)
    samples: list[float] = []
    end = perf_counter_ns() + budget_ns
    while perf_counter_ns() < end or len(samples) < LEAST_SAMPLES:
        samples.append(_time(call, batch))
    return samples


def _time(call: Call, times: int) -> float:
    """Microseconds per call."""
    begin = perf_counter_ns()
    for _ in repeat(None, times):
        call()
    return (perf_counter_ns() - begin) / times / 1e3


def _calls_per_sample(call: Call) -> int:
    _time(call, 10)
    fastest = min(_time(call, 3) for _ in range(10))
    return max(1, int(SAMPLE_NS / 1e3 / fastest))


def timing(rounds: Sequence[Sequence[float]], batch: int) -> Timing:
    """Sum up the samples of all rounds, each of `batch` calls."""
    samples = np.concatenate([np.asarray(each) for each in rounds])
    low, high = np.percentile([np.median(each) for each in rounds], (25, 75))
    return Timing(
        median=float(np.median(samples)),
        p99=float(np.percentile(samples, 99)),
        fastest=float(samples.min()),
        samples=len(samples),
        calls_per_sample=batch,
        spread=float(high - low),
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
