"""Every operation that is not recurrent, against NumPy and onnxruntime, over shapes and opsets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import cases
import models
import numpy as np
import onnx
import pytest
import saturation
from case import Case, floats
from close import assert_same_bytes
from models import Array
from onnx import helper, numpy_helper
from versions import skip_before

import lstm_rt

OPS = sorted({c.op for c in cases.ALL})


def of(op: str) -> list[Case]:
    return [c for c in cases.ALL if c.op == op]


def compare(case: Case, found: Sequence[Array], who: str) -> None:
    for got, wanted in zip(found, case.expected):
        what = f"{case.name} by {who}"
        assert got.dtype == wanted.dtype, f"{what}: {got.dtype}, expected {wanted.dtype}"
        assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
        if np.ndim(case.tolerance) == 0 and case.tolerance == 0:
            same = np.array_equal(got, wanted)
        else:
            same = bool((np.abs(got.astype(np.float64) - wanted) <= case.tolerance + np.abs(wanted) * 1.2e-7).all())
        assert same, f"{what}: {got.ravel()[:8]}, expected {wanted.ravel()[:8]}"


def failures_of(todo: Sequence[Case], run: Any) -> list[str]:
    """Runs every case, so that one failure does not hide the others."""
    failed = []
    for case in todo:
        try:
            run(case)
        except (AssertionError, lstm_rt.Error) as error:
            failed.append(f"{case.name} (opset {case.opset}): {error}")
    return failed


def test_every_operation_has_cases() -> None:
    # test_recurrent.py, below, test_loops.py, test_quantized_onnx.py, test_onnx_exporters.py
    elsewhere = {"LSTM", "GRU", "RNN", "If", "Loop", "DynamicQuantizeLSTM", "CastLike", "ConcatFromSequence"}
    elsewhere |= {"SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"}
    elsewhere |= {"SequenceLength", "SplitToSequence"}
    assert set(lstm_rt.supported_ops()) - elsewhere <= set(OPS)


@pytest.mark.parametrize("op", OPS)
def test_like_numpy(op: str) -> None:
    def run(case: Case) -> None:
        compare(case, list(lstm_rt.load(case.model()).run(case.inputs).values()), "lstm_rt")

    failed = failures_of(of(op), run)
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("op", OPS)
def test_cases_like_onnxruntime(op: str) -> None:
    if op == "Sqrt":
        skip_before("onnxruntime", (1, 20), "rounds square roots wrongly, by one unit in the last place")

    def run(case: Case) -> None:
        compare(case, list(models.run_onnxruntime(case.model(), case.inputs).values()), "onnxruntime")

    todo = [c for c in of(op) if c.onnxruntime and saturation.comparable(c.model(), {**c.inputs, **c.weights})]
    failed = failures_of(todo, run)
    assert not failed, "\n".join(failed)
    assert todo or not any(c.onnxruntime for c in of(op)), "no case is left that onnxruntime computes on every CPU"


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh"])
def test_functions_over_their_range(op: str) -> None:
    # docs/numerics.md states the error; here only that nothing is off by more than two units in the last place.
    x = np.concatenate([np.linspace(-100, 100, 20001), np.linspace(-1e-3, 1e-3, 2001)]).astype(np.float32)
    case = next(c for c in of(op) if c.expected[0].ndim == 1)
    found = lstm_rt.load(case.model())(x)
    wide = x.astype(np.float64)
    exact = np.tanh(wide) if op == "Tanh" else 1 / (1 + np.exp(-wide))
    normal = np.abs(exact) > 1e-37
    units = np.abs(found - exact)[normal] / np.spacing(np.abs(exact[normal]).astype(np.float32))
    at = int(units.argmax())
    assert units[at] <= 2.5, f"{units[at]:.2f} units in the last place off at {x[normal][at]!r}"


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Relu", "Sqrt"])
def test_functions_of_what_is_no_number(op: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38], np.float32)
    with np.errstate(all="ignore"):
        expected = {
            "Sigmoid": 1 / (1 + np.exp(-x.astype(np.float64))),
            "Tanh": np.tanh(x),
            "Relu": np.maximum(x, 0),
            "Sqrt": np.sqrt(x),
        }[op].astype(np.float32)
    model = lstm_rt.load(models.single_op(op, {"x": x}, outputs={"y": x}))
    for n in (1, len(x)):
        np.testing.assert_allclose(model(x[:n]), expected[:n], atol=1e-37)


@pytest.mark.parametrize(("condition", "flag"), list(itertools.product(("input", "shape"), (True, False))))
def test_if(condition: str, flag: bool) -> None:
    # A branch chosen by an input, or by the shape of one; the branches see values and weights from outside.
    then = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["then_y"], name="add")],
        "then",
        [],
        [helper.make_tensor_value_info("then_y", onnx.TensorProto.FLOAT, None)],
    )
    otherwise = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "inner"], ["product"], name="mul"),
            helper.make_node("Sub", ["product", "w"], ["else_y"], name="sub"),
        ],
        "else",
        [],
        [helper.make_tensor_value_info("else_y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([3], np.float32), "inner")],
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], name="shape"),
        helper.make_node("Gather", ["shape", "one"], ["columns"], name="gather", axis=0),
        helper.make_node("Equal", ["columns", "four"], ["is_four"], name="equal"),
        helper.make_node(
            "If", ["flag" if condition == "input" else "is_four"], ["y"], then_branch=then, else_branch=otherwise
        ),
    ]
    inputs: list[tuple[str, Any, Sequence[Any]]] = [("x", np.float32, ["rows", "columns"])]
    if condition == "input":
        inputs.append(("flag", np.bool_, []))
    w = np.array([10], np.float32)
    weights: models.Feeds = {"w": w, "one": np.array(1, np.int64), "four": np.array(4, np.int64)}
    proto = models.model_of(nodes, inputs, [("y", np.float32, ["rows", "columns"])], weights)
    x = floats(1, 2, 4 if flag else 5)
    feeds = {"x": x, "flag": np.array(flag)} if condition == "input" else {"x": x}
    model = lstm_rt.load(proto)
    assert list(model.control_inputs) == (["flag"] if condition == "input" else [])
    assert_same_bytes(model.run(feeds)["y"], x + w if flag else x * np.float32(3) - w)


def test_values_known_while_planning() -> None:
    # Shape arithmetic end to end: x is flattened to rows of half its last dim, whatever that is.
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["columns"], axis=0),
        helper.make_node("Div", ["columns", "two"], ["half"]),
        helper.make_node("Unsqueeze", ["half", "zero"], ["half_1d"]),
        helper.make_node("Concat", ["minus_one", "half_1d"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    weights = {
        "last": np.array(-1, np.int64),
        "two": np.array(2, np.int64),
        "zero": np.array([0], np.int64),
        "minus_one": np.array([-1], np.int64),
    }
    proto = models.model_of(nodes, [("x", np.float32, ["a", "b"])], [("y", np.float32, ["c", "d"])], weights)
    model = lstm_rt.load(proto)
    for columns in (4, 10, 34):
        x = floats(1, 3, columns)
        assert_same_bytes(model(x), x.reshape(-1, columns // 2))


def test_many_shapes_of_one_model() -> None:
    # More shapes than plans are kept for, there and back.
    layer = models.Recurrent(inputs=3, hidden=17)
    model = lstm_rt.load(layer.model())
    first: models.Feeds = {}
    for time, again in itertools.product(range(1, 25), (0, 1)):
        feeds = layer.feeds(time, 2)
        found = model.run(feeds)
        if again:
            assert_same_bytes(found["Y"], first[str(time)])
        first[str(time)] = found["Y"]
    for steps, expected in first.items():
        assert_same_bytes(model.run(layer.feeds(int(steps), 2))["Y"], expected)


def test_an_output_that_is_an_input_a_weight_or_asked_for_twice() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Identity", ["w"], ["weight"]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Identity", ["y"], ["y_again"]),
    ]
    w = floats(2, 3)
    outputs = [(n, np.float32, ["n"]) for n in ("same", "weight", "y", "y_again")]
    model = lstm_rt.load(models.model_of(nodes, [("x", np.float32, ["n"])], outputs, {"w": w}))
    x = floats(1, 3)
    found = model.run({"x": x})
    assert list(found) == ["same", "weight", "y", "y_again"]
    for name, expected in zip(found, (x, w, np.maximum(x, 0), np.maximum(x, 0))):
        assert_same_bytes(found[name], expected, name)
    found["y"][:] = 5  # outputs are the caller's own
    assert_same_bytes(found["y_again"], np.maximum(x, 0))
    assert_same_bytes(model.run({"x": x})["weight"], w)
