"""tract, on its one thread: the state is handed from call to call as tract's own tensors."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
import tract

from ..workloads.workload import Array, Case
from .engine import CannotError, Session


def prepare(case: Case) -> Session:
    case = case.static
    if case.fixed:
        raise CannotError("reads no control inputs")
    run = _load(case.onnx).spawn_state().run
    frame = case.frames[0].copy()
    states: list[Any] = []
    output: Array = frame

    def call() -> None:
        nonlocal states, output
        result, *states = run([frame, *states])
        output = result.to_numpy()

    def reset() -> None:
        nonlocal states
        states = [np.zeros(s.shape, np.float32) for s in case.state]

    reset()
    return Session(frame, call, lambda: output, reset)


def _load(model: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        with open(path, "wb") as file:
            file.write(model)
        return tract.onnx().load(path).into_model().into_runnable()
