"""The proof that a model streams: what depends on the number of steps is refused, by whatever way it comes."""

from __future__ import annotations

import pathlib
from typing import Callable

import numpy as np
import pytest
from close import assert_same_bytes
from lstm_rt.converters import ABSENT, Block, Builder, DType, Graph, Value
from lstm_rt.converters.gguf_file import write

import lstm_rt

Make = Callable[[Builder, Value, Value], Value]
X = np.random.default_rng(1).normal(size=(6, 1, 8)).astype(np.float32)


def load(graph: Graph, folder: pathlib.Path) -> lstm_rt.Model:
    write(graph, folder / "m.gguf")
    return lstm_rt.Model(folder / "m.gguf")


def lstm(build: Builder, x: Value, inputs: int, hidden: int, outputs: int = 1) -> list[Value]:
    rng = np.random.default_rng(inputs)
    w, r = (rng.normal(size=(1, 4 * hidden, k)).astype(np.float32) * 0.3 for k in (inputs, hidden))
    return build.ops(
        "LSTM", [x, build.constant(w), build.constant(r)], outputs, hidden_size=hidden,
        activations=["Sigmoid", "Tanh", "Tanh"], activation_alpha=[0.0] * 3, activation_beta=[0.0] * 3,
    )  # fmt: skip


def frames() -> tuple[Builder, Value, Value]:
    """x [steps, 1, 8], and the number of steps [1]."""
    build = Builder(Graph())
    x = build.graph.add_input("x", DType.FLOAT32, (None, 1, 8), ("steps", "", ""))
    return build, x, build.op("Gather", build.op("Shape", x), build.integers([0]))


def scalar(build: Builder, steps: Value) -> Value:
    return build.op("Squeeze", steps)


def as_float(build: Builder, steps: Value) -> Value:
    return build.cast(scalar(build, steps), DType.FLOAT32)


def behind(build: Builder, first: list[int], steps: Value) -> Value:
    return build.op("Concat", build.integers(first), steps, axis=0)


def branches(build: Builder, x: Value, steps: Value) -> Value:
    then, otherwise = Builder(build.graph, Block()), Builder(build.graph, Block())
    then.block.outputs, otherwise.block.outputs = [then.op("Tanh", x)], [otherwise.op("Relu", x)]
    many = build.op("Greater", scalar(build, steps), build.integers(2))
    return build.op("If", many, then_branch=then.block, else_branch=otherwise.block)


def loop(count: int, stacked: bool) -> Make:
    """Carries the number of steps through a loop, or collects it."""

    def make(build: Builder, x: Value, steps: Value) -> Value:
        graph, body = build.graph, Block()
        body.inputs = [graph.add_value(name) for name in ("iteration", "go on", "carried")]
        inner = Builder(graph, body)
        body.outputs = [body.inputs[1], *(inner.op("Identity", body.inputs[2]) for _ in range(2))]
        given = [build.integers(count), build.constant(np.array(True)), as_float(build, steps)]
        found = build.ops("Loop", given, 2, body=body)
        mean = build.op("ReduceMean", found[1], build.integers([0]), keepdims=0)
        return build.op("Mul", x, mean if stacked else found[0])

    return make


SHAPED: dict[str, Make] = {
    "Slice": lambda b, x, t: b.op("Slice", x, b.integers([0]), t, b.integers([2])),
    "TopK": lambda b, x, t: b.ops("TopK", [x, t], 2, axis=-1)[0],
    "Pad": lambda b, x, t: b.op("Pad", x, behind(b, [0, 0, 0, 0, 0], t), b.constant(np.float32(1))),
    "Tile": lambda b, x, t: b.op("Tile", x, behind(b, [1, 1], t)),
    "Expand": lambda b, x, t: b.op("Expand", b.slice(x, 2, 0, 1), behind(b, [1, 1], t)),
    "CenterCropPad": lambda b, x, t: b.op("CenterCropPad", x, t, axes=[2]),
    "Resize": lambda b, x, t: b.op("Resize", x, ABSENT, ABSENT, t, axes=[2]),
}
VALUED: dict[str, Make] = {
    "a product": lambda b, x, t: b.op("Mul", x, as_float(b, t)),
    "If": branches,
    "a short loop": loop(3, stacked=False),
    "a long loop": loop(5000, stacked=False),
    "a short stack": loop(3, stacked=True),
    "a long stack": loop(5000, stacked=True),
}


@pytest.mark.parametrize("name", [*SHAPED, *VALUED])
def test_what_the_number_of_steps_decides_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    build, x, steps = frames()
    if name in SHAPED:
        found = build.op("ReduceSum", SHAPED[name](build, x, steps), build.integers([2]))
        (y,) = lstm(build, found, 1, 4)
    else:
        (y,) = lstm(build, VALUED[name](build, x, steps), 8, 4)
    build.graph.add_output(y)
    model = load(build.graph, tmp_path)
    model(X)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="number of steps"):
        model.stream()


def test_a_last_state_has_time_where_the_batch_has(tmp_path: pathlib.Path) -> None:
    """Words of eight letters: a layer reads the letters of each, a layer behind it the words."""
    build, x, _ = frames()
    letters = build.transpose(build.reshape(x, [-1, 8, 1]), 1, 0, 2)
    words = build.transpose(lstm(build, letters, 1, 4, 2)[1], 1, 0, 2)
    for inputs, value in ((8, x), (4, words)):
        build.graph.add_output(lstm(build, value, inputs, 5)[0])
    model = load(build.graph, tmp_path)
    stream = model.stream()
    steps = [stream.step(X[t : t + 1]) for t in range(len(X))]
    for i, whole in enumerate(model(X)):
        assert_same_bytes(np.concatenate([step[i] for step in steps]), whole)


def chosen_weights(build: Builder, condition: Value) -> Value:
    then, otherwise = Block(), Block()
    for scale, block in ((1, then), (2, otherwise)):
        block.outputs = [build.constant(np.full((16, 16), scale, np.float32))]
    return build.op("If", condition, then_branch=then, else_branch=otherwise)


def test_each_branch_has_its_own_packed_weights(tmp_path: pathlib.Path) -> None:
    build = Builder(Graph())
    x = build.graph.add_input("x", DType.FLOAT32, (1, 16))
    first = build.graph.add_input("first", DType.BOOL, (1,))
    build.graph.add_output(build.op("MatMul", x, chosen_weights(build, first)))
    model, ones = load(build.graph, tmp_path), np.ones((1, 16), np.float32)
    assert [float(model(ones, np.array([flag]))[0, 0]) for flag in (True, False, True)] == [16, 32, 16]


def test_each_iteration_has_its_own_packed_weights(tmp_path: pathlib.Path) -> None:
    build, body = Builder(Graph()), Block()
    x = build.graph.add_input("x", DType.FLOAT32, (1, 16))
    body.inputs = [build.graph.add_value("iteration"), build.graph.add_value("go on")]
    inner = Builder(build.graph, body)
    weights = chosen_weights(inner, inner.op("Less", body.inputs[0], inner.integers(1)))
    body.outputs = [body.inputs[1], inner.op("MatMul", x, weights)]
    build.graph.add_output(build.op("Loop", build.integers(3), build.constant(np.array(True)), body=body))
    assert load(build.graph, tmp_path)(np.ones((1, 16), np.float32))[:, 0, 0].tolist() == [16, 32, 32]
