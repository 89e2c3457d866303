"""The same-answer check that comes before any timing: ONNX's own reference implementation, fed the same frames."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from .engines.engine import Session
from .precision import FLOAT32, Precision
from .workloads.workload import Array, Case


class Error(NamedTuple):
    """How far answers are from the reference.

    `largest` is the largest difference, `rms` the root mean square of all differences over that of the reference.
    """

    largest: float
    rms: float

    def allowed(self, precision: Precision) -> bool:
        """Whether a model of this precision may be so far off. float32 is bound at every single value."""
        return (self.largest if precision is FLOAT32 else self.rms) <= precision.tolerance


WRONG = Error(float("inf"), float("inf"))


def reference(case: Case) -> Array:
    """The outputs for all frames of a case, the state carried from each to the next."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(case.onnx))
    names = [case.output, *(s.output for s in case.state)]
    states = {s.input: np.zeros(s.shape, np.float32) for s in case.state}
    outputs: list[Array] = []
    for frame in case.frames:
        results: Any = evaluator.run(names, {case.input: frame, **case.fixed, **states})
        outputs.append(results[0])
        states = dict(zip(states, results[1:]))
    return np.stack(outputs)


def error(found: Array, expected: Array) -> Error:
    """Compare answers; WRONG where shapes differ or values are not numbers."""
    if found.shape != expected.shape:
        return WRONG
    difference = found.astype(np.float64) - expected
    largest = float(np.max(np.abs(difference)))
    scale = float(np.sqrt(np.mean(np.square(expected, dtype=np.float64))))
    rms = float(np.sqrt(np.mean(difference**2))) / (scale or 1.0)
    return Error(largest, rms) if np.isfinite(largest) else WRONG


def session_error(session: Session, frames: Array, expected: Array) -> Error:
    """Feed a session frames from a zero state and compare what it answers."""
    return error(session.answer(frames), expected)
