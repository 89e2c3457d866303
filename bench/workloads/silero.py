"""Silero VAD 6.2.3 (MIT): is someone speaking in this 32 ms chunk of 16 kHz sound? STFT, four convolutions, an LSTM."""

from __future__ import annotations

import numpy as np

from ..packages import SILERO
from .workload import Array, Case, Cost, State, Workload

CHUNK, CONTEXT = 512, 64
# (weights, positions each is used at in one chunk): the STFT as a convolution, the encoder, the LSTM, the output.
PARTS = (
    (258 * 256, 4),
    (128 * 129 * 3, 4),
    (64 * 128 * 3, 2),
    (64 * 64 * 3, 1),
    (128 * 64 * 3, 1),
    (4 * 128 * 256, 1),
    (128, 1),
)


def workloads() -> list[Workload]:
    return [Workload("silero/chunk", "one 32 ms chunk of Silero VAD, state kept", _case)]


def _case() -> Case:
    def data(name: str) -> bytes:
        return SILERO.file(f"silero_vad/data/{name}").read_bytes()

    weights = 4.0 * sum(size for size, _ in PARTS)
    return Case(
        onnx=data("silero_vad.onnx"),
        static_onnx=data("silero_vad_openvino_16k.onnx"),
        torchscript=SILERO.file("silero_vad/data/silero_vad.jit"),
        context=CONTEXT,
        frames=_chunks(8),
        output_shape=(1, 1),
        cost=Cost(float(sum(size * uses for size, uses in PARTS)), weights, weights),
        input="input",
        output="output",
        state=(State("state", "stateN", (2, 1, 128)),),
        fixed={"sr": np.array(16000, np.int64)},
    )


def _chunks(count: int) -> Array:
    """Chunks of one signal, each led by the last samples of the one before."""
    signal = 0.1 * np.random.default_rng(7).standard_normal(CONTEXT + count * CHUNK, dtype=np.float32)
    signal[:CONTEXT] = 0
    return np.stack([signal[i * CHUNK :][: CONTEXT + CHUNK][None] for i in range(count)])
