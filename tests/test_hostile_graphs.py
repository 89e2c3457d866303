"""Graphs that no converter of ours writes, but a file may hold: refused, or computed as on every other CPU."""

from __future__ import annotations

import pathlib
import time
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


def indexed(op: str, indices: Array, *more: Array, **attributes: Any) -> Graph:
    """An op on four floats whose indices are an input."""
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (4,))
    i = graph.add_input("i", DType.of(indices.dtype), indices.shape)
    others = [graph.add_weight(f"w{n}", array) for n, array in enumerate(more)]
    (y,) = graph.add_op(graph.main, op, "the_op", [x, i, *others], ["y"], attributes)
    graph.add_output(y)
    return graph


FAR = np.array([0, 9, -9, np.iinfo(np.int64).max, np.iinfo(np.int64).min, -1], np.int64)


def test_indices_outside_are_clamped_where_elements_are_picked(tmp_path: pathlib.Path) -> None:
    x = np.array([1, 2, 3, 4], np.float32)
    model = load(indexed("GatherElements", FAR, axis=0), tmp_path)
    assert model(x, FAR).tolist() == [1, 4, 1, 4, 1, 4]
    model = load(indexed("GatherND", FAR[:, None]), tmp_path)
    assert model(x, FAR[:, None]).tolist() == [1, 4, 1, 4, 1, 4]


def test_indices_outside_update_nothing(tmp_path: pathlib.Path) -> None:
    x, updates = np.array([1, 2, 3, 4], np.float32), np.arange(10, 16, dtype=np.float32)
    model = load(indexed("ScatterElements", FAR, updates, axis=0), tmp_path)
    assert model(x, FAR).tolist() == [10, 2, 3, 15]
    model = load(indexed("ScatterND", FAR[:, None], updates, reduction="add"), tmp_path)
    assert model(x, FAR[:, None]).tolist() == [11, 2, 3, 19]


def test_lengths_outside_are_refused(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (2, 3))
    lengths = graph.add_input("lengths", DType.INT64, (2,))
    (y,) = graph.add_op(graph.main, "ReverseSequence", "r", [x, lengths], ["y"], {"batch_axis": 0, "time_axis": 1})
    graph.add_output(y)
    far = np.array([2**62, -(2**62)], np.int64)
    rows = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    model = load(graph, tmp_path)
    for lengths in (far, far[::-1].copy(), np.array([4, 0]), np.array([0, -1])):
        with pytest.raises(
            lstm_rt.ShapeError, match=r"sequence_lens\[\d\] is -?\d+; wanted 0 to 3, the number of steps"
        ):
            model(rows, lengths)
    assert model(rows, np.array([3, 0])).tolist() == [[3, 2, 1], [4, 5, 6]]


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("MaxPool", [], {"kernel_shape": [2**40]}),
        ("MaxPool", [], {"kernel_shape": [2], "strides": [0]}),
        ("AveragePool", [], {"kernel_shape": [2, 2]}),
        ("AveragePool", [], {}),
        ("ConvTranspose", [np.ones((2, 1, 3), np.float32)], {"strides": [2**31]}),
        ("ConvTranspose", [np.ones((2, 1, 3), np.float32)], {"output_shape": [-5]}),
        ("Tile", [np.array([2**40, 2**40, 1])], {}),
        ("Tile", [np.array([-1, 1, 1])], {}),
        ("Resize", [np.zeros(0, np.float32), np.array([1, 1, np.inf], np.float32)], {}),
        ("Resize", [np.zeros(0, np.float32), np.array([1, 1, np.nan], np.float32)], {}),
        ("Resize", [np.zeros(0, np.float32), np.array([1, 1, -1], np.float32)], {}),
        ("Einsum", [], {"equation": "ab->ab"}),
        ("Einsum", [], {"equation": "a.b->ab"}),
        ("Einsum", [], {"equation": "abc->abd"}),
        ("Einsum", [], {"equation": "abc->aab"}),
        ("Einsum", [], {"equation": ""}),
        ("TopK", [np.array([99])], {}),
        ("CumSum", [np.array(7)], {}),
        ("GatherElements", [np.full((1, 2, 3), 9)], {"axis": 0}),
        ("GatherND", [np.full((1, 4), 0)], {}),
        ("ScatterElements", [np.zeros((9, 9, 9), np.int64), np.zeros((9, 9, 9), np.float32)], {"axis": 0}),
        ("OneHot", [np.array(-3), np.zeros(2, np.float32)], {}),
        ("Col2Im", [np.array([4]), np.array([0])], {}),
        ("CenterCropPad", [np.array([-1])], {"axes": [0]}),
        ("ReverseSequence", [np.zeros(3, np.int64)], {"batch_axis": 2, "time_axis": 0}),
    ],
)
def test_ops_that_cannot_be_are_refused(
    op: str, inputs: list[Array], attributes: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (1, 2, 4))
    others = [graph.add_weight(f"w{n}", array) for n, array in enumerate(inputs)]
    outputs = graph.add_op(graph.main, op, "the_op", [x, *others], ["y", "z"] if op == "TopK" else ["y"], attributes)
    graph.add_output(outputs[0])
    with pytest.raises(lstm_rt.Error, match="the_op"):
        load(graph, tmp_path)(np.ones((1, 2, 4), np.float32))


def test_a_resize_of_what_is_no_number(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (4,))
    roi = graph.add_weight("roi", np.array([np.nan, 1], np.float32))
    sizes = graph.add_weight("sizes", np.array([3]))
    for mode in ("nearest", "linear"):
        options = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize"}
        (y,) = graph.add_op(graph.main, "Resize", mode, [x, roi, -1, sizes], [mode], options)
        graph.add_output(y)
    found = load(graph, tmp_path).run({"x": np.ones(4, np.float32)})
    assert found["nearest"].tolist() == [1, 1, 1]
    assert found["linear"].shape == (3,)


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


def test_a_long_chain_of_carried_values_is_followed_once(tmp_path: pathlib.Path) -> None:
    # Each value is carried on as the next, and the last decides a shape: so does the first, which is an input.
    length = 50_000
    graph, body = Graph(), Block()
    first = graph.add_input("first", DType.INT64, (1,))
    count, go = graph.add_weight("count", np.array(1)), graph.add_weight("go", np.array(True))
    body.inputs = [graph.add_value(f"in{i}") for i in range(length + 2)]
    body.outputs = [go, body.inputs[2], *body.inputs[2:-1]]
    names = [f"y{i}" for i in range(length)]
    carried = graph.add_op(graph.main, "Loop", "loop", [count, go, *[first] * length], names, {"body": body})
    graph.add_output(graph.add_op(graph.main, "ConstantOfShape", "c", [carried[-1]], ["out"])[0])
    start = time.process_time()
    model = load(graph, tmp_path)
    assert time.process_time() - start < 10  # the walk over all of them for each took minutes
    assert model(np.array([3])).shape == (3,)


def test_a_border_whose_size_overflows(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (1, 1, 1, 1))
    w = graph.add_weight("w", np.ones((1, 1, 1, 1), np.float32))
    far = {"strides": [2**31 - 1, 2**30], "pads": [2**30, 1, 2**30, 2**30 - 1]}
    (y,) = graph.add_op(graph.main, "Conv", "the_op", [x, w], ["y"], far)
    graph.add_output(y)
    with pytest.raises(lstm_rt.Error, match="more elements than a tensor may hold"):
        load(graph, tmp_path)(np.ones((1, 1, 1, 1), np.float32))


def test_a_block_whose_size_overflows(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (1, 4, 1))
    sizes = [graph.add_weight(name, np.full(3, 2**30)) for name in ("image", "block")]
    (y,) = graph.add_op(graph.main, "Col2Im", "the_op", [x, *sizes], ["y"], {})
    graph.add_output(y)
    with pytest.raises(lstm_rt.Error, match="the_op"):
        load(graph, tmp_path)(np.ones((1, 4, 1), np.float32))
