"""Which outputs are found to be the next step's inputs, and what the options of a conversion do."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from lstm_rt.converters import Graph, Options
from lstm_rt.converters.bindings import find_bindings
from lstm_rt.converters.onnx import from_onnx
from onnx import TensorProto, helper
from onnx_of_gguf import build, info, rebuild, relu, run

import lstm_rt


def stateful(inputs: dict[str, Sequence[Any]], outputs: dict[str, Sequence[Any]]) -> Graph:
    given = [info("x", ["batch", 4]), *(info(n, d) for n, d in inputs.items())]
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in ["y", *outputs]]
    return from_onnx(build(nodes, given, [info("y", None), *(info(n, d) for n, d in outputs.items())]))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ("state", "stateN"),
        ("h c", "hn cn"),
        ("h0 c0", "hn cn"),
        ("h_0 c_0", "h_n c_n"),
        ("h_in c_in", "h_out c_out"),
        ("hidden", "hidden_out"),
        ("hidden", "new_hidden"),
        ("hidden", "next_hidden"),
        ("hidden", "hidden.1"),
        ("past_x past_y", "present_x present_y"),
        ("state_in", "state_out"),
        ("in_state", "out_state"),
        ("prev_frame", "next_frame"),
        ("lstm_h lstm_c", "lstm_h_out lstm_c_out"),
        ("rnn.h1 rnn.h2", "rnn.h1_out rnn.h2_out"),
        ("conv_cache", "new_conv_cache"),
        ("hiddenState", "hiddenStateOut"),
    ],
)
def test_state_is_bound_by_name(inputs: str, outputs: str) -> None:
    graph = stateful({n: [1, None, 8] for n in inputs.split()}, {n: [1, "B", 8] for n in outputs.split()})
    pairs = [(graph.values[i], graph.values[o]) for i, o in find_bindings(graph)]
    assert pairs == list(zip(inputs.split(), outputs.split()))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"audio": [1, 8]}, {"audio_out": [1, 8]}),  # a filter, not a state
        ({"input": [1, 8]}, {"output": [1, 8]}),
        ({"mask": [1, 8]}, {"maskn": [1, 8]}),
        ({"hello": [1, 8]}, {"hellon": [1, 8]}),
        ({"state": [1, 8]}, {"stateN": [1, 9]}),
        ({"state": [1, 8]}, {"stateN": [1, 1, 8]}),
        ({"state": [1, 8]}, {"stateN": [1, 8], "new_state": [1, 8]}),  # which?
        ({"h": [1, 8], "h0": [1, 8]}, {"hn": [1, 8]}),
    ],
)
def test_what_may_be_no_state_is_not_bound(inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    assert find_bindings(stateful(inputs, outputs)) == []


def test_options_bind() -> None:
    graph = stateful({"audio": [1, 8], "state": [1, 8]}, {"tail": [1, 8], "stateN": [1, 8]})
    Options(bind={"audio": "tail"}).apply(graph)
    assert [(graph.values[i], graph.values[o]) for i, o in graph.bindings] == [("audio", "tail")]
    Options(bind={}).apply(graph)
    assert graph.bindings == []


def test_options_freeze(tmp_path: pathlib.Path) -> None:
    model = build(
        [helper.make_node("Add", ["x", "k"], ["y"])], [info("x", ["n"]), info("k", ["n"])], [info("y", ["n"])]
    )
    rebuilt = rebuild(model, tmp_path, freeze={"k": [1, 2]})
    assert [i.name for i in rebuilt.graph.input] == ["x"]
    assert rebuilt.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    np.testing.assert_array_equal(run(rebuilt, {"x": np.array([5, 6], np.float32)})[0], [6, 8])


def test_options_freeze_a_number_where_one_is_wanted() -> None:
    graph = from_onnx(build([relu()], [info("x", [2]), info("sr", [1], TensorProto.INT64)], [info("y", [2])]))
    Options(freeze={"sr": 16000}).apply(graph)
    (frozen,) = graph.weights.values()
    assert (str(frozen.dtype), frozen.shape, frozen.item()) == ("int64", (1,), 16000)


def test_options_shapes_fix_dims_of_one_name() -> None:
    graph = stateful({"h": [1, "batch", 8], "other": [1, "n", 8]}, {"hn": [1, "batch", 8]})
    Options(shapes={"x": (2, 4)}).apply(graph)
    assert [port.shape for port in graph.inputs] == [(2, 4), (1, 2, 8), (1, None, 8)]
    assert graph.outputs[1].shape == (1, 2, 8)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"bind": {"q": "stateN"}}, ValueError, "The model has no input 'q'. Its inputs: 'x', 'state'."),
        ({"bind": {"state": "q"}}, ValueError, "The model has no output 'q'. Its outputs: 'y', 'stateN'."),
        ({"bind": {"x": "stateN"}}, ValueError, "cannot be fed to input 'x'"),
        ({"bind": {"x": "stateN", "state": "stateN"}}, ValueError, "an output is bound to two inputs"),
        ({"freeze": {"q": 1}}, ValueError, "The model has no input 'q'"),
        ({"freeze": {"state": [1, 2]}}, lstm_rt.ShapeError, "shape (2,) was given, the model declares (1, 8)"),
        ({"freeze": {"state": [["a"] * 8]}}, lstm_rt.ShapeError, "does not fit float32"),
        ({"shapes": {"x": (1, 5)}}, lstm_rt.ShapeError, "shape (1, 5) was given, the model declares (None, 4)"),
        ({"shapes": {"x": (0, 4)}}, lstm_rt.ShapeError, "(0, 4) is no shape"),
        ({"shapes": {"x": (2, None)}}, lstm_rt.ShapeError, "Input 'x': dim 1 is 4 and cannot be free"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], error: type[Exception], words: str) -> None:
    graph = stateful({"state": [1, 8]}, {"stateN": [1, 8]})
    with pytest.raises(error) as caught:
        Options(**options).apply(graph)
    assert words in str(caught.value)
    assert isinstance(caught.value, lstm_rt.Error)


def test_inputs_without_a_shape_need_one() -> None:
    model = build([relu()], [info("x", None)], [info("y", None)])
    with pytest.raises(lstm_rt.ShapeError, match="does not declare the shape of 'x'"):
        Options().apply(from_onnx(model))
    graph = from_onnx(model)
    Options(shapes={"x": (1, None)}).apply(graph)
    assert graph.inputs[0].shape == (1, None)
