"""What cases of numbers do not show: what is no number, angles of any size, streams through norms and reductions."""

from __future__ import annotations

import models
import numpy as np
import pytest
from close import assert_same_bytes
from onnx import helper

import lstm_rt

NAN, INF = np.nan, np.inf
EDGES = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 3e38, -3e38], np.float32)


def floats(seed: int, *shape: int) -> models.Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(op: str, *inputs: models.Array, opset: int = 24, **attributes: object) -> models.Array:
    feeds = {f"x{n}": a for n, a in enumerate(inputs)}
    model = lstm_rt.load(models.single_op(op, feeds, outputs={"y": inputs[0]}, opset=opset, **attributes))
    return np.asarray(model.run(feeds)["y"])


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("Acos", [NAN, NAN, NAN, np.pi / 2, np.pi / 2, 0, np.pi, NAN, NAN]),
        ("Acosh", [NAN, INF, NAN, NAN, NAN, 0, NAN, 89.29, NAN]),
        ("Asinh", [NAN, INF, -INF, 0, 0, 0.8813736, -0.8813736, 89.29, -89.29]),
        ("Atan", [NAN, np.pi / 2, -np.pi / 2, 0, 0, np.pi / 4, -np.pi / 4, np.pi / 2, -np.pi / 2]),
        ("Atanh", [NAN, NAN, NAN, 0, 0, INF, -INF, NAN, NAN]),
        ("Ceil", [NAN, INF, -INF, 0, 0, 1, -1, 3e38, -3e38]),
        ("Celu", [NAN, INF, -1, 0, 0, 1, -0.6321206, 3e38, -1]),
        ("Cosh", [NAN, INF, INF, 1, 1, 1.5430806, 1.5430806, INF, INF]),
        ("Erf", [NAN, 1, -1, 0, 0, 0.8427008, -0.8427008, 1, -1]),
        ("Exp", [NAN, INF, 0, 1, 1, np.e, 1 / np.e, INF, 0]),
        ("Gelu", [NAN, INF, 0, 0, 0, 0.8413447, -0.1586553, 3e38, 0]),
        ("Log", [NAN, INF, NAN, -INF, -INF, 0, NAN, 88.5968, NAN]),
        ("Reciprocal", [NAN, 0, 0, INF, -INF, 1, -1, 0, 0]),
        ("Round", [NAN, INF, -INF, 0, 0, 1, -1, 3e38, -3e38]),
        ("Shrink", [NAN, INF, -INF, 0, 0, 1, -1, 3e38, -3e38]),
        ("Sign", [NAN, 1, -1, 0, 0, 1, -1, 1, -1]),
        ("Sinh", [NAN, INF, -INF, 0, 0, 1.1752012, -1.1752012, INF, -INF]),
        ("Softplus", [NAN, INF, 0, 0.6931472, 0.6931472, 1.3132616, 0.3132617, 3e38, 0]),
        ("ThresholdedRelu", [NAN, INF, 0, 0, 0, 0, 0, 3e38, 0]),
    ],
)
def test_edges(op: str, expected: list[float]) -> None:
    np.testing.assert_allclose(run(op, EDGES), np.array(expected, np.float32), rtol=1e-4, atol=1e-37)


@pytest.mark.parametrize(("op", "numpy_s"), [("Min", np.minimum), ("Max", np.maximum)])
def test_least_and_most_of_what_is_no_number(op: str, numpy_s: np.ufunc) -> None:
    for turned in (EDGES, np.roll(EDGES, 4), np.full(9, NAN, np.float32)):
        np.testing.assert_array_equal(run(op, EDGES, turned), numpy_s(EDGES, turned))
        np.testing.assert_array_equal(run(op, turned, EDGES), numpy_s(turned, EDGES))
    for axis in (0, 1):
        grid = np.stack([EDGES, np.zeros(9, np.float32)], axis)
        expected = numpy_s.reduce(grid, axis)
        outputs, weights = {"y": expected}, {"a": np.array([axis])}
        model = models.single_op(f"Reduce{op}", {"x": grid}, weights=weights, outputs=outputs, opset=18, keepdims=0)
        np.testing.assert_array_equal(lstm_rt.load(model)(grid), expected)


@pytest.mark.parametrize(("op", "value"), [("ReduceMin", INF), ("ReduceMax", -INF), ("ReduceLogSumExp", -INF)])
def test_reductions_of_nothing(op: str, value: float) -> None:
    x, expected = np.zeros((2, 0, 3), np.float32), np.full((2, 3), value, np.float32)
    outputs, weights = {"y": expected}, {"a": np.array([1])}
    model = lstm_rt.load(models.single_op(op, {"x": x}, weights=weights, outputs=outputs, opset=18, keepdims=0))
    assert_same_bytes(model(x), expected)


@pytest.mark.parametrize("op", ["Sin", "Cos", "Tan"])
def test_angles_of_any_size(op: str) -> None:
    bits = np.random.default_rng(1).integers(0x3F000000, 0x7F7FFFFF, 5000).astype(np.uint32)
    x = bits.view(np.float32) * np.where(bits % 2 == 0, 1, -1).astype(np.float32)
    # numpy reduces angles in double precision, exactly.
    exact = {"Sin": np.sin, "Cos": np.cos, "Tan": np.tan}[op](x.astype(np.float64))
    # Without fused multiply-add the angle itself has an error of some 1e-7 after whole turns are taken off.
    slope = 1 + exact**2 if op == "Tan" else 1.0
    least = 0.0 if lstm_rt.isa() in lstm_rt.exact_isas() else slope
    units = np.abs(run(op, x) - exact) / np.spacing(np.maximum(np.abs(exact), least).astype(np.float32))
    assert units.max() < 4, f"{units.max():.2f} units in the last place off at {x[units.argmax()]!r}"
    assert np.isnan(run(op, np.array([INF, -INF, NAN], np.float32))).all()


def test_softmax_of_large_and_of_infinite_numbers() -> None:
    x = np.array([[1000, 999, -1000], [-INF, 0, -INF], [-INF, -INF, -INF]], np.float32)
    expected = [[0.73105858, 0.26894142, 0], [0, 1, 0], [NAN, NAN, NAN]]
    np.testing.assert_allclose(run("Softmax", x), expected, rtol=1e-6)
    np.testing.assert_allclose(run("Softmax", np.ascontiguousarray(x.T), axis=0), np.transpose(expected), rtol=1e-6)


def test_integers_wrap_and_divide_without_a_trap() -> None:
    for dtype in (np.int8, np.int32, np.int64):
        least = np.iinfo(dtype).min
        a, b = np.array([least, 7, least], dtype), np.array([-1, 0, 0], dtype)
        assert run("Div", a, b).tolist() == [least, 0, 0]
        assert run("Mod", a, b).tolist() == [0, 0, 0]
        assert run("Abs", a).tolist() == [least, 7, least]
    assert run("Add", np.array([250], np.uint8), np.array([10], np.uint8)).tolist() == [4]


STREAMED = [
    (helper.make_node("Softmax", ["x"], ["y"], axis=2), True),
    (helper.make_node("Softmax", ["x"], ["y"], axis=1), False),
    (helper.make_node("LayerNormalization", ["x", "w"], ["y"]), True),
    (helper.make_node("ReduceSum", ["x", "last"], ["y"]), True),
    (helper.make_node("ReduceMax", ["x", "steps"], ["y"]), False),
    (helper.make_node("BatchNormalization", ["x", "c", "c", "c", "c"], ["y"]), False),
    (helper.make_node("PRelu", ["x", "w"], ["y"]), True),
    (helper.make_node("Where", ["flags", "x", "w"], ["y"]), True),
    (helper.make_node("Sum", ["x", "w", "x"], ["y"]), True),
]


@pytest.mark.parametrize(("node", "streams"), STREAMED, ids=[f"{n.op_type}-{s}" for n, s in STREAMED])
def test_frame_by_frame(node: object, streams: bool) -> None:
    # An LSTM of state that a stream keeps, then the op: [batch, steps, units] with layout 1.
    units, steps = 20, 6
    weights = {
        "W": floats(1, 1, 4 * units, 3),
        "R": floats(2, 1, 4 * units, units),
        "w": floats(3, units),
        "c": np.abs(floats(4, steps)),
        "flags": floats(5, units) > 0,
        "last": np.array([2]),
        "steps": np.array([1]),
        "one": np.array([2]),
    }
    nodes = [
        helper.make_node("LSTM", ["in", "W", "R"], ["all"], hidden_size=units, layout=1),
        helper.make_node("Squeeze", ["all", "one"], ["x"]),
        node,
    ]
    outputs = [("y", np.float32, ["a", "b", "c"])]
    model = lstm_rt.load(models.model_of(nodes, [("in", np.float32, [1, "T", 3])], outputs, weights, 18))
    x = floats(6, 1, steps, 3)
    if not streams:
        with pytest.raises(lstm_rt.Error, match=r"mixes the time axis|shape"):
            model.stream()
        return
    whole = model(x)
    stream = model.stream()
    for step in range(steps):
        assert_same_bytes(stream.step(x[:, step : step + 1]), whole[:, step : step + 1])
