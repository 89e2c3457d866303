"""Graphs that no converter of ours writes, but a file may hold: refused, or computed as on every other CPU."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from lstm_rt.converters.gguf_file import write
from lstm_rt.converters.graph import Block, DType, Graph
from models import Array

import lstm_rt

LSTM = {
    "activations": ["Sigmoid", "Tanh", "Tanh"],
    "activation_alpha": [1.0] * 3,
    "activation_beta": [0.0] * 3,
}


def load(graph: Graph, folder: pathlib.Path, **options: Any) -> lstm_rt.Model:
    write(graph, folder / "model.gguf")
    return lstm_rt.Model(folder / "model.gguf", **options)


def int8_product(weights: Array) -> Graph:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (None, len(weights)))
    scales = graph.add_weight("scales", np.ones(weights.shape[1], np.float32))
    (y,) = graph.add_op(graph.main, "MatMul", "m", [x, graph.add_weight("w", weights), scales], ["y"])
    graph.add_output(y)
    return graph


@pytest.mark.parametrize("isa", lstm_rt.available_isas())
def test_weights_of_minus_128_are_taken_as_minus_127(isa: str, tmp_path: pathlib.Path) -> None:
    model = load(int8_product(np.full((8, 4), -128, np.int8)), tmp_path, isa=isa)
    assert model(np.full((1, 8), -1, np.float32)).tolist() == [[8 * 127.0] * 4]


def test_sums_of_int8_that_may_overflow_are_refused(tmp_path: pathlib.Path) -> None:
    model = load(int8_product(np.ones((60001, 1), np.int8)), tmp_path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="60001 products"):
        model(np.ones((1, 60001), np.float32))


def test_a_dim_of_zero_does_not_hide_a_huge_one(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    graph.add_input("unused", DType.FLOAT32, (1,))
    shape = graph.add_weight("shape", np.array([0, 1 << 61, 1], np.int64))
    (x,) = graph.add_op(graph.main, "ConstantOfShape", "c", [shape], ["x"], {})
    w, r = (graph.add_weight(name, np.zeros((1, 32, k), np.float32)) for name, k in (("w", 1), ("r", 8)))
    (y,) = graph.add_op(graph.main, "LSTM", "l", [x, w, r], ["y"], {"hidden_size": 8, **LSTM})
    (z,) = graph.add_op(graph.main, "Shape", "s", [y], ["z"])
    graph.add_output(z)
    with pytest.raises(lstm_rt.ShapeError, match="too large"):
        load(graph, tmp_path).run({"unused": np.zeros(1, np.float32)})


def test_a_pool_whose_states_depend_on_the_frames(tmp_path: pathlib.Path) -> None:
    # Channels are folded into the batch: until the first step, every kind of frame makes the states anew.
    rng = np.random.default_rng(0)
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (None, None, None, 4))
    (rows,) = graph.add_op(graph.main, "Reshape", "r", [x, graph.add_weight("to", np.array([0, -1, 4]))], ["rows"])
    w, r = (
        graph.add_weight(name, rng.standard_normal((1, 64, k)).astype(np.float32)) for name, k in (("w", 4), ("r", 16))
    )
    (y,) = graph.add_op(graph.main, "LSTM", "l", [rows, w, r], ["y"], {"hidden_size": 16, **LSTM})
    graph.add_output(y)
    pool = load(graph, tmp_path).pool(capacity=2)
    open_ids, wrong_ids = [pool.open(), pool.open()], [98, 99]

    def frames(channels: int) -> Array:
        return rng.standard_normal((1, 2, channels, 4)).astype(np.float32)

    for channels in (300, 1):
        with pytest.raises(lstm_rt.Error, match="no stream"):
            pool.step(wrong_ids, frames(channels))
    for _ in range(3):
        pool.step(open_ids, frames(300))
    assert pool.state(open_ids[0])["l.h"].shape == (1, 300, 16)
    with pytest.raises(lstm_rt.ShapeError):
        pool.step(open_ids, frames(1))


# ---- Loops ----


def looping(inputs: int = 3, outputs: int = 2, given: int = 3, results: int = 1) -> Graph:
    """A Loop that carries one value, unless told to be wrong."""
    graph, body = Graph(), Block()
    x = graph.add_input("x", DType.FLOAT32, (None,))
    count, go = graph.add_weight("count", np.array(3)), graph.add_weight("go", np.array(True))
    body.inputs = [graph.add_value(f"in{i}") for i in range(inputs)]
    (y,) = graph.add_op(body, "Relu", "inside", [body.inputs[-1] if inputs else x], ["inner"])
    body.outputs = [go, y, y, y][:outputs]
    values = graph.add_op(
        graph.main, "Loop", "loop", [count, go, x, x][:given], [f"y{i}" for i in range(results)], {"body": body}
    )
    graph.add_output(values[0])
    return graph


def test_a_loop_that_is_right(tmp_path: pathlib.Path) -> None:
    np.testing.assert_array_equal(load(looping(), tmp_path)(np.array([-1, 2], np.float32)), [0, 2])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"inputs": 2}, "takes 2 values, but is given 3"),
        ({"inputs": 4}, "takes 4 values, but is given 3"),
        ({"inputs": 0}, "takes 0 values, but is given 3"),
        ({"outputs": 1}, "gives 1 value, wanted 2"),
        ({"outputs": 4}, "gives 4 values, wanted 2"),
        ({"given": 1, "inputs": 1}, "a Loop has a trip count, a condition"),
        ({"given": 4, "inputs": 4}, "as many outputs as it carries values"),
    ],
)
def test_loops_that_do_not_fit_are_refused(wrong: dict[str, int], words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.ModelFileError, match=words):
        load(looping(**wrong), tmp_path)


def test_values_of_a_body_end_with_it(tmp_path: pathlib.Path) -> None:
    graph = looping()
    inner = graph.main.ops[0].attributes["body"]
    assert isinstance(inner, Block)
    graph.add_output(inner.inputs[2])
    with pytest.raises(lstm_rt.ModelFileError, match="is defined inside a block"):
        load(graph, tmp_path)


def test_the_model_itself_has_no_block_inputs(tmp_path: pathlib.Path) -> None:
    graph = looping()
    graph.main.inputs = [graph.add_value("stray")]
    with pytest.raises(lstm_rt.ModelFileError, match="block 0: it takes 1 value"):
        load(graph, tmp_path)


def test_carried_values_of_long_loops_keep_their_shape(tmp_path: pathlib.Path) -> None:
    graph, body = Graph(), Block()
    x = graph.add_input("x", DType.FLOAT32, (None,))
    count, go = graph.add_weight("count", np.array(5000)), graph.add_weight("go", np.array(True))
    body.inputs = [graph.add_value(f"in{i}") for i in range(3)]
    (y,) = graph.add_op(body, "Concat", "inside", [body.inputs[2]] * 2, ["inner"], {"axis": 0})
    body.outputs = [go, y]
    graph.add_output(graph.add_op(graph.main, "Loop", "loop", [count, go, x], ["y"], {"body": body})[0])
    with pytest.raises(lstm_rt.UnsupportedModelError, match="which only short loops may do"):
        load(graph, tmp_path)(np.zeros(4, np.float32))
