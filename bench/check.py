"""The same-answer check that comes before any timing: ONNX's own reference implementation, fed the same frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from .engines.engine import Session
from .workloads.workload import Array, Case

TOLERANCE = 1e-4


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


def error(session: Session, frames: Array, expected: Array) -> float:
    """Largest difference from the expected outputs; infinite where shapes differ or values are not numbers."""
    found = session.answer(frames)
    if found.shape != expected.shape:
        return float("inf")
    largest = float(np.max(np.abs(found - expected)))
    return largest if np.isfinite(largest) else float("inf")
