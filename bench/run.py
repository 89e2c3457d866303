"""Runs workloads: makes each engine ready, checks its answers, times all that passed in turn."""

from __future__ import annotations

from collections.abc import Sequence
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
    statistic: str = "median"  # which field of Timing engines are compared by

    def us(self, name: str) -> float:
        return float(getattr(self.timings[name], self.statistic))

    @property
    def fastest(self) -> str | None:
        return min(self.timings, key=self.us, default=None)

    @property
    def best_peer(self) -> str | None:
        return min((name for name in self.timings if not name.startswith(OURS)), key=self.us, default=None)

    @property
    def lead(self) -> float | None:
        """How many times longer the best peer takes."""
        if self.best_peer is None or OURS not in self.timings:
            return None
        return self.us(self.best_peer) / self.us(OURS)

    @property
    def share_of_limit(self) -> float | None:
        """1 where lstm_rt is as fast as the machine can be."""
        if self.limit_us is None or OURS not in self.timings:
            return None
        return self.limit_us / self.us(OURS)


def run(workload: Workload, engines: Sequence[Engine], seconds: float, statistic: str) -> Result:
    """Check and time one workload; `seconds` are spent on each engine."""
    result = Result(workload, statistic=statistic)
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
