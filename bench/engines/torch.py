"""torch on one thread, eager, in inference mode: cells for steps, nn.LSTM and nn.GRU for whole sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..workloads.workload import Array, Case, Dense, Layer, Recurrent
from .engine import CannotError, Session, nothing

LSTM_ORDER = (0, 2, 3, 1)  # ONNX i, o, f, c to torch's i, f, g, o
GRU_ORDER = (1, 0, 2)  # ONNX z, r, h to torch's r, z, n
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"Relu": torch.relu, "Sigmoid": torch.sigmoid}


def prepare(case: Case) -> Session:
    torch.set_num_threads(1)
    if case.torchscript:
        return _script(case)
    if not case.layers:
        raise CannotError("reads no ONNX")
    if any(isinstance(layer, Recurrent) and not layer.linear_before_reset for layer in case.layers):
        raise CannotError("has no GRU with linear_before_reset = 0")
    return _stream(case) if case.state else _whole(case)


def _stream(case: Case) -> Session:
    frame = case.frames[0].copy()
    x = torch.from_numpy(frame)[0]  # a step has one time step: [B, I]
    layers = [_module(layer, step=True) for layer in case.layers]
    state: dict[int, Any] = {}
    output: Array = frame

    @torch.inference_mode()
    def call() -> None:
        nonlocal output
        y = x
        for number, (layer, module) in enumerate(zip(case.layers, layers)):
            if isinstance(layer, Recurrent):
                state[number] = module(y, state[number])
                y = state[number][0] if layer.cell == "LSTM" else state[number]
            else:
                y = module(y)
        output = y.numpy()

    def reset() -> None:
        for number, layer in enumerate(case.layers):
            if isinstance(layer, Recurrent):
                zeros = torch.zeros(len(x), layer.hidden)
                state[number] = (zeros, zeros) if layer.cell == "LSTM" else zeros

    reset()
    return Session(frame, call, lambda: output.reshape(case.output_shape), reset)


def _whole(case: Case) -> Session:
    frame = case.frames[0].copy()
    x = torch.from_numpy(frame).reshape(-1, case.batch, frame.shape[-1])  # where batch is 1, [1, T, I] is [T, 1, I]
    layers = [_module(layer, step=False) for layer in case.layers]
    output: Array = frame

    @torch.inference_mode()
    def call() -> None:
        nonlocal output
        y = x
        for layer, module in zip(case.layers, layers):
            y = module(y)[0] if isinstance(layer, Recurrent) else module(y)
        output = y.numpy()

    return Session(frame, call, lambda: output.reshape(case.output_shape), nothing)


def _script(case: Case) -> Session:
    module: Any = torch.jit.load(str(case.torchscript))  # type: ignore[no-untyped-call]
    frame = case.frames[0].copy()
    x = torch.from_numpy(frame)[:, case.context :]
    rates = [int(rate) for rate in case.fixed.values()]
    output: Array = frame

    @torch.inference_mode()
    def call() -> None:
        nonlocal output
        output = module(x, *rates).numpy()

    return Session(frame, call, lambda: output, module.reset_states)


def _module(layer: Layer, *, step: bool) -> Any:
    if isinstance(layer, Dense):
        return _dense(layer)
    kinds: dict[str, Any] = {"LSTM": (torch.nn.LSTM, torch.nn.LSTMCell), "GRU": (torch.nn.GRU, torch.nn.GRUCell)}
    module = kinds[layer.cell][step](layer.inputs, layer.hidden).eval()
    order = list(LSTM_ORDER if layer.cell == "LSTM" else GRU_ORDER)
    arrays = (layer.W, layer.R, *np.split(layer.b, 2))
    with torch.no_grad():
        for parameter, array in zip(module.parameters(), arrays):
            by_gate = array.reshape(layer.gates, layer.hidden, -1)[order]
            parameter.copy_(torch.from_numpy(by_gate.reshape(array.shape)))
    return module


def _dense(layer: Dense) -> Callable[[Any], Any]:
    W, b = torch.from_numpy(layer.W.T.copy()), torch.from_numpy(layer.b.copy())
    activation = ACTIVATIONS[layer.activation] if layer.activation else None
    linear = torch.nn.functional.linear
    return (lambda x: activation(linear(x, W, b))) if activation else (lambda x: linear(x, W, b))
