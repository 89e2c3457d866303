"""One recurrent layer with random weights, as ONNX: what steps, sequences and batches are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .workload import Case, Cost, Recurrent, State, random_frames

GATES = {"LSTM": 4, "GRU": 3}
STATES = {"LSTM": ("h", "c"), "GRU": ("h",)}
# GRU0: a GRU with linear_before_reset = 0. Every family of workloads has it; it is measured where asked for.
CELLS = ("LSTM", "GRU", "GRU0")
SIZES = (16, 32, 64, 128, 256, 512, 1024)
FRAMES = 32  # enough for the error of a quantised layer to build up in its state


def layer_case(
    cell: str, size: int, *, steps: int = 1, batch: int = 1, stream: bool = True, pool: bool = False
) -> Case:
    """A layer with I = H = size. With stream, state goes from call to call; else each call starts from zeros."""
    layer = random_layer(cell, size)
    cell = layer.cell
    state = tuple(State(n, f"{n}_n", (1, batch, size)) for n in STATES[cell]) if stream else ()
    return Case(
        onnx=layer_onnx(layer, steps, batch, state),
        stateless_onnx=layer_onnx(layer, steps, batch, ()),
        pool_onnx=layer_onnx(layer, steps, "batch", ()) if pool else None,
        frames=random_frames(FRAMES if stream else 1, steps, batch, size),
        output_shape=(steps, 1, batch, size),
        cost=layer_cost(layer, steps, batch),
        batch=batch,
        state=state,
        layers=(layer,),
    )


def random_layer(cell: str, size: int) -> Recurrent:
    """Weights of the spread that training leaves (1/sqrt(H)): the gates work, and neither saturate nor stay at half."""
    random = np.random.default_rng(size)
    cell, before_reset = cell.rstrip("0"), not cell.endswith("0")
    rows = GATES[cell] * size
    W, R = (random.standard_normal((rows, size), dtype=np.float32) / np.sqrt(size, dtype=np.float32) for _ in "WR")
    return Recurrent(cell, W, R, 0.1 * random.standard_normal(2 * rows, dtype=np.float32), before_reset)


def layer_onnx(layer: Recurrent, steps: int, batch: int | str, state: tuple[State, ...]) -> bytes:
    """The layer as an ONNX model: x, and its states where given, to y and the next states. A batch by name is free."""
    weights = {"W": layer.W[None], "R": layer.R[None], "B": layer.b[None]}
    options: dict[str, Any] = {"linear_before_reset": int(layer.linear_before_reset)} if layer.cell == "GRU" else {}
    node = helper.make_node(
        layer.cell,
        ["x", *weights, *([""] if state else []), *(s.input for s in state)],
        ["y", *(s.output for s in state)],
        hidden_size=layer.hidden,
        **options,
    )
    graph = helper.make_graph(
        [node],
        layer.cell,
        [_info("x", (steps, batch, layer.inputs)), *(_info(s.input, s.shape) for s in state)],
        [_info("y", (steps, 1, batch, layer.hidden)), *(_info(s.output, s.shape) for s in state)],
        [numpy_helper.from_array(a, n) for n, a in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def layer_cost(layer: Recurrent, steps: int, batch: int) -> Cost:
    """R is read at every step, W once: the projection of all steps can be one product."""
    return Cost(
        macs=float((layer.W.size + layer.R.size) * steps * batch),
        bytes=float(layer.W.nbytes + layer.R.nbytes * steps),
        footprint=float(layer.R.nbytes + (layer.W.nbytes if steps == 1 else 0)),
    )


def _info(name: str, shape: tuple[int | str, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
