"""Files of Keras 1 and 2, and old layouts, made by hand; computed by the equations in reference.py."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import fetch
import h5py
import numpy as np
import pytest
from close import assert_within
from keras_models import keras, run_keras, run_ours, sequence, shake
from models import Array

import lstm_rt

GOLDEN = pathlib.Path(__file__).parent / "golden"
RNG = np.random.default_rng(7)


def legacy(
    path: pathlib.Path,
    layers: list[dict[str, Any]],
    weights: dict[str, dict[str, Array]],
    version: str,
    backend: str = "tensorflow",
    config: bool = True,
) -> pathlib.Path:
    """An .h5 file as Keras 1 and 2 write it: weights by layer, in the order of their names given."""
    listed: Any = layers if version.startswith(("1", "2.0")) else {"name": "sequential", "layers": layers}
    with h5py.File(path, "w") as file:
        if config:
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": listed}).encode()
        file.attrs["keras_version"] = version.encode()
        file.attrs["backend"] = backend.encode()
        group = file.create_group("model_weights")
        names = [layer["config"]["name"] for layer in layers]
        group.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            own = group.create_group(name)
            own.attrs["weight_names"] = [key.encode() for key in weights.get(name, {})]
            for key, array in weights.get(name, {}).items():
                own.create_dataset(key, data=array)
    return path


def floats(*shape: int) -> Array:
    return RNG.uniform(-0.6, 0.6, shape).astype(np.float32)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, gate: Any) -> Array:
    """Keras's LSTM: gates i, f, c, o."""
    h = c = np.zeros((len(x), recurrent.shape[0]))
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, -1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
    return np.asarray(h)


def gru(x: Array, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array | None, gate: Any) -> Array:
    """Keras's GRU: gates z, r, h; the reset gate before the product where there is no recurrent bias."""
    h = np.zeros((len(x), recurrent.shape[0]))
    units = recurrent.shape[0]
    for t in range(x.shape[1]):
        a = x[:, t] @ kernel + bias
        b = h @ recurrent + (0 if recurrent_bias is None else recurrent_bias)
        z, r = gate(a[:, :units] + b[:, :units]), gate(a[:, units : 2 * units] + b[:, units : 2 * units])
        inner = (r * h) @ recurrent[:, 2 * units :] if recurrent_bias is None else r * b[:, 2 * units :]
        h = z * h + (1 - z) * np.tanh(a[:, 2 * units :] + inner)
    return np.asarray(h)


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "the_layer", **config}}


def of_version(version: str) -> Any:
    slope = 0.2 if version < "3" else 1 / 6
    return lambda x: np.clip(slope * x + 0.5, 0, 1)


def converted(path: pathlib.Path, x: Array, **options: Any) -> Array:
    return run_ours(lstm_rt.load(path, **options), [x])[0]


@pytest.mark.parametrize("version", ["2.0.8", "2.2.4", "2.9.0", "3.4.1"])
def test_hard_sigmoid_by_version(version: str, tmp_path: pathlib.Path) -> None:
    kernel, recurrent, bias, x = floats(3, 16), floats(4, 16), floats(16), sequence(0, 2, 6, 3)
    settings = {"units": 4, "recurrent_activation": "hard_sigmoid", "activation": "tanh", "use_bias": True}
    one = layer("LSTM", **settings, batch_input_shape=[None, None, 3])
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k:0": 4 * kernel, "r:0": recurrent, "b:0": bias}}, version)
    expected = lstm(x, 4 * kernel, recurrent, bias, of_version(version))
    assert_within(converted(path, x), expected, 1e-6, version)


@pytest.mark.parametrize("version", ["2.2.4", "2.9.0", "3.4.1"])
def test_gates_that_are_not_said(version: str, tmp_path: pathlib.Path) -> None:
    kernel, recurrent, bias, x = 4 * floats(3, 16), floats(4, 16), floats(16), sequence(0, 2, 6, 3)
    one = layer("LSTM", units=4, batch_input_shape=[None, None, 3])
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k": kernel, "r": recurrent, "b": bias}}, version)
    gate = of_version(version) if version < "2.3" else sigmoid
    assert_within(converted(path, x), lstm(x, kernel, recurrent, bias, gate), 1e-6, version)


@pytest.mark.parametrize("version", ["2.0.8", "2.9.0", "3.4.1"])
def test_hard_sigmoid_of_other_layers(version: str, tmp_path: pathlib.Path) -> None:
    kernel, bias, x = 4 * floats(3, 5), floats(5), sequence(0, 2, 6, 3)
    one = layer("Dense", units=5, activation="hard_sigmoid", batch_input_shape=[None, 6, 3])
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k": kernel, "b": bias}}, version)
    assert_within(converted(path, x), of_version(version)(x @ kernel + bias), 1e-6, version)


def to_cudnn(kernel: Array, recurrent: Array, gates: int) -> tuple[Array, Array]:
    """As Keras turns weights of a layer to those of one laid out for cuDNN."""
    turned = np.hstack([part.T.reshape(part.shape, order="C") for part in np.split(kernel, gates, 1)])
    return turned, np.hstack([part.T for part in np.split(recurrent, gates, 1)])


@pytest.mark.parametrize("kind", ["CuDNNLSTM", "LSTM"])
def test_cudnn_lstm(kind: str, tmp_path: pathlib.Path) -> None:
    kernel, recurrent, x = floats(3, 16), floats(4, 16), sequence(0, 2, 6, 3)
    bias = floats(32)
    turned = to_cudnn(kernel, recurrent, 4)
    own = {} if kind == "CuDNNLSTM" else {"recurrent_activation": "sigmoid", "activation": "tanh"}
    one = layer(kind, units=4, batch_input_shape=[None, None, 3], **own)
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k": turned[0], "r": turned[1], "b": bias}}, "2.2.4")
    assert_within(converted(path, x), lstm(x, kernel, recurrent, bias[:16] + bias[16:], sigmoid), 1e-6)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", ["CuDNNLSTM", "LSTM"])
def test_cudnn_in_bidirectional(kind: str, backwards: bool, tmp_path: pathlib.Path) -> None:
    # A layer that goes backwards has a twin that goes forwards.
    x, arrays, expected = sequence(0, 2, 6, 3), {}, []
    for side in ("forward", "backward"):
        kernel, recurrent, bias = floats(3, 16), floats(4, 16), floats(32)
        turned = to_cudnn(kernel, recurrent, 4)
        arrays.update({f"{side}/k": turned[0], f"{side}/r": turned[1], f"{side}/b": bias})
        steps = x[:, ::-1] if backwards != (side == "backward") else x
        expected.append(lstm(steps, kernel, recurrent, bias[:16] + bias[16:], sigmoid))
    inner = layer(kind, units=4, go_backwards=backwards)
    if kind == "LSTM":
        inner["config"]["recurrent_activation"] = "sigmoid"
    both = layer("Bidirectional", layer=inner, merge_mode="concat", batch_input_shape=[None, None, 3])
    path = legacy(tmp_path / "m.h5", [both], {"the_layer": arrays}, "2.2.4")
    assert_within(converted(path, x), np.concatenate(expected, -1), 1e-6)


@pytest.mark.parametrize("kind", ["CuDNNGRU", "GRU"])
def test_cudnn_gru(kind: str, tmp_path: pathlib.Path) -> None:
    kernel, recurrent, x, bias = floats(3, 12), floats(4, 12), sequence(0, 2, 6, 3), floats(24)
    turned = to_cudnn(kernel, recurrent, 3)
    own = {} if kind == "CuDNNGRU" else {"recurrent_activation": "sigmoid", "activation": "tanh", "reset_after": True}
    one = layer(kind, units=4, batch_input_shape=[None, None, 3], **own)
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k": turned[0], "r": turned[1], "b": bias}}, "2.2.4")
    assert_within(converted(path, x), gru(x, kernel, recurrent, bias[:12], bias[12:], sigmoid), 1e-6)


@pytest.mark.parametrize("after", [False, True, None])
def test_reset_after(after: bool | None, tmp_path: pathlib.Path) -> None:
    # Files older than the option do not say it.
    kernel, recurrent, x = floats(3, 12), floats(4, 12), sequence(0, 2, 6, 3)
    bias = floats(2, 12) if after else floats(12)
    settings = {} if after is None else {"reset_after": after}
    one = layer("GRU", units=4, recurrent_activation="sigmoid", batch_input_shape=[None, None, 3], **settings)
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k": kernel, "r": recurrent, "b": bias}}, "2.1.6")
    pair = (bias[0], bias[1]) if after else (bias, None)
    assert_within(converted(path, x), gru(x, kernel, recurrent, pair[0], pair[1], sigmoid), 1e-6)


def test_keras1(tmp_path: pathlib.Path) -> None:
    table, kernel, bias = floats(9, 3), floats(3, 3, 5), floats(5)
    w, u, b = floats(5, 16), floats(4, 16), floats(16)
    dense, dense_bias = floats(4, 2), floats(2)
    layers = [
        {"class_name": "Embedding", "config": {
            "name": "e", "input_dim": 9, "output_dim": 3, "input_length": 7, "init": "uniform", "mask_zero": False,
            "dropout": 0.0, "W_regularizer": None, "batch_input_shape": [None, 7], "input_dtype": "int32"}},
        {"class_name": "Convolution1D", "config": {
            "name": "c", "nb_filter": 5, "filter_length": 3, "border_mode": "valid", "subsample_length": 1,
            "activation": "relu", "bias": True, "init": "glorot_uniform", "W_regularizer": None, "input_dim": 3,
            "input_length": 7}},
        {"class_name": "LSTM", "config": {
            "name": "l", "output_dim": 4, "inner_activation": "hard_sigmoid", "activation": "tanh",
            "inner_init": "orthogonal", "forget_bias_init": "one", "consume_less": "cpu", "return_sequences": False,
            "go_backwards": False, "stateful": False, "unroll": False, "dropout_W": 0.2, "dropout_U": 0.2,
            "W_regularizer": None, "input_dim": 5, "input_length": None}},
        {"class_name": "Dropout", "config": {"name": "p", "p": 0.5}},
        {"class_name": "Dense", "config": {
            "name": "d", "output_dim": 2, "activation": "linear", "bias": True, "W_regularizer": None, "input_dim": 4}},
    ]  # fmt: skip
    separate = {}
    for number, gate in zip((0, 2, 1, 3), "icfo"):  # the file has i, c, f, o
        for name, array in (("W", w), ("U", u), ("b", b)):
            separate[f"l_{name}_{gate}"] = np.split(array, 4, -1)[number]
    path = legacy(
        tmp_path / "m.h5",
        layers,
        {
            "e": {"e_W": table},
            "c": {"c_W": kernel[:, None], "c_b": bias},
            "l": separate,
            "d": {"d_W": dense, "d_b": dense_bias},
        },
        "1.2.2",
    )
    x = RNG.integers(0, 9, (3, 7))
    y = table[x]
    y = np.maximum(sum(y[:, k : k + 5] @ kernel[k] for k in range(3)) + bias, 0)
    expected = lstm(y, w, u, b, of_version("1")) @ dense + dense_bias
    assert_within(converted(path, x), expected, 1e-6)


def test_theano_kernels_are_turned(tmp_path: pathlib.Path) -> None:
    kernel, bias, x = floats(3, 2, 5), floats(5), sequence(0, 2, 6, 2)
    one = layer("Conv1D", filters=5, kernel_size=[3], activation="linear", batch_input_shape=[None, 6, 2])
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k": kernel, "b": bias}}, "2.1.0", "theano")
    expected = sum(x[:, 2 - k : 6 - k] @ kernel[k] for k in range(3)) + bias
    assert_within(converted(path, x), np.asarray(expected), 1e-6)


@pytest.mark.parametrize("form", ["text", "file", "object"])
def test_weights_alone(form: str, tmp_path: pathlib.Path) -> None:
    module = keras()
    x = module.Input((5, 3))
    model = module.Model(x, module.layers.GRU(4)(x))
    shake(model, 3)
    text = model.to_json()
    file = tmp_path / "model.json"
    file.write_text(text)
    config = {"text": text, "file": file, "object": json.loads(text)}[form]
    data = sequence(0, 2, 5, 3)
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    with pytest.raises(lstm_rt.ArgumentError, match="to_json"):
        lstm_rt.load(path)
    assert_within(converted(path, data, config=config), run_keras(model, [data])[0], 1e-5)


def test_live_model_and_names() -> None:
    module = keras()
    L = module.layers
    a, b = module.Input((5, 3), name="left"), module.Input((4,), name="right")
    y = L.LSTM(4, name="memory")(a)
    outputs = [L.Dense(2, name="first")(y), L.Dense(3, name="second")(L.Concatenate(name="both")([y, b]))]
    model = module.Model([a, b], outputs)
    shake(model, 3)
    ours = lstm_rt.from_keras(model)
    assert [port.name for port in ours.inputs] == ["left", "right"]
    assert [port.name for port in ours.outputs] == ["first", "second"]
    data = [sequence(0, 2, 5, 3), sequence(1, 2, 4)]
    for found, expected in zip(run_ours(ours, data), run_keras(model, data)):
        assert_within(found, expected, 1e-5)


def test_half_precision(tmp_path: pathlib.Path) -> None:
    kernel, recurrent, bias, x = floats(3, 16), floats(4, 16), floats(16), sequence(0, 2, 6, 3)
    halves = [a.astype(np.float16) for a in (kernel, recurrent, bias)]
    policy = {"class_name": "Policy", "config": {"name": "float16"}}
    one = layer("LSTM", units=4, recurrent_activation="sigmoid", batch_input_shape=[None, None, 3], dtype=policy)
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": dict(zip("krb", halves))}, "2.9.0")
    wide = [a.astype(np.float64) for a in halves]
    expected = lstm(x, wide[0], wide[1], wide[2], sigmoid)
    assert_within(converted(path, x), expected, 1e-6)


def test_custom_layer(tmp_path: pathlib.Path) -> None:
    module = keras()

    @module.saving.register_keras_serializable("tests")
    class SqueezeLayer(module.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(shape[-1],))

        def call(self, x: Any) -> Any:
            return x * self.scale

    x = module.Input((5, 3))
    model = module.Model(x, module.layers.LSTM(2)(SqueezeLayer(name="squeeze")(x)))
    shake(model, 3)
    data = sequence(0, 2, 5, 3)

    def builder(build: Any, config: dict[str, Any], weights: list[Array], inputs: list[Any]) -> Any:
        assert config["name"] == "squeeze"
        return build.op("Mul", inputs[0], build.constant(weights[0], "scale"))

    for extension in (".keras", ".h5"):
        path = tmp_path / f"m{extension}"
        model.save(path)
        with pytest.raises(lstm_rt.UnsupportedModelError, match="SqueezeLayer"):
            lstm_rt.load(path)
        found = converted(path, data, custom_layers={"SqueezeLayer": builder})
        assert_within(found, run_keras(model, [data])[0], 1e-5)


REFUSED = {
    "no such layer": ([layer("Mystery")], "layer 'Mystery' is not known"),
    "custom activation": ([layer("Activation", activation="mine")], "activation 'mine'"),
    "unknown setting": ([layer("Activation", activation="relu", twist=3)], "twist = 3"),
    "two at once": ([layer("Mystery"), {"class_name": "Lambda", "config": {"name": "l"}}], "layer 'Mystery'"),
    "no weights": ([layer("Dense", units=2)], "has 0 weights for it"),
    "constraint": ([layer("LSTM", units=-3)], "units"),
    "custom cell": ([layer("RNN", cell={"class_name": "Mine", "config": {}})], "cell 'Mine'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: pathlib.Path) -> None:
    layers, expected = REFUSED[name]
    first = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 5, 3]}}
    path = legacy(tmp_path / "m.h5", [first, *layers], {}, "3.0.0")
    with pytest.raises(lstm_rt.UnsupportedModelError) as raised:
        lstm_rt.load(path)
    assert expected in str(raised.value)


def test_no_shape(tmp_path: pathlib.Path) -> None:
    path = legacy(tmp_path / "m.h5", [layer("Flatten")], {}, "2.2.4")
    with pytest.raises(lstm_rt.UnsupportedModelError, match="Input layer"):
        lstm_rt.load(path)


def test_shape_from_weights(tmp_path: pathlib.Path) -> None:
    kernel, recurrent, bias, x = floats(3, 16), floats(4, 16), floats(16), sequence(0, 2, 6, 3)
    one = layer("LSTM", units=4, recurrent_activation="sigmoid")
    path = legacy(tmp_path / "m.h5", [one], {"the_layer": {"k": kernel, "r": recurrent, "b": bias}}, "2.9.0")
    model = lstm_rt.load(path)
    assert model.inputs[0].shape == (None, None, 3)
    assert_within(run_ours(model, [x])[0], lstm(x, kernel, recurrent, bias, sigmoid), 1e-6)


def test_saved_model_folder(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "saved.keras"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(lstm_rt.UnsupportedModelError, match="save"):
        lstm_rt.load(folder)


def test_streams(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    x = module.Input((None,))
    y = L.Embedding(9, 5, mask_zero=True)(x)
    y = L.GRU(4, return_sequences=True)(L.LSTM(4, return_sequences=True)(y))
    model = module.Model(x, L.TimeDistributed(L.Dense(3))(y))
    shake(model, 3)
    path = tmp_path / "m.keras"
    model.save(path)
    ours = lstm_rt.load(path)
    data = np.array([[3, 0, 5, 1, 0, 0, 2, 8]], np.float32)
    whole = ours(data)
    assert_within(whole, run_keras(model, [data])[0], 1e-5)
    stream = ours.stream()
    steps = [stream.step(np.ascontiguousarray(data[:, t : t + 1])).copy() for t in range(8)]
    assert np.concatenate(steps, 1).tobytes() == whole.tobytes()


def test_shared_layers_have_their_weights_once(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    a, b = module.Input((5, 3)), module.Input((6, 3))
    shared = L.LSTM(8)
    model = module.Model([a, b], L.Add()([shared(a), shared(b)]))
    shake(model, 3)
    data = [sequence(0, 2, 5, 3), sequence(1, 2, 6, 3)]
    for extension in (".keras", ".h5"):
        path = tmp_path / f"m{extension}"
        model.save(path)
        from lstm_rt.converters import converter_for

        graph = converter_for(path)(path)
        assert sum(array.size for array in graph.weights.values()) < 2 * model.count_params()
        assert_within(run_ours(lstm_rt.load(path), data)[0], run_keras(model, data)[0], 1e-5)


# ---- Real models ----


@pytest.mark.parametrize(
    ("name", "file"),
    [("wiki_name", "wiki_name_lstm"), ("nc_voter_name_hardsigmoid", "nc_voter_name_lstm")],
)
def test_ethnicolr(name: str, file: str) -> None:
    with np.load(GOLDEN / "ethnicolr.npz") as data:
        model = lstm_rt.load(fetch.model(file))
        assert_within(run_ours(model, [data[f"{name}_in"]])[0], data[f"{name}_out"], 1e-5)


def test_netra_transliterate() -> None:
    with np.load(GOLDEN / "netra_transliterate.npz") as data:
        model = lstm_rt.load(fetch.model("netra_transliterate"))
        assert_within(run_ours(model, [data["enc"], data["dec"]])[0], data["y"], 1e-5)
