"""The list of what layers do with masks holds for Keras 3 and for TensorFlow 2.15, and random masked models agree."""

from __future__ import annotations

import json
import pathlib
import random
import warnings
import zipfile
from typing import Any

import numpy as np
import pytest
from golden_keras2 import MERGING_LAYERS, SEQUENCE_LAYERS, STEPS
from keras_models import check, compare, keras, run_keras, run_ours, shake
from models import Array
from test_keras2_golden import ARCHIVE

import lstm_rt

RANDOM = 16


def tokens(seed: int, *shape: int) -> Array:
    found = np.random.default_rng(seed).integers(1, 7, shape).astype(np.int32)
    found[0, ..., -2:] = 0
    found[1, 1] = 0
    found[2, ..., 0] = 0
    return found


def rule(kind: str, version: tuple[int, ...]) -> str:
    from lstm_rt.converters.keras.masks import mask_rule

    return str(mask_rule(kind, version))


def assert_rules(seen: dict[str, str], version: tuple[int, ...]) -> None:
    wrong = {kind: found for kind, found in seen.items() if rule(kind, version) not in (found, "own")}
    assert not wrong, f"the mask after these layers is not what masks.py says: {wrong}"


def test_mask_table_names_every_layer() -> None:
    from lstm_rt.converters.keras import layers  # noqa: F401
    from lstm_rt.converters.keras.layer import handlers
    from lstm_rt.converters.keras.masks import MASKS

    between = {kind for kind in handlers if kind.startswith("ops.") or kind in ("TFOpLambda", "SlicingOpLambda")}
    assert set(MASKS) == set(handlers) - between


def test_mask_table_matches_tensorflow() -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        assert_rules(json.loads(archive.read("masks.json")), (2, 15))


def test_mask_table_matches_keras3() -> None:
    module = keras()
    L = module.layers
    e = L.Embedding(7, 3, mask_zero=True)(tokens(0, 3, STEPS))
    mask = np.asarray(e._keras_mask)
    own: dict[str, Any] = {
        "GroupNormalization": lambda L: L.GroupNormalization(3),
        "RMSNormalization": lambda L: L.RMSNormalization(),
        "Softmax": lambda L: L.Softmax(axis=-1),
    }
    one = {kind: make for kind, make in {**SEQUENCE_LAYERS, **own}.items() if hasattr(L, kind) and kind != "Softmax"}
    seen = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [(kind, make(L)(e)) for kind, make in one.items()]
        made += [(kind, make(L)([e, e])) for kind, make in MERGING_LAYERS.items()]
    for kind, y in made:
        found = getattr(y, "_keras_mask", None)
        seen[kind] = "stop" if found is None else "pass" if np.array_equal(np.asarray(found), mask) else "other"
    assert_rules(seen, tuple(int(n) for n in module.__version__.split(".")[:2]))
    assert seen["Identity"] == "pass"
    assert seen["RMSNormalization"] == "stop"


def test_mask_after_each_layer_matches_keras3(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    made = [make(L) for kind, make in SEQUENCE_LAYERS.items() if hasattr(L, kind)] + [L.RMSNormalization()]
    x = module.Input((STEPS,), dtype="int32")
    e = L.Embedding(7, 3, mask_zero=True)(x)
    outputs = [L.SimpleRNN(2)(layer(e)) for layer in made]
    outputs += [L.SimpleRNN(2)(make(L)([e, L.Dense(3)(e)])) for make in MERGING_LAYERS.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(module.Model(x, outputs), [tokens(1, 3, STEPS)], tmp_path)


class Masked:
    """Makes random models over words and characters, each with a mask."""

    def __init__(self, module: Any, seed: int) -> None:
        self.rng, self.module, self.layers = random.Random(seed), module, module.layers

    def recurrent(self, sequences: bool) -> Any:
        L = self.layers
        kind = self.rng.choice([L.LSTM, L.GRU, L.SimpleRNN])
        layer = kind(self.rng.randint(2, 4), return_sequences=sequences, go_backwards=self.rng.random() < 0.2)
        return L.Bidirectional(kind(2, return_sequences=sequences)) if self.rng.random() < 0.4 else layer

    def same(self, y: Any) -> Any:
        L = self.layers
        return self.rng.choice(
            [
                lambda y: L.Dense(3)(y),
                lambda y: L.TimeDistributed(L.Dense(3))(y),
                lambda y: L.Identity()(y),
                lambda y: L.Rescaling(0.5)(y),
                lambda y: L.RMSNormalization()(y),
                lambda y: L.LayerNormalization()(y),
                lambda y: L.Activation("tanh")(y),
                lambda y: L.Add()([y, L.Dropout(0.1)(y)]),
                lambda y: L.Concatenate()([y, L.Dense(2)(y)]),
            ]
        )(y)

    def per_word(self) -> Any:
        L = self.layers
        if self.rng.random() < 0.3:
            return self.module.Sequential([self.module.Input((STEPS, 3)), L.Dense(3), self.recurrent(False)])
        return self.recurrent(False)

    def make(self) -> tuple[Any, Array]:
        L = self.layers
        wide = self.rng.random() < 0.7
        shape = (4, STEPS) if wide else (STEPS,)
        x = self.module.Input(shape, dtype="int32")
        y = L.Embedding(7, 3, mask_zero=True)(x)
        if self.rng.random() < 0.5:
            y = self.same(y)
        if wide:
            if self.rng.random() < 0.4:
                y = L.TimeDistributed(self.recurrent(True))(y)
            y = L.Dense(3)(y)
            y = L.TimeDistributed(self.per_word())(y)
            y = L.Reshape((4, y.shape[-1]))(y)  # Keras keeps the mask of the characters, which nothing can use
        else:
            y = self.recurrent(True)(self.same(y))
        return self.module.Model(x, [self.recurrent(False)(self.same(y)), y]), tokens(self.rng.randrange(99), 3, *shape)


@pytest.mark.parametrize("seed", range(RANDOM))
def test_random_masked_model_matches_keras3(seed: int, tmp_path: pathlib.Path) -> None:
    module = keras()
    module.utils.set_random_seed(seed)
    model, example = Masked(module, seed).make()
    shake(model, seed)
    path = tmp_path / ("m.keras" if seed % 2 else "m.h5")
    model.save(path)
    what = f"seed {seed}: {[type(layer).__name__ for layer in model.layers]}"
    compare(run_ours(lstm_rt.load(path), [example]), run_keras(model, [example]), what)


def test_mask_of_characters_at_recurrent_layer_is_refused(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    x = module.Input((4, STEPS), dtype="int32")
    y = L.TimeDistributed(L.LSTM(2))(L.Embedding(7, 3, mask_zero=True)(x))
    path = tmp_path / "m.keras"
    module.Model(x, L.LSTM(2)(y)).save(path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="its mask has 3 dims, not 2"):
        lstm_rt.load(path)


def test_stateful_layer_in_time_distributed_is_refused(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    x = module.Input(batch_shape=(2, 4, STEPS, 3))
    path = tmp_path / "m.keras"
    module.Model(x, L.TimeDistributed(L.LSTM(2, stateful=True))(x)).save(path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="stateful"):
        lstm_rt.load(path)
