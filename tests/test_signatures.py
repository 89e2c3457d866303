"""Model files whose ops get too few, too many or unusual inputs: refused by name, or computed as NumPy does."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from lstm_rt.converters.gguf_file import write
from lstm_rt.converters.graph import Block, DType, Graph
from models import Array

import lstm_rt

LSTM = {"activations": ["Sigmoid", "Tanh", "Tanh"], "activation_alpha": [1.0] * 3, "activation_beta": [0.0] * 3}


def one_op(
    folder: pathlib.Path,
    op: str,
    arrays: Sequence[Array | None],
    weights: Sequence[int] = (),
    outputs: int = 1,
    **attributes: Any,
) -> lstm_rt.Model:
    """A model of one op. None is an absent input; `weights` are the positions whose arrays are stored in the file."""
    graph, values = Graph(), []
    for index, array in enumerate(arrays):
        if array is None:
            values.append(-1)
        elif index in weights:
            values.append(graph.add_weight(f"w{index}", array))
        else:
            values.append(graph.add_input(f"x{index}", DType.of(array.dtype), (None,) * array.ndim))
    results = graph.add_op(graph.main, op, "the_op", values, [f"y{i}" for i in range(outputs)], attributes)
    if not results:  # a model has an output
        results = graph.add_op(graph.main, "Identity", "other", [graph.add_weight("w", np.ones(1, np.float32))], ["y"])
    for result in results:
        graph.add_output(result)
    write(graph, folder / "model.gguf")
    return lstm_rt.Model(folder / "model.gguf")


def feeds(arrays: Sequence[Array | None], weights: Sequence[int]) -> dict[str, Array]:
    return {f"x{i}": array for i, array in enumerate(arrays) if array is not None and i not in weights}


@pytest.mark.parametrize("trip_count", [0, 3, 100_000])
def test_sequence_as_scan_output_is_refused(trip_count: int, tmp_path: pathlib.Path) -> None:
    """Unrolled, as one call, and in the one iteration that is planned of a loop that never runs."""
    graph, body = Graph(), Block()
    x = graph.add_input("x", DType.of(np.dtype("f4")), (None, 4))
    body.inputs = [graph.add_value("i"), go := graph.add_value("go")]
    body.outputs = [go, *graph.add_op(body, "SplitToSequence", "split", [x], ["pieces"], {"axis": 0, "keepdims": 1})]
    counts = [graph.add_weight("n", np.array(trip_count, np.int64)), graph.add_weight("c", np.array(True))]
    graph.add_output(graph.add_op(graph.main, "Loop", "loop", counts, ["y"], {"body": body})[0])
    write(graph, tmp_path / "model.gguf")
    model = lstm_rt.Model(tmp_path / "model.gguf")
    with pytest.raises(lstm_rt.Error, match="scan output 0 is a sequence; wanted a tensor"):
        model.run({"x": np.ones((2, 4), np.float32)})


# ---- How many ----

ONES = np.ones((2, 4), np.float32)


@pytest.mark.parametrize(
    ("op", "count", "words"),
    [
        ("LayerNormalization", 1, r"has 1 input, expected 2 or 3 \(X, Scale, B\)"),
        ("LayerNormalization", 4, r"has 4 inputs, expected 2 or 3 \(X, Scale, B\)"),
        ("RMSNormalization", 1, r"has 1 input, expected 2 \(X, scale\)"),
        ("BatchNormalization", 4, "has 4 inputs, expected 5"),
        ("Relu", 0, r"has 0 inputs, expected 1 \(X\)"),
        ("Relu", 2, "has 2 inputs, expected 1"),
        ("Sum", 0, "has 0 inputs, expected 1 or more"),
        ("MatMul", 1, "has 1 input, expected 2 or 3"),
        ("LSTM", 2, "has 2 inputs, expected 3 to 13"),
        ("LSTM", 14, "has 14 inputs, expected 3 to 13"),
        ("GRU", 7, "input 6 must be absent"),
        ("If", 0, "has 0 inputs, expected 1"),
    ],
)
def test_wrong_input_counts_are_refused_at_load(op: str, count: int, words: str, tmp_path: pathlib.Path) -> None:
    attributes = {"then_branch": Block(), "else_branch": Block()} if op == "If" else {}
    with pytest.raises(lstm_rt.ModelFileError, match=rf"node 'the_op' \({op}\): {words}"):
        one_op(tmp_path, op, [ONES] * count, outputs=0 if op == "If" else 1, **attributes)


@pytest.mark.parametrize(("op", "outputs"), [("Split", 0), ("Relu", 0), ("Relu", 2), ("TopK", 3), ("LSTM", 4)])
def test_wrong_output_counts_are_refused_at_load(op: str, outputs: int, tmp_path: pathlib.Path) -> None:
    arrays = {"LSTM": 3, "TopK": 2}.get(op, 1) * [ONES]
    with pytest.raises(lstm_rt.ModelFileError, match=rf"node 'the_op' \({op}\): has {outputs} output"):
        one_op(tmp_path, op, arrays, outputs=outputs)


def test_required_inputs_that_are_absent_are_refused(tmp_path: pathlib.Path) -> None:
    for op, arrays in (("Add", [None, ONES]), ("LayerNormalization", [ONES, None, ONES]), ("Where", [None] * 3)):
        with pytest.raises(lstm_rt.ModelFileError, match=r"input \d \(\w+\) is absent, but required"):
            one_op(tmp_path, op, arrays)


# ---- Products over nothing ----


def zeros(*shape: int, dtype: Any = np.float32) -> Array:
    return np.zeros(shape, dtype)


BIAS = np.array([1.5, -2, 3], np.float32)
U8 = {"dtype": np.uint8}
PRODUCTS: list[tuple[str, list[Array | None], Array, dict[str, Any]]] = [
    ("MatMul", [zeros(2, 0), zeros(0, 3)], zeros(2, 3), {}),
    ("MatMul", [zeros(4, 2, 0), zeros(4, 0, 3)], zeros(4, 2, 3), {}),
    ("MatMul", [zeros(0), zeros(0)], zeros(), {}),
    ("MatMul", [zeros(2, 0), zeros(0, 20, dtype=np.int8), np.ones(20, np.float32)], zeros(2, 20), {}),
    ("Gemm", [zeros(2, 0), zeros(0, 3), BIAS], np.tile(BIAS, (2, 1)), {"beta": 1.0}),
    ("Gemm", [zeros(0, 2), zeros(3, 0), BIAS], np.tile(BIAS * 2, (2, 1)), {"transA": 1, "transB": 1, "beta": 2.0}),
    ("Gemm", [zeros(2, 0), zeros(0, 3)], zeros(2, 3), {"alpha": 3.0}),
    ("MatMulInteger", [zeros(2, 0, **U8), zeros(0, 3, **U8)], zeros(2, 3, dtype=np.int32), {}),
    ("MatMulInteger", [zeros(5, 2, 0, **U8), zeros(0, 40, dtype=np.int8)], zeros(5, 2, 40, dtype=np.int32), {}),
    ("MatMulInteger", [zeros(0, **U8), zeros(0, **U8)], zeros(dtype=np.int32), {}),
    (
        "MatMulInteger",
        [zeros(2, 0, **U8), zeros(0, 3, **U8), np.array(7, np.uint8), np.array([1, 2, 3], np.uint8)],
        zeros(2, 3, dtype=np.int32),
        {},
    ),
    ("Conv", [zeros(2, 0, 5), zeros(3, 0, 2), BIAS], np.tile(BIAS[:, None], (2, 1, 4)), {}),
    ("Conv", [zeros(1, 0, 4, 5), zeros(3, 0, 2, 2)], zeros(1, 3, 3, 4), {}),
    ("ConvInteger", [zeros(2, 0, 5, **U8), zeros(3, 0, 2, **U8)], zeros(2, 3, 4, dtype=np.int32), {}),
    ("Einsum", [zeros(2, 0), zeros(0, 3)], zeros(2, 3), {"equation": "ij,jk->ik"}),
    ("Einsum", [zeros(4, 0), zeros(4, 0)], zeros(4), {"equation": "ij,ij->i"}),
    ("Einsum", [zeros(4, 0)], zeros(4), {"equation": "ij->i"}),
]


@pytest.mark.parametrize("stored", [False, True], ids=["run-time", "weights"])
@pytest.mark.parametrize(("op", "arrays", "expected", "attributes"), PRODUCTS)
def test_products_over_nothing_are_the_bias(
    op: str,
    arrays: list[Array | None],
    expected: Array,
    attributes: dict[str, Any],
    stored: bool,
    tmp_path: pathlib.Path,
) -> None:
    quantised = op == "MatMul" and arrays[1] is not None and arrays[1].dtype == np.int8
    weights = range(1, len(arrays)) if stored or quantised else ()
    model = one_op(tmp_path, op, arrays, weights, **attributes)
    for _ in range(2):
        result = model.run(feeds(arrays, weights))["y0"]
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


# ---- Recurrent layers ----

INPUTS, HIDDEN, BATCH, STEPS = 3, 4, 2, 5


def layer(**changes: Array | None) -> list[Array | None]:
    inputs: dict[str, Array | None] = {
        "X": zeros(STEPS, BATCH, INPUTS),
        "W": zeros(1, 4 * HIDDEN, INPUTS),
        "R": zeros(1, 4 * HIDDEN, HIDDEN),
        "B": zeros(1, 8 * HIDDEN),
        "sequence_lens": None,
        "initial_h": None,
        "initial_c": None,
        "P": None,
    }
    inputs.update(changes)
    return list(inputs.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"X": zeros(BATCH, INPUTS)},
        {"X": zeros(STEPS, BATCH, INPUTS, 1)},
        {"X": zeros(STEPS, BATCH, 0), "W": zeros(1, 4 * HIDDEN, 0)},
        {"R": zeros(1, 0, 0), "W": zeros(1, 0, INPUTS), "B": zeros(1, 0)},
        {"W": zeros(4 * HIDDEN, INPUTS)},
        {"W": zeros(1, 4 * HIDDEN, INPUTS + 1)},
        {"W": zeros(2, 4 * HIDDEN, INPUTS)},
        {"R": zeros(1, 4 * HIDDEN, HIDDEN + 1)},
        {"R": zeros(1, 4 * HIDDEN + 1, HIDDEN)},
        {"R": zeros(1)},
        {"B": zeros(8 * HIDDEN)},
        {"B": zeros(1, 4 * HIDDEN)},
        {"P": zeros(1, 4 * HIDDEN)},
        {"P": zeros(3 * HIDDEN)},
        {"initial_h": zeros(1, 1, HIDDEN)},
        {"initial_h": zeros(BATCH, HIDDEN)},
        {"initial_c": zeros(1, BATCH, 1)},
        {"initial_c": zeros(1, BATCH, HIDDEN, 1)},
        {"sequence_lens": zeros(BATCH + 1, dtype=np.int32)},
        {"sequence_lens": zeros(BATCH, dtype=np.int64)},
    ],
)
def test_a_recurrent_layer_of_other_shapes_is_refused(changes: dict[str, Array], tmp_path: pathlib.Path) -> None:
    arrays = layer(**changes)
    with pytest.raises(lstm_rt.Error, match=r"node 'the_op' \(LSTM\): "):
        one_op(tmp_path, "LSTM", arrays, **LSTM).run(feeds(arrays, ()))


@pytest.mark.parametrize(("steps", "batch"), [(0, BATCH), (STEPS, 0), (0, 0), (STEPS, BATCH)])
def test_a_recurrent_layer_over_nothing_returns_its_initial_state(
    steps: int, batch: int, tmp_path: pathlib.Path
) -> None:
    h, c = np.full((1, batch, HIDDEN), 0.5, np.float32), np.full((1, batch, HIDDEN), -0.5, np.float32)
    arrays = layer(X=zeros(steps, batch, INPUTS), initial_h=h, initial_c=c)
    found = one_op(tmp_path, "LSTM", arrays, outputs=3, **LSTM).run(feeds(arrays, ()))
    assert found["y0"].shape == (steps, 1, batch, HIDDEN)
    if steps == 0:
        np.testing.assert_array_equal(found["y1"], h)
        np.testing.assert_array_equal(found["y2"], c)


# ---- Sizes ----


@pytest.mark.parametrize(
    ("op", "arrays", "attributes"),
    [
        ("SpaceToDepth", [zeros(1, 2**30, 0, 0)], {"blocksize": 2**19}),
        ("Reshape", [zeros(0), np.array([0, 2**62, 2**62])], {"allowzero": 1}),
        ("Expand", [zeros(0, 1, 1), np.array([0, 2**39, 2**39])], {}),
        ("ConstantOfShape", [np.array([0, 2**39, 2**39])], {"dtype": 0}),
        ("Einsum", [zeros(2**20, 0), zeros(2**20, 0), zeros(2**20, 0)], {"equation": "ax,by,cz->abcxyz"}),
        ("Einsum", [np.ones(2**14, np.float32)] * 3, {"equation": "a,b,c->abc"}),
    ],
)
def test_sizes_that_overflow_behind_a_zero_are_refused(
    op: str, arrays: list[Array], attributes: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    weights = [i for i, array in enumerate(arrays) if array.dtype == np.int64]
    with pytest.raises(lstm_rt.Error, match=rf"node 'the_op' \({op}\): .*(too large|more elements|max_memory)"):
        one_op(tmp_path, op, arrays, weights, **attributes).run(feeds(arrays, weights))


def test_an_integer_range_of_the_largest_steps(tmp_path: pathlib.Path) -> None:
    arrays = [np.array(-(2**63)), np.array(2**63 - 1), np.array(2**62)]
    found = one_op(tmp_path, "Range", arrays, (0, 1, 2)).run({})
    assert found["y0"].tolist() == [-(2**63), -(2**62), 0, 2**62]
