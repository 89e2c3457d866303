"""lstm_rt: streams that keep the state inside, whole sequences in one call, and run with the state carried by hand."""

from __future__ import annotations

import numpy as np

import lstm_rt

from ..workloads.workload import Array, Case
from .engine import Session, nothing


def prepare(case: Case) -> Session:
    return _stream(case) if case.state else _whole(case)


def prepare_run(case: Case) -> Session:
    """model.run with a dict, the state handed from one call to the next."""
    run = lstm_rt.load(case.onnx).run
    frame = case.frames[0].copy()
    feeds: dict[str, Array] = {case.input: frame, **case.fixed}
    pairs = [(s.input, s.output) for s in case.state]
    result: dict[str, Array] = {}

    def call() -> None:
        nonlocal result
        result = run(feeds)
        for name, source in pairs:
            feeds[name] = result[source]

    def reset() -> None:
        feeds.update({s.input: np.zeros(s.shape, np.float32) for s in case.state})

    reset()
    return Session(frame, call, lambda: result[case.output], reset)


def _stream(case: Case) -> Session:
    model = lstm_rt.load(case.stateless_onnx or case.onnx)
    bind = None if case.stateless_onnx else {s.input: s.output for s in case.state}
    stream = model.stream(batch=case.batch, bind=bind, freeze=dict(case.fixed))
    frame = case.frames[0].copy()
    output = np.zeros(case.output_shape, np.float32)
    step = stream.step
    return Session(frame, lambda: step(frame, out=output), lambda: output, stream.reset)


def _whole(case: Case) -> Session:
    model = lstm_rt.load(case.onnx)
    frame = case.frames[0].copy()
    output: Array = frame

    def call() -> None:
        nonlocal output
        output = model(frame)

    return Session(frame, call, lambda: output, nothing)
