"""Small ONNX models that may be wrong on purpose, and model files read back as ONNX, to be run beside their source."""

from __future__ import annotations

import pathlib
import zlib
from collections.abc import Sequence
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from lstm_rt.converters import DType, Options
from lstm_rt.converters.gguf_file import write
from lstm_rt.converters.onnx import from_onnx
from onnx import TensorProto, helper, numpy_helper

import lstm_rt

Array = npt.NDArray[Any]
TAKERS = {
    "activation_alpha": {"Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"},
    "activation_beta": {"Affine", "ScaledTanh", "HardSigmoid"},
}
REBUILT_OPSET = 21  # no op we write has changed its meaning since, and onnxruntime knows it
NEWER_OPS = {"RMSNormalization": 23, "Swish": 24}
RNG = np.random.default_rng(3)


# ---- Making models ----


def info(name: str, dims: Sequence[Any] | None, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, dims)


def reseed(name: str) -> None:
    """Makes the arrays that follow depend on `name` alone, not on what was drawn before."""
    RNG.bit_generator.state = np.random.default_rng(zlib.crc32(name.encode())).bit_generator.state


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: dict[str, Array] | None = None,
    opset: int = 17,
    ir_version: int = 8,
) -> onnx.ModelProto:
    """A model that is not checked: many here are wrong on purpose."""
    initializers = [numpy_helper.from_array(a, n) for n, a in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), initializers)
    others = sorted({node.domain for node in nodes} - {""})
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in others)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def one_node(op: str, x: Array, *extra: Array, opset: int = 17, outputs: int = 1, **attributes: Any) -> onnx.ModelProto:
    """A model of one node with a free-shaped input x and weights for its other inputs; op: as handlers name it."""
    domain, _, op = op.rpartition("::")
    weights = {f"w{i}": a for i, a in enumerate(extra)}
    names = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, ["x", *weights], names, name="the_node", domain=domain, **attributes)
    dtype = helper.np_dtype_to_tensor_dtype(x.dtype)
    return build([node], [info("x", [None] * x.ndim, dtype)], [info(n, None) for n in names], weights, opset)


def relu(source: str = "x", target: str = "y", **kwargs: Any) -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [target], name=f"relu_{target}", **kwargs)


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
        self.inputs = [
            [self.values[v] for v in self.t.take("block.inputs", n)]
            for n in self.t["block.input_counts"] or [0] * len(self.blocks)
        ]
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
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    @property
    def opset(self) -> int:
        return max((NEWER_OPS.get(op[0], 0) for block in self.blocks for op in block), default=0) or REBUILT_OPSET

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

    def _node(self, op: str, _name: str, inputs: list[str], outputs: list[str], listed: list[Any]) -> onnx.NodeProto:
        node = helper.make_node(op, inputs, outputs)  # without its name: onnxruntime wants each once
        activations: list[str] = next((items for key, _, items in listed if key == "activations"), [])
        for key, kind, items in listed:
            if key in TAKERS:  # the file has one for each activation, ONNX one for each that takes one
                items = [n for n, activation in zip(items, activations) if activation in TAKERS[key]]
                if not items:
                    continue
            if kind == 3:
                ports = [
                    [onnx.ValueInfoProto(name=n) for n in names[items[0]]] for names in (self.inputs, self.outputs)
                ]
                if ports[0]:
                    counters = zip(self.inputs[items[0]], (TensorProto.INT64, TensorProto.BOOL))
                    ports[0][:2] = [info(name, [], dtype) for name, dtype in counters]
                node.attribute.append(helper.make_attribute(key, self._graph(items[0], *ports)))
            elif key == "dtype":  # the file has its own codes for dtypes
                dtype = DType(items[0]).numpy
                if op in ("Cast", "EyeLike"):
                    code = helper.np_dtype_to_tensor_dtype(dtype)
                    node.attribute.append(helper.make_attribute("to" if op == "Cast" else key, code))
            elif key.startswith("scan_") and not key.endswith(("axes", "directions")):
                pass  # what the body declares, for loops of no iteration
            elif key == "flatten":
                pass  # ONNX's form before opset 13: cases have it with the last axis, where it says nothing
            elif op == "ConstantOfShape":
                tensor = numpy_helper.from_array(np.array(items, dtype))
                node.attribute.append(helper.make_attribute("value", tensor))
            elif (op, key) not in {("LSTM", "clip"), ("GRU", "clip"), ("RNN", "clip")} or items[0] > 0:
                schema = onnx.defs.get_schema(op, self.opset).attributes[key]
                listed_kind = str(schema.type).endswith("S")
                node.attribute.append(helper.make_attribute(key, items if listed_kind else items[0]))
        return node


def rebuild(source: Any, folder: pathlib.Path, **options: Any) -> onnx.ModelProto:
    graph = from_onnx(source)
    Options(**options).apply(graph)
    write(graph, folder / "m.gguf")
    return Rebuilder(folder / "m.gguf").model()


def run(model: Any, feeds: dict[str, Array]) -> list[Array]:
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    onnxruntime = pytest.importorskip("onnxruntime")
    return list(onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, feeds))


def same(model: Any, feeds: dict[str, Array], folder: pathlib.Path, tolerance: float = 0.0) -> onnx.ModelProto:
    """Converts, and checks that the file computes what the source does, to the bit unless told. Returns it as ONNX."""
    rebuilt = rebuild(model, folder)
    for wanted, seen in zip(run(model, feeds), run(rebuilt, feeds)):
        assert wanted.dtype == seen.dtype
        np.testing.assert_allclose(seen, wanted, rtol=tolerance, atol=tolerance)
    return rebuilt


def agree(model: onnx.ModelProto, feeds: dict[str, Array], tolerance: float = 1e-5) -> lstm_rt.Model:
    """Loads a model, and checks that it gives what onnxruntime does."""
    onnx.checker.check_model(model)
    loaded = lstm_rt.load(model)
    seen = loaded.run(feeds)
    for output, wanted in zip(model.graph.output, run(model, feeds)):
        assert seen[output.name].dtype == wanted.dtype
        np.testing.assert_allclose(seen[output.name], wanted, rtol=tolerance, atol=tolerance)
    return loaded
