"""OpenVINO on one thread: one request with its tensors bound once, the state kept inside as variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino.passes import MakeStateful, Manager

from ..workloads.workload import Case
from .engine import Session, nothing

OPTIONS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "INFERENCE_PRECISION_HINT": "f32",  # the default is bfloat16 where the CPU has it
}


def prepare(case: Case) -> Session:
    case = case.static
    request = _request(case)
    frame = case.frames[0].copy()
    output = np.zeros(case.output_shape, np.float32)
    request.set_tensor(case.input, ov.Tensor(frame, shared_memory=True))
    request.set_tensor(case.output, ov.Tensor(output, shared_memory=True))
    return Session(frame, request.infer, lambda: output, request.reset_state if case.state else nothing)


def _request(case: Case) -> Any:
    core = ov.Core()
    model = core.read_model(case.onnx)
    if case.state:
        passes = Manager()
        passes.register_pass(MakeStateful({s.input: s.output for s in case.state}))
        passes.run_passes(model)
    return core.compile_model(model, "CPU", OPTIONS).create_infer_request()
