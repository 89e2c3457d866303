"""Operations and constants between layers of Keras 3 models."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_models import check, keras, sequence

import lstm_rt

STEPS = 5
TABLE = sequence(9, 1, STEPS, 3)
Operation = Callable[[Any, Any, Any], Any]  # of keras.ops and two tensors

OPERATIONS: dict[str, Operation] = {
    "table": lambda o, x, y: x * TABLE + y - TABLE[0],
    "compared": lambda o, x, y: o.cast(x > TABLE, "float32") + o.cast(o.not_equal(x, y), "float32"),
    "stack": lambda o, x, y: o.stack([x, y], 1)[:, 1, 2],
    "split": lambda o, x, y: o.split(x, 3, -1)[1] + o.split(y, [1, 2], axis=-1)[2],
    "unstack": lambda o, x, y: o.unstack(x, axis=1)[3],
    "tile": lambda o, x, y: o.tile(x, [1, 2, 1]),
    "clip": lambda o, x, y: o.clip(x, -0.2, 0.3),
    "where": lambda o, x, y: o.where(x > 0, x, y) + o.where(y > 0, x, 0.0),
    "matmul": lambda o, x, y: o.matmul(x, o.transpose(y, (0, 2, 1))),
    "matmul_constant": lambda o, x, y: o.matmul(x, TABLE[0, :3]) + o.dot(y, TABLE[0, :3]),
    "softmax": lambda o, x, y: o.softmax(x, axis=-1) + o.log_softmax(y, axis=1),
    "activations": lambda o, x, y: (
        o.elu(x, 0.5) + o.gelu(y) + o.silu(x) + o.leaky_relu(y, 0.1) + o.relu6(x) + o.softplus(y)
    ),
    "gelu": lambda o, x, y: o.gelu(x, approximate=False) + o.hard_sigmoid(y) + o.selu(x),
    "powers": lambda o, x, y: o.rsqrt(x * x + 1.0) + o.log1p(o.abs(y)) + o.expm1(x) + o.reciprocal(y + 3.0) + x**2,
    "argmax": lambda o, x, y: o.cast(o.argmax(x, -1), "float32") + o.cast(o.argmin(y, axis=-1), "float32"),
    "cumsum": lambda o, x, y: o.cumsum(x, 1),
    "flip": lambda o, x, y: o.flip(x, 1) + o.flip(y, (1, 2)),
    "pad": lambda o, x, y: o.pad(x, [[0, 0], [1, 2], [0, 1]], constant_values=0.5),
    "take": lambda o, x, y: o.take(x, [0, 2], axis=1),
    "spread": lambda o, x, y: o.var(x, 1) + o.std(y, 1, keepdims=False) + o.prod(x, axis=1),
    "integers": lambda o, x, y: (
        o.cast(o.cast(x * 9.0, "int32") / 2, "float32") + o.cast(o.cast(y * 9, "int32") * 0.5, "float32")
    ),
    "floor": lambda o, x, y: x // 0.3 + y % 0.3,
    "axes": lambda o, x, y: o.swapaxes(x, 1, 2),
    "parts": lambda o, x, y: x[:, None, -1] + o.expand_dims(y[..., 0], -1)[:, :, 0:1],
    "powers_of_two": lambda o, x, y: o.power(2.0, x) + 1 / (y + 2) + o.stop_gradient(x) + o.round(y),
}


@pytest.mark.parametrize("case", OPERATIONS)
def test_operation_matches_keras(case: str, tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    x = module.Input((STEPS, 3))
    y = L.LSTM(3, return_sequences=True)(x)
    model = module.Model(x, L.Activation("linear")(OPERATIONS[case](module.ops, x, y)))
    check(model, [sequence(1, 2, STEPS, 3)], tmp_path)


@pytest.mark.parametrize("kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
def test_merging_layer_with_constant_matches_keras(kind: str, tmp_path: pathlib.Path) -> None:
    module = keras()
    x = module.Input((STEPS, 3))
    table = np.repeat(TABLE, 2, 0) if kind == "Concatenate" else TABLE
    y = getattr(module.layers, kind)()([module.layers.GRU(3, return_sequences=True)(x), table])
    check(module.Model(x, module.layers.LSTM(2)(y)), [sequence(1, 2, STEPS, 3)], tmp_path)


def test_operation_that_is_unknown_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    module = keras()
    x = module.Input((STEPS, 3))
    module.Model(x, module.ops.logsumexp(x, 1)).save(tmp_path / "m.keras")
    with pytest.raises(lstm_rt.UnsupportedModelError, match="operation 'Logsumexp' is not supported"):
        lstm_rt.load(tmp_path / "m.keras")
