"""lstm_rt: streams and pools that keep the state inside, whole sequences in one call, run with the state by hand."""

from __future__ import annotations

import numpy as np

import lstm_rt

from ..workloads.workload import Array, Case
from .engine import Session, nothing


def prepare(case: Case, *, quantize: str | None = None, threads: int = 1) -> Session:
    """By the shape of the case: a pool, a stream or whole calls."""
    if case.pool_onnx:
        return _pool(case, lstm_rt.load(case.pool_onnx, quantize=quantize), threads)
    if case.state:
        return _stream(case, lstm_rt.load(case.stateless_onnx or case.onnx, quantize=quantize), threads)
    return _whole(case, lstm_rt.load(case.onnx, quantize=quantize), threads)


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


def _stream(case: Case, model: lstm_rt.Model, threads: int) -> Session:
    bind = None if case.stateless_onnx else {s.input: s.output for s in case.state}
    stream = model.stream(batch=case.batch, bind=bind, freeze=dict(case.fixed), threads=threads)
    frame = case.frames[0].copy()
    output = np.zeros(case.output_shape, np.float32)
    step = stream.step
    return Session(frame, lambda: step(frame, out=output), lambda: output, stream.reset)


def _pool(case: Case, model: lstm_rt.Model, threads: int) -> Session:
    pool = model.pool(capacity=case.batch, threads=threads)
    ids = np.array([pool.open() for _ in range(case.batch)])
    frame = case.frames[0].copy()
    output = np.zeros(case.output_shape, np.float32)
    step = pool.step

    def reset() -> None:
        for stream in ids:
            pool.reset(stream)

    return Session(frame, lambda: step(ids, frame, out=output), lambda: output, reset)


def _whole(case: Case, model: lstm_rt.Model, threads: int) -> Session:
    frame = case.frames[0].copy()
    output: Array = frame

    def call() -> None:
        nonlocal output
        output = model(frame, threads=threads)

    return Session(frame, call, lambda: output, nothing)
