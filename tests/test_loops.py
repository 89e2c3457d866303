"""Loop and Scan: unrolled while planning or run as one call, what they carry and stack, and what is refused."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_of_gguf import Array, agree, build, floats, info, same

import lstm_rt

I64, BOOL = TensorProto.INT64, TensorProto.BOOL
SHORT, LONG = 5, 1500  # iterations: unrolled, and not
SQUARE = floats(3, 3)


def op(type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(type, inputs.split(), outputs.split(), **attributes)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    **weights: Array,
) -> onnx.GraphProto:
    initializers = [numpy_helper.from_array(np.asarray(a), n) for n, a in weights.items()]
    return helper.make_graph(list(nodes), "body", list(inputs), list(outputs), initializers)


def counters(*more: onnx.ValueInfoProto) -> list[onnx.ValueInfoProto]:
    """Inputs of the body of a Loop: the iteration, the condition, and what it carries."""
    return [info("i", [], I64), info("go", [], BOOL), *more]


def refusal(model: onnx.ModelProto, feeds: dict[str, Array]) -> str:
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(model).run(feeds)
    return str(caught.value)


def calls_of(loaded: lstm_rt.Model, feeds: dict[str, Array]) -> list[str]:
    return [call.type for call in loaded.calls(feeds)]


# ---- Loop ----


def powers(trip_count: int) -> onnx.ModelProto:
    """Carries two values and stacks two, one of which is carried on as it came."""
    body = graph(
        [
            op("MatMul", "h w", "hw"),
            op("Tanh", "hw", "t"),
            op("Add", "t x", "h2"),
            op("Cast", "i", "number", to=TensorProto.FLOAT),
            op("Add", "last number", "sum"),
            op("Identity", "go", "go2"),
        ],
        counters(info("h", [2, 3]), info("last", [])),
        [info("go2", [], BOOL), info("h2", [2, 3]), info("sum", []), info("t", [2, 3]), info("h", [2, 3])],
        w=SQUARE,
    )
    node = op("Loop", "n c h0 s0", "h s ts hs", body=body, name="loop")
    return build(
        [node],
        [info("x", [2, 3]), info("h0", [2, 3])],
        [info("h", [2, 3]), info("s", []), info("ts", [None, 2, 3]), info("hs", [None, 2, 3])],
        {"n": np.array(trip_count), "c": np.array(True), "s0": np.float32(0)},
    )


@pytest.mark.parametrize("trip_count", [0, 1, SHORT, LONG])
def test_loops_carry_and_stack(trip_count: int) -> None:
    feeds = {"x": floats(2, 3), "h0": floats(2, 3)}
    loaded = agree(powers(trip_count), feeds)
    assert ("MatMul" in calls_of(loaded, feeds)) == (trip_count in (1, SHORT))


@pytest.mark.parametrize("trip_count", [SHORT, LONG])
def test_the_bits_do_not_depend_on_whether_a_loop_is_unrolled(trip_count: int) -> None:
    feeds = {"x": floats(2, 3), "h0": floats(2, 3)}
    whole = lstm_rt.load(powers(trip_count)).run(feeds)
    h = feeds["h0"]
    step = lstm_rt.load(powers(1))
    for _ in range(trip_count):
        h = step.run({"x": feeds["x"], "h0": h})["h"]
    assert h.tobytes() == whole["h"].tobytes()


@pytest.mark.parametrize("trip_count", [SHORT, LONG])
def test_carried_values_may_change_places(trip_count: int) -> None:
    body = graph(
        [op("Identity", "go", "go2"), op("Add", "c k", "c2")],
        counters(info("a", [2]), info("b", [2]), info("c", [2])),
        [info("go2", [], BOOL), info("b", [2]), info("c2", [2]), info("a", [2])],
    )
    node = op("Loop", "n c0 x y z", "p q r", body=body)
    model = build(
        [node],
        [info(n, [2]) for n in "xyz"],
        [info(n, [2]) for n in "pqr"],
        {"n": np.array(trip_count), "c0": np.array(True), "k": np.float32(1)},
    )
    agree(model, {n: floats(2) for n in "xyz"})


def test_the_number_of_an_unrolled_iteration_may_decide_shapes(tmp_path: pathlib.Path) -> None:
    body = graph(
        [
            op("Add", "i one", "next"),
            op("Unsqueeze", "next zero", "end"),
            op("Slice", "x start end", "part"),
            op("ReduceMean", "part", "mean", axes=[0], keepdims=1),
            op("Concat", "all mean", "more", axis=0),
            op("Identity", "go", "go2"),
        ],
        counters(info("all", None)),
        [info("go2", [], BOOL), info("more", None)],
        one=np.array(1),
        zero=np.array([0]),
        start=np.array([0]),
    )
    node = op("Loop", "n c x", "y", body=body)
    weights = {"n": np.array(4), "c": np.array(True)}
    model = build([node], [info("x", [6])], [info("y", [None])], weights)
    agree(model, {"x": floats(6)})
    same(model, {"x": floats(6)}, tmp_path)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(LONG), "n"))
    assert "depends on data, but decides a shape" in refusal(model, {"x": floats(6)})


def counting(limit: onnx.ValueInfoProto | int, trip_count: int | None = None) -> onnx.ModelProto:
    """Goes on while a counter that it carries is below a limit, as exporters of while loops write it."""
    body = graph(
        [
            op("Add", "n one", "n2"),
            op("Less", "n2 limit", "below"),
            op("And", "below go", "go2"),
            op("Mul", "v half", "v2"),
        ],
        counters(info("n", [], I64), info("v", [3])),
        [info("go2", [], BOOL), info("n2", [], I64), info("v2", [3]), info("v", [3])],
        one=np.array(1),
        half=np.float32(0.875),
    )
    most = "" if trip_count is None else "most"
    node = helper.make_node("Loop", [most, "", "zero", "x"], ["n", "y", "ys"], body=body, name="loop")
    weights = {"zero": np.array(0), "most": np.array(trip_count or 0)}
    inputs = [info("x", [3])]
    if isinstance(limit, int):
        weights["limit"] = np.array(limit)
    else:
        inputs.append(limit)
    return build([node], inputs, [info("n", [], I64), info("y", [3]), info("ys", [None, 3])], weights)


@pytest.mark.parametrize("limit", [1, 7, LONG])
def test_conditions_are_counted(limit: int) -> None:
    agree(counting(limit), {"x": floats(3)})
    agree(counting(limit, 3), {"x": floats(3)})


def test_a_control_input_may_decide_how_often() -> None:
    model = counting(info("limit", [], I64))
    loaded = agree(model, {"x": floats(3), "limit": np.array(4)})
    assert loaded.control_inputs == ("limit",)
    agree(model, {"x": floats(3), "limit": np.array(9)})


def test_endless_conditions_are_refused() -> None:
    assert "still holds after" in refusal(counting(2**60), {"x": floats(3)})


def test_huge_trip_counts_are_refused() -> None:
    text = refusal(powers(2**60), {"x": floats(2, 3), "h0": floats(2, 3)})
    assert text.startswith("node 'loop' (Loop): runs its 6 operations 1152921504606846976 times.")


@pytest.mark.parametrize("trip_count", [SHORT, LONG])
def test_loops_nest(trip_count: int) -> None:
    inner = graph(
        [op("Add", "v x", "sum"), op("Mul", "sum k", "v3"), op("Identity", "go", "go3")],
        [info("j", [], I64), info("go_", [], BOOL), info("v", [4])],
        [info("go3", [], BOOL), info("v3", [4]), info("sum", [4])],
    )
    outer = graph(
        [op("Loop", "three c u", "u2 sums", body=inner), op("Identity", "go", "go2")],
        counters(info("u", [4])),
        [info("go2", [], BOOL), info("u2", [4]), info("sums", [None, 4])],
    )
    weights = {"n": np.array(trip_count), "three": np.array(3), "c": np.array(True), "k": np.float32(0.5)}
    node = op("Loop", "n c x", "y all", body=outer)
    model = build([node], [info("x", [4])], [info("y", [4]), info("all", [None, 3, 4])], weights)
    agree(model, {"x": floats(4)})


def test_weights_made_in_a_loop_are_packed_anew() -> None:
    """W differs from iteration to iteration, and is known in all of them."""
    body = graph(
        [op("MatMul", "v w", "v2"), op("Add", "w w", "w2"), op("Identity", "go", "go2")],
        counters(info("v", [1, 4]), info("w", [4, 4])),
        [info("go2", [], BOOL), info("v2", [1, 4]), info("w2", [4, 4])],
    )
    weights = {"n": np.array(3), "c": np.array(True), "w0": floats(4, 4)}
    agree(
        build([op("Loop", "n c x w0", "y w_", body=body)], [info("x", [1, 4])], [info("y", [1, 4])], weights),
        {"x": floats(1, 4)},
    )


def test_recurrent_layers_in_a_loop() -> None:
    w, r = floats(1, 32, 8), floats(1, 32, 8)
    body = graph(
        [op("LSTM", "v w r", "ys h", hidden_size=8), op("Squeeze", "ys one", "v2"), op("Identity", "go", "go2")],
        counters(info("v", [5, 1, 8])),
        [info("go2", [], BOOL), info("v2", [5, 1, 8]), info("h", [1, 1, 8])],
        w=w,
        r=r,
        one=np.array([1]),
    )
    model = build(
        [op("Loop", "n c x", "y hs", body=body, name="loop")],
        [info("x", ["T", 1, 8])],
        [info("y", ["T", 1, 8]), info("hs", [None, 1, 1, 8])],
        {"n": np.array(3), "c": np.array(True)},
    )
    loaded = agree(model, {"x": floats(5, 1, 8)})
    with pytest.raises(lstm_rt.UnsupportedModelError, match="stands in a loop"):
        loaded.stream()


def test_data_may_not_decide_how_often() -> None:
    model = powers(3)
    del model.graph.initializer[0]
    model.graph.node.insert(0, op("Cast", "x", "many", to=I64))
    model.graph.node.insert(1, op("Slice", "many zero one", "n", name="slice"))
    for name, value in (("zero", [0, 0]), ("one", [1, 1])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    assert "its trip count depends on data" in refusal(model, {"x": floats(2, 3), "h0": floats(2, 3)})


# ---- Scan ----


def lstm_scan(**attributes: Any) -> onnx.ModelProto:
    """An LSTM written out, as converters of Keras and TensorFlow write it."""
    body = graph(
        [
            op("MatMul", "x w", "xw"),
            op("MatMul", "h r", "hr"),
            op("Add", "xw hr", "sum"),
            op("Add", "sum b", "gates"),
            op("Split", "gates", "i_ f_ g_ o_", axis=1),
            op("Sigmoid", "i_", "i"),
            op("Sigmoid", "f_", "f"),
            op("Tanh", "g_", "g"),
            op("Sigmoid", "o_", "o"),
            op("Mul", "f c", "fc"),
            op("Mul", "i g", "ig"),
            op("Add", "fc ig", "c2"),
            op("Tanh", "c2", "tc"),
            op("Mul", "o tc", "h2"),
        ],
        [info("h", [2, 8]), info("c", [2, 8]), info("x", [2, 5])],
        [info("h2", [2, 8]), info("c2", [2, 8]), info("h2", [2, 8])],
    )
    body.node.append(op("Identity", "h2", "y"))
    body.output[2].name = "y"
    nodes = [
        op("Shape", "xs", "shape"),
        op("Slice", "shape one two", "batch"),
        op("Concat", "batch eight", "state", axis=0),
        op("Expand", "nought state", "h0"),
        op("Scan", "h0 h0 xs", "hn cn ys", body=body, num_scan_inputs=1, **attributes),
    ]
    weights = {"w": floats(5, 32), "r": floats(8, 32), "b": floats(32), "nought": np.zeros((1, 1), np.float32)}
    weights |= {"one": np.array([1]), "two": np.array([2]), "eight": np.array([8])}
    return build(
        nodes,
        [info("xs", ["T", "B", 5])],
        [info("hn", [None, 8]), info("cn", [None, 8]), info("ys", [None, None, None])],
        weights,
    )


@pytest.mark.parametrize("steps", [1, SHORT, LONG])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"scan_input_directions": [1]},
        {"scan_input_directions": [1], "scan_output_directions": [1]},
        {"scan_output_axes": [1]},
        {"scan_output_axes": [-1]},
    ],
)
def test_an_lstm_written_out_in_a_scan(steps: int, attributes: dict[str, Any]) -> None:
    agree(lstm_scan(**attributes), {"xs": floats(steps, 2, 5)})


def two_inputs(**attributes: Any) -> onnx.ModelProto:
    body = graph(
        [op("Add", "s a", "t"), op("Mul", "t b", "s2"), op("Identity", "s2", "y")],
        [info("s", [3]), info("a", [3]), info("b", [3])],
        [info("s2", [3]), info("y", [3])],
    )
    node = op("Scan", "s0 as bs", "s ys", body=body, num_scan_inputs=2, name="scan", **attributes)
    inputs = [info("s0", [3]), info("as", [None, None]), info("bs", [None, None])]
    return build([node], inputs, [info("s", [3]), info("ys", [None, 3])])


def test_scan_inputs_have_axes_and_directions_of_their_own() -> None:
    model = two_inputs(scan_input_axes=[0, 1], scan_input_directions=[0, 1])
    agree(model, {"s0": floats(3), "as": floats(4, 3), "bs": floats(3, 4)})


@pytest.mark.parametrize("steps", [3, 5])
def test_scan_inputs_must_be_of_one_length(steps: int) -> None:
    feeds = {"s0": floats(3), "as": floats(4, 3), "bs": floats(steps, 3)}
    assert f"an axis of {steps} cannot be split into 1 outputs of sizes 4" in refusal(two_inputs(), feeds)


def test_a_scan_over_time_is_no_stream() -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError):
        lstm_rt.load(lstm_scan()).stream()


def test_scan_of_opset_8_is_refused() -> None:
    model = two_inputs()
    model.opset_import[0].version = 8
    assert "Scan of opset 8" in refusal(model, {})
