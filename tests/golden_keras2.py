"""Makes golden/keras2.zip: models of Keras 2 with the outputs that TensorFlow gave for them.

Run with TensorFlow 2.15, which is not installed for tests: ``python tests/golden_keras2.py``. Each model is saved as
.keras and as .h5 (or one of them, if the cases say so); next to them are its inputs, in order, and its outputs.
"""

from __future__ import annotations

import io
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

ARCHIVE = pathlib.Path(__file__).parent / "golden" / "keras2.zip"
STEPS = 5
Case = Callable[[Any], tuple[Any, list[Any]]]  # of the module keras: a model and its inputs


def floats(*shape: int) -> Any:
    return np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)


def tokens(*shape: int) -> Any:
    found = np.random.default_rng(4).integers(1, 7, shape)
    found[0, ..., -2:] = 0
    found[1, 1] = 0
    return found.astype(np.int32)


# ---- Models within models ----


def encoder(k: Any, name: str, features: int = 3, units: int = 4) -> Any:
    x = k.Input((None, features))
    y = k.layers.LSTM(units, return_sequences=True)(x)
    return k.Model(x, k.layers.BatchNormalization()(y), name=name)


def one_call(k: Any) -> Any:
    x = k.Input((None, 3))
    return k.Model(x, k.layers.Dense(2)(encoder(k, "enc")(x))), [floats(2, STEPS, 3)]


def siamese(k: Any) -> Any:
    a, b = k.Input((None, 3)), k.Input((None, 3))
    enc = encoder(k, "enc")
    y = k.layers.Concatenate()([enc(a), enc(b)])
    return k.Model([a, b], k.layers.GRU(3)(y)), [floats(2, STEPS, 3), floats(2, STEPS, 3)[:, ::-1]]


def sequential_inside(k: Any) -> Any:
    x = k.Input((None, 3))
    known = k.Sequential([k.Input((None, 3)), k.layers.GRU(4, return_sequences=True), k.layers.Dense(3)])
    late = k.Sequential([k.layers.Dense(4), k.layers.LSTM(3, return_sequences=True)])
    return k.Model(x, late(known(known(x)))), [floats(2, STEPS, 3)]


def functional_in_sequential(k: Any) -> Any:
    model = k.Sequential([k.Input((None, 3)), encoder(k, "enc"), encoder(k, "more", 4), k.layers.Dense(2)])
    return model, [floats(2, STEPS, 3)]


def three_deep(k: Any) -> Any:
    inner = encoder(k, "inner", 3, 3)
    x = k.Input((None, 3))
    y = k.layers.Dense(3)(inner(x))
    middle = k.Model(x, inner(k.layers.BatchNormalization()(y)), name="middle")
    x = k.Input((None, 3))
    last = k.Sequential([k.Input((None, 3)), middle, k.layers.BatchNormalization()], name="last")
    outer = k.Model(x, k.layers.Add()([last(x), middle(x)]), name="outer")
    x = k.Input((None, 3))
    model = k.Model(x, k.layers.SimpleRNN(3)(outer(outer(x))))
    inner.trainable = False  # its weights come after all others in a list of the .h5 file
    return model, [floats(2, STEPS, 3)]


def frozen_parts(k: Any) -> Any:
    x = k.Input((None, 3))
    first, second = encoder(k, "first"), encoder(k, "second", 4)
    first.layers[1].trainable = False
    inner = k.Model(x, second(first(x)), name="inner")
    x = k.Input((None, 3))
    return k.Model(x, k.layers.GRU(2)(inner(x))), [floats(2, STEPS, 3)]


def several_outputs(k: Any) -> Any:
    x = k.Input((None, 3))
    y, h, c = k.layers.LSTM(4, return_sequences=True, return_state=True)(x)
    enc = k.Model(x, [y, h, c], name="enc")
    x = k.Input((None, 3))
    y, h, c = enc(x)
    z = k.layers.LSTM(4)(y, initial_state=[h, c])
    return k.Model(x, [z, enc(x)[1]]), [floats(2, STEPS, 3)]


def dicts(k: Any) -> Any:
    b, a = k.Input((None, 3), name="b"), k.Input((None, 2), name="a")
    enc = k.Model(
        {"b": b, "a": a}, k.layers.Concatenate()([k.layers.Dense(3)(b), k.layers.LSTM(2, return_sequences=True)(a)])
    )
    x, y = k.Input((None, 2)), k.Input((None, 3))
    return k.Model([x, y], k.layers.GRU(2)(enc({"a": x, "b": y}))), [floats(2, STEPS, 2), floats(2, STEPS, 3)]


def model_in_wrapper(k: Any) -> Any:
    inner = k.Sequential([k.Input((4, 3)), k.layers.LSTM(3), k.layers.Dense(2)], name="per_word")
    x = k.Input((STEPS, 4, 3))
    return k.Model(x, k.layers.GRU(2)(k.layers.TimeDistributed(inner)(x))), [floats(2, STEPS, 4, 3)]


# ---- Masks ----


def mask_branches(k: Any) -> Any:
    """Every layer that keeps a sequence a sequence, between a mask and a layer that uses it."""
    L = k.layers
    x = k.Input((STEPS,), dtype="int32")
    e = L.Embedding(7, 3, mask_zero=True)(x)
    outputs = [L.SimpleRNN(2)(make(L)(e)) for make in SEQUENCE_LAYERS.values()]
    outputs += [L.SimpleRNN(2)(make(L)([e, L.Dense(3)(e)])) for make in MERGING_LAYERS.values()]
    return k.Model(x, outputs), [tokens(3, STEPS)]


SEQUENCE_LAYERS: dict[str, Callable[[Any], Any]] = {
    "ELU": lambda L: L.ELU(),
    "LeakyReLU": lambda L: L.LeakyReLU(),
    "ThresholdedReLU": lambda L: L.ThresholdedReLU(0.01),
    "ReLU": lambda L: L.ReLU(),
    "PReLU": lambda L: L.PReLU(),
    "Conv1D": lambda L: L.Conv1D(2, 3, padding="same"),
    "SeparableConv1D": lambda L: L.SeparableConv1D(2, 3, padding="same"),
    "DepthwiseConv1D": lambda L: L.DepthwiseConv1D(3, padding="same"),
    "Conv1DTranspose": lambda L: L.Conv1DTranspose(2, 3, padding="same"),
    "Dense": lambda L: L.Dense(2),
    "ActivityRegularization": lambda L: L.ActivityRegularization(),
    "AlphaDropout": lambda L: L.AlphaDropout(0.1),
    "Dropout": lambda L: L.Dropout(0.1),
    "GaussianDropout": lambda L: L.GaussianDropout(0.1),
    "GaussianNoise": lambda L: L.GaussianNoise(0.1),
    "Identity": lambda L: L.Identity(),
    "SpatialDropout1D": lambda L: L.SpatialDropout1D(0.1),
    "Activation": lambda L: L.Activation("tanh"),
    "Permute": lambda L: L.Permute((1, 2)),
    "Reshape": lambda L: L.Reshape((STEPS, 3)),
    "BatchNormalization": lambda L: L.BatchNormalization(),
    "LayerNormalization": lambda L: L.LayerNormalization(),
    "UnitNormalization": lambda L: L.UnitNormalization(),
    "Rescaling": lambda L: L.Rescaling(0.7, 0.1),
    "Normalization": lambda L: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 0.5]),
    "MaxPooling1D": lambda L: L.MaxPooling1D(2, strides=1, padding="same"),
    "AveragePooling1D": lambda L: L.AveragePooling1D(2, strides=1, padding="same"),
    "ZeroPadding1D": lambda L: L.ZeroPadding1D(1),
    "Cropping1D": lambda L: L.Cropping1D((0, 1)),
    "UpSampling1D": lambda L: L.UpSampling1D(2),
    "LSTM": lambda L: L.LSTM(2, return_sequences=True),
    "GRU": lambda L: L.GRU(2, return_sequences=True),
    "SimpleRNN": lambda L: L.SimpleRNN(2, return_sequences=True),
    "RNN": lambda L: L.RNN([L.GRUCell(2), L.LSTMCell(2)], return_sequences=True),
    "Bidirectional": lambda L: L.Bidirectional(L.GRU(2, return_sequences=True)),
    "TimeDistributed": lambda L: L.TimeDistributed(L.Dense(2)),
}
MERGING_LAYERS: dict[str, Callable[[Any], Any]] = {
    "Add": lambda L: L.Add(),
    "Subtract": lambda L: L.Subtract(),
    "Multiply": lambda L: L.Multiply(),
    "Average": lambda L: L.Average(),
    "Maximum": lambda L: L.Maximum(),
    "Minimum": lambda L: L.Minimum(),
    "Concatenate": lambda L: L.Concatenate(),
    "Attention": lambda L: L.Attention(),
    "AdditiveAttention": lambda L: L.AdditiveAttention(),
    "Dot": lambda L: L.Dot((2, 2)),
}


def words_and_characters(k: Any) -> Any:
    """A mask per word and per character, through what TimeDistributed may wrap."""
    L = k.layers
    x = k.Input((4, STEPS), dtype="int32")
    shared = L.Embedding(7, 3, mask_zero=True)(x)
    wrapped = L.TimeDistributed(L.Embedding(7, 3, mask_zero=True))(x)
    inner = k.Sequential([k.Input((STEPS, 3)), L.Dense(2), L.GRU(2)])
    outputs = []
    for e in (shared, wrapped):
        for layer in (
            L.LSTM(2),
            L.Bidirectional(L.GRU(2)),
            L.GRU(2, return_sequences=True),
            L.GlobalAveragePooling1D(),
            L.Dense(2),
            inner,
        ):
            y = L.TimeDistributed(layer)(e)
            if len(y.shape) == 4:
                y = L.TimeDistributed(L.SimpleRNN(2))(y)
            outputs.append(L.SimpleRNN(2)(y))
    return k.Model(x, outputs), [tokens(3, 4, STEPS)]


def masked_words(k: Any) -> Any:
    L = k.layers
    x = k.Input((4, STEPS, 2))
    example = floats(3, 4, STEPS, 2)
    example[0, :, 3:] = example[1, 2:] = 0
    y = L.TimeDistributed(L.Masking())(x)
    z = L.TimeDistributed(L.LSTM(2))(L.Masking()(x))
    return k.Model(x, [L.GRU(2)(L.TimeDistributed(L.LSTM(2))(y)), L.GRU(2)(z)]), [example]


# ---- Operators between layers ----


def operators(k: Any) -> Any:
    import tensorflow as tf

    x = k.Input((STEPS, 3))
    y = k.layers.LSTM(3, return_sequences=True)(x)
    z = (x + y) * 2.0 - 0.5 / (1.0 + tf.abs(y))
    w = -tf.nn.relu(1.0 - z) + np.float32(0.25)
    both = tf.concat([z, w], axis=-1)
    stacked = tf.reduce_sum(tf.stack([z, w, y], axis=1), axis=1)
    means = tf.reduce_mean(both, axis=1, keepdims=True)
    power = tf.sqrt(tf.square(y) + 1e-3) ** 1.5
    outputs = [
        both[:, -1],
        both[:, 1:4, ::2],
        (x // 0.3) + y % 0.3 + tf.math.squared_difference(x, y),
        tf.add_n([x, y, z]) + tf.split(both, 2, axis=-1)[1] + tf.split(both, [2, 3, 1], axis=-1)[1],
        tf.unstack(y, axis=1)[2] + tf.stack([x, y], 2)[:, 1, 0],
        tf.tile(x, [1, 2, 1]),
        tf.nn.elu(x) + tf.nn.selu(y) + tf.nn.gelu(z) + tf.nn.silu(w) + tf.nn.leaky_relu(x, 0.1) + tf.nn.relu6(y),
        tf.nn.softplus(x) + tf.nn.log_softmax(y) + tf.math.rsqrt(x * x + 1.0) + tf.math.log1p(tf.abs(y)) + tf.round(x),
        tf.reduce_max(x, 1) + tf.reduce_min(y, 1) + tf.reduce_prod(z, 1) + tf.math.reduce_std(x, 1),
        tf.cast(tf.argmax(x, -1), tf.float32) + tf.reduce_sum(tf.cumsum(x, 1), -1),
        tf.cast(tf.reduce_any((x > 0.5) & ~(y > 0.0), 1), "float32")
        - tf.cast(tf.reduce_all((x >= 0.5) | (y < 0.0), 1), "float32"),
        tf.reverse(x, [1]) + tf.gather(y, [0, 2, 1], axis=2) + tf.nn.bias_add(x, [1.0, 2.0, 3.0]),
        tf.pad(x, [[0, 0], [1, 2], [0, 0]]),
        tf.matmul(x, tf.constant([[1.0], [2.0], [3.0]])),
        tf.cast(tf.cast(x * 9.0, "int32") / 2, "float32") + 2.0 ** tf.stop_gradient(y),
        y[:, tf.newaxis, 1, :],
        x @ tf.transpose(y, [0, 2, 1]),
        tf.expand_dims(y[:, 0, :], 1),
        tf.squeeze(means, axis=[1]),
        tf.transpose(stacked, [0, 2, 1]),
        tf.reshape(both, [-1, STEPS * 6]),
        tf.cast(tf.greater(y, 0.0), tf.float32),
        tf.matmul(y, z, transpose_b=True),
        tf.nn.softmax(power, axis=-1),
        tf.maximum(y, 0.1) + tf.minimum(z, y) + tf.clip_by_value(w, -0.2, 0.2),
        tf.math.tanh(w) * tf.sigmoid(z) + tf.math.exp(-tf.math.square(y)) + tf.math.log(power),
        tf.where(y > 0.0, z, w),
        tf.zeros_like(y) + tf.ones_like(z),
        tf.keras.backend.mean(y, axis=1) if hasattr(tf.keras.backend, "mean") else y,
    ]
    return k.Model(x, [k.layers.Activation("linear")(o) for o in outputs]), [floats(2, STEPS, 3)]


def ellipsis(k: Any) -> Any:
    x = k.Input((STEPS, 3))
    y = k.layers.LSTM(3, return_sequences=True)(x)
    return k.Model(x, [k.layers.Dense(2)(y[..., 1:]), k.layers.Dense(2)(y[:, ..., 0])]), [floats(2, STEPS, 3)]


def constants(k: Any) -> Any:
    x = k.Input((STEPS, 3))
    table = floats(1, STEPS, 3)
    y = k.layers.Add()([k.layers.GRU(3, return_sequences=True)(x), table])
    z = k.layers.Concatenate()([k.layers.Multiply()([y, table]), y])
    return k.Model(x, k.layers.LSTM(2)(z)), [floats(1, STEPS, 3)]


def activation_layers(k: Any) -> Any:
    L = k.layers
    x = k.Input((STEPS, 3))
    outputs = [
        L.LSTM(2, activation=L.LeakyReLU(0.1))(x),
        L.GRU(2, activation=L.ELU(0.5), recurrent_activation=L.Activation("hard_sigmoid"), reset_after=False)(x),
        L.SimpleRNN(2, activation=L.ReLU(max_value=0.4))(x),
        L.Dense(2, activation=L.LeakyReLU())(x),
        L.Conv1D(2, 2, activation=L.ThresholdedReLU(0.1))(x),
    ]
    return k.Model(x, outputs), [floats(2, STEPS, 3)]


CASES: dict[str, Case] = {
    "one_call": one_call,
    "siamese": siamese,
    "sequential_inside": sequential_inside,
    "functional_in_sequential": functional_in_sequential,
    "three_deep": three_deep,
    "frozen_parts": frozen_parts,
    "several_outputs": several_outputs,
    "dicts": dicts,
    "model_in_wrapper": model_in_wrapper,
    "mask_branches": mask_branches,
    "words_and_characters": words_and_characters,
    "masked_words": masked_words,
    "operators": operators,
    "ellipsis": ellipsis,
    "constants": constants,
    "activation_layers": activation_layers,
}


def mask_table(k: Any) -> dict[str, str]:
    """What becomes of a mask at each layer: it passes, it stops, or it is another one after the layer."""
    L = k.layers
    e = L.Embedding(7, 3, mask_zero=True)(tokens(3, STEPS))
    found = {}
    made = [(name, make(L)(e)) for name, make in SEQUENCE_LAYERS.items()]
    made += [(name, make(L)([e, e])) for name, make in MERGING_LAYERS.items()]
    for name, y in made:
        mask = getattr(y, "_keras_mask", None)
        same = mask is not None and np.array_equal(mask, e._keras_mask)
        found[name] = "stop" if mask is None else "pass" if same else "other"
    return found


def main() -> None:
    import json

    import tensorflow as tf

    k = tf.keras
    wanted = sys.argv[1:]
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("masks.json", json.dumps(mask_table(k), indent=1))
        for name, case in CASES.items():
            if wanted and name not in wanted:
                continue
            k.backend.clear_session()
            k.utils.set_random_seed(1)
            model, inputs = case(k)
            rng = np.random.default_rng(5)
            for variable in model.weights:
                low, high = (0.5, 1.5) if "variance" in variable.name else (-0.7, 0.7)
                variable.assign(rng.uniform(low, high, variable.shape).astype(np.float32))
            found = [
                np.asarray(y) for y in tf.nest.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
            ]
            data = io.BytesIO()
            arrays = {f"in{i}": x for i, x in enumerate(inputs)} | {f"out{i}": y for i, y in enumerate(found)}
            np.savez_compressed(data, **arrays)
            archive.writestr(f"{name}.npz", data.getvalue())
            for extension in (".keras", ".h5"):
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder, f"m{extension}")
                    try:
                        model.save(path)
                    except (TypeError, ValueError, NotImplementedError) as error:
                        print(f"{name}{extension} cannot be saved: {str(error)[:200]}")
                        continue
                    archive.write(path, f"{name}{extension}")
    print(ARCHIVE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
