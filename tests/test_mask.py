"""The mask of LSTM, GRU and RNN: a masked step leaves no trace, in every precision, direction and layout.

A row with a mask must give the bytes of the same row without its masked steps; each of these repeats what
came before.
"""

from __future__ import annotations

import functools
import pathlib

import numpy as np
import pytest
from close import assert_same_bytes
from lstm_rt.converters import ABSENT, Builder, DType, Graph, Value
from lstm_rt.converters.gguf_file import write
from models import GATES, STATES, Array

import lstm_rt
from lstm_rt.quantize import quantize_graph

STEPS, BATCH, INPUTS, UNITS = 9, 5, 6, 20
ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
FORMATS = (None, "int8", "int8x16", "int4", "bf16")
LAST = 12  # the mask's input


@functools.cache
def model(
    kind: str, direction: str, layout: int, quantized: str | None, masked: bool, isa: str | None
) -> lstm_rt.Model:
    """One layer whose outputs are Y and the last states, with a mask or without."""
    rng = np.random.default_rng(3)
    count, gates = DIRECTIONS[direction], GATES[kind]
    build = Builder(Graph())
    build.part("layer", kind)
    free = (None, None)
    x = build.graph.add_input("x", DType.FLOAT32, (*free, INPUTS))
    weights = [
        build.constant(rng.uniform(-0.5, 0.5, shape).astype(np.float32), name)
        for name, shape in (
            ("w", (count, gates * UNITS, INPUTS)),
            ("r", (count, gates * UNITS, UNITS)),
            ("b", (count, 2 * gates * UNITS)),
        )
    ]
    inputs: list[Value] = [x, *weights]
    if masked:
        mask = build.graph.add_input("mask", DType.BOOL, free)
        inputs += [ABSENT] * (LAST - len(inputs)) + [mask]
    own = {"LSTM": {"input_forget": 0}, "GRU": {"linear_before_reset": 1}, "RNN": {}}[kind]
    names = ACTIVATIONS[kind] * count
    outputs = build.ops(
        kind, inputs, 1 + STATES[kind], direction=direction, hidden_size=UNITS, clip=0.0, layout=layout,
        activations=names, activation_alpha=[0.0] * len(names), activation_beta=[0.0] * len(names), **own,
    )  # fmt: skip
    for output in outputs:
        build.graph.add_output(output)
    if quantized:
        quantize_graph(build.graph, {"*": quantized})
    return saved(build.graph, isa)


def saved(graph: Graph, isa: str | None) -> lstm_rt.Model:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.gguf")
        write(graph, path)
        return lstm_rt.load(path, isa=isa)


def masks() -> Array:
    """Nothing masked, the end, the beginning, here and there, all."""
    found = np.ones((BATCH, STEPS), bool)
    found[1, 6:] = False
    found[2, :3] = False
    found[3, [0, 2, 3, 8]] = False
    found[4] = False
    return found


def expected_row(layer: lstm_rt.Model, x: Array, mask: Array, kind: str, direction: str, layout: int) -> list[Array]:
    """Outputs of one row, [steps, directions, units] first, by the layer without a mask."""
    count = DIRECTIONS[direction]
    y = np.zeros((STEPS, count, UNITS), np.float32)
    states = [np.zeros((count, UNITS), np.float32) for _ in range(STATES[kind])]
    kept = np.flatnonzero(mask)
    if not len(kept):
        return [y, *states]
    rows = x[kept][None] if layout else x[kept][:, None]
    found = layer(np.ascontiguousarray(rows))
    inner = found[0][0] if layout else found[0][:, :, 0]
    for d in range(count):
        backwards = direction == "reverse" or d == 1
        held = np.zeros(UNITS, np.float32)
        place = {int(t): n for n, t in enumerate(kept)}
        for t in reversed(range(STEPS)) if backwards else range(STEPS):
            if t in place:
                held = inner[place[t], d]
            y[t, d] = held
    return [y, *[s[0] if layout else s[:, 0] for s in found[1:]]]


@pytest.mark.parametrize("quantized", FORMATS)
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_masked_steps_leave_no_trace(kind: str, direction: str, layout: int, quantized: str | None) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (BATCH, STEPS, INPUTS)).astype(np.float32)
    mask = masks()
    for isa in lstm_rt.available_isas():
        ours = model(kind, direction, layout, quantized, True, isa)
        plain = model(kind, direction, layout, quantized, False, isa)
        fed = (x, mask) if layout else (np.ascontiguousarray(x.swapaxes(0, 1)), np.ascontiguousarray(mask.T))
        found = ours(*fed)
        for row in range(BATCH):
            wanted = expected_row(plain, x[row], mask[row], kind, direction, layout)
            seen = [found[0][row] if layout else found[0][:, :, row]]
            seen += [s[row] if layout else s[:, row] for s in found[1:]]
            for a, b in zip(seen, wanted):
                assert_same_bytes(np.ascontiguousarray(a), np.ascontiguousarray(b), f"row {row} on {isa}")


def test_wrong_masks_are_refused() -> None:
    layer = model("GRU", "forward", 1, None, True, None)
    with pytest.raises(lstm_rt.ShapeError, match="mask"):
        layer(np.zeros((2, 3, INPUTS), np.float32), np.ones((3, 2), bool))
