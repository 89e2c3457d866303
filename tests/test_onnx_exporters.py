"""ONNX files as exporters and recipes write them: order, names, defaults, unused parts, sequences and empty loops.

onnxruntime runs all of these files, and gives what is compared with.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from models import Array
from onnx import TensorProto, helper, parser
from onnx_of_gguf import build, floats, info, run

import lstm_rt

H, C = 3, 4
WEIGHTS = {"W": floats(1, 4 * H, C), "R": floats(1, 4 * H, H), "B": floats(1, 8 * H)}
X = floats(5, 2, C)
LSTM = helper.make_node("LSTM", ["x", "W", "R", "B"], ["Y", "hn", "cn"], hidden_size=H)
PORTS = [info("x", ["T", "N", C])], [info("Y", ["T", 1, "N", H])]


def compare(model: onnx.ModelProto, feeds: dict[str, Array], **options: Any) -> lstm_rt.Model:
    """Load a model and compare it with onnxruntime, without the opinion of onnx.checker."""
    wanted = run(model, feeds)
    loaded = lstm_rt.load(model, **options)
    seen = loaded.run(feeds)
    for output, array in zip(model.graph.output, wanted):
        assert seen[output.name].dtype == array.dtype
        assert seen[output.name].shape == array.shape
        np.testing.assert_allclose(seen[output.name], array, rtol=1e-5, atol=1e-5)
    return loaded


def text(source: str, opset: int = 17) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{source}')


def refusal(model: onnx.ModelProto, feeds: dict[str, Array] | None = None) -> str:
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(model).run(feeds or {})
    return str(caught.value)


# ---- Order ----


@pytest.mark.parametrize("seed", range(6))
def test_nodes_in_any_order_are_sorted(seed: int) -> None:
    names = ["x"]
    nodes = []
    rng = np.random.default_rng(seed)
    for i in range(12):
        a, b = rng.choice(names, 2)
        nodes.append(helper.make_node(str(rng.choice(["Add", "Mul", "Sub"])), [a, b], [f"v{i}"]))
        names.append(f"v{i}")
    rng.shuffle(nodes)
    model = build(nodes, [info("x", [2, 3])], [info("v11", [2, 3]), info("v7", [2, 3])])
    compare(model, {"x": floats(2, 3) / 4})


def test_nodes_of_branch_and_function_are_sorted() -> None:
    source = """g (float[2] x, bool c) => (float[2] y) {
        y = If (c) <
            then_branch = t () => (float[2] a) { a = Add(b, outer)  b = Neg(x) },
            else_branch = e () => (float[2] d) { d = Exp(f)  f = Sin(outer) }
        >
        outer = Cos(x)
    }"""
    loaded, x = lstm_rt.load(text(source)), floats(2)
    for flag, wanted in ((True, np.cos(x) - x), (False, np.exp(np.sin(np.cos(x))))):
        np.testing.assert_allclose(loaded.run({"x": x, "c": np.array(flag)})["y"], wanted, rtol=1e-5, atol=1e-6)
    function = helper.make_function(
        "local",
        "F",
        ["a"],
        ["b"],
        [helper.make_node("Exp", ["m"], ["b"]), helper.make_node("Sin", ["a"], ["m"])],
        [helper.make_opsetid("ai.onnx", 17)],
    )
    model = build([helper.make_node("F", ["x"], ["y"], domain="local")], [info("x", [2])], [info("y", [2])])
    model.functions.append(function)
    x = floats(2)
    np.testing.assert_allclose(lstm_rt.load(model).run({"x": x})["y"], np.exp(np.sin(x)), rtol=1e-6)


def test_nodes_in_a_circle_are_named() -> None:
    model = text("g (float[2] x) => (float[2] y) { a = Add(x, c)  b = Exp(a)  c = Sin(b)  y = Neg(c) }")
    message = refusal(model)
    assert "read each other's outputs in a circle" in message
    assert all(name in message for name in ("'a'", "'b'", "'c'"))
    assert "'y'" not in message


# ---- Names ----


def test_outputs_by_name_only_are_inferred() -> None:
    nodes = [helper.make_node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["Y", "hn", "cn"], hidden_size=H)]
    inputs = [*PORTS[0], info("h0", [1, 1, H]), info("c0", [1, 1, H])]
    model = build(nodes, inputs, PORTS[1], WEIGHTS)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ("hn", "cn"))
    loaded = compare(model, {"x": X[:, :1], "h0": floats(1, 1, H), "c0": floats(1, 1, H)})
    assert loaded.bindings == {"h0": "hn", "c0": "cn"}


def test_default_domain_by_either_name_is_the_same() -> None:
    model = build([LSTM, helper.make_node("Relu", ["Y"], ["y"])], PORTS[0], [info("y", None)], WEIGHTS)
    for node in model.graph.node:
        node.domain = "ai.onnx"
    model.opset_import[0].domain = "ai.onnx"
    del model.opset_import[1:]
    seen = lstm_rt.load(model).run({"x": X})["y"]
    for node in model.graph.node:
        node.domain = ""
    np.testing.assert_allclose(seen, run(model, {"x": X})[0], rtol=1e-5, atol=1e-6)


# ---- What nothing reads ----

UNUSED = {
    "random": helper.make_node("RandomNormalLike", ["x"], ["r"]),
    "unknown domain": helper.make_node("Mystery", ["x"], ["r"], domain="com.example"),
    "strings": helper.make_node("Constant", [], ["r"], value_strings=[b"yes"]),
    "chain": helper.make_node("Unique", ["x"], ["r"]),
    "training": helper.make_node("Dropout", ["x", "", "training"], ["r"]),
}


@pytest.mark.parametrize("name", UNUSED)
def test_unused_nodes_that_would_be_refused_are_dropped(name: str) -> None:
    nodes = [UNUSED[name], helper.make_node("Neg", ["r"], ["s"]), LSTM]
    model = build(nodes, *PORTS, {**WEIGHTS, "training": np.array(True), "labels": np.array(["a"], object)})
    plain = build([LSTM], *PORTS, WEIGHTS)
    seen = lstm_rt.load(model).run({"x": X})["Y"]
    assert seen.tobytes() == lstm_rt.load(plain).run({"x": X})["Y"].tobytes()


def test_unused_nodes_of_a_body_are_dropped() -> None:
    model = text("""g (float[2] x, bool c) => (float[2] y) {
        y = If (c) <
            then_branch = t () => (float[2] a) { u, n = Unique(x)  v = Neg(u)  a = Neg(x) },
            else_branch = e () => (float[2] b) { b = Exp(x) }
        >
    }""")
    compare(model, {"x": floats(2), "c": np.array(True)})


def test_unused_outputs_of_training_are_left_out() -> None:
    scale = {name: np.abs(floats(C)) + 1 for name in "sbmv"}
    node = helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y", "o1", "o2", "o3", "o4"])
    model = build([node], [info("x", [2, C])], [info("y", [2, C])], scale, opset=9)
    loaded = lstm_rt.load(model)
    x = floats(2, C)
    wanted = scale["s"] * (x - scale["m"]) / np.sqrt(scale["v"] + 1e-5) + scale["b"]
    np.testing.assert_allclose(loaded.run({"x": x})["y"], wanted, rtol=1e-5, atol=1e-5)


# ---- Initial states with defaults ----


def with_states(**defaults: Array) -> onnx.ModelProto:
    node = helper.make_node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["Y", "hn", "cn"], hidden_size=H)
    states = [info("h0", [1, 1, H]), info("c0", [1, 1, H])]
    outputs = [*PORTS[1], info("hn", [1, 1, H]), info("cn", [1, 1, H])]
    return build([node], [*PORTS[0], *states], outputs, {**WEIGHTS, **defaults})


def test_states_with_defaults_can_be_given() -> None:
    model = with_states(h0=np.zeros((1, 1, H), np.float32), c0=np.zeros((1, 1, H), np.float32))
    compare(model, {"x": X[:, :1], "h0": floats(1, 1, H), "c0": floats(1, 1, H)})


def test_weights_listed_as_inputs_stay_weights() -> None:
    model = with_states(h0=np.zeros((1, 1, H), np.float32), c0=np.zeros((1, 1, H), np.float32))
    model.graph.input.extend(info(name, array.shape) for name, array in WEIGHTS.items())
    assert [port.name for port in lstm_rt.load(model).inputs] == ["x", "h0", "c0"]


# ---- Sequences ----


def scripted(place: str = "", axis: int = 0, new_axis: int = 1) -> onnx.ModelProto:
    """A scripted loop that puts every step's result into a list, and joins the list behind it."""
    return text(f"""g (float[T, 2, 4] x, float[2, 4] h0) => (y, float[2, 4] hn, int64 n)
        <int64 zero = {{0}}, int64 front = {{0}}, bool go = {{1}}> {{
        empty = SequenceEmpty()
        shape = Shape(x)
        T = Gather(shape, zero)
        hn, list = Loop (T, go, h0, empty) <
            body = b (int64 i, bool c, float[2, 4] h, seq(float) s) => (bool c2, float[2, 4] h2, seq(float) s2) {{
                xt = Gather <axis = 0> (x, i)
                sum = Add(xt, h)
                h2 = Tanh(sum)
                s2 = SequenceInsert(s, h2{place})
                c2 = Identity(c)
            }}
        >
        y = ConcatFromSequence <axis = {axis}, new_axis = {new_axis}> (list)
        n = SequenceLength(list)
    }}""")


def steps(x: Array, h: Array) -> list[Array]:
    outputs = []
    for frame in x:
        h = np.tanh(frame + h)
        outputs.append(h)
    return outputs


@pytest.mark.parametrize(("axis", "new_axis"), [(0, 1), (1, 1), (-1, 1), (2, 1), (0, 0), (-1, 0)])
def test_lists_of_scripted_loops_are_joined(axis: int, new_axis: int) -> None:
    x, h = floats(5, 2, 4), floats(2, 4)
    loaded = lstm_rt.load(scripted(axis=axis, new_axis=new_axis))
    seen = loaded.run({"x": x, "h0": h})
    outputs = steps(x, h)
    join = np.stack if new_axis else np.concatenate
    np.testing.assert_allclose(seen["y"], join(outputs, axis), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen["hn"], outputs[-1], rtol=1e-5, atol=1e-6)
    assert seen["n"] == 5


def test_list_of_loop_grows_at_its_front() -> None:
    x, h = floats(4, 2, 4), floats(2, 4)
    seen = lstm_rt.load(scripted(", front")).run({"x": x, "h0": h})["y"]
    np.testing.assert_allclose(seen, np.stack(steps(x, h)[::-1]), rtol=1e-5, atol=1e-6)


def test_long_scripted_loop_with_list_runs() -> None:
    x, h = floats(3000, 2, 4), floats(2, 4)
    seen = lstm_rt.load(scripted()).run({"x": x, "h0": h})["y"]
    np.testing.assert_allclose(seen, np.stack(steps(x, h)), rtol=1e-4, atol=1e-5)


def test_endless_list_is_refused() -> None:
    assert "too often to be unrolled" in refusal(scripted(), {"x": floats(100_000, 2, 4), "h0": floats(2, 4)})


def test_join_of_empty_list_is_refused() -> None:
    assert "the sequence is empty" in refusal(scripted(), {"x": floats(0, 2, 4), "h0": floats(2, 4)})


SEQUENCES = {
    "split": "s = SplitToSequence <axis = 1> (x)  y = SequenceAt(s, one)",
    "split of size": "s = SplitToSequence <axis = 1> (x, two)  t = Identity(s)  y = ConcatFromSequence <axis = 1> (t)",
    "split by sizes": "s = SplitToSequence <axis = 1> (x, sizes)  y = SequenceAt(s, back)",
    "split without the axis": "s = SplitToSequence <axis = 1, keepdims = 0> (x)  y = SequenceAt(s, two)",
    "insert before the last": "a = Neg(x)  s = SequenceConstruct(x, x)  t = SequenceInsert(s, a, back) "
    "y = SequenceAt(t, one)",
    "erase": "s = SplitToSequence <axis = 1> (x)  t = SequenceErase(s, one)  y = ConcatFromSequence <axis = 1> (t)",
    "erase last": "s = SplitToSequence <axis = 1> (x)  t = SequenceErase(s)  y = ConcatFromSequence <axis = 1> (t)",
    "construct": "a = Neg(x)  s = SequenceConstruct(x, a, x)  y = ConcatFromSequence <axis = -1, new_axis = 1> (s)",
    "length": "s = SplitToSequence <axis = 1> (x, two)  n = SequenceLength(s)  y = CastLike(n, x)",
    "empty of a dtype": "e = SequenceEmpty <dtype = 1> ()  s = SequenceInsert(e, x)  y = SequenceAt(s, back)",
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_ops_agree_with_onnxruntime(name: str) -> None:
    weights = "int64 one = {1}, int64 two = {2}, int64 back = {-1}, int64[3] sizes = {1, 3, 1}"
    source = SEQUENCES[name]
    compare(text(f"g (float[2, 5] x) => (y) <{weights}> {{ {source} }}"), {"x": floats(2, 5)})


def test_sequences_where_tensors_belong_are_refused() -> None:
    weights = "<int64 one = {1}>"
    for source, words in (
        ("s = SequenceConstruct(x)  y = SequenceAt(s, s)", "is a sequence; wanted a tensor"),
        ("y = SequenceAt(x, one)", "is a tensor; wanted a sequence"),
        ("y = SequenceConstruct(x)", "not a tensor but a sequence_type"),
        ("s = SequenceConstruct(x)  y = SequenceAt(s, one)", "position 1 of a sequence of 1"),
        ("s = SequenceConstruct(x)  c = Cast <to = 7> (x)  y = SequenceAt(s, c)", "depends on data"),
    ):
        assert words in refusal(text(f"g (float[1] x) => (y) {weights} {{ {source} }}"), {"x": floats(1)})


# ---- Loops of no iteration ----

RECURRENT_BODY = """
    body = b (int64 i, bool c, float[2, 4] h) => (bool c2, float[2, 4] h2, float[N, 4] out) {
        xt = Gather <axis = 0> (x, i)
        h2 = Add(xt, h)
        out = Neg(h2)
        c2 = Identity(c)
    }"""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_loop_over_no_steps_hands_states_on(count: int) -> None:
    model = text(f"""g (float[T, 2, 4] x, float[2, 4] h0) => (hn, ys) <int64 zero = {{0}}, bool go = {{1}}> {{
        shape = Shape(x)  T = Gather(shape, zero)  hn, ys = Loop (T, go, h0) <{RECURRENT_BODY}>
    }}""")
    compare(model, {"x": floats(count, 2, 4), "h0": floats(2, 4)})


def test_loop_with_false_condition_hands_states_on() -> None:
    model = text(f"""g (float[T, 2, 4] x, float[2, 4] h0) => (hn) <int64 n = {{5}}, bool go = {{0}}> {{
        hn, ys = Loop (n, go, h0) <{RECURRENT_BODY}>
    }}""")
    compare(model, {"x": floats(0, 2, 4), "h0": floats(2, 4)})


def test_scan_over_no_steps_hands_states_on() -> None:
    model = text("""g (float[T, 4] x, float[4] h0) => (float[4] hn, float[T, 4] ys) {
        hn, ys = Scan <num_scan_inputs = 1, body = b (float[4] h, float[4] xt) => (float[4] h2, float[4] out) {
            h2 = Add(h, xt)
            out = Neg(h2)
        }> (h0, x)
    }""")
    loaded, h = compare(model, {"x": floats(3, 4), "h0": floats(4)}), floats(4)
    seen = loaded.run({"x": floats(0, 4), "h0": h})
    assert seen["hn"].tobytes() == h.tobytes()
    assert seen["ys"].shape == (0, 4)


# ---- Sequence lengths ----


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("known", [False, True])
def test_lengths_out_of_range_are_refused(kind: str, known: bool) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    node = helper.make_node(kind, ["x", "W", "R", "", "l"], ["Y"], hidden_size=H)
    weights = {"W": floats(1, gates * H, C), "R": floats(1, gates * H, H)}
    for lengths, right in (([5, 0], True), ([6, 1], False), ([-1, 1], False), ([2**31 - 1, -(2**31)], False)):
        array = np.array(lengths, np.int32)
        ports = [info("x", ["T", 2, C])] + ([] if known else [info("l", [2], TensorProto.INT32)])
        model = build([node], ports, [info("Y", None)], {**weights, **({"l": array} if known else {})})
        feeds = {"x": X} if known else {"x": X, "l": array}
        if right:
            compare(model, feeds)
        else:
            assert "wanted 0 to 5, the number of steps" in refusal(model, feeds)


def test_stream_with_length_out_of_range_keeps_its_state() -> None:
    node = helper.make_node("LSTM", ["x", "W", "R", "B", "l", "h0", "c0"], ["Y", "hn", "cn"], hidden_size=H)
    states = [info("h0", [1, 1, H]), info("c0", [1, 1, H])]
    ports = [info("x", [2, 1, C]), info("l", [1], TensorProto.INT32), *states]
    model = build([node], ports, [*PORTS[1], info("hn", [1, 1, H]), info("cn", [1, 1, H])], WEIGHTS)
    stream = lstm_rt.load(model).stream()
    stream.step(X[:2, :1], np.array([2], np.int32))
    before = {name: array.copy() for name, array in stream.state.items()}
    with pytest.raises(lstm_rt.ShapeError, match="a sequence length below 0 or above the number of steps"):
        stream.step(X[:2, :1], np.array([3], np.int32))
    assert all(stream.state[name].tobytes() == array.tobytes() for name, array in before.items())
    stream.step(X[:2, :1], np.array([1], np.int32))


# ---- Files that onnxruntime saved ----


def test_layouts_of_one_machine_are_refused_with_a_remedy() -> None:
    model = build([helper.make_node("Conv", ["x", "w"], ["y"], domain="com.microsoft.nchwc")], [info("x", None)], [])
    model.graph.input[0].CopyFrom(info("x", [1, 8, 4, 4]))
    model.graph.output.append(info("y", None))
    model.graph.initializer.append(onnx.numpy_helper.from_array(floats(8, 8, 1, 1), "w"))
    assert "ORT_ENABLE_EXTENDED" in refusal(model)


# ---- The checker ----


def test_checker_objects_but_onnxruntime_runs() -> None:
    model = build([LSTM], *PORTS, WEIGHTS)
    model.graph.ClearField("name")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = compare(model, {"x": X})
    assert loaded.conversion is not None
    assert any("onnx.checker" in note for note in loaded.conversion.notes)


@pytest.mark.parametrize("version", [0, 2**31, 2**40, 2**62, -1])
def test_nodes_are_checked_whatever_the_ir_version(version: int) -> None:
    model = build([LSTM], *PORTS, WEIGHTS)
    model.graph.ClearField("name")
    model.ir_version = version
    assert np.isfinite(lstm_rt.load(model).run({"x": X})["Y"]).all()


@pytest.mark.parametrize("opset", [18, 20, 21])
def test_group_normalization_deprecated_by_the_checker_runs(opset: int) -> None:
    size = 2 if opset < 21 else 4  # before opset 21, of groups
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)
    ports = [info("x", ["N", 4, 6])], [info("y", ["N", 4, 6])]
    model = build([node], *ports, {"s": floats(size), "b": floats(size)}, opset=opset)
    compare(model, {"x": floats(2, 4, 6)})


@pytest.mark.parametrize("dtype", [TensorProto.STRING, TensorProto.UINT16, TensorProto.COMPLEX64])
def test_unused_input_of_an_unsupported_dtype_is_left_out(dtype: int) -> None:
    model = build([LSTM], *PORTS, WEIGHTS)
    model.graph.input.append(info("label", [1], dtype))
    loaded = lstm_rt.load(model)
    assert [port.name for port in loaded.inputs] == ["x"]
    assert loaded.conversion is not None
    assert any("input 'label' is left out" in note for note in loaded.conversion.notes)
    model.graph.node.append(helper.make_node("Identity", ["label"], ["same"]))
    model.graph.output.append(info("same", [1], dtype))
    assert "is not supported" in refusal(model)
