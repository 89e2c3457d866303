"""Where time runs through the operations that pool, pick, sort and resize: frame by frame as whole, or refused."""

from __future__ import annotations

from typing import Any

import models
import numpy as np
import pytest
from close import assert_same_bytes
from models import Array, Recurrent
from onnx import helper

import lstm_rt


def behind_gru(
    op: str, weights: dict[str, Array], rank: int, dtype: Any, outputs: int, attributes: Any
) -> lstm_rt.Model:
    """A model whose node `the_op` is given [time, 1, 16]."""
    layer = Recurrent("GRU", 7, 16)
    names = [f"y{n}" for n in range(outputs)]
    nodes = [
        helper.make_node("GRU", layer.node_inputs(), ["Y"], name="gru", **layer.attributes),
        helper.make_node("Squeeze", ["Y", "one"], ["y"], name="squeeze"),
        helper.make_node(op, ["y", *weights], names, name="the_op", **attributes),
    ]
    given = {**layer.weights, **weights, "one": np.array([1], np.int64)}
    inputs = [("X", np.float32, ["time", 1, 7])]
    return lstm_rt.load(models.model_of(nodes, inputs, [(names[0], dtype, [None] * rank)], given, opset=19))


def i64(*values: int) -> Array:
    return np.array(values, np.int64)


F32, I64 = np.float32, np.int64
NONE = np.zeros(0, F32)
KERNEL = np.linspace(-1, 1, 12, dtype=F32).reshape(1, 3, 4)
MATRIX = np.linspace(-1, 1, 48, dtype=F32).reshape(16, 3)

# name, op, weights, rank and dtype of the first output, number of outputs, attributes
KEPT = [
    ("pool", "MaxPool", {}, 3, F32, 1, {"kernel_shape": [3], "strides": [2]}),
    ("mean", "AveragePool", {}, 3, F32, 1, {"kernel_shape": [3], "pads": [1, 1]}),
    ("norm", "LpPool", {}, 3, F32, 1, {"kernel_shape": [3]}),
    ("global", "GlobalAveragePool", {}, 3, F32, 1, {}),
    ("transposed", "ConvTranspose", {"w": KERNEL}, 3, F32, 1, {"strides": [2]}),
    ("columns", "Col2Im", {"image": i64(16), "block": i64(1)}, 3, F32, 1, {}),
    ("top", "TopK", {"k": i64(3)}, 3, F32, 2, {"axis": -1}),
    ("largest", "ArgMax", {}, 2, I64, 1, {"axis": 2, "keepdims": 0}),
    ("sums", "CumSum", {"axis": np.array(2)}, 3, F32, 1, {}),
    ("tile", "Tile", {"r": i64(1, 2, 3)}, 3, F32, 1, {}),
    ("flat", "Flatten", {}, 2, F32, 1, {"axis": 1}),
    ("triangle", "Trilu", {}, 3, F32, 1, {}),
    ("product", "Einsum", {"w": MATRIX}, 3, F32, 1, {"equation": "tbi,ij->btj"}),
    ("wider", "Resize", {"roi": NONE, "scales": np.array([1, 1, 2], F32)}, 3, F32, 1, {"mode": "linear"}),
    ("cropped", "CenterCropPad", {"shape": i64(9)}, 3, F32, 1, {"axes": [2]}),
    ("picked", "Compress", {"c": np.array([True, False, True])}, 3, F32, 1, {"axis": 2}),
]
MIXED = [
    ("top", "TopK", {"k": i64(1)}, 3, F32, 2, {"axis": 0}),
    ("largest", "ArgMax", {}, 2, I64, 1, {"axis": 0, "keepdims": 0}),
    ("sums", "CumSum", {"axis": np.array(0)}, 3, F32, 1, {}),
    ("tile", "Tile", {"r": i64(2, 1, 1)}, 3, F32, 1, {}),
    ("flat", "Flatten", {}, 2, F32, 1, {"axis": 0}),
    ("product", "Einsum", {}, 2, F32, 1, {"equation": "tbi->bi"}),
    ("steps named", "Einsum", {"w": np.ones((1, 16), F32)}, 3, F32, 1, {"equation": "tbi,ti->tbi"}),
    ("longer", "Resize", {"roi": NONE, "scales": np.array([2, 1, 1], F32)}, 3, F32, 1, {}),
    ("cropped", "CenterCropPad", {"shape": i64(1)}, 3, F32, 1, {"axes": [0]}),
    ("picked", "Compress", {"c": np.array([True])}, 3, F32, 1, {"axis": 0}),
    ("replaced", "ScatterND", {"i": i64(0).reshape(1, 1), "u": np.ones((1, 1, 16), F32)}, 3, F32, 1, {}),
    ("gathered", "GatherND", {"i": i64(0).reshape(1, 1)}, 3, F32, 1, {}),
]


@pytest.mark.parametrize("case", KEPT, ids=[case[0] for case in KEPT])
def test_frame_by_frame_is_the_whole(case: Any) -> None:
    model = behind_gru(*case[1:])
    x = np.random.default_rng(1).standard_normal((9, 1, 7)).astype(np.float32)
    whole, stream = model(x), model.stream()
    steps = [stream.step(frame) for frame in np.split(x, [1, 3, 5])]
    assert_same_bytes(np.concatenate(steps, axis=1 if case[0] == "product" else 0), whole)


@pytest.mark.parametrize("case", MIXED, ids=[case[0] for case in MIXED])
def test_what_mixes_time_is_refused(case: Any) -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match="the_op"):
        behind_gru(*case[1:]).stream()
