"""onnxruntime on one thread: plain calls, IOBinding with every buffer bound once, and that in int8."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import quantize_dynamic

from ..workloads.workload import Array, Case
from .engine import CannotError, Session


def prepare(case: Case) -> Session:
    """Plain calls: session.run with a dict, the state handed from one to the next."""
    session = _session(case.onnx)
    frame = case.frames[0].copy()
    feeds: dict[str, Array] = {case.input: frame, **case.fixed}
    names = [case.output, *(s.output for s in case.state)]
    inputs = [s.input for s in case.state]
    result: list[Array] = []

    def call() -> None:
        nonlocal result
        result = session.run(names, feeds)
        feeds.update(zip(inputs, result[1:]))

    def reset() -> None:
        feeds.update({s.input: np.zeros(s.shape, np.float32) for s in case.state})

    reset()
    return Session(frame, call, lambda: result[0], reset)


def prepare_bound(case: Case) -> Session:
    """IOBinding: two bindings take turns, each reading the state that the other wrote."""
    session = _session(case.onnx)
    frame = case.frames[0].copy()
    output = np.zeros(case.output_shape, np.float32)
    states = [[np.zeros(s.shape, np.float32) for s in case.state] for _ in range(2)]
    run = session.run_with_iobinding
    now, after = (_binding(session, case, frame, output, states[i], states[1 - i]) for i in range(2))

    def call() -> None:
        nonlocal now, after
        run(now)
        now, after = after, now

    def reset() -> None:
        for state in (*states[0], *states[1]):
            state[...] = 0

    return Session(frame, call, lambda: output, reset)


def prepare_int8(case: Case) -> Session:
    """What quantize_dynamic makes of the model: weights in int8, a scale for each output, activations as they come."""
    return prepare_bound(replace(case.static, onnx=_quantised(case.static.onnx)))


def _quantised(model: bytes) -> bytes:
    logging.disable(logging.WARNING)  # it recommends a preparation that changes nothing here
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "int8.onnx")
        try:
            quantize_dynamic(onnx.load_from_string(model), path, per_channel=True)
        except ValueError as error:
            raise CannotError("quantize_dynamic cannot read it") from error
        finally:
            logging.disable(logging.NOTSET)
        made = onnx.load(path)
    if not any("Quantize" in node.op_type for node in made.graph.node):
        raise CannotError("quantize_dynamic has nothing for it")
    return bytes(made.SerializeToString())


def _session(model: bytes) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _binding(session: Any, case: Case, frame: Array, output: Array, old: list[Array], new: list[Array]) -> Any:
    binding = session.io_binding()
    inputs = {case.input: frame, **case.fixed, **{s.input: a for s, a in zip(case.state, old)}}
    outputs = {case.output: output, **{s.output: a for s, a in zip(case.state, new)}}
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
    for name, array in outputs.items():
        binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
    return binding
