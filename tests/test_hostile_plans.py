"""Graphs that the reader accepts but that cannot be planned: refused with the node's name, wherever the fault shows."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from lstm_rt.converters.gguf_file import write
from lstm_rt.converters.graph import Block, DType, Graph

import lstm_rt


def load(graph: Graph, folder: pathlib.Path, **options: Any) -> lstm_rt.Model:
    write(graph, folder / "model.gguf")
    return lstm_rt.Model(folder / "model.gguf", **options)


def add_surplus(graph: Graph, block: Block, op: str) -> int:
    """Add an op with one output more than it has, and return that one."""
    inputs = [graph.inputs[0].value] * (2 if op in ("Add", "MatMul") else 1)
    return graph.add_op(block, op, "short", inputs, [f"{op}.0", f"{op}.1"])[1]


def use_as_output(graph: Graph, op: str) -> None:
    graph.add_output(add_surplus(graph, graph.main, op))


def use_as_input(graph: Graph, op: str) -> None:
    value = add_surplus(graph, graph.main, op)
    graph.add_output(graph.add_op(graph.main, "Relu", "reader", [value], ["y"])[0])


def use_in_branch(graph: Graph, op: str) -> None:
    branches = {}
    for name in ("then_branch", "else_branch"):
        branches[name] = Block()
        branches[name].outputs = [add_surplus(graph, branches[name], op)]
        graph.values = [f"{value}.{name}" if value.startswith(op) else value for value in graph.values]
    go = graph.add_weight("go", np.array(True))
    graph.add_output(graph.add_op(graph.main, "If", "if", [go], ["y"], branches)[0])


def loop(graph: Graph, op: str, count: int, which: int) -> None:
    """Make it the condition (0), the carried value (1) or the stacked output (2) of a loop."""
    body = Block()
    body.inputs = [graph.add_value(name) for name in ("number", "goes_on", "carried")]
    body.outputs = [body.inputs[1], body.inputs[2], body.inputs[2]]
    body.outputs[which] = add_surplus(graph, body, op)
    given = [graph.add_weight("count", np.array(count)), graph.add_weight("go", np.array(True)), graph.inputs[0].value]
    for y in graph.add_op(graph.main, "Loop", "loop", given, ["y0", "y1"], {"body": body}):
        graph.add_output(y)


@pytest.mark.parametrize("op", ["Relu", "Add", "Identity", "Shape", "Softmax"])
@pytest.mark.parametrize("use", [use_as_output, use_as_input, use_in_branch])
def test_output_that_no_op_gives_is_refused(use: Any, op: str, tmp_path: pathlib.Path) -> None:
    graph = Graph()
    graph.add_input("x", DType.FLOAT32, (2, 2))
    use(graph, op)
    with pytest.raises(lstm_rt.ModelFileError, match="'short'"):
        load(graph, tmp_path)(np.ones((2, 2), np.float32))


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("count", [3, 5000])
def test_body_output_that_no_op_gives_is_refused(count: int, which: int, tmp_path: pathlib.Path) -> None:
    graph = Graph()
    graph.add_input("x", DType.FLOAT32, (2, 2))
    loop(graph, "Relu", count, which)
    with pytest.raises(lstm_rt.Error, match="'short'"):
        load(graph, tmp_path)(np.ones((2, 2), np.float32))


# ---- Work at plan time ----


def ones(graph: Graph, name: str, *shape: int) -> int:
    """Add an array that is known at plan time, but takes no room in the file."""
    size = graph.add_weight(f"{name}.shape", np.array(shape, np.int64))
    return graph.add_op(graph.main, "ConstantOfShape", name, [size], [name], {"dtype": 0, "value": 1.0})[0]


LARGE: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "MatMul": ([(1700, 1700), (1700, 1700)], {}),
    "Gemm": ([(1700, 1700), (1700, 1700)], {}),
    "Einsum": ([(1700, 1700), (1700, 1700)], {"equation": "ij,jk->ik"}),
    "Conv": ([(1, 64, 256, 256), (64, 64, 5, 5)], {}),
    "ConvTranspose": ([(1, 64, 256, 256), (64, 64, 5, 5)], {}),
    "MaxPool": ([(1, 1, 600, 600)], {"kernel_shape": [300, 300]}),
    "AveragePool": ([(1, 1, 600, 600)], {"kernel_shape": [300, 300]}),
    "LpPool": ([(1, 1, 600, 600)], {"kernel_shape": [300, 300]}),
    "LRN": ([(1, 4000, 20, 20)], {"size": 3999}),
    "RNN": (
        [(3000, 1, 900), (1, 900, 900), (1, 900, 900)],
        {"hidden_size": 900, "activations": ["Tanh"], "activation_alpha": [1.0], "activation_beta": [0.0]},
    ),
}


@pytest.mark.parametrize("op", LARGE)
def test_large_work_at_plan_time_is_refused(op: str, tmp_path: pathlib.Path) -> None:
    shapes, attributes = LARGE[op]
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (1,))
    given = [ones(graph, f"input{i}", *shape) for i, shape in enumerate(shapes)]
    (y,) = graph.add_op(graph.main, op, "large", given, ["y"], attributes)
    (total,) = graph.add_op(graph.main, "ReduceSum", "total", [y], ["total"], {"keepdims": 0})
    graph.add_output(graph.add_op(graph.main, "Add", "add", [x, total], ["z"])[0])
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"'large'.*at plan time needs more than"):
        load(graph, tmp_path)(np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("op", "shape", "attributes", "work"),
    [
        ("MaxPool", (1, 2, 50, 40), {"kernel_shape": [10, 20]}, 2 * 41 * 21 * 200),
        ("AveragePool", (1, 2, 50), {"kernel_shape": [10]}, 2 * 41 * 10),
        ("LRN", (1, 30, 4), {"size": 7}, 30 * 4 * 7),
        ("LRN", (1, 3, 4), {"size": 1000}, 3 * 4 * 3),
    ],
)
def test_calls_of_windows_report_their_work(
    op: str, shape: tuple[int, ...], attributes: dict[str, Any], work: int, tmp_path: pathlib.Path
) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, shape)
    graph.add_output(graph.add_op(graph.main, op, "windows", [x], ["y"], attributes)[0])
    (call,) = load(graph, tmp_path).calls({"x": shape})
    assert call.macs == work


# ---- Calls of loops ----


def add_loop(graph: Graph, block: Block, count: int, body: Block, name: str, carried: int) -> int:
    trips = graph.add_weight(f"{name}.count", np.array(count))
    goes_on = graph.add_weight(f"{name}.go", np.array(True))
    return graph.add_op(block, "Loop", name, [trips, goes_on, carried], [f"{name}.y"], {"body": body})[0]


def new_body(graph: Graph, name: str) -> Block:
    body = Block()
    body.inputs = [graph.add_value(f"{name}.{part}") for part in ("number", "goes_on", "carried")]
    return body


def relu_loop(graph: Graph, block: Block, count: int, name: str, carried: int) -> int:
    body = new_body(graph, name)
    inner = graph.add_op(body, "Relu", f"{name}.relu", [body.inputs[2]], [f"{name}.inner"])[0]
    body.outputs = [body.inputs[1], inner]
    return add_loop(graph, block, count, body, name, carried)


@pytest.mark.parametrize(("outer", "inner"), [(1 << 20, 100), (5000, 4000), (100, 1 << 20)])
def test_loops_inside_each_other_share_one_limit(outer: int, inner: int, tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (1,))
    body = new_body(graph, "outer")
    body.outputs = [body.inputs[1], relu_loop(graph, body, inner, "inner", body.inputs[2])]
    graph.add_output(add_loop(graph, graph.main, outer, body, "outer", x))
    with pytest.raises(lstm_rt.UnsupportedModelError, match="All loops of a model together"):
        load(graph, tmp_path)(np.ones(1, np.float32))


def test_loops_behind_each_other_share_one_limit(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    value = graph.add_input("x", DType.FLOAT32, (1,))
    for i in range(5):
        value = relu_loop(graph, graph.main, 1 << 22, f"loop{i}", value)
    graph.add_output(value)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="All loops of a model together"):
        load(graph, tmp_path)(np.ones(1, np.float32))
