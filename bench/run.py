"""Runs workloads: makes each engine ready, checks its answers, times all that passed in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import check, limits
from .check import Error
from .engines import Engine
from .engines.engine import CannotError, Session
from .measure import Timing, interleaved
from .packages import FetchError
from .precision import Precision
from .workloads.workload import Array, Case, Workload


@dataclass
class Result:
    """What was found for one workload. An engine is in exactly one of timings, cannot and wrong."""

    workload: Workload
    timings: dict[str, Timing] = field(default_factory=dict)
    errors: dict[str, Error] = field(default_factory=dict)  # of engines that are in timings
    cannot: dict[str, str] = field(default_factory=dict)  # why, by engine
    wrong: dict[str, str] = field(default_factory=dict)  # how, by engine
    limits_us: dict[str, float] = field(default_factory=dict)  # by precision
    statistic: str = "median"  # which field of Timing engines are compared by

    def us(self, name: str) -> float:
        return float(getattr(self.timings[name], self.statistic))


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
    result.limits_us = _limits(case, {engine.precision.name: engine.precision for engine in engines})
    return result


def _limits(case: Case, precisions: dict[str, Precision]) -> dict[str, float]:
    try:
        return {name: limits.floor_us(case.cost, precision) for name, precision in precisions.items()}
    except limits.LimitsError:
        return {}


def _ready(engine: Engine, case: Case, expected: Array, result: Result) -> Session | None:
    """A session whose answers are right; None where there is none, and then the result says why."""
    try:
        session = engine.prepare(case)
        error = check.session_error(session, case.frames, expected)
    except CannotError as problem:
        result.cannot[engine.name] = str(problem)
    except Exception as problem:  # an engine may fail in any way it likes; the others go on
        result.wrong[engine.name] = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}"
    else:
        if error.allowed(engine.precision):
            result.errors[engine.name] = error
            return session
        result.wrong[engine.name] = f"answer off by {error.largest:.2g} at most, {error.rms:.2g} in the mean"
    return None
