"""Small ONNX models, made on the spot: one recurrent node with any options, stacks of them, or one op of any kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import reference
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
Dims = Sequence[Any]

OPSET = 17
IR_VERSION = 8

STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, Any, Dims]],
    outputs: Sequence[tuple[str, Any, Dims]],
    weights: Mapping[str, Array] | None = None,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A checked model. inputs and outputs: (name, NumPy dtype, dims); a dim may be a number or a name."""

    def info(name: str, dtype: Any, dims: Dims) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims)

    graph = helper.make_graph(
        list(nodes),
        "test",
        [info(*i) for i in inputs],
        [info(*o) for o in outputs],
        [numpy_helper.from_array(np.array(a, order="C"), n) for n, a in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def single_op(
    op: str,
    inputs: Mapping[str, Array],
    *,
    weights: Mapping[str, Array] | None = None,
    order: Sequence[str] | None = None,
    outputs: Mapping[str, Array],
    free: bool = True,
    opset: int = OPSET,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node named `the_<op>`; its inputs are `order`, else the inputs and then the weights.

    outputs: name and an example of each, for its dtype and rank. Dims are declared free where `free`, so that nothing
    is known before the call.
    """
    names = list(order if order is not None else [*inputs, *(weights or {})])
    node = helper.make_node(op, names, list(outputs), name=f"the_{op}", **attributes)

    def dims(name: str, a: Array) -> list[Any]:
        return [f"{name}_{axis}" for axis in range(a.ndim)] if free else list(a.shape)

    return model_of(
        [node],
        [(n, a.dtype, dims(n, a)) for n, a in inputs.items()],
        [(n, a.dtype, dims(n, a)) for n, a in outputs.items()],
        weights,
        opset,
    )


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """One recurrent layer with random weights, as an ONNX node and as the reference computes it."""

    kind: str = "LSTM"
    inputs: int = 16
    hidden: int = 16
    direction: str = "forward"
    layout: int = 0
    activations: tuple[str, ...] | None = None
    activation_alpha: tuple[float, ...] | None = None
    activation_beta: tuple[float, ...] | None = None
    clip: float = 0.0
    input_forget: int = 0
    linear_before_reset: int = 0
    bias: bool = True
    peephole: bool = False
    initial_h: bool = False
    initial_c: bool = False
    sequence_lens: bool = False
    scale: float = 1.0  # of the weights, before 1/sqrt(fan-in)
    seed: int = 0

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def attributes(self) -> dict[str, Any]:
        given: dict[str, Any] = {"hidden_size": self.hidden}
        if self.direction != "forward":
            given["direction"] = self.direction
        for name in ("layout", "clip", "input_forget", "linear_before_reset"):
            if getattr(self, name):
                given[name] = getattr(self, name)
        for name in ("activations", "activation_alpha", "activation_beta"):
            if getattr(self, name) is not None:
                given[name] = list(getattr(self, name))
        return given

    @property
    def weights(self) -> Feeds:
        rng = np.random.default_rng(self.seed)
        d, g, h, i = self.directions, GATES[self.kind], self.hidden, self.inputs

        def draw(fan_in: int, *shape: int) -> Array:
            return np.asarray(self.scale * rng.uniform(-1, 1, shape) / np.sqrt(fan_in), np.float32)

        made = {"W": draw(i, d, g * h, i), "R": draw(h, d, g * h, h)}
        if self.bias:
            made["B"] = draw(4, d, 2 * g * h)
        if self.peephole:
            made["P"] = draw(2, d, 3 * h)
        return made

    def node_inputs(self, x: str = "X", prefix: str = "") -> list[str]:
        names = [
            x,
            prefix + "W",
            prefix + "R",
            prefix + "B" if self.bias else "",
            "sequence_lens" if self.sequence_lens else "",
            prefix + "initial_h" if self.initial_h else "",
            prefix + "initial_c" if self.initial_c else "",
            prefix + "P" if self.peephole else "",
        ]
        while not names[-1]:
            names.pop()
        return names

    @property
    def outputs(self) -> list[str]:
        return ["Y", "Y_h", "Y_c"][: 1 + STATES[self.kind]]

    def state_dims(self, batch: Any) -> list[Any]:
        return [batch, self.directions, self.hidden] if self.layout else [self.directions, batch, self.hidden]

    def model(
        self,
        *,
        outputs: Sequence[str] | None = None,
        time: Any = "time",
        batch: Any = "batch",
        opset: int = OPSET,
        name: str = "the_layer",
    ) -> onnx.ModelProto:
        """A model of this one node. outputs: those wanted, of Y, Y_h, Y_c."""
        wanted = self.outputs if outputs is None else list(outputs)
        node_outputs = [o if o in wanted else "" for o in self.outputs]
        while not node_outputs[-1]:
            node_outputs.pop()
        inputs: list[tuple[str, Any, Dims]] = [
            ("X", np.float32, [batch, time, self.inputs] if self.layout else [time, batch, self.inputs])
        ]
        if self.sequence_lens:
            inputs.append(("sequence_lens", np.int32, [batch]))
        inputs += [(s, np.float32, self.state_dims(batch)) for s in ("initial_h", "initial_c") if getattr(self, s)]
        d, h = self.directions, self.hidden
        dims = {"Y": [batch, time, d, h] if self.layout else [time, d, batch, h]}
        dims["Y_h"] = dims["Y_c"] = self.state_dims(batch)
        return model_of(
            [helper.make_node(self.kind, self.node_inputs(), node_outputs, name=name, **self.attributes)],
            inputs,
            [(o, np.float32, dims[o]) for o in wanted],
            self.weights,
            opset,
        )

    def feeds(self, time: int, batch: int, seed: int = 1) -> Feeds:
        """Random inputs for `model`. Sequence lengths reach from 1 to `time`, which occurs."""
        rng = np.random.default_rng(seed)
        shape = (batch, time, self.inputs) if self.layout else (time, batch, self.inputs)
        made: Feeds = {"X": rng.standard_normal(shape).astype(np.float32)}
        if self.sequence_lens:
            made["sequence_lens"] = rng.integers(1, time + 1, batch).astype(np.int32)
            made["sequence_lens"][rng.integers(batch)] = time
        for state in ("initial_h", "initial_c"):
            if getattr(self, state):
                made[state] = rng.uniform(-1, 1, self.state_dims(batch)).astype(np.float32)
        return made

    def expected(self, feeds: Feeds, dtype: npt.DTypeLike = np.float64) -> Feeds:
        weights = self.weights
        options = {n: v for n, v in self.attributes.items() if n != "hidden_size"}
        found = reference.recurrent(
            self.kind,
            feeds["X"],
            weights["W"],
            weights["R"],
            weights.get("B"),
            feeds.get("sequence_lens"),
            feeds.get("initial_h"),
            feeds.get("initial_c"),
            weights.get("P"),
            dtype=dtype,
            **options,
        )
        return dict(zip(self.outputs, found))


def stack(layers: Sequence[Recurrent], *, head: int = 5, explicit: bool = False, opset: int = OPSET) -> onnx.ModelProto:
    """Forward layers on one another, [T, B, I] in, [T, B, head] out: each Y squeezed, a dense head and a Sigmoid.

    explicit: every state is an input `h0`, `c0`, `h1`, … and an output `h0_out`, …
    """
    nodes: list[onnx.NodeProto] = []
    inputs: list[tuple[str, Any, Dims]] = [("X", np.float32, ["time", "batch", layers[0].inputs])]
    outputs: list[tuple[str, Any, Dims]] = [("out", np.float32, ["time", "batch", head])]
    weights: Feeds = {"one": np.array([1], np.int64)}
    x = "X"
    for n, layer in enumerate(layers):
        prefix = f"layer{n}_"
        weights.update({prefix + k: v for k, v in layer.weights.items()})
        states = [f"{letter}{n}" for letter in "hc"[: STATES[layer.kind]]]
        names = (layer.node_inputs(x, prefix) + [""] * 8)[:8]
        node_outputs = [prefix + "Y"]
        if explicit:
            dims = layer.state_dims("batch")
            for slot, state in enumerate(states):
                names[5 + slot] = state
                node_outputs.append(state + "_out")
                inputs.append((state, np.float32, dims))
                outputs.append((state + "_out", np.float32, dims))
        while not names[-1]:
            names.pop()
        nodes.append(helper.make_node(layer.kind, names, node_outputs, name=f"layer{n}", **layer.attributes))
        nodes.append(helper.make_node("Squeeze", [prefix + "Y", "one"], [prefix + "y"], name=f"squeeze{n}"))
        x = prefix + "y"
    rng = np.random.default_rng(99)
    weights["head_w"] = rng.uniform(-0.3, 0.3, (layers[-1].hidden, head)).astype(np.float32)
    weights["head_b"] = rng.uniform(-0.3, 0.3, head).astype(np.float32)
    nodes += [
        helper.make_node("MatMul", [x, "head_w"], ["head_product"], name="head_matmul"),
        helper.make_node("Add", ["head_product", "head_b"], ["head_sum"], name="head_add"),
        helper.make_node("Sigmoid", ["head_sum"], ["out"], name="head_sigmoid"),
    ]
    return model_of(nodes, inputs, outputs, weights, opset)


def run_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> Feeds:
    """All outputs of a model by onnxruntime, one thread. Skips the test where it cannot be had."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds))))


def in_float64(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every float32 made a float64, subgraphs too: weights, constants, casts and declared types."""
    model = onnx.ModelProto.FromString(model.SerializeToString())

    def widen(tensor: onnx.TensorProto) -> None:
        if tensor.data_type == TensorProto.FLOAT:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), name))

    def visit(graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            widen(tensor)
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                value.type.tensor_type.elem_type = TensorProto.DOUBLE
        del graph.value_info[:]
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.TENSOR:
                    widen(attribute.t)
                elif attribute.type == onnx.AttributeProto.GRAPH:
                    visit(attribute.g)
                elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.DOUBLE

    visit(model.graph)
    return model
