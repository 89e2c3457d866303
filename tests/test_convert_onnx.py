"""The converter for ONNX: what it writes, read back from the file as ONNX and run beside the source, and what it refuses."""

from __future__ import annotations

import pathlib
import struct
from collections.abc import Sequence
from typing import Any, Callable, Optional

import fetch
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import lstm_rt
from lstm_rt.converters import DType, Graph, Options, SelfTest, converter_for, registry
from lstm_rt.converters.bindings import find_bindings
from lstm_rt.converters.onnx import from_onnx
from lstm_rt.converters.onnx.node import handler, handlers

gguf = pytest.importorskip("gguf")
from lstm_rt.converters.gguf_file import write  # noqa: E402

Array = npt.NDArray[Any]
TAKERS = {
    "activation_alpha": {"Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"},
    "activation_beta": {"Affine", "ScaledTanh", "HardSigmoid"},
}
REBUILT_OPSET = 21  # no op we write has changed its meaning since, and onnxruntime knows it
RNG = np.random.default_rng(3)


# ---- Making models ----


def info(name: str, dims: Optional[Sequence[Any]], dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, dims)


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Optional[dict[str, Array]] = None,
    opset: int = 17,
    ir_version: int = 8,
) -> onnx.ModelProto:
    """A model that is not checked: many here are wrong on purpose."""
    initializers = [numpy_helper.from_array(a, n) for n, a in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def one_node(op: str, x: Array, *extra: Array, opset: int = 17, outputs: int = 1, **attributes: Any) -> onnx.ModelProto:
    """A model of one node with a free-shaped input x and weights for its other inputs."""
    weights = {f"w{i}": a for i, a in enumerate(extra)}
    names = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, ["x", *weights], names, name="the_node", **attributes)
    dtype = helper.np_dtype_to_tensor_dtype(x.dtype)
    return build([node], [info("x", [None] * x.ndim, dtype)], [info(n, None) for n in names], weights, opset)


def relu(source: str = "x", target: str = "y", **kwargs: Any) -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [target], name=f"relu_{target}", **kwargs)


def refusal(model: Any) -> str:
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        from_onnx(model)
    return str(caught.value)


# ---- Reading a file back, as an ONNX model ----


class Tables:
    """The tables of docs/file-format.md, read by the gguf package; a missing key is an empty array."""

    def __init__(self, path: pathlib.Path) -> None:
        self._reader = gguf.GGUFReader(path)
        self._positions: dict[str, int] = {}

    def __getitem__(self, key: str) -> Any:
        field = self._reader.fields.get(f"lstm_rt.{key}")
        return [] if field is None else field.contents()

    def kind(self, key: str) -> list[int]:
        return [int(t) for t in self._reader.fields[f"lstm_rt.{key}"].types]

    def take(self, key: str, count: int) -> Any:
        """The next items of a table that is read from end to end."""
        start = self._positions.get(key, 0)
        self._positions[key] = start + count
        items = self[key][start : start + count]
        assert len(items) == count
        return items

    def tensors(self) -> list[Array]:
        kinds = [DType(code).numpy for code in self["tensor.dtypes"]]
        arrays = []
        for tensor, kind, rank in zip(self._reader.tensors, kinds, self["tensor.ranks"]):
            dims = self.take("tensor.dims", rank)
            arrays.append(np.frombuffer(tensor.data.tobytes(), kind).reshape(dims))
        assert len(arrays) == len(self._reader.tensors)
        return arrays

    def names(self) -> list[str]:
        return [tensor.name for tensor in self._reader.tensors]


class Rebuilder:
    """Makes an ONNX model of a file: the file's ops are ONNX's newest, so no converter stands between."""

    def __init__(self, path: pathlib.Path) -> None:
        self.t = Tables(path)
        self.values = self.t["graph.values"]
        self.blocks = [self._ops(count) for count in self.t["block.op_counts"]]
        self.outputs = [
            [self.values[v] for v in self.t.take("block.outputs", n)] for n in self.t["block.output_counts"]
        ]

    def model(self) -> onnx.ModelProto:
        weights = [
            numpy_helper.from_array(array, self.values[value])
            for value, array in zip(self.t["graph.weights"], self.t.tensors())
        ]
        graph = self._graph(0, self._ports("input"), self._ports("output"))
        graph.initializer.extend(weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", REBUILT_OPSET)], ir_version=10)

    def _ports(self, kind: str) -> list[onnx.ValueInfoProto]:
        names = self.outputs[0] if kind == "output" else [self.values[v] for v in self.t["graph.inputs"]]
        codes = [helper.np_dtype_to_tensor_dtype(DType(d).numpy) for d in self.t[f"{kind}.dtypes"]]
        shapes = []
        for rank in self.t[f"{kind}.ranks"]:
            dims = self.t.take(f"{kind}.dims", max(rank, 0))
            shapes.append(None if rank < 0 else [None if d < 0 else d for d in dims])
        return [info(*port) for port in zip(names, shapes, codes)]

    def _graph(self, block: int, inputs: list[Any], outputs: list[Any]) -> onnx.GraphProto:
        nodes = [self._node(*op) for op in self.blocks[block]]
        return helper.make_graph(nodes, f"block{block}", inputs, outputs)

    def _ops(self, count: int) -> list[Any]:
        return [
            (
                *(self.t.take(key, 1)[0] for key in ("op.types", "op.names")),
                self._names("op.input"),
                self._names("op.output"),
                [self._attribute() for _ in range(self.t.take("attr.counts", 1)[0])],
            )
            for _ in range(count)
        ]

    def _names(self, key: str) -> list[str]:
        values = self.t.take(f"{key}s", self.t.take(f"{key}_counts", 1)[0])
        return [self.values[v] if v >= 0 else "" for v in values]

    def _attribute(self) -> tuple[str, int, list[Any]]:
        name, kind, length = (self.t.take(f"attr.{key}", 1)[0] for key in ("names", "kinds", "lengths"))
        pool = ("ints", "floats", "strings", "ints")[kind]
        return name, kind, self.t.take(f"attr.{pool}", length)

    def _node(self, op: str, name: str, inputs: list[str], outputs: list[str], listed: list[Any]) -> onnx.NodeProto:
        node = helper.make_node(op, inputs, outputs, name=name)
        activations = next((items for key, _, items in listed if key == "activations"), [])
        for key, kind, items in listed:
            if key in TAKERS:  # the file has one for each activation, ONNX one for each that takes one
                items = [n for n, activation in zip(items, activations) if activation in TAKERS[key]]
            if kind == 3:
                typed = [onnx.ValueInfoProto(name=n) for n in self.outputs[items[0]]]
                node.attribute.append(helper.make_attribute(key, self._graph(items[0], [], typed)))
            elif op == "Cast":  # the file has its own codes for dtypes
                to = helper.np_dtype_to_tensor_dtype(DType(items[0]).numpy)
                node.attribute.append(helper.make_attribute("to", to))
            elif (op, key) not in {("LSTM", "clip"), ("GRU", "clip"), ("RNN", "clip")} or items[0] > 0:
                schema = onnx.defs.get_schema(op, REBUILT_OPSET).attributes[key]
                listed_kind = schema.type.name.endswith("S")
                node.attribute.append(helper.make_attribute(key, items if listed_kind else items[0]))
        return node


def rebuild(source: Any, folder: pathlib.Path, **options: Any) -> onnx.ModelProto:
    graph = from_onnx(source)
    Options(**options).apply(graph)
    write(graph, folder / "m.gguf")
    return Rebuilder(folder / "m.gguf").model()


def run(model: Any, feeds: dict[str, Array]) -> list[Array]:
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return list(onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, feeds))


def same(model: Any, feeds: dict[str, Array], folder: pathlib.Path) -> onnx.ModelProto:
    """Converts, and checks that the file computes what the source does, to the bit. Returns the file as ONNX."""
    rebuilt = rebuild(model, folder)
    for wanted, seen in zip(run(model, feeds), run(rebuilt, feeds)):
        assert wanted.dtype == seen.dtype
        np.testing.assert_array_equal(wanted, seen)
    return rebuilt


# ---- Ops, in old forms and new ----

X = floats(2, 3, 4)
I64 = np.int64


def axes(*items: int) -> Array:
    return np.array(items, I64)


OPS: list[tuple[str, Callable[[], onnx.ModelProto], Array]] = [
    *[
        (f"{op}", lambda op=op: one_node(op, X, opset=7), X)  # type: ignore[misc]
        for op in ("Identity", "Relu", "Sigmoid", "Tanh", "Sqrt", "Dropout", "Size", "Shape", "Transpose", "ReduceMean")
    ],
    *[
        (f"{op}", lambda op=op: one_node(op, X, floats(4), opset=7), X)  # type: ignore[misc]
        for op in ("Add", "Sub", "Mul", "Div")
    ],
    ("Pow", lambda: one_node("Pow", X, np.float32(2), opset=7), X),
    ("Equal", lambda: one_node("Equal", X, floats(4), opset=11), X),
    ("Not", lambda: one_node("Not", X > 0, opset=7), X > 0),
    ("Cast", lambda: one_node("Cast", X, to=TensorProto.INT64), X),
    ("Cast 9", lambda: one_node("Cast", X, to=TensorProto.BOOL, opset=9), X),
    ("Cast 21", lambda: one_node("Cast", X, to=TensorProto.UINT8, saturate=1, opset=21), X),
    ("Clip 7", lambda: one_node("Clip", X, opset=7, min=-0.5), X),
    ("Clip 10", lambda: one_node("Clip", X, opset=10, min=-0.5, max=0.25), X),
    ("Clip 13", lambda: one_node("Clip", X, np.float32(-0.5), np.float32(0.25), opset=13), X),
    ("Dropout 7", lambda: one_node("Dropout", X, opset=7, ratio=0.3), X),
    ("Dropout 13", lambda: one_node("Dropout", X, np.float32(0.3), np.bool_(False), opset=13, seed=1), X),
    ("MatMul", lambda: one_node("MatMul", X, floats(4, 5)), X),
    ("Gemm 7", lambda: one_node("Gemm", X[0], floats(5, 4), floats(5), opset=7, transB=1, alpha=0.5, beta=2.0), X[0]),
    ("Gemm 11", lambda: one_node("Gemm", X[0], floats(3, 5), opset=11, transA=1), X[0]),
    ("Conv", lambda: one_node("Conv", X, floats(6, 3, 2), floats(6), pads=[1, 0], strides=[2]), X),
    ("Conv auto", lambda: one_node("Conv", X, floats(3, 1, 3), auto_pad="SAME_UPPER", group=3, kernel_shape=[3]), X),
    ("Conv dilated", lambda: one_node("Conv", X, floats(6, 3, 2), dilations=[2], auto_pad="NOTSET"), X),
    ("Pad 7", lambda: one_node("Pad", X, opset=7, pads=[0, 0, 1, 0, 0, 2], value=1.5), X),
    ("Pad 7 reflect", lambda: one_node("Pad", X, opset=7, pads=[0, 0, 1, 0, 0, 2], mode="reflect"), X),
    ("Pad 13", lambda: one_node("Pad", X, axes(0, 0, 1, 0, 0, 2), np.float32(2), opset=13), X),
    ("Slice 9", lambda: one_node("Slice", X, opset=9, starts=[1], ends=[100], axes=[2]), X),
    ("Slice 9 no axes", lambda: one_node("Slice", X, opset=9, starts=[0, 1], ends=[1, -1]), X),
    ("Slice 13", lambda: one_node("Slice", X, axes(-1), axes(-9), axes(1), axes(-2), opset=13), X),
    ("Split 11", lambda: one_node("Split", X, opset=11, outputs=2, axis=2, split=[1, 3]), X),
    ("Split 7", lambda: one_node("Split", X, opset=7, outputs=2, axis=2), X),
    ("Split 13", lambda: one_node("Split", X, axes(3, 1), opset=13, outputs=2, axis=-1), X),
    ("Split 13 equal", lambda: one_node("Split", X, opset=13, outputs=2), X),
    ("Split 18", lambda: one_node("Split", X, opset=18, outputs=2, axis=1, num_outputs=2), X),
    ("Concat", lambda: one_node("Concat", X, floats(2, 3, 1), axis=-1), X),
    ("Transpose", lambda: one_node("Transpose", X, perm=[1, 2, 0]), X),
    ("Reshape 7", lambda: one_node("Reshape", X, axes(0, -1), opset=7), X),
    ("Reshape 14", lambda: one_node("Reshape", X, axes(3, 8), opset=14, allowzero=1), X),
    ("Squeeze 11", lambda: one_node("Squeeze", X[:1, :, :1], opset=11, axes=[0]), X[:1, :, :1]),
    ("Squeeze 11 all", lambda: one_node("Squeeze", X[:1, :, :1], opset=11), X[:1, :, :1]),
    ("Squeeze 13", lambda: one_node("Squeeze", X[:1, :, :1], axes(-1), opset=13), X[:1, :, :1]),
    ("Unsqueeze 11", lambda: one_node("Unsqueeze", X, opset=11, axes=[0, 4]), X),
    ("Unsqueeze 13", lambda: one_node("Unsqueeze", X, axes(1), opset=13), X),
    ("Gather", lambda: one_node("Gather", X, np.int64(1), axis=1), X),
    ("Expand", lambda: one_node("Expand", X, axes(2, 1, 3, 4)), X),
    ("Shape 15", lambda: one_node("Shape", X, opset=15, start=1, end=-1), X),
    ("ReduceMean 13", lambda: one_node("ReduceMean", X, opset=13, axes=[-1], keepdims=0), X),
    ("ReduceMean 18", lambda: one_node("ReduceMean", X, axes(1), opset=18, keepdims=0), X),
    ("ReduceMean 18 noop", lambda: one_node("ReduceMean", X, opset=18, noop_with_empty_axes=1), X),
]


@pytest.mark.parametrize(("make", "x"), [op[1:] for op in OPS], ids=[op[0] for op in OPS])
def test_op_computes_what_the_source_does(
    make: Callable[[], onnx.ModelProto], x: Array, tmp_path: pathlib.Path
) -> None:
    model = make()
    for output in model.graph.output:
        output.ClearField("type")
    for output, inferred in zip(model.graph.output, onnx.shape_inference.infer_shapes(model).graph.output):
        output.type.tensor_type.elem_type = inferred.type.tensor_type.elem_type
    same(model, {"x": x}, tmp_path)


def test_every_handler_has_a_test() -> None:
    elsewhere = {"Constant", "ConstantOfShape", "If", "LSTM", "GRU", "RNN"}
    assert {op[0].split()[0] for op in OPS} | elsewhere == set(handlers)


@pytest.mark.parametrize(
    "value",
    [
        {"value": numpy_helper.from_array(np.array([1.5, 2.5], np.float32))},
        {"value_float": 1.5},
        {"value_floats": [1.5, 2.5]},
    ],
)
def test_constant_becomes_a_weight(value: dict[str, Any], tmp_path: pathlib.Path) -> None:
    nodes = [helper.make_node("Constant", [], ["k"], **value), helper.make_node("Add", ["x", "k"], ["y"])]
    rebuilt = same(build(nodes, [info("x", [2])], [info("y", [2])]), {"x": floats(2)}, tmp_path)
    assert [node.op_type for node in rebuilt.graph.node] == ["Add"]


@pytest.mark.parametrize("fill", [None, np.array([7], np.int64), np.array([True]), np.array([-3], np.int8)])
def test_constant_of_shape_keeps_its_dtype(fill: Optional[Array], tmp_path: pathlib.Path) -> None:
    value = {} if fill is None else {"value": numpy_helper.from_array(fill)}
    dtype = TensorProto.FLOAT if fill is None else helper.np_dtype_to_tensor_dtype(fill.dtype)
    node = helper.make_node("ConstantOfShape", ["x"], ["y"], **value)
    model = build([node], [info("x", [2], TensorProto.INT64)], [info("y", [None, None], dtype)])
    same(model, {"x": axes(2, 3)}, tmp_path)


# ---- Recurrent layers ----


def recurrent(op: str, directions: int = 1, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    weights = {
        "W": floats(directions, gates * 5, 3),
        "R": floats(directions, gates * 5, 5),
        "B": floats(directions, gates * 10),
    }
    outputs = ["y", "h", "c"][: 3 if op == "LSTM" else 2]
    node = helper.make_node(op, ["x", *weights], outputs, name="rec", **attributes)
    return build([node], [info("x", ["T", "B", 3])], [info(n, None) for n in outputs], weights, opset)


@pytest.mark.parametrize(
    ("op", "directions", "attributes"),
    [
        ("LSTM", 1, {"hidden_size": 5}),
        ("LSTM", 2, {"hidden_size": 5, "direction": "bidirectional", "clip": 0.5}),
        ("LSTM", 1, {"direction": "reverse", "input_forget": 1, "hidden_size": 5}),
        ("LSTM", 1, {"activations": ["hardsigmoid", "SOFTSIGN", "Tanh"], "hidden_size": 5}),
        ("LSTM", 1, {"activations": ["Tanh", "LeakyRelu", "Elu"], "activation_alpha": [0.3], "hidden_size": 5}),
        ("GRU", 1, {"linear_before_reset": 1, "hidden_size": 5}),
        ("GRU", 2, {"direction": "bidirectional", "hidden_size": 5}),
        ("RNN", 1, {"activations": ["Relu"], "hidden_size": 5}),
        ("RNN", 1, {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1], "hidden_size": 5}),
    ],
)
def test_recurrent_layer(op: str, directions: int, attributes: dict[str, Any], tmp_path: pathlib.Path) -> None:
    same(recurrent(op, directions, **attributes), {"x": floats(4, 2, 3)}, tmp_path)


def attributes_of(model: onnx.ModelProto) -> dict[str, Any]:
    return from_onnx(model).main.ops[0].attributes


def test_recurrent_attributes_are_all_given() -> None:
    assert attributes_of(recurrent("LSTM", 2, direction="bidirectional", layout=1)) == {
        "direction": "bidirectional",
        "hidden_size": 5,  # of R
        "clip": 0.0,
        "layout": 1,
        "input_forget": 0,
        "activations": ["Sigmoid", "Tanh", "Tanh"] * 2,
        "activation_alpha": [0.0] * 6,
        "activation_beta": [0.0] * 6,
    }


def test_alpha_and_beta_go_to_the_activations_that_take_them() -> None:
    seen = attributes_of(
        recurrent(
            "LSTM",
            2,
            direction="bidirectional",
            activations=["Sigmoid", "LeakyRelu", "Affine", "HardSigmoid", "Elu", "ThresholdedRelu"],
            activation_alpha=[0.25, 2.0, 0.5],
            activation_beta=[3.0],
        )
    )
    np.testing.assert_allclose(seen["activation_alpha"], [0, 0.25, 2.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(seen["activation_beta"], [0, 0, 3.0, 0.5, 0, 0])


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (
            {"activations": ["Affine", "Tanh", "Tanh"]},
            "activation 'Affine' has no alpha. Export it with alpha and beta.",
        ),
        ({"activations": ["ScaledTanh"] * 3, "activation_alpha": [1.0] * 3}, "activation 'ScaledTanh' has no beta."),
        ({"activations": ["Sigmoid", "Tanh", "Swish"]}, "activation 'Swish' is not one of Relu, Tanh"),
        ({"activations": ["Sigmoid", "Tanh"]}, "has 2 activations, and needs 3"),
        ({"activations": ["Sigmoid", "Elu", "Tanh"], "activation_alpha": [0.5, 2.0]}, "1 of the activations"),
        ({"activations": ["Sigmoid", "Elu", "Tanh"], "activation_alpha": [0.0, 2.0, 0.0]}, "1 of the activations"),
        ({"direction": "sideways"}, "direction 'sideways' is not one of forward, reverse, bidirectional"),
        ({"hidden_size": 6}, "hidden_size is not the 5 units of R"),
        ({"clip": 0.0}, "clip 0 leaves nothing"),
        ({"output_sequence": 1}, "attribute 'output_sequence' is not supported here"),
    ],
)
def test_recurrent_refusals_name_the_node(attributes: dict[str, Any], words: str) -> None:
    text = refusal(recurrent("LSTM", **attributes))
    assert "node 'rec' (LSTM, opset 17): " in text
    assert words in text


def test_one_alpha_for_each_activation_is_taken_where_it_means_the_same() -> None:
    model = recurrent("LSTM", activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[0.25, 0.0, 0.0])
    assert attributes_of(model)["activation_alpha"] == [0.25, 0.0, 0.0]


def test_layout_before_opset_14_is_refused() -> None:
    assert "attribute 'layout' is not supported here" in refusal(recurrent("GRU", opset=13, layout=1))


# ---- What is refused ----


def test_everything_wrong_is_said_at_once() -> None:
    nodes = [
        helper.make_node("Resize", ["x"], ["a"], name="Resize_9"),
        relu("a", "b", alpha=1.0),
        helper.make_node("Gelu", ["b"], ["c"], name="gelu", domain="com.microsoft"),
        helper.make_node("Foo", ["c"], ["y"]),
    ]
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        from_onnx(build(nodes, [info("x", [2])], [info("y", [2])]))
    assert str(caught.value).splitlines() == [
        "4 parts of the model cannot run:",
        "  1. node 'Resize_9' (Resize, opset 17): no such operation. "
        "Supported operations: lstm-rt inspect --ops. Split the model before it.",
        "  2. node 'relu_b' (Relu, opset 17): attribute 'alpha' is not supported here. Export the model without it.",
        "  3. node 'gelu' (Gelu): operators of domain 'com.microsoft' are not supported. "
        "Export with standard ONNX operators.",
        "  4. the node of 'y' (Foo, opset 17): no such operation. "
        "Supported operations: lstm-rt inspect --ops. Split the model before it.",
    ]
    assert len(caught.value.problems) == 4
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (one_node("Cast", X, to=TensorProto.FLOAT16), "(Cast, opset 17): dtype float16 is not supported. Convert the"),
        (
            one_node("Add", X, np.float64(1)),
            "initializer 'w0': dtype double is not supported. Convert the model to flo",
        ),
        (one_node("Add", X.astype(np.float64)), "input 'x': dtype double is not supported"),
        (one_node("Add", X, np.array("text", object)), "initializer 'w0': dtype string is not supported"),
        (one_node("Relu", X, opset=6), "opset 6 is not supported. Export it with an opset from 7 to 28"),
        (one_node("Relu", X, opset=99), "opset 99 is not supported"),
        (one_node("Dropout", X, np.float32(0.5), np.bool_(True)), "it is in training mode"),
        (one_node("Conv", X, floats(6, 3, 2), auto_pad="VALID", pads=[1, 1]), "both auto_pad 'VALID' and pads [1, 1]"),
        (one_node("Pad", X, axes(0, 0, 0, 0, 0, 1), mode="wrap"), "mode 'wrap' is not one of"),
        (one_node("Unsqueeze", X, opset=11), "attribute 'axes' is missing"),
        (one_node("Concat", X), "attribute 'axis' is missing"),
        (one_node("Concat", X, axis=1.0), "attribute 'axis' is of the wrong type"),
        (one_node("Relu", X, floats(1)), "has 2 inputs; at most 1 are supported"),
        (one_node("Add", X), "needs 2 inputs, and some are missing"),
        (one_node("Relu", X, outputs=2), "has 2 outputs; at most 1 are supported"),
        (one_node("Split", X, outputs=2, opset=18, num_outputs=3), "num_outputs is another number"),
        (build([relu("q")], [info("x", [2])], [info("y", [2])]), "value 'q' is used before it is defined"),
        (build([relu(), relu()], [info("x", [2])], [info("y", [2])]), "value 'y' is defined twice"),
        (build([relu()], [info("x", [2])], [info("y", [2])] * 2), "output 'y': it is listed twice"),
        (build([relu()], [info("x", [1] * 9)], [info("y", None)]), "input 'x': 9 dims are too many"),
    ],
)
def test_refusals_say_where_and_what(model: onnx.ModelProto, words: str) -> None:
    assert words in refusal(model)


def test_sequences_and_sparse_tensors_are_refused() -> None:
    model = build([relu()], [info("x", [2])], [info("y", [2])])
    model.graph.input.append(helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None))
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    text = refusal(model)
    assert "initializer 'sparse': sparse tensors are not supported" in text
    assert "input 's': it is not a tensor but a sequence_type" in text


def test_what_only_the_checker_finds_is_refused() -> None:
    model = build([relu()], [info("x", [2])], [info("y", [2])])
    model.graph.name = ""
    assert "onnx.checker finds the model invalid" in refusal(model)


def test_a_handler_that_forgets_an_attribute_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_rt.converters.onnx.node.handlers", handlers)
    monkeypatch.setitem(handlers, "Concat", lambda node: node.emit(node.inputs(1, -1)))
    assert "attribute 'axis' is not supported here" in refusal(one_node("Concat", X, floats(2, 3, 1), axis=2))


def test_two_handlers_or_converters_for_one_thing_are_refused() -> None:
    with pytest.raises(ValueError, match="Relu has a handler already"):
        handler("Relu")(lambda node: None)
    with pytest.raises(ValueError, match=r"\.onnx has a converter already"):
        registry.converter(".onnx")(lambda source: Graph())


def test_an_unknown_extension_lists_the_known() -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"m\.tflite: no converter for '\.tflite'.*\.onnx"):
        converter_for("some/m.tflite")


@pytest.mark.parametrize("data", [b"", b"not a model", one_node("Relu", X).SerializeToString()[:-9]])
def test_damaged_bytes_are_no_model(data: bytes) -> None:
    with pytest.raises(lstm_rt.ModelFileError, match="These bytes: not an ONNX model"):
        from_onnx(data)


# ---- Names, scopes, weights ----


def branch(nodes: Sequence[onnx.NodeProto], output: str, **weights: Array) -> onnx.GraphProto:
    initializers = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    return helper.make_graph(list(nodes), "branch", [], [info(output, [2])], initializers)


def choice(then: onnx.GraphProto, other: onnx.GraphProto, target: str = "y") -> onnx.NodeProto:
    return helper.make_node("If", ["c"], [target], name="if", then_branch=then, else_branch=other)


CONDITION = info("c", [], TensorProto.BOOL)


def both_ways(model: onnx.ModelProto, folder: pathlib.Path) -> None:
    for condition in (True, False):
        same(model, {"x": floats(2), "c": np.array(condition)}, folder)


def test_branches_may_use_one_name_twice(tmp_path: pathlib.Path) -> None:
    then = branch([relu("x", "t"), helper.make_node("Add", ["t", "w"], ["r"])], "r", w=floats(2))
    other = branch(
        [helper.make_node("Tanh", ["x"], ["t"]), helper.make_node("Mul", ["t", "w"], ["r"])], "r", w=floats(2)
    )
    both_ways(build([choice(then, other)], [info("x", [2]), CONDITION], [info("y", [2])]), tmp_path)


def test_a_branch_may_use_a_name_that_comes_later_outside(tmp_path: pathlib.Path) -> None:
    inner = branch([relu("x", "z")], "z")
    nodes = [
        choice(inner, branch([helper.make_node("Tanh", ["x"], ["q"])], "q")),
        helper.make_node("Sqrt", ["x"], ["z"]),
    ]
    model = build(nodes, [info("x", [2]), CONDITION], [info("z", [2]), info("y", [2])])
    graph = from_onnx(model)
    assert [graph.name(port) for port in graph.outputs] == ["z", "y"]
    assert len(set(graph.values)) == len(graph.values)
    both_ways(model, tmp_path)


def test_branches_nest_and_see_what_is_outside(tmp_path: pathlib.Path) -> None:
    inner = choice(branch([helper.make_node("Add", ["a", "k"], ["r"])], "r"), branch([relu("a", "r")], "r"), "s")
    outer = branch([helper.make_node("Tanh", ["x"], ["a"]), inner, relu("s", "e")], "e")
    nodes = [choice(outer, branch([relu("x", "e")], "e"))]
    both_ways(build(nodes, [info("x", [2]), CONDITION], [info("y", [2])], {"k": floats(2)}), tmp_path)


def test_a_branch_that_cannot_run_is_named() -> None:
    bad = branch([helper.make_node("Resize", ["x"], ["r"], name="inside")], "r")
    model = build([choice(bad, branch([relu("x", "r")], "r"))], [info("x", [2]), CONDITION], [info("y", [2])])
    text = refusal(model)
    assert text.startswith("1 part of the model cannot run:\n  1. node 'inside' (Resize")


def test_weights_that_are_also_inputs_and_weights_nobody_uses() -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    inputs = [info("x", [2]), info("w", [2]), info("idle", [9])]
    model = build(nodes, inputs, [info("y", [2])], {"w": floats(2), "idle": floats(9)}, ir_version=3)
    graph = from_onnx(model)
    assert [graph.name(port) for port in graph.inputs] == ["x"]
    assert graph.values == ["w", "x", "y"]


def test_outputs_may_be_inputs_or_weights(tmp_path: pathlib.Path) -> None:
    model = build([relu()], [info("x", [2])], [info("y", [2]), info("w", [2]), info("x", [2])], {"w": floats(2)})
    graph = from_onnx(model)
    assert graph.main.outputs[2] == graph.inputs[0].value
    assert graph.main.outputs[1] in graph.weights
    write(graph, tmp_path / "m.gguf")


def test_outputs_nobody_uses_are_left_out(tmp_path: pathlib.Path) -> None:
    model = recurrent("LSTM")
    del model.graph.output[0], model.graph.output[0]
    (op,) = from_onnx(model).main.ops
    assert op.outputs[:2] == [-1, -1]


def test_functions_are_put_in_place(tmp_path: pathlib.Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opsets
    )
    node = helper.make_node("Twice", ["x"], ["y"], domain="local")
    model = build([node], [info("x", [2])], [info("y", [2])])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    same(model, {"x": floats(2)}, tmp_path)


# ---- Tensors in other files ----


def external(folder: pathlib.Path, location: str, **entries: int) -> pathlib.Path:
    model = build([helper.make_node("Add", ["x", "w"], ["y"])], [info("x", [2])], [info("y", [2])], {"w": floats(2)})
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location, **entries)
    model.graph.initializer[0].ClearField("raw_data")
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_tensors_in_a_file_beside_the_model(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\0" * 4 + np.array([1, 2], np.float32).tobytes())
    graph = from_onnx(external(tmp_path, "data.bin", offset=4, length=8))
    np.testing.assert_array_equal(next(iter(graph.weights.values())), [1, 2])
    assert graph.source.file == "m.onnx"
    assert len(graph.source.sha256) == 64


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("../secret.bin", {}, "is kept in '../secret.bin', which is not in the folder of the model"),
        ("sub/../../secret.bin", {}, "which is not in the folder of the model"),
        ("/etc/hostname", {}, "which is not in the folder of the model"),
        ("..\\secret.bin", {}, "which is not in the folder of the model"),
        ("", {}, "which is not in the folder of the model"),
        (".", {}, "which is not in the folder of the model"),
        ("link.bin", {}, "a link that leads out of the folder of the model"),
        ("missing.bin", {}, "there is no such file beside the model. Put it there."),
        ("short.bin", {"offset": 2, "length": 8}, "at 2, 8 bytes, but that file has 8"),
        ("short.bin", {"offset": -4, "length": 8}, "at -4, 8 bytes, but that file has 8"),
        ("short.bin", {"length": 10**18}, "but that file has 8"),
    ],
)
def test_tensors_elsewhere_are_not_read(
    tmp_path: pathlib.Path, location: str, entries: dict[str, int], words: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret--")
    path = external(tmp_path / "model", location, **entries)
    (tmp_path / "model" / "short.bin").write_bytes(bytes(8))
    (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(lstm_rt.ModelFileError) as caught:
        from_onnx(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith("m.onnx: tensor 'w' is kept in")


def test_a_cache_of_links_is_read(tmp_path: pathlib.Path) -> None:
    """Download caches keep files under other names, and a folder of links to them."""
    blob = external(tmp_path / "blobs", "data.bin")
    (tmp_path / "blobs" / "1f").write_bytes(bytes(8))
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "m.onnx").symlink_to(blob)
    (snapshot / "data.bin").symlink_to(tmp_path / "blobs" / "1f")
    from_onnx(snapshot / "m.onnx")


def test_external_tensors_of_a_model_in_memory(tmp_path: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.ModelFileError, match="Convert the model from its path"):
        from_onnx(external(tmp_path, "data.bin").read_bytes())


# ---- Bindings and options ----


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
    np.testing.assert_array_equal(run(rebuilt, {"x": np.float32([5, 6])})[0], [6, 8])


def test_options_freeze_a_number_where_one_is_wanted() -> None:
    graph = from_onnx(build([relu()], [info("x", [2]), info("sr", [1], TensorProto.INT64)], [info("y", [2])]))
    Options(freeze={"sr": 16000}).apply(graph)
    (frozen,) = graph.weights.values()
    assert (frozen.dtype, frozen.shape, frozen.item()) == (np.int64, (1,), 16000)


def test_options_shapes_fix_dims_of_one_name() -> None:
    graph = stateful({"h": [1, "batch", 8], "other": [1, "n", 8]}, {"hn": [1, "batch", 8]})
    Options(shapes={"x": (2, None)}).apply(graph)
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


# ---- The file ----


def test_the_file_is_as_documented(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (None, 3), ("batch", ""))
    scalar = graph.add_weight("s", np.array(True))
    deep = graph.add_weight("d" * 80, np.zeros((1, 1, 1, 1, 2), np.int32))
    deeper = graph.add_weight("d" * 81, np.zeros((0, 3), np.uint8))
    (y,) = graph.add_op(graph.main, "Op", "op", [x, scalar, deep, deeper], ["y"], {"axes": [1, -2], "f": 0.5, "s": "t"})
    graph.add_output(y)
    graph.selftests = [SelfTest([np.ones((1, 3), np.float32)], [np.zeros(2, np.float32)])]
    write(graph, tmp_path / "m.gguf")
    t = Tables(tmp_path / "m.gguf")
    assert t["format_version"] == 1
    assert t["graph.values"] == ["x", "s", "d" * 80, "d" * 81, "y"]
    assert (t["graph.inputs"], t["graph.weights"]) == ([0], [1, 2, 3])
    assert (t["input.dims"], t["input.dim_names"], t["output.ranks"], t["output.dtypes"]) == (
        [-1, 3],
        ["batch", ""],
        [-1],
        [-1],
    )
    assert (t["tensor.dtypes"], t["tensor.ranks"]) == ([3, 2, 4, 0, 0], [0, 5, 2, 2, 1])
    assert t["tensor.dims"] == [1, 1, 1, 1, 2, 0, 3, 1, 3, 2]
    assert t.kind("tensor.dims")[1] == gguf.GGUFValueType.INT64
    assert (t["attr.kinds"], t["attr.lengths"], t["attr.ints"]) == ([0, 1, 2], [2, 1, 1], [1, -2])
    assert (t["op.outputs"], t["block.outputs"], t["selftest.count"], t["bindings"]) == ([4], [4], 1, [])
    assert t.names() == ["s", "d" * 63, "d" * 61 + ".1", "selftest.0.x", "selftest.0.y"]
    assert [a.dtype for a in t.tensors()][:3] == [np.bool_, np.int32, np.uint8]


def test_a_file_appears_whole_or_not_at_all(tmp_path: pathlib.Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"before")
    graph = from_onnx(one_node("Relu", X))
    graph.main.ops[0].attributes["bad"] = [2**70]
    Options().apply(graph)
    with pytest.raises(struct.error):
        write(graph, tmp_path / "m.gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["m.gguf"]
    assert (tmp_path / "m.gguf").read_bytes() == b"before"


def test_the_same_source_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    source = recurrent("LSTM").SerializeToString()
    for name in ("a", "b"):
        write(from_onnx(source), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# ---- Real models ----


@pytest.mark.parametrize(
    ("name", "bindings", "feeds"),
    [
        (
            "silero_vad",
            [("state", "stateN")],
            [{"input": (1, n), "state": (2, 1, 128), "sr": sr} for n, sr in ((576, 16000), (288, 8000))],
        ),
        ("silero_vad_16k_op15", [("state", "stateN")], [{"input": (1, 512), "state": (2, 1, 128), "sr": 16000}]),
        (
            "silero_vad_16k_sequence",
            [("h", "hn"), ("c", "cn")],
            [{"input": (3, 576), "h": (1, 1, 128), "c": (1, 1, 128)}],
        ),
        ("silero_vad_half", [("state", "stateN")], [{"input": (1, 512), "state": (2, 1, 128)}]),
        ("silero_vad_op18_ifless", [("state", "stateN")], [{"input": (1, 576), "state": (2, 1, 128), "sr": 16000}]),
        ("silero_vad_openvino_16k", [("state", "stateN")], [{"input": (1, 576), "state": (2, 1, 128)}]),
        ("nsnet2", [], [{"input": (1, 7, 161)}]),
    ],
)
def test_real_model(name: str, bindings: list[Any], feeds: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    path = fetch.model(name)
    for shapes in feeds:
        arrays = {n: np.array(s) if isinstance(s, int) else floats(*s) for n, s in shapes.items()}
        same(path, arrays, tmp_path)
    tables = Tables(tmp_path / "m.gguf")
    values = tables["graph.values"]
    numbers = iter(tables["bindings"])
    assert [(values[i], values[o]) for i, o in zip(numbers, numbers)] == bindings
    assert tables["source.file"] == path.name
    assert tables["source.sha256"] == fetch.sha256_of(path)
