"""Quantising: the formats, what is quantised and what is not, the report, the file, and how it is asked for."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import fetch
import gguf
import models
import numpy as np
import onnx
import pytest
import reference_quantized as reference
from lstm_rt.converters import DType, Graph, Packed, PackedDType, converter_for
from lstm_rt.converters.gguf_file import write
from models import Array, Recurrent
from onnx import TensorProto, helper
from onnx_of_gguf import build, info
from typer.testing import CliRunner

import lstm_rt
from lstm_rt.cli import app as program
from lstm_rt.quantize import Report, find_layers, numbers, quantize_graph

PRECISIONS = reference.PRECISIONS
Type = gguf.GGMLQuantizationType


def floats(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def graph_of(model: onnx.ModelProto) -> Graph:
    return converter_for("model.onnx")(model)


def weight_of(graph: Graph, op: int = 0, input: int = 1) -> Array | Packed:
    value = graph.main.ops[op].inputs[input]
    return graph.packed[value] if value in graph.packed else graph.weights[value]


def by_name(report: Report) -> dict[str, str]:
    return {layer.name: layer.precision for layer in report.layers}


# ---- Formats ----


@pytest.mark.parametrize("shape", [(3, 32), (2, 5, 64), (1, 96), (7, 320)])
def test_int4_is_ggufs_q4_0(shape: tuple[int, ...]) -> None:
    packed = numbers.int4_blocks(floats(*shape))
    theirs = gguf.quants.dequantize(packed.reshape(*shape[:-1], -1), Type.Q4_0)
    np.testing.assert_array_equal(numbers.from_int4_blocks(packed), theirs)


def test_int4_errs_less_than_ggufs_own_quantiser() -> None:
    weights = floats(64, 320)
    ours = numbers.from_int4_blocks(numbers.int4_blocks(weights))
    theirs = gguf.quants.dequantize(gguf.quants.quantize(weights, Type.Q4_0), Type.Q4_0)
    per_block = [np.square((w - weights).reshape(64, -1, 32), dtype=np.float64).sum(axis=-1) for w in (ours, theirs)]
    assert (per_block[0] <= per_block[1] + 1e-9).all()
    assert per_block[0].sum() < 0.97 * per_block[1].sum()


@pytest.mark.parametrize("largest", [7.0, -8.0])
def test_int4_is_exact_where_it_can_be(largest: float) -> None:
    weights = np.resize(np.arange(-7, 8, dtype=np.float32), (2, 64)) / 4
    weights[:, [3, 40]] = largest / 4
    np.testing.assert_array_equal(numbers.from_int4_blocks(numbers.int4_blocks(weights)), weights)


@pytest.mark.parametrize("k", [1, 31, 33, 50])
def test_int4_fills_rows_up_with_zeros(k: int) -> None:
    packed = numbers.int4_blocks(floats(3, k))
    assert packed.shape == (3, -(-k // 32), 18)
    assert not numbers.from_int4_blocks(packed)[:, k:].any()


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-9, 1e5])
def test_int4_of_any_size(size: float) -> None:
    """Scales are float16: what is below their range is zero, and nothing becomes infinite."""
    weights = floats(2, 64) * np.float32(size)
    wide = numbers.from_int4_blocks(numbers.int4_blocks(weights))
    bound = np.abs(weights).max() / 7 if size > 1 else 0.0
    assert np.abs(wide - weights).max() <= max(bound, 2.0**-24 * 8)
    assert (numbers.int4_blocks(weights * 0)[..., 2:] == 0x88).all()


def test_bfloat16_is_ggufs() -> None:
    weights = np.concatenate([floats(500), np.array([0, -0.0, 1, 1e-40, 3e38, -1e-38], np.float32)])
    ties = (np.arange(1, 2000, dtype=np.uint32) << 15 | np.uint32(0x3F000000)).view(np.float32)
    weights = np.concatenate([weights, ties])
    bits = numbers.bfloat16(weights)
    np.testing.assert_array_equal(bits, gguf.quants.quantize(weights, Type.BF16).view(np.uint16))
    wide = gguf.quants.dequantize(bits.view(np.uint8), Type.BF16)
    np.testing.assert_array_equal(numbers.from_bfloat16(bits), wide)


def test_int8_rows() -> None:
    weights = floats(5, 40)
    weights[2] = 0
    weights[3] *= 1e-20
    values, scales = numbers.int8_rows(weights)
    assert (values.dtype, scales.dtype, scales[2]) == (np.int8, np.float32, 0)
    np.testing.assert_array_equal(np.abs(values).max(axis=1), [127, 127, 0, 127, 127])
    off = np.abs(numbers.from_int8_rows(values, scales) - weights)
    assert (off <= 0.5001 * scales[:, np.newaxis]).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_reference_is_near_the_float_product(precision: str) -> None:
    """Within what rounding weights and activations may cost, and no nearer than that explains."""
    w, x = floats(30, 100), floats(100, seed=1)
    step = {"int8": 1 / 127, "int8x16": 1 / 127, "int4": 1 / 7, "bf16": 1 / 256}[precision]
    off = np.abs(reference.Rows.of(w, precision) @ x - w.astype(np.float64) @ x)
    assert off.max() <= step * np.abs(w).max() * np.abs(x).sum()
    assert off.max() > 1e-3 * step


# ---- What is stored ----


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_recurrent_layers(kind: str, direction: str) -> None:
    layer = Recurrent(kind, 40, 24, direction=direction, peephole=kind == "LSTM", initial_h=True)
    rows = (layer.directions, models.GATES[kind] * 24)
    for precision in PRECISIONS:
        graph = graph_of(layer.model())
        before = list(graph.main.ops[0].inputs)
        quantize_graph(graph, precision)
        op = graph.main.ops[0]
        w, r = weight_of(graph, input=1), weight_of(graph, input=2)
        bits = {"int8": 8, "int8x16": 16, "int4": 8}.get(precision)
        assert op.attributes.get("activation_bits") == bits
        if precision.startswith("int8"):
            assert [graph.weights[op.inputs[i]].shape for i in (8, 9)] == [rows, rows]
            assert isinstance(w, np.ndarray)
            assert (w.dtype, w.shape, r.shape) == (np.int8, (*rows, 40), (*rows, 24))
            assert len(op.inputs) == 10
        else:
            assert len(op.inputs) == len(before)
            dtype = PackedDType.INT4 if precision == "int4" else PackedDType.BFLOAT16
            assert w.dtype == r.dtype == dtype
            ks = (64, 32) if precision == "int4" else (40, 24)
            assert (w.shape, r.shape) == ((*rows, ks[0]), (*rows, ks[1]))
        assert {a.dtype for a in graph.weights.values()} <= {np.dtype(np.float32), np.dtype(np.int8)}
        assert not any(a.dtype == np.float32 and a.ndim == 3 for a in graph.weights.values())


def dense(op: str, w: Array, **attributes: Any) -> Graph:
    node = helper.make_node(op, ["x", "w"], ["y"], name="dense", **attributes)
    return graph_of(build([node], [info("x", [None, None])], [info("y", None)], {"w": w}))


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, -0.5])
def test_products(trans_b: int, alpha: float) -> None:
    w = floats(50, 12)
    attributes = {"transB": trans_b, "alpha": alpha}
    stored = w.T.copy() if trans_b else w
    graph = dense("Gemm", stored, **attributes)
    quantize_graph(graph, "int8")
    op = graph.main.ops[0]
    assert (op.inputs[2], op.attributes["alpha"], op.attributes["transB"]) == (-1, 1.0, trans_b)
    values, scales = weight_of(graph), graph.weights[op.inputs[3]]
    assert isinstance(values, np.ndarray)
    wide = (values.T if trans_b else values) * scales
    np.testing.assert_allclose(wide, alpha * w, atol=np.abs(alpha * w).max() / 250)
    graph = dense("Gemm", stored, **attributes)
    quantize_graph(graph, "int4")
    op, packed = graph.main.ops[0], weight_of(graph)
    assert isinstance(packed, Packed)
    assert (packed.shape, packed.data.shape) == ((12, 64), (12, 36))
    assert ("transB" in op.attributes, op.attributes["alpha"], len(op.inputs)) == (False, 1.0, 2)
    wide = gguf.quants.dequantize(packed.data, Type.Q4_0)
    np.testing.assert_allclose(wide[:, :50], alpha * w.T, atol=np.abs(alpha * w).max() / 12)


def test_matmul_and_gemm() -> None:
    w = floats(50, 12)
    for precision in PRECISIONS:
        graph = dense("MatMul", w)
        quantize_graph(graph, precision)
        op, stored = graph.main.ops[0], weight_of(graph)
        assert stored.shape == ((12, 64) if precision == "int4" else (50, 12))
        assert len(op.inputs) == (3 if precision.startswith("int8") else 2)


@pytest.mark.parametrize("kernel", [(3,), (2, 3)])
def test_convolutions(kernel: tuple[int, ...]) -> None:
    w = floats(6, 5, *kernel)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", group=2)
    source = build([node], [info("x", [None] * w.ndim)], [info("y", None)], {"w": w})
    graph = graph_of(source)
    quantize_graph(graph, {"conv": "int4"})
    packed = weight_of(graph)
    assert isinstance(packed, Packed)
    assert graph.main.ops[0].attributes["kernel_shape"] == list(kernel)
    wide = gguf.quants.dequantize(packed.data, Type.Q4_0)
    k = 5 * int(np.prod(kernel))
    assert packed.shape == (6, -(-k // 32) * 32) == wide.shape
    in_order = np.stack([w[:, c].reshape(6, -1) for c in range(5)], axis=-1).reshape(6, -1)  # channels run fastest
    np.testing.assert_allclose(wide[:, :k], in_order, atol=np.abs(w).max() / 12)
    graph = graph_of(source)
    quantize_graph(graph, "int8")
    op, values = graph.main.ops[0], weight_of(graph)
    assert isinstance(values, np.ndarray)
    scales = graph.weights[op.inputs[3]].reshape(6, *[1] * (w.ndim - 1))
    np.testing.assert_allclose(values * scales, w, atol=np.abs(w).max() / 250)
    assert op.inputs[2] == -1


@pytest.mark.parametrize("precision", ["int4", "bf16"])
def test_the_file_holds_what_gguf_reads(precision: str, tmp_path: pathlib.Path) -> None:
    layer = Recurrent("LSTM", 40, 24)
    graph = graph_of(layer.model())
    quantize_graph(graph, precision)
    write(graph, tmp_path / "m.gguf")
    tensors = {str(tensor.name): tensor for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert set(tensors) == {"B", f"W.{precision}", f"R.{precision}"}
    for name in "WR":
        tensor, original = tensors[f"{name}.{precision}"], layer.weights[name]
        assert tensor.tensor_type == (Type.Q4_0 if precision == "int4" else Type.BF16)
        wide = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        rows = reference.Rows.of(original, precision)
        mine = rows.values * rows.scales[..., np.newaxis] if precision == "int4" else rows.values
        np.testing.assert_array_equal(wide, mine.reshape(wide.shape))
    model = lstm_rt.Model(tmp_path / "m.gguf")
    assert model.weight_bytes == sum(tensor.data.nbytes for tensor in tensors.values())


def test_packed_weights_of_any_rank_are_written(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (1,))
    shape = (1, 1, 2, 1, 3, 64)
    packed = numbers.int4_blocks(floats(*shape))
    w = graph.add_packed("w", Packed(PackedDType.INT4, shape, packed.reshape(*shape[:-1], -1)))
    (y,) = graph.add_op(graph.main, "MatMul", "product", [x, w], ["y"])
    graph.add_output(y)
    write(graph, tmp_path / "m.gguf")
    assert lstm_rt.Model(tmp_path / "m.gguf").parameters == 384


# ---- Which layers ----


def test_two_layers_that_share_a_weight_store_it_once() -> None:
    w, other = floats(40, 40), floats(40, 40, seed=1)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("Gemm", ["a", "w"], ["b"], name="second"),
        helper.make_node("Gemm", ["b", "w"], ["c"], name="turned", transB=1),
        helper.make_node("MatMul", ["c", "other"], ["y"], name="last"),
    ]
    source = build(nodes, [info("x", [None, 40])], [info("y", None)], {"w": w, "other": other})
    graph = graph_of(source)
    quantize_graph(graph, "int4")
    ops = graph.main.ops
    assert ops[0].inputs[1] == ops[1].inputs[1] != ops[2].inputs[1]
    assert len(graph.packed) == 3
    assert not graph.weights
    graph = graph_of(source)
    quantize_graph(graph, {"*": "int8", "second": "int8x16", "last": "float32"})
    ops = graph.main.ops
    assert ops[0].inputs[1:] == [ops[1].inputs[1], ops[1].inputs[3]]
    assert [op.attributes.get("activation_bits") for op in ops] == [8, 16, 8, None]
    assert sorted(str(a.dtype) for a in graph.weights.values()) == ["float32"] * 3 + ["int8"] * 2


def test_lstms_that_share_weights() -> None:
    layer = Recurrent("LSTM", 16, 16)
    attributes = {"hidden_size": 16}
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["a"], name="first", **attributes),
        helper.make_node("Squeeze", ["a", "one"], ["b"]),
        helper.make_node("LSTM", ["b", "W", "R"], ["y"], name="second", **attributes),
    ]
    weights = {**layer.weights, "one": np.array([1])}
    graph = graph_of(build(nodes, [info("x", [None, 1, 16])], [info("y", None)], weights))
    report = quantize_graph(graph, "int8")
    assert graph.main.ops[0].inputs[8:] == graph.main.ops[2].inputs[8:]
    assert sum(a.dtype == np.int8 for a in graph.weights.values()) == 2
    assert by_name(report) == {"first": "int8", "second": "int8"}


def test_a_weight_that_others_use_stays_too() -> None:
    w = floats(16, 16)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="dense"),
        helper.make_node("Add", ["a", "w"], ["y"]),
    ]
    graph = graph_of(build(nodes, [info("x", [16, 16])], [info("y", None)], {"w": w}))
    quantize_graph(graph, "bf16")
    assert len(graph.packed) == len(graph.weights) == 1
    np.testing.assert_array_equal(graph.weights[graph.main.ops[1].inputs[1]], w)


def test_a_weight_that_is_an_output_stays_too() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="dense")
    source = build([node], [info("x", [16, 16])], [info("y", None), info("w", [16, 16])], {"w": floats(16, 16)})
    graph = graph_of(source)
    quantize_graph(graph, "int4")
    assert graph.main.outputs[1] in graph.weights


def branches(rate: int = TensorProto.BOOL) -> onnx.ModelProto:
    graphs = {
        name: helper.make_graph([helper.make_node("MatMul", ["x", "w"], [f"{name}_z"], name=name)], name, [],
                                [info(f"{name}_z", None)])
        for name in ("then_branch", "else_branch")
    }  # fmt: skip
    nodes = [helper.make_node("If", ["c"], ["y"], **graphs)]
    return build(nodes, [info("x", [2, 16]), info("c", [], rate)], [info("y", None)], {"w": floats(16, 5)})


@pytest.mark.parametrize("precision", PRECISIONS)
def test_layers_inside_branches(precision: str, tmp_path: pathlib.Path) -> None:
    graph = graph_of(branches())
    report = quantize_graph(graph, precision)
    assert by_name(report) == {"then_branch": precision, "else_branch": precision}
    first, second = (block.ops[0].inputs for block in list(graph.main.walk())[1:])
    assert first == second
    write(graph, tmp_path / "m.gguf")
    assert lstm_rt.Model(tmp_path / "m.gguf").weight_bytes < 16 * 5 * 4


def notes(nodes: list[onnx.NodeProto], weights: dict[str, Array], dims: list[Any]) -> dict[str, str]:
    graph = graph_of(build(nodes, [info("x", dims)], [info("y", None)], weights))
    report = quantize_graph(graph, "int8")
    assert all(layer.precision == "float32" and layer.error == 0 for layer in report.layers)
    assert not any(a.dtype == np.int8 for a in graph.weights.values())
    return {layer.name: layer.note for layer in report.layers}


def test_weights_computed_from_the_data_are_no_layer() -> None:
    square = helper.make_node("MatMul", ["x", "x"], ["y"], name="square")
    assert notes([square], {}, [16, 16]) == {}
    left = helper.make_node("MatMul", ["w", "x"], ["y"], name="left")
    assert notes([left], {"w": floats(16, 16)}, [16, 16]) == {}
    both = helper.make_node("MatMul", ["w", "w"], ["v"], name="both")
    after = helper.make_node("Add", ["v", "x"], ["y"])
    assert notes([both, after], {"w": floats(16, 16)}, [16, 16]) == {}


def test_weights_computed_in_the_graph_stay() -> None:
    nodes = [
        helper.make_node("Tanh", ["w"], ["v"]),
        helper.make_node("MatMul", ["x", "v"], ["y"], name="dense"),
    ]
    assert notes(nodes, {"w": floats(16, 16)}, [None, 16]) == {"dense": "its weights are computed in the graph"}


def moved(w: Array) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Nodes that make `moved` of w [24, 40] by moving alone, and their constants."""
    nodes = [
        helper.make_node("Slice", ["w", "0", "8", "0"], ["a"]),
        helper.make_node("Slice", ["w", "8", "many", "0", "2"], ["b"]),
        helper.make_node("Slice", ["w", "-16", "-1"], ["c"]),
        helper.make_node("Concat", ["a", "b", "c"], ["d"], axis=0),
        helper.make_node("Unsqueeze", ["d", "0"], ["e"]),
        helper.make_node("Squeeze", ["e"], ["f"]),
        helper.make_node("Identity", ["f"], ["g"]),
        helper.make_node("Transpose", ["g"], ["moved"], perm=[1, 0]),
    ]
    constants = {name: np.array([int(name)]) for name in ("0", "2", "8", "-1", "-16")}
    return nodes, {**constants, "many": np.array([2**62]), "w": w}


def test_weights_that_are_only_moved_about_are_quantised() -> None:
    nodes, weights = moved(floats(24, 40))
    nodes.append(helper.make_node("MatMul", ["x", "moved"], ["y"], name="dense"))
    source = build(nodes, [info("x", [None, 40])], [info("y", None)], weights)
    (expected,) = models.run_onnxruntime(source, {"x": np.eye(40, dtype=np.float32)}).values()
    graph = graph_of(source)
    report = quantize_graph(graph, {"dense": "int8"})
    assert [op.type for op in graph.main.ops] == ["MatMul"]
    values, scales = weight_of(graph), graph.weights[graph.main.ops[0].inputs[2]]
    assert isinstance(values, np.ndarray)
    assert by_name(report) == {"dense": "int8"}
    np.testing.assert_allclose(values * scales, expected, atol=np.abs(expected).max() / 250)
    graph = graph_of(source)
    quantize_graph(graph, {})
    np.testing.assert_array_equal(weight_of(graph), expected)


def test_what_others_use_is_moved_for_them_too() -> None:
    nodes, weights = moved(floats(24, 40))
    nodes += [
        helper.make_node("MatMul", ["x", "moved"], ["y"], name="dense"),
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["z"], name="other"),
        helper.make_node("Add", ["e", "e"], ["v"]),
    ]
    source = build(nodes, [info("x", [None, 40])], [info(name, None) for name in "yzv"], weights)
    graph = graph_of(source)
    assert set(by_name(quantize_graph(graph, "int4")).values()) == {"int4"}
    kinds = [op.type for op in graph.main.ops]
    assert kinds == ["Slice", "Slice", "Slice", "Concat", "Unsqueeze", "MatMul", "MatMul", "Add"]


def test_weights_moved_backwards_stay() -> None:
    nodes = [
        helper.make_node("Slice", ["w", "end", "start", "axis", "step"], ["v"]),
        helper.make_node("MatMul", ["x", "v"], ["y"], name="dense"),
    ]
    numbers_of = {"end": [-1], "start": [-100], "axis": [0], "step": [-1]}
    weights = {"w": floats(16, 16), **{name: np.array(items) for name, items in numbers_of.items()}}
    assert notes(nodes, weights, [None, 16]) == {"dense": "its weights are computed in the graph"}


def test_what_is_not_worth_it_stays() -> None:
    depthwise = helper.make_node("Conv", ["x", "w"], ["y"], name="depthwise", group=8)
    assert notes([depthwise], {"w": floats(32, 1, 9)}, [1, 8, None]) == {"depthwise": "it is depthwise"}
    thin = helper.make_node("MatMul", ["x", "w"], ["y"], name="thin")
    assert notes([thin], {"w": floats(7, 30)}, [None, 7]) == {"thin": "its sums have fewer than 8 terms"}
    batched = helper.make_node("MatMul", ["x", "w"], ["y"], name="batched")
    assert notes([batched], {"w": floats(2, 16, 16)}, [None, 16]) == {"batched": "its weights have 3 dims, not 2"}


def test_what_is_named_in_full_is_quantised_all_the_same() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="thin[0]")
    source = build([node], [info("x", [None, 3])], [info("y", None)], {"w": floats(3, 30)})
    assert by_name(quantize_graph(graph_of(source), {"*": "int8"})) == {"thin[0]": "float32"}
    assert by_name(quantize_graph(graph_of(source), {"thin[0]": "int8"})) == {"thin[0]": "int8"}
    nodes = [helper.make_node("Tanh", ["w"], ["v"]), helper.make_node("MatMul", ["x", "v"], ["y"], name="dense")]
    computed = build(nodes, [info("x", [None, 16])], [info("y", None)], {"w": floats(16, 16)})
    with pytest.raises(lstm_rt.QuantizationError, match=r"'dense' \(MatMul\) cannot be quantised: its weights are c"):
        quantize_graph(graph_of(computed), {"dense": "int8"})


def test_layers_without_names_are_called_by_their_output() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = graph_of(build([node], [info("x", [None, 9])], [info("y", None)], {"w": floats(9, 3)}))
    graph.main.ops[0].name = ""
    assert [layer.name for layer in find_layers(graph)] == ["y"]


def test_a_graph_is_quantised_once() -> None:
    graph = graph_of(Recurrent("LSTM", 16, 16).model())
    quantize_graph(graph, "int8")
    (layer,) = quantize_graph(graph, "int4").layers
    assert (layer.precision, layer.note) == ("float32", "its weights are quantised already")


# ---- What is asked for ----


def two_layers() -> onnx.ModelProto:
    return models.stack([Recurrent("LSTM", 16, 16), Recurrent("GRU", 16, 16)])


@pytest.mark.parametrize(
    ("choice", "precisions"),
    [
        ("bf16", ["bf16"] * 3),
        ({}, ["float32"] * 3),
        ({"layer?": "int4"}, ["int4", "int4", "float32"]),
        ({"*": "int8", "layer0": "int8x16"}, ["int8x16", "int8", "int8"]),
        ({"layer0": "int8x16", "*": "int8"}, ["int8"] * 3),
        ({"*": "int8", "head*": "float32"}, ["int8", "int8", "float32"]),
    ],
)
def test_choices(choice: Any, precisions: list[str]) -> None:
    report = quantize_graph(graph_of(two_layers()), choice)
    assert list(by_name(report).items()) == list(zip(["layer0", "layer1", "head_matmul"], precisions))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("int3", "there is no precision 'int3'. There are int8, int8x16, int4, bf16, float32."),
        ({"*": "fp16"}, "there is no precision 'fp16'"),
        ({"layer2": "int8"}, "'layer2' matches no layer. The layers: 'layer0', 'layer1', 'head_matmul'."),
        ({"*": "int8", "x*": "float32"}, "'x*' matches no layer"),
    ],
)
def test_choices_that_cannot_be(choice: Any, words: str) -> None:
    with pytest.raises(lstm_rt.ArgumentError, match=re.escape(words)):
        lstm_rt.load(two_layers(), quantize=choice)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(precision: str, value: float) -> None:
    w = floats(40, 9)
    w[3, 4] = value
    with pytest.raises(lstm_rt.QuantizationError, match=r"layer 'dense' \(MatMul\) has weights that are not finite"):
        quantize_graph(dense("MatMul", w), precision)


def test_weights_too_large_for_a_format_are_refused() -> None:
    for precision, size in (("int4", 1e6), ("bf16", 3.4e38)):
        with pytest.raises(lstm_rt.QuantizationError, match=f"'dense'.*too large for {precision}"):
            quantize_graph(dense("MatMul", np.full((40, 9), size, np.float32)), precision)
    quantize_graph(dense("MatMul", np.full((40, 9), 3.4e38, np.float32)), "int8")


def test_sums_too_long_for_integers_are_refused() -> None:
    for precision in ("int8", "int8x16", "int4"):
        with pytest.raises(lstm_rt.QuantizationError, match=f"over 60001 terms, and {precision} can over 60000"):
            quantize_graph(dense("MatMul", np.ones((60001, 1), np.float32)), precision)
    quantize_graph(dense("MatMul", np.ones((60001, 1), np.float32)), "bf16")
    quantize_graph(dense("MatMul", np.ones((60000, 1), np.float32)), "int8")


def test_a_converted_file_is_not_quantised(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(two_layers(), tmp_path / "m.gguf", selftest=False)
    with pytest.raises(lstm_rt.ArgumentError, match="quantize: for models that are converted"):
        lstm_rt.load(tmp_path / "m.gguf", quantize="int8")


# ---- Report, models, command line ----


def test_the_report() -> None:
    model = lstm_rt.convert(two_layers(), quantize={"layer*": "int4", "head*": "bf16"}, selftest=False)
    report = model.quantization
    assert report is not None
    lstm, gru, head = report.layers
    assert (lstm.name, lstm.op, lstm.precision, lstm.bytes_before) == ("layer0", "LSTM", "int4", 64 * 32 * 4)
    assert lstm.bytes_after == 64 * 2 * 18
    assert (head.bytes_before, head.bytes_after) == (320, 160)
    assert 0.04 < lstm.error < 0.15
    assert 0.0005 < head.error < 0.004
    assert report.bytes_before == sum(layer.bytes_before for layer in (lstm, gru, head))
    assert report.bytes_after == sum(layer.bytes_after for layer in (lstm, gru, head))
    assert lstm_rt.load(two_layers()).quantization is None


@pytest.mark.parametrize(
    ("precision", "smallest", "largest"),
    [("int8", 3.9, 4.0), ("int8x16", 3.9, 4.0), ("int4", 6.5, 7.12), ("bf16", 1.99, 2.0)],
)
def test_real_models_shrink(precision: str, smallest: float, largest: float, tmp_path: pathlib.Path) -> None:
    graph = converter_for("m.onnx")(fetch.model("nsnet2"))
    elements = sum(a.size for a in graph.weights.values() if a.dtype == np.float32)
    before = sum(a.nbytes for a in graph.weights.values())
    report = quantize_graph(graph, precision)
    assert {layer.precision for layer in report.layers} == {precision}
    assert smallest < report.bytes_before / report.bytes_after <= largest
    write(graph, tmp_path / "m.gguf")
    assert smallest - 0.35 < before / (tmp_path / "m.gguf").stat().st_size < largest
    model = lstm_rt.Model(tmp_path / "m.gguf")
    assert elements <= model.parameters < 1.05 * elements


@pytest.mark.parametrize("name", ["silero_vad", "silero_vad_op18_ifless"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_silero_shrinks(name: str, precision: str, tmp_path: pathlib.Path) -> None:
    graph = converter_for("m.onnx")(fetch.model(name))
    report = quantize_graph(graph, precision)
    assert {layer.precision for layer in report.layers} == {precision}
    write(graph, tmp_path / "m.gguf")
    smaller = {"int8": 3.7, "int8x16": 3.7, "int4": 6, "bf16": 1.9}[precision]
    assert lstm_rt.Model(tmp_path / "m.gguf").weight_bytes < fetch.model(name).stat().st_size / smaller


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(program.app, list(arguments))
    assert result.exit_code == exit_code, result.output
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


@pytest.fixture
def source(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "m.onnx").write_bytes(two_layers().SerializeToString())
    return str(tmp_path / "m.onnx")


def test_convert_prints_the_report(source: str) -> None:
    said = run("convert", source, "--no-selftest", "--quantize", "int8", "--quantize", "head*=float32")
    (first,) = [line for line in said.splitlines() if line.startswith("layer0")]
    assert first.split()[1:8] == ["LSTM", "int8", "8.0", "KiB", "2.5", "KiB", first.split()[7]]
    assert first.endswith("%")
    assert re.search(r"head_matmul +MatMul +float32 +320 B +320 B", said)


def test_convert_gives_the_report_as_json(source: str) -> None:
    arguments = ["convert", source, "--no-selftest", "--json", "--quantize", "layer0=int4", "--quantize", "head*=bf16"]
    report = json.loads(run(*arguments))["quantization"]
    assert [layer["precision"] for layer in report["layers"]] == ["int4", "float32", "bf16"]
    assert report["bytes_after"] == sum(layer["bytes_after"] for layer in report["layers"]) < report["bytes_before"]
    assert json.loads(run("convert", source, "--no-selftest", "--json"))["quantization"] is None


@pytest.mark.parametrize(("hidden", "stays"), [(9, False), (7, True)])
def test_convert_says_what_stays(hidden: int, stays: bool, tmp_path: pathlib.Path) -> None:
    (tmp_path / "m.onnx").write_bytes(models.stack([Recurrent("RNN", 9, hidden)], head=3).SerializeToString())
    said = run("convert", str(tmp_path / "m.onnx"), "--no-selftest", "--quantize", "int8")
    assert ("head_matmul stays float32: its sums have fewer than 8 terms" in said) == stays


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["int8", "int4"], 2, "one precision for all layers"),
        (["int5"], 1, "there is no precision 'int5'"),
        (["nothing=int8"], 1, "'nothing' matches no layer"),
    ],
)
def test_convert_refuses(source: str, options: list[str], code: int, words: str) -> None:
    said = run("convert", source, *(word for option in options for word in ("--quantize", option)), exit_code=code)
    assert words in said
    assert not pathlib.Path(source).with_suffix(".gguf").exists()
