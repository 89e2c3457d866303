"""lstm_rt: streams and pools that keep the state inside, whole sequences in one call, run with the state by hand."""

from __future__ import annotations

import numpy as np

import lstm_rt

from ..workloads.workload import Array, Case
from .engine import CannotError, Session, nothing


def prepare(case: Case, **options: object) -> Session:
    """By the shape of the case: a pool, a stream or whole calls. `options` are those of `lstm_rt.load`."""
    if case.pool_onnx:
        return _pool(case, _load(case.pool_onnx, options))
    if case.state:
        return _stream(case, _load(case.stateless_onnx or case.onnx, options))
    return _whole(case, _load(case.onnx, options))


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


def _load(source: bytes, options: dict[str, object]) -> lstm_rt.Model:
    try:
        return lstm_rt.load(source, **options)  # type: ignore[arg-type]
    except TypeError as error:
        raise CannotError(f"this lstm_rt has no such option: {error}") from error


def _stream(case: Case, model: lstm_rt.Model) -> Session:
    bind = None if case.stateless_onnx else {s.input: s.output for s in case.state}
    stream = model.stream(batch=case.batch, bind=bind, freeze=dict(case.fixed))
    frame = case.frames[0].copy()
    output = np.zeros(case.output_shape, np.float32)
    step = stream.step
    return Session(frame, lambda: step(frame, out=output), lambda: output, stream.reset)


def _pool(case: Case, model: lstm_rt.Model) -> Session:
    pool = model.pool(capacity=case.batch)
    ids = np.array([pool.open() for _ in range(case.batch)])
    frame = case.frames[0].copy()
    output = np.zeros(case.output_shape, np.float32)
    step = pool.step

    def reset() -> None:
        for stream in ids:
            pool.reset(stream)

    return Session(frame, lambda: step(ids, frame, out=output), lambda: output, reset)


def _whole(case: Case, model: lstm_rt.Model) -> Session:
    frame = case.frames[0].copy()
    output: Array = frame

    def call() -> None:
        nonlocal output
        output = model(frame)

    return Session(frame, call, lambda: output, nothing)
