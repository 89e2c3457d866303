"""ONNX models as exporters write them: functions in functions, weights built in the graph, states from shapes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_of_gguf import agree, build, floats, info

import lstm_rt

X = floats(2, 3)


def op(type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    domain, _, type = type.rpartition("::")
    return helper.make_node(type, inputs.split(), outputs.split(), domain=domain, **attributes)


# ---- Functions ----


def local(name: str, *nodes: onnx.NodeProto, opset: int = 17, attributes: tuple[str, ...] = ()) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["a"], ["b"], nodes, imports, list(attributes))


def with_functions(*functions: onnx.FunctionProto, **attributes: Any) -> onnx.ModelProto:
    """Calls the first of them."""
    node = op(f"local::{functions[0].name}", "x", "y", **attributes)
    model = build([node], [info("x", [2, 3])], [info("y", [None, None])])
    model.functions.extend(functions)
    return model


def referring(node: onnx.NodeProto, name: str, to: str, kind: Any) -> onnx.NodeProto:
    """Take an attribute of a node from the call of the function."""
    node.attribute.append(onnx.AttributeProto(name=name, ref_attr_name=to, type=kind))
    return node


def test_functions_pass_attributes_on() -> None:
    inner = local(
        "Inner",
        referring(op("LeakyRelu", "a", "b"), "alpha", "slope", onnx.AttributeProto.FLOAT),
        attributes=("slope",),
    )
    call = referring(op("local::Inner", "a", "b"), "slope", "outer_slope", onnx.AttributeProto.FLOAT)
    agree(with_functions(local("Outer", call, attributes=("outer_slope",)), inner, outer_slope=0.25), {"x": X})


def test_functions_call_functions_and_names_do_not_clash() -> None:
    deepest = local("C", op("Tanh", "a", "t"), op("Add", "t a", "b"))
    middle = local("B", op("local::C", "a", "t"), op("local::C", "t", "u"), op("Mul", "t u", "b"))
    agree(with_functions(local("A", op("local::B", "a", "t"), op("local::C", "t", "b")), middle, deepest), {"x": X})


def test_functions_are_called_inside_branches() -> None:
    graph = helper.make_graph([op("local::F", "x", "r")], "branch", [], [info("r", [2, 3])])
    other = helper.make_graph([op("Neg", "x", "r")], "branch", [], [info("r", [2, 3])])
    node = op("If", "c", "y", then_branch=graph, else_branch=other)
    inputs = [info("x", [2, 3]), info("c", [], onnx.TensorProto.BOOL)]
    model = build([node], inputs, [info("y", [2, 3])])
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.functions.append(local("F", op("Relu", "a", "b")))
    for condition in (True, False):
        agree(model, {"x": X, "c": np.array(condition)})


def test_functions_of_another_opset_are_brought_to_that_of_the_model() -> None:
    """ReduceMean's axes are an attribute before opset 18."""
    model = with_functions(local("Old", op("ReduceMean", "a", "b", axes=[1]), opset=13))
    model.opset_import[0].version = 18
    (y,) = lstm_rt.load(model).run({"x": X}).values()
    np.testing.assert_allclose(y, X.mean(1, keepdims=True), rtol=1e-6)


def test_a_model_of_the_newer_torch_exporter() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(5, 8, batch_first=True, bidirectional=True)
            self.out = torch.nn.Linear(16, 3)

        def forward(self, x: Any) -> Any:
            return self.out(torch.nn.functional.gelu(self.lstm(x)[0]))

    torch.manual_seed(0)
    net = Net().eval()
    x = torch.randn(2, 6, 5)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = torch.onnx.export(net, (x,), dynamo=True, verbose=False).model_proto
        wanted = net(x).numpy()
    np.testing.assert_allclose(lstm_rt.load(model)(x.numpy()), wanted, rtol=1e-5, atol=1e-5)


# ---- Recurrent layers ----


def test_weights_built_in_the_graph() -> None:
    """Kernels of Keras' layout and gate order, brought to ONNX's by the graph."""
    kernel, recurrent, bias = floats(5, 32), floats(8, 32), floats(32)
    nodes = []
    for name in ("kernel", "recurrent"):
        nodes += [
            op("Split", name, f"{name}_i {name}_f {name}_c {name}_o", axis=1),
            op("Concat", f"{name}_i {name}_o {name}_f {name}_c", f"{name}_iofc", axis=1),
            op("Transpose", f"{name}_iofc", f"{name}_t", perm=[1, 0]),
            op("Unsqueeze", f"{name}_t zero", f"{name}_w"),
        ]
    nodes += [
        op("Concat", "bias nothing", "b", axis=0),
        op("Unsqueeze", "b zero", "b_w"),
        op("LSTM", "x kernel_w recurrent_w b_w", "y", hidden_size=8),
    ]
    weights = {"kernel": kernel, "recurrent": recurrent, "bias": bias, "nothing": np.zeros(32, np.float32)}
    model = build(nodes, [info("x", ["T", "B", 5])], [info("y", [None] * 4)], {**weights, "zero": np.array([0])})
    loaded = agree(model, {"x": floats(4, 2, 5)})
    assert [call.type for call in loaded.calls({"x": (4, 2, 5)})] == ["LSTM"]


def test_initial_states_from_shapes() -> None:
    """As TensorFlow's LSTM comes out: zeros of a batch that Shape and Expand make, batch first by transposes."""
    nodes = [
        op("Shape", "x", "shape"),
        op("Cast", "shape", "shape32", to=onnx.TensorProto.INT32),
        op("Slice", "shape32 zero one zero", "batch32"),
        op("Cast", "batch32", "batch", to=onnx.TensorProto.INT64),
        op("Concat", "batch units", "state_shape", axis=0),
        op("Expand", "nought state_shape", "state"),
        op("Unsqueeze", "state zero", "h0"),
        op("Transpose", "x", "xt", perm=[1, 0, 2]),
        op("LSTM", "xt w r b", "ys h c", hidden_size=8),
        op("Squeeze", "ys one", "yt"),
        op("Transpose", "yt", "y", perm=[1, 0, 2]),
        op("Squeeze", "h zero", "last"),
    ]
    nodes[8].input.extend(["", "h0", "h0"])
    weights = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "units": np.array([8]),
        "nought": np.zeros((1, 1), np.float32),
    }
    weights |= {"w": floats(1, 32, 5), "r": floats(1, 32, 8), "b": floats(1, 64)}
    model = build(nodes, [info("x", ["N", "T", 5])], [info("y", [None] * 3), info("last", [None] * 2)], weights)
    loaded = agree(model, {"x": floats(3, 6, 5)})
    stream = lstm_rt.load(model).stream()
    x = floats(1, 6, 5)
    whole = loaded.run({"x": x})["y"]
    chunks = [stream.step(x[:, at : at + 2])[0] for at in (0, 2, 4)]
    assert np.concatenate(chunks, 1).tobytes() == whole.tobytes()


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
def test_reverse_begins_at_each_length(op_type: str, direction: str) -> None:
    gates, directions = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type], 2 if direction == "bidirectional" else 1
    weights = {"w": floats(directions, gates * 8, 5), "r": floats(directions, gates * 8, 8)}
    weights |= {"b": floats(directions, gates * 16), "lengths": np.array([6, 1, 4], np.int32)}
    node = op(op_type, "x w r b lengths", "y h", hidden_size=8, direction=direction)
    model = build([node], [info("x", ["T", "B", 5])], [info("y", [None] * 4), info("h", [None] * 3)], weights)
    x = floats(6, 3, 5)
    agree(model, {"x": x})
    seen = lstm_rt.load(model).run({"x": x})
    for row, length in enumerate(weights["lengths"]):  # a sequence by itself has no length to heed
        del model.graph.node[0].input[4:]
        alone = lstm_rt.load(model).run({"x": x[:length, row : row + 1]})
        assert alone["y"][:, :, 0].tobytes() == seen["y"][:length, :, row].tobytes()
        assert not seen["y"][length:, :, row].any()
