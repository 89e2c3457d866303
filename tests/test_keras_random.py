"""Random models over all layers: Keras 3 and we agree within 1e-5 of the largest output.

Every seed is one model: sequences (of floats or masked tokens) or images, a few layers that take what comes, perhaps a
nested model, a shared layer, a second branch.
"""

from __future__ import annotations

import pathlib
import random
from typing import Any

import numpy as np
import pytest
from keras_models import compare, keras, run_keras, run_ours, sequence, shake, tokens
from models import Array

import lstm_rt

MODELS = 200
BATCH = 3
ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu", "softplus", "selu", "gelu", "swish", "hard_sigmoid", "linear")
OF_CELLS = ("tanh", "tanh", "tanh", "relu", "softsign", "elu", "linear", "sigmoid", "softplus")
GATES = ("sigmoid", "sigmoid", "hard_sigmoid", "tanh")


class Maker:
    """Makes one model; `x` is a Keras tensor [batch, steps, features] until something takes the steps away."""

    def __init__(self, module: Any, seed: int) -> None:
        self.rng = random.Random(seed)
        self.module, self.layers = module, module.layers
        self.masked = False
        self.free = False
        self.forced: bool | None = None  # whether steps are free, in place of chance

    def pick(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def some(self) -> bool:
        return self.rng.random() < 0.5

    def units(self) -> int:
        return self.rng.randint(2, 7)

    def activation(self) -> str:
        return str(self.pick(*ACTIVATIONS))

    # ---- Sequences ----

    def start(self) -> tuple[Any, Any, Array]:
        """An input, what comes of it, and an example."""
        kind = self.pick("floats", "floats", "tokens", "tokens", "masking", "images")
        steps = self.rng.randint(5, 9)
        self.free = kind != "images" and self.some()
        if self.forced is not None:
            self.free = self.forced
        declared = None if self.free else steps
        seed = self.rng.randrange(10**6)
        if kind == "tokens":
            self.masked = self.some()
            x = self.module.Input((declared,))
            y = self.layers.Embedding(11, self.units(), mask_zero=self.masked)(x)
            return x, y, tokens(seed, BATCH, steps, 11)
        if kind == "images":
            x = self.module.Input((declared, 6, 2))
            return x, self.image(x), sequence(seed, BATCH, steps, 6, 2)
        features = self.units()
        x = self.module.Input((declared, features))
        example = sequence(seed, BATCH, steps, features)
        if kind == "floats":
            return x, x, example
        self.masked = True
        example[0, 1] = example[1, -2:] = 0.0
        return x, self.layers.Masking()(x), example

    def image(self, x: Any) -> Any:
        """Images become sequences of their rows."""
        L = self.layers
        how = self.rng.randrange(5)
        if how == 0:
            x = L.Conv2D(self.units(), self.pick(1, 2, 3), padding="same", activation=self.activation())(x)
        elif how == 1:
            x = L.SeparableConv2D(self.units(), 2, padding=self.pick("same", "valid"))(x)
        elif how == 2:
            x = L.DepthwiseConv2D(2, depth_multiplier=2)(x)
        elif how == 3:
            return L.ConvLSTM1D(self.units(), 2, return_sequences=True, padding="same")(x) if self.some() else x
        x = self.pick(L.MaxPooling2D(2, padding="same"), L.AveragePooling2D(2))(x) if self.some() else x
        if self.some():
            x = L.BatchNormalization()(x)
        return x

    def flatten_rows(self, x: Any) -> Any:
        if len(x.shape) == 4:
            inner = self.pick(self.layers.Flatten(), self.layers.GlobalMaxPooling1D(), self.layers.LSTM(self.units()))
            x = self.layers.TimeDistributed(inner)(x)
        return x

    def recurrent(self, sequences: bool, inside: bool = False) -> Any:
        """A recurrent layer, with any options."""
        L = self.layers
        units = self.units()
        common: dict[str, Any] = {
            "return_sequences": sequences,
            "go_backwards": not inside and self.pick(False, False, True),
        }
        if self.masked and self.some():
            common["zero_output_for_mask"] = True
        options = {"activation": self.pick(*OF_CELLS), "use_bias": self.pick(True, True, False)}
        gates = {"recurrent_activation": self.pick(*GATES)}
        kind = self.rng.randrange(4)
        if kind == 0:
            return L.LSTM(units, **common, **options, **gates)
        if kind == 1:
            return L.GRU(units, reset_after=self.some(), **common, **options, **gates)
        if kind == 2:
            return L.SimpleRNN(units, **common, **options)
        cells = [L.LSTMCell(units, **options, **gates), L.GRUCell(self.units()), L.SimpleRNNCell(self.units())]
        self.rng.shuffle(cells)
        return L.RNN(cells[: self.rng.randint(2, 3)], **common)

    def sequence_layer(self, x: Any) -> Any:
        """A layer that leaves a sequence."""
        L = self.layers
        choices = [
            lambda x: self.recurrent(True)(x),
            lambda x: self.recurrent(True)(x),
            lambda x: L.Bidirectional(self.recurrent(True, True), merge_mode=self.pick("concat", "sum", "mul", "ave"))(
                x
            ),
            lambda x: L.Dense(self.units(), activation=self.activation())(x),
            lambda x: L.TimeDistributed(L.Dense(self.units(), activation=self.activation()))(x),
            lambda x: L.Dropout(0.3)(x),
            lambda x: L.BatchNormalization()(x),
            lambda x: L.LayerNormalization()(x),
            lambda x: L.Activation(self.activation())(x),
            lambda x: self.pick(L.LeakyReLU(), L.ELU(), L.ReLU(max_value=0.8), L.UnitNormalization())(x),
            self.residual,
            self.joined,
            self.nested,
            self.shared,
        ]
        if not self.masked:
            choices += [self.convolved, self.resized, self.attended, self.states]
        return self.pick(*choices)(x)

    def residual(self, x: Any) -> Any:
        merge = self.pick(self.layers.Add, self.layers.Multiply, self.layers.Average, self.layers.Maximum)
        return merge()([x, self.layers.Dense(int(x.shape[-1]), activation="tanh")(x)])

    def joined(self, x: Any) -> Any:
        return self.layers.Concatenate()([x, self.layers.Dense(self.units())(x)])

    def nested(self, x: Any) -> Any:
        steps, features = x.shape[1], int(x.shape[2])
        inner = self.module.Sequential(
            [self.module.Input((steps, features)), self.layers.Dense(self.units()), self.layers.BatchNormalization()]
        )
        return inner(x)

    def shared(self, x: Any) -> Any:
        layer = self.layers.Dense(int(x.shape[-1]), activation="tanh")
        return layer(layer(x))

    def convolved(self, x: Any) -> Any:
        L = self.layers
        padding = self.pick("same", "causal")
        return self.pick(
            L.Conv1D(self.units(), 3, padding=padding, activation=self.activation()),
            L.Conv1D(self.units(), 2, strides=2, padding="same"),
            L.SeparableConv1D(self.units(), 2, padding="same"),
            L.DepthwiseConv1D(2, padding="same", depth_multiplier=2),
        )(x)

    def resized(self, x: Any) -> Any:
        L = self.layers
        return self.pick(
            L.MaxPooling1D(2, padding="same"),
            L.AveragePooling1D(3, strides=1, padding="same"),
            L.ZeroPadding1D((1, 2)),
            L.UpSampling1D(2),
        )(x)

    def attended(self, x: Any) -> Any:
        L = self.layers
        how = self.rng.randrange(3)
        if how == 0:
            return L.Attention(use_scale=self.some())([x, x], use_causal_mask=self.some())
        if how == 1:
            return L.AdditiveAttention()([x, x])
        return L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=self.some())

    def states(self, x: Any) -> Any:
        L = self.layers
        units = self.units()
        y, h, c = L.LSTM(units, return_sequences=True, return_state=True)(x)
        return L.LSTM(units, return_sequences=True)(y, initial_state=[h, c])

    # ---- The whole ----

    def make(self) -> tuple[Any, Array]:
        L = self.layers
        x, y, example = self.start()
        y = self.flatten_rows(y)
        for _ in range(self.rng.randint(1, 4)):
            y = self.sequence_layer(y)
        outputs = [y] if self.some() else []
        last = self.rng.randrange(4)
        if last == 0:
            y = L.GlobalAveragePooling1D()(y) if not self.masked else L.LSTM(3)(y)
        elif last == 1:
            y = L.GlobalMaxPooling1D()(y)
        elif last == 2:
            y = self.recurrent(False)(y)
        else:
            y = L.Bidirectional(self.recurrent(False, True))(y)
        if self.some():
            y = L.Reshape((-1, 1))(L.RepeatVector(2)(y))
            y = L.Flatten()(y)
        y = L.Dense(self.units(), activation=self.pick("softmax", "sigmoid", "linear", "tanh"))(y)
        return self.module.Model(x, [y, *outputs]), example


@pytest.mark.parametrize("seed", range(MODELS))
def test_random(seed: int, tmp_path: pathlib.Path) -> None:
    module = keras()
    module.utils.set_random_seed(seed)
    model, example = Maker(module, seed).make()
    shake(model, seed)
    expected = run_keras(model, [example])
    path = tmp_path / ("model.keras" if seed % 2 else "model.h5")
    model.save(path)
    converted = lstm_rt.load(path)
    what = f"seed {seed}: {[type(layer).__name__ for layer in model.layers]}"
    compare(run_ours(converted, [example]), expected, what)
    # A batch of another size, and where steps are free, another number of them.
    other = np.concatenate([example, example[:1]])[:, : (-1 if model.input_shape[1] is None else None)]
    compare(run_ours(converted, [other]), run_keras(model, [other]), what)
