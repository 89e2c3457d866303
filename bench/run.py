"""Runs workloads: makes each engine ready, checks its answers, times all that passed in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import check, limits
from .engines import OURS, Engine
from .engines.engine import CannotError, Session
from .measure import Timing, interleaved
from .packages import FetchError
from .workloads.workload import Array, Case, Workload


@dataclass
class Result:
    """What was found for one workload. An engine is in exactly one of timings, cannot and wrong."""

    workload: Workload
    timings: dict[str, Timing] = field(default_factory=dict)
    cannot: dict[str, str] = field(default_factory=dict)  # why, by engine
    wrong: dict[str, str] = field(default_factory=dict)  # how, by engine
    limit_us: float | None = None

    @property
    def best_peer(self) -> str | None:
        peers = [name for name in self.timings if not name.startswith(OURS)]
        return min(peers, key=lambda name: self.timings[name].median, default=None)

    @property
    def lead(self) -> float | None:
        """How many times longer the best peer takes."""
        if self.best_peer is None or OURS not in self.timings:
            return None
        return self.timings[self.best_peer].median / self.timings[OURS].median

    @property
    def share_of_limit(self) -> float | None:
        """1 where lstm_rt is as fast as the machine can be."""
        if self.limit_us is None or OURS not in self.timings:
            return None
        return self.limit_us / self.timings[OURS].median


def run(workloads: Iterable[Workload], engines: Iterable[Engine], seconds: float) -> Iterator[Result]:
    """Results one by one, as they come; `seconds` are spent on each engine of each workload."""
    chosen = list(engines)
    for workload in workloads:
        yield _run_one(workload, chosen, seconds)


def _run_one(workload: Workload, engines: list[Engine], seconds: float) -> Result:
    result = Result(workload)
    try:
        case = workload.make()
    except FetchError as error:
        result.cannot = {engine.name: str(error) for engine in engines}
        return result
    expected = check.reference(case)
    sessions = {engine.name: _ready(engine, case, expected, result) for engine in engines}
    calls = {name: session.call for name, session in sessions.items() if session is not None}
    result.timings = interleaved(calls, seconds)
    try:
        result.limit_us = limits.floor_us(case.cost)
    except limits.LimitsError:
        result.limit_us = None
    return result


def _ready(engine: Engine, case: Case, expected: Array, result: Result) -> Session | None:
    """A session whose answers are right; None where there is none, and then the result says why."""
    try:
        session = engine.prepare(case)
        error = check.error(session, case.frames, expected)
    except CannotError as problem:
        result.cannot[engine.name] = str(problem)
    except Exception as problem:  # an engine may fail in any way it likes; the others go on
        result.wrong[engine.name] = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}"
    else:
        if error <= check.TOLERANCE:
            return session
        result.wrong[engine.name] = f"answer off by {error:.2g}"
    return None
