"""Models that were built for a fixed number of steps take any number, unless a layer needs the number."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_models import compare, keras, run_keras, run_ours, sequence, shake
from models import Array
from test_keras_random import Maker

import lstm_rt

STEPS = 8
OTHERS = (STEPS, 13, 3, 1)
Make = Callable[[Any, Any], Any]  # of the layers and an input: an output


def decoder(L: Any, x: Any) -> Any:
    y = L.RepeatVector(4)(L.LSTM(3)(x))
    return L.TimeDistributed(L.Dense(2))(L.GRU(3, return_sequences=True)(y))


def residual(L: Any, x: Any) -> Any:
    y = L.Add()([L.Bidirectional(L.LSTM(2, return_sequences=True))(x), x])
    return L.Attention()([y, y])


FREE: dict[str, Make] = {
    "lstm": lambda L, x: L.Dense(2)(L.LSTM(5)(x)),
    "stack": lambda L, x: L.GRU(3)(L.LayerNormalization()(L.LSTM(5, return_sequences=True)(x))),
    "causal": lambda L, x: L.Dense(2)(L.Conv1D(3, 2, padding="causal")(x)),
    "decoder": decoder,
    "residual": residual,
    "time_distributed": lambda L, x: L.TimeDistributed(L.Dense(3))(L.MultiHeadAttention(2, 3)(x, x)),
    "pooled": lambda L, x: L.Dense(2)(L.GlobalAveragePooling1D()(x)),
    "reshape_of_features": lambda L, x: L.LSTM(2)(L.Reshape((-1, 2))(x)),
    "batch_norm": lambda L, x: L.BatchNormalization()(x),
    "operators": lambda L, x: (L.LSTM(4, return_sequences=True)(x) * 2.0 + x)[:, -1],
}
# Models that need a fixed number of steps, each with the layer that the refusal names.
FIXED: dict[str, tuple[Make, str]] = {
    "flatten": (lambda L, x: L.Dense(2)(L.Flatten()(x)), "dense"),
    "flatten_after_pooling": (lambda L, x: L.Dense(2)(L.Flatten()(L.MaxPooling1D(2)(x))), "dense"),
    "dense_over_time": (lambda L, x: L.Dense(2)(L.Permute((2, 1))(x)), "dense"),
    "reshape": (lambda L, x: L.LSTM(2)(L.Reshape((STEPS // 2, 8))(x)), "reshape"),
    "reshape_with_remainder": (lambda L, x: L.LSTM(2)(L.Reshape((-1, 8))(x)), "reshape"),
    "norm_over_time": (lambda L, x: L.BatchNormalization(axis=1)(x), "batch_normalization"),
    "layer_norm_over_time": (lambda L, x: L.LayerNormalization(axis=(1, 2))(x), "layer_normalization"),
    "prelu": (lambda L, x: L.PReLU()(x), "p_re_lu"),
    "features_of_time": (lambda L, x: L.LSTM(2)(L.Permute((2, 1))(x)), "lstm"),
    "unrolled": (lambda L, x: L.LSTM(2, activation="gelu")(x), "lstm"),
    "joined_with_fixed": (lambda L, x: L.Add()([x, L.RepeatVector(STEPS)(L.LSTM(4)(x))]), "add"),
    "concatenated_with_fixed": (lambda L, x: L.Concatenate()([x, L.RepeatVector(STEPS)(L.LSTM(4)(x))]), "concatenate"),
    "table": (lambda L, x: x + np.ones((STEPS, 4), np.float32), "add"),
}


def saved(make: Make, steps: int | None, path: pathlib.Path) -> Any:
    module = keras()
    module.utils.set_random_seed(1)
    x = module.Input((steps, 4), name="x")
    model = module.Model(x, make(module.layers, x))
    shake(model, 2)
    model.save(path)
    return model


@pytest.mark.parametrize("case", FREE)
@pytest.mark.parametrize("extension", [".keras", ".h5"])
def test_fixed_steps_are_freed(case: str, extension: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"m{extension}"
    saved(FREE[case], STEPS, path)
    free = saved(FREE[case], None, tmp_path / "free.keras")
    model = lstm_rt.load(path)
    assert model.inputs[0].shape == (None, None, 4)
    for steps in OTHERS:
        x = sequence(steps, 2, steps, 4)
        compare(run_ours(model, [x]), run_keras(free, [x]), f"{case}, {steps} steps")


def test_fixed_steps_stream_frame_by_frame(tmp_path: pathlib.Path) -> None:
    source = saved(FREE["lstm"], STEPS, tmp_path / "m.keras")
    x = sequence(0, 1, STEPS, 4)
    stream = lstm_rt.load(tmp_path / "m.keras").stream()
    for t in range(STEPS):
        y = np.asarray(stream.step(x[:, t : t + 1]))
    compare([y], run_keras(source, [x]), "last step")


@pytest.mark.parametrize("case", FIXED)
def test_layer_that_needs_steps_keeps_them_fixed(case: str, tmp_path: pathlib.Path) -> None:
    make, layer = FIXED[case]
    path = tmp_path / "m.keras"
    source = saved(make, STEPS, path)
    model = lstm_rt.convert(path, tmp_path / "m.gguf")
    assert model.inputs[0].shape == (None, STEPS, 4)
    notes = "\n".join(model.conversion.notes) if model.conversion else ""
    assert f"input 'x': dim 1 stays {STEPS} and cannot be free: " in notes
    assert f"layer '{layer}" in notes
    x = sequence(0, 3, STEPS, 4)
    compare(run_ours(model, [x]), run_keras(source, [x]), case)
    with pytest.raises(lstm_rt.ShapeError, match=f"dim 1 is {STEPS} and cannot be free. A layer needs.*'{layer}"):
        lstm_rt.load(path, shapes={"x": (None, None, 4)})


def test_reshape_that_joins_rows_keeps_steps_fixed(tmp_path: pathlib.Path) -> None:
    module = keras()

    def joined(L: Any, x: Any) -> Any:
        rows = L.Dense(4)(module.ops.reshape(x, (-1, 4)))
        return L.LSTM(2)(module.ops.reshape(rows, (-1, STEPS, 4)))

    saved(joined, STEPS, tmp_path / "m.keras")
    assert lstm_rt.load(tmp_path / "m.keras").inputs[0].shape == (None, STEPS, 4)


def test_one_of_two_inputs_is_freed(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    a, b = module.Input((STEPS, 4), name="a"), module.Input((6, 3), name="b")
    y = L.Concatenate()([L.LSTM(2)(a), L.Dense(2)(L.Flatten()(b))])
    module.Model([a, b], y).save(tmp_path / "m.keras")
    model = lstm_rt.load(tmp_path / "m.keras")
    assert [port.shape for port in model.inputs] == [(None, None, 4), (None, 6, 3)]


def test_tokens_are_freed_and_features_are_not(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    a, b = module.Input((STEPS,), name="a"), module.Input((3,), name="b")
    y = L.Concatenate()([L.LSTM(2)(L.Embedding(7, 3, mask_zero=True)(a)), L.Dense(2)(b)])
    module.Model([a, b], y).save(tmp_path / "m.keras")
    model = lstm_rt.load(tmp_path / "m.keras")
    assert [port.shape for port in model.inputs] == [(None, None), (None, 3)]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"y": (None, None, 4)}, "no input 'y'"),
        ({"x": (None, 4)}, "the model declares"),
        ({"x": (None, None, 5)}, "the model declares"),
        ({"x": (None, None, None)}, "dim 2 is 4 and cannot be free"),
    ],
)
def test_shapes_without_effect_are_refused(shapes: Any, message: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.keras"
    saved(FREE["lstm"], STEPS, path)
    with pytest.raises((lstm_rt.ShapeError, lstm_rt.ArgumentError), match=message):
        lstm_rt.load(path, shapes=shapes)
    assert lstm_rt.load(path, shapes={"x": (2, 16, 4)}).inputs[0].shape == (2, 16, 4)


def test_selftest_has_the_declared_steps(tmp_path: pathlib.Path) -> None:
    saved(FREE["lstm"], STEPS, tmp_path / "m.keras")
    model = lstm_rt.convert(tmp_path / "m.keras", tmp_path / "m.gguf", check=True)
    assert model.verify() == 2
    assert model.conversion is not None
    assert model.conversion.check is not None
    assert model.conversion.check.passed


@pytest.mark.parametrize("seed", range(12))
def test_random_fixed_model_takes_other_steps(seed: int, tmp_path: pathlib.Path) -> None:
    module = keras()

    def made(free: bool) -> tuple[Any, Array]:
        maker = Maker(module, seed)
        maker.forced = free
        module.utils.set_random_seed(seed)
        model, example = maker.make()
        shake(model, seed)
        return model, example

    (fixed, example), (free, _) = made(False), made(True)
    fixed.save(tmp_path / "m.keras")
    model = lstm_rt.load(tmp_path / "m.keras")
    if model.inputs[0].shape[1] is not None:  # type: ignore[index]
        pytest.skip("a layer needs the number of steps")
    for x in (example, np.concatenate([example, example[:, :3]], 1)):
        compare(run_ours(model, [x]), run_keras(free, [x]), f"seed {seed}, {x.shape[1]} steps")
