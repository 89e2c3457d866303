"""What users read when something is wrong: the right class, and a message that says where, what and what to do."""

from __future__ import annotations

from typing import Any

import models
import numpy as np
import onnx
import pytest
from models import Recurrent
from onnx import helper, numpy_helper

import lstm_rt
from lstm_rt import errors


def said(caught: Any) -> str:
    return str(caught.value)


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n != "Error"])
def test_every_error_is_ours_and_a_builtin(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, lstm_rt.Error)
    assert any(
        issubclass(error, b) for b in (ValueError, RuntimeError, MemoryError, OSError, ImportError, NotImplementedError)
    )


def test_names_are_exported() -> None:
    for name in ("Error", "UnsupportedModelError", "ModelFileError", "ShapeError", "StateError"):
        assert getattr(lstm_rt, name) is getattr(errors, name)


# ---- Conversion --------------------------------------------------------------------------------------------------


def test_every_problem_is_listed_at_once() -> None:
    layer = Recurrent("LSTM", 4, 8)
    nodes = [
        helper.make_node("Det", ["X"], ["r"], name="the_determinant"),
        helper.make_node("LSTM", ["r", "W", "R", "B"], ["Y"], name="the_lstm", hidden_size=8,
                         activations=["Affine", "Tanh", "Tanh"]),
        helper.make_node("Det", ["Y"], ["z"], name="the_det"),
    ]  # fmt: skip
    weights = {**layer.weights, "scales": np.ones(3, np.float32)}
    proto = models.model_of(nodes, [("X", np.float32, ["t", 1, 4])], [("z", np.float32, ["t", 1, 1, 8])], weights)
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        lstm_rt.load(proto)
    for word in ("3 parts", "the_determinant", "Det", "the_lstm", "Affine", "alpha", "the_det"):
        assert word in said(caught)
    assert len(caught.value.problems) == 3


def test_the_file_is_named(tmp_path: Any) -> None:
    proto = models.single_op("Det", {"x": np.zeros(3, np.float32)}, outputs={"y": np.zeros(3, np.float32)})
    onnx.save(proto, str(tmp_path / "decoder.onnx"))
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"decoder\.onnx"):
        lstm_rt.load(tmp_path / "decoder.onnx")


@pytest.mark.parametrize("name", ["Affine", "ScaledTanh"])
def test_activation_without_alpha(name: str) -> None:
    for alpha, beta, missing in ((None, None, "alpha"), ((0.5,), None, "beta")):
        layer = Recurrent(activations=(name, "Tanh", "Tanh"), activation_alpha=alpha, activation_beta=beta)
        with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
            lstm_rt.load(layer.model(name="encoder/LSTM_3"))
        for word in ("encoder/LSTM_3", name, missing):
            assert word in said(caught)


def test_unknown_activation() -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        lstm_rt.load(Recurrent(activations=("Sigmoid", "Mish", "Tanh")).model())
    for word in ("the_layer", "LSTM", "Mish"):
        assert word in said(caught)


def test_too_few_activations() -> None:
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(Recurrent(direction="bidirectional", activations=("Sigmoid", "Tanh", "Tanh")).model())
    assert "the_layer" in said(caught)


def test_weights_that_do_not_fit() -> None:
    proto = Recurrent("LSTM", 4, 8).model()
    for weight in proto.graph.initializer:
        if weight.name == "R":
            weight.CopyFrom(numpy_helper.from_array(np.zeros((1, 32, 9), np.float32), "R"))
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(proto).run({"X": np.zeros((2, 1, 4), np.float32)})
    for word in ("the_layer", "LSTM", " R", "9"):
        assert word in said(caught)


@pytest.mark.parametrize(("dtype", "word"), [(np.complex64, "complex64"), (np.uint32, "uint32")])
def test_dtype_that_we_do_not_have(dtype: Any, word: str) -> None:
    x = np.zeros(3, dtype)
    with pytest.raises(lstm_rt.UnsupportedModelError, match=word):
        lstm_rt.load(models.single_op("Add", {"a": x, "b": x}, outputs={"y": x}))(x, x)


def test_another_domain() -> None:
    node = helper.make_node("Inverse", ["x"], ["y"], name="the_inverse", domain="com.microsoft")
    info = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [3]) for n in "xy"]
    graph = helper.make_graph([node], "g", info[:1], info[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        lstm_rt.load(helper.make_model(graph, opset_imports=opsets))
    for word in ("the_inverse", "com.microsoft"):
        assert word in said(caught)


def test_shape_that_depends_on_data() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["n"], name="the_cast", to=onnx.TensorProto.INT64),
        helper.make_node("Reshape", ["x", "n"], ["y"], name="the_reshape"),
    ]
    proto = models.model_of(nodes, [("x", np.float32, [1])], [("y", np.float32, ["n"])])
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        lstm_rt.load(proto)(np.ones(1, np.float32))
    assert "the_reshape" in said(caught)


def test_names_that_the_model_does_not_have() -> None:
    proto = Recurrent("GRU", 4, 8, initial_h=True).model()
    for options in ({"bind": {"nope": "Y_h"}}, {"bind": {"initial_h": "nope"}}, {"freeze": {"nope": 1}},
                    {"shapes": {"nope": (1,)}}):  # fmt: skip
        with pytest.raises(lstm_rt.Error) as caught:
            lstm_rt.load(proto, **options)
        assert "nope" in said(caught)
        assert "initial_h" in said(caught) or "Y_h" in said(caught)


def test_shapes_that_contradict_the_model() -> None:
    proto = Recurrent("GRU", 4, 8).model()
    for shape in ((None, 1, 5), (1, 4), (None, -1, 4)):
        with pytest.raises(lstm_rt.ShapeError, match="X"):
            lstm_rt.load(proto, shapes={"X": shape})


def test_shapes_and_frozen_inputs_hold() -> None:
    proto = Recurrent("GRU", 4, 8, initial_h=True).model()
    h = np.ones((1, 1, 8), np.float32)
    model = lstm_rt.load(proto, shapes={"X": (None, 1, 4)}, freeze={"initial_h": h})
    (x,) = model.inputs
    assert x.shape == (None, 1, 4)
    feed = np.ones((3, 1, 4), np.float32)
    np.testing.assert_array_equal(model(feed)[0], lstm_rt.load(proto)(feed, h)[0])
    with pytest.raises(lstm_rt.ShapeError):
        model(np.ones((3, 2, 4), np.float32))


# ---- Running -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> lstm_rt.Model:
    return lstm_rt.load(Recurrent("GRU", 4, 8, initial_h=True).model(batch=2), bind={})


H = np.zeros((1, 2, 8), np.float32)
X = np.zeros((3, 2, 4), np.float32)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((3, 2, 5), np.float32), ("X", "[3, 2, 5]", "4")),
        (np.zeros((3, 1, 4), np.float32), ("X", "[3, 1, 4]", "2")),
        (np.zeros((3, 4), np.float32), ("X", "[3, 4]")),
        (np.zeros((3, 2, 4), np.float64), ("X", "float64", "float32")),
        (np.zeros((3, 2, 4), np.int32), ("X", "int32", "float32")),
    ],
)
def test_input_that_does_not_fit(model: lstm_rt.Model, x: Any, words: tuple[str, ...]) -> None:
    for call in (lambda: model(x, H), lambda: model.run({"X": x, "initial_h": H})):
        with pytest.raises(lstm_rt.ShapeError) as caught:
            call()
        for word in words:
            assert word in said(caught)


def test_inputs_that_do_not_fit_each_other() -> None:
    model = lstm_rt.load(Recurrent("GRU", 4, 8, initial_h=True).model(), bind={})
    with pytest.raises(lstm_rt.ShapeError) as caught:
        model(X, np.zeros((1, 3, 8), np.float32))
    for word in ("initial_h", "[1, 3, 8]", "[1, 2, 8]"):
        assert word in said(caught)


def test_names_and_numbers_of_inputs(model: lstm_rt.Model) -> None:
    with pytest.raises((lstm_rt.Error, TypeError), match="initial_h"):
        model.run({"X": X})
    with pytest.raises((lstm_rt.Error, TypeError), match="nope"):
        model.run({"X": X, "initial_h": H, "nope": X})
    for arrays in ((), (X,), (X, H, H)):
        with pytest.raises((lstm_rt.Error, TypeError)):
            model(*arrays)


def test_stream_options(model: lstm_rt.Model) -> None:
    for options in ({"bind": {"nope": "Y_h"}}, {"bind": {"initial_h": "nope"}}, {"freeze": {"nope": X}},
                    {"bind": {"initial_h": "Y"}}):  # fmt: skip
        with pytest.raises(lstm_rt.Error):
            model.stream(**options).step(X)
    with pytest.raises((lstm_rt.Error, ValueError)):
        model.stream(bind={"initial_h": "Y_h"}, batch=0)


def test_a_failed_call_changes_nothing() -> None:
    stream = lstm_rt.load(Recurrent("GRU", 4, 8).model(outputs=["Y"])).stream()
    other = lstm_rt.load(Recurrent("GRU", 4, 8).model(outputs=["Y"])).stream()
    frame = np.ones((1, 1, 4), np.float32)
    np.testing.assert_array_equal(stream.step(frame), other.step(frame))
    with pytest.raises(lstm_rt.ShapeError):
        stream.step(np.ones((1, 1, 5), np.float32))
    np.testing.assert_array_equal(stream.step(frame), other.step(frame))
