"""ncnn on one thread, in float32. It reads no ONNX: the layers are written in its own .param and .bin form."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import ncnn
import numpy as np

from ..workloads.workload import Array, Case, Dense, Layer, Recurrent
from .engine import CannotError, Session

MAGIC = 7767517
LSTM_ORDER = (0, 2, 1, 3)  # ONNX i, o, f, c to ncnn's i, f, o, g
GRU_ORDER = (1, 0, 2)  # ONNX z, r, h to ncnn's r, u, n
ACTIVATIONS = {None: 0, "Relu": 1, "Sigmoid": 4}
RAW_FLOAT32 = b"\0\0\0\0"  # the tag before the weights of a layer's products


def prepare(case: Case) -> Session:
    if not case.layers:
        raise CannotError("reads no ONNX")
    if any(isinstance(layer, Recurrent) and not layer.linear_before_reset for layer in case.layers):
        raise CannotError("has no GRU with linear_before_reset = 0")
    if case.batch > 1:
        raise CannotError("has no batch")
    net = _load(case.layers, bool(case.state))
    frame = case.frames[0].copy()
    x = ncnn.Mat(frame.reshape(-1, frame.shape[-1]))  # shares the frame's memory
    zeros = [np.zeros(s.shape[-1], np.float32) for s in case.state]
    inputs, outputs = [f"s{i}" for i in range(len(zeros))], [f"n{i}" for i in range(len(zeros))]
    states: list[Any] = []
    result: Array = frame

    def call() -> None:
        nonlocal states, result
        extractor = net.create_extractor()
        extractor.input("x", x)
        for name, state in zip(inputs, states):
            extractor.input(name, state)
        result = extractor.extract("y")[1].numpy()
        states = [extractor.extract(name)[1] for name in outputs]

    def reset() -> None:
        nonlocal states
        states = [ncnn.Mat(zero) for zero in zeros]

    reset()
    return Session(frame, call, lambda: result.reshape(case.output_shape), reset)


def _load(layers: tuple[Layer, ...], stream: bool) -> Any:
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    for option in dir(net.opt):
        if option.startswith(("use_fp16", "use_bf16", "use_int8")):
            setattr(net.opt, option, False)
    with tempfile.TemporaryDirectory() as folder:
        param, weights = os.path.join(folder, "model.param"), os.path.join(folder, "model.bin")
        with open(param, "w") as text, open(weights, "wb") as binary:
            text.write(_param(layers, stream))
            binary.write(b"".join(map(_weights, layers)))
        if net.load_param(param) or net.load_model(weights):
            raise CannotError("refuses the model written for it")
    return net


def _param(layers: tuple[Layer, ...], stream: bool) -> str:
    """The graph as text: type, name, number of inputs and outputs, their names, then numbered parameters."""
    lines, inputs, blobs, at = [], ["x"], 1, "x"
    for number, layer in enumerate(layers):
        to = "y" if number == len(layers) - 1 else f"b{number}"
        count = (2 if layer.cell == "LSTM" else 1) if stream and isinstance(layer, Recurrent) else 0
        first = len(inputs) - 1
        old, new = ([f"{kind}{first + i}" for i in range(count)] for kind in "sn")
        names = " ".join([at, *old, to, *new])
        lines.append(f"{_head(layer, number)} {1 + count} {1 + count} {names} {_numbers(layer)}")
        inputs += old
        blobs += 1 + 2 * count
        at = to
    declared = [f"Input in_{name} 0 1 {name}" for name in inputs]
    return "\n".join([str(MAGIC), f"{len(lines) + len(declared)} {blobs}", *declared, *lines, ""])


def _head(layer: Layer, number: int) -> str:
    return f"{'InnerProduct' if isinstance(layer, Dense) else layer.cell} layer{number}"


def _numbers(layer: Layer) -> str:
    if isinstance(layer, Dense):
        return f"0={layer.W.shape[1]} 1=1 2={layer.W.size} 9={ACTIVATIONS[layer.activation]}"
    return f"0={layer.hidden} 1={layer.W.size} 2=0"


def _weights(layer: Layer) -> bytes:
    if isinstance(layer, Dense):
        return _tagged(layer.W.T) + _floats(layer.b)
    order = LSTM_ORDER if layer.cell == "LSTM" else GRU_ORDER
    W, R, bx, bh = (_by_gate(a, layer)[list(order)] for a in (layer.W, layer.R, *np.split(layer.b, 2)))
    # GRU: r and u take the sum of their biases; the candidate's two stay apart, since r multiplies the second.
    bias = bx + bh if layer.cell == "LSTM" else np.concatenate([bx[:2] + bh[:2], bx[2:], bh[2:]])
    return b"".join(map(_tagged, (W, bias, R)))


def _tagged(array: Array) -> bytes:
    return RAW_FLOAT32 + _floats(array)


def _floats(array: Array) -> bytes:
    return bytes(array.astype("<f4").tobytes())


def _by_gate(array: Array, layer: Recurrent) -> Array:
    return array.reshape(layer.gates, layer.hidden, -1)
