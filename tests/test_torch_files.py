"""Files of PyTorch's weights: dtypes, views, the places they stand in, lone modules, and what torch itself saves."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

import numpy as np
import pytest
import reference
import torch_files as tf
from lstm_rt.converters.gates import GATES, reorder
from lstm_rt.converters.torch.checkpoint import find_weights
from lstm_rt.converters.torch.files import read_weights

import lstm_rt
from lstm_rt.recipes import Input, Linear, Recipe

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: what it saves is not tried"
)
HIDDEN, INPUTS = 5, 3


def lone(kind: str, layers: int = 1, directions: int = 1, projection: int = 0, prefix: str = "") -> dict[str, Any]:
    rng = np.random.default_rng(5)
    gates, width, features = GATES[kind] * HIDDEN, projection or HIDDEN, INPUTS
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            end = f"l{layer}{suffix}"
            shapes[f"weight_ih_{end}"], shapes[f"weight_hh_{end}"] = (gates, features), (gates, width)
            shapes[f"bias_ih_{end}"] = shapes[f"bias_hh_{end}"] = (gates,)
            if projection:
                shapes[f"weight_hr_{end}"] = (projection, HIDDEN)
        features = width * directions
    return {prefix + name: rng.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("place", ["", "encoder.rnn.", "module.", "module._orig_mod.rnn."])
def test_lone_module(kind: str, place: str, tmp_path: pathlib.Path) -> None:
    weights = lone(kind)
    path = tf.save(tmp_path / "rnn.pt", {place + name: array for name, array in weights.items()})
    model = lstm_rt.load(path)
    assert model.conversion is not None
    assert any("batch_first=False" in note for note in model.conversion.notes)
    assert any("nonlinearity='tanh'" in note for note in model.conversion.notes) == (kind == "RNN")
    x = np.random.default_rng(1).uniform(-1, 1, (7, 2, INPUTS)).astype(np.float32)
    w, r = (reorder("torch", kind, weights[f"weight_{side}_l0"])[None] for side in ("ih", "hh"))
    b = np.concatenate([reorder("torch", kind, weights[f"bias_{side}_l0"]) for side in ("ih", "hh")])[None]
    options = {"linear_before_reset": 1} if kind == "GRU" else {}
    wanted = reference.recurrent(kind, x, w, r, b, **options)[0][:, 0]
    found = model.run({"input": x})
    np.testing.assert_allclose(found["output"], wanted, atol=2e-6)
    np.testing.assert_allclose(found["hn"][0], wanted[-1], atol=2e-6)
    turned = lstm_rt.load(path, batch_first=True)
    np.testing.assert_allclose(turned(x.swapaxes(0, 1))[0].swapaxes(0, 1), wanted, atol=2e-6)


def test_relu_is_an_option(tmp_path: pathlib.Path) -> None:
    path = tf.save(tmp_path / "rnn.pt", lone("RNN"))
    x = np.ones((2, 1, INPUTS), np.float32)
    tanh, relu = (lstm_rt.load(path, batch_first=False, nonlinearity=name) for name in ("tanh", "relu"))
    assert (relu(x)[0] >= 0).all()
    assert (tanh(x)[0] < 0).any()
    assert tanh.conversion is not None
    assert tanh.conversion.notes == ()
    path = tf.save(tmp_path / "gru.pt", lone("GRU"))
    with pytest.raises(lstm_rt.ArgumentError, match=r"nonlinearity: the weights are those of GRU"):
        lstm_rt.load(path, nonlinearity="relu")


def test_projection_streams(tmp_path: pathlib.Path) -> None:
    """Frame by frame as the whole; h has fewer numbers than c."""
    path = tf.save(tmp_path / "rnn.pt", lone("LSTM", layers=2, projection=2))
    model = lstm_rt.load(path)
    x = np.random.default_rng(1).uniform(-1, 1, (6, 1, INPUTS)).astype(np.float32)
    y, h, c = model(x)
    assert (y.shape, h.shape, c.shape) == ((6, 1, 2), (2, 1, 2), (2, 1, HIDDEN))
    stream = model.stream()
    steps = np.concatenate([stream.step(x[t : t + 1])[0] for t in range(6)])
    assert steps.tobytes() == y.tobytes()


@pytest.mark.parametrize("precision", ["int8", "int8x16", "int4", "bf16"])
@pytest.mark.parametrize("directions", [1, 2])
def test_projection_in_every_precision(precision: str, directions: int, tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(2)
    hidden, projection, inputs = 40, 19, 33
    shapes = {
        "weight_ih": (4 * hidden, inputs),
        "weight_hh": (4 * hidden, projection),
        "weight_hr": (projection, hidden),
    }
    names = [f"{name}_l0{suffix}" for name in shapes for suffix in ("", "_reverse")[:directions]]
    arrays = {name: rng.uniform(-0.3, 0.3, shapes[name.split("_l0")[0]]).astype(np.float32) for name in names}
    path = tf.save(tmp_path / "rnn.pt", arrays)
    x = rng.uniform(-1, 1, (9, 3, inputs)).astype(np.float32)
    wanted = lstm_rt.load(path)(x)
    model = lstm_rt.load(path, quantize=precision)
    assert model.quantization is not None
    assert model.quantization.layers[0].precision == precision
    for isa in set(lstm_rt.exact_isas()) & set(lstm_rt.available_isas()):
        other = lstm_rt.load(path, quantize=precision, isa=isa)(x)
        assert [array.tobytes() for array in other] == [array.tobytes() for array in model(x)], isa
    for seen, exact in zip(model(x), wanted):
        assert 0 < np.abs(seen - exact).max() < (0.1 if precision == "int4" else 0.02)


def test_dtypes(tmp_path: pathlib.Path) -> None:
    exact = np.array([[1.5, -2.0, 0.25]], np.float32)
    for array in (exact, exact.astype(np.float16), (exact.view(np.uint32) >> 16).astype(np.uint16)):
        path = tf.save(tmp_path / "linear.pt", {"a.weight": array})
        model = lstm_rt.load(path, recipe=Recipe({"x": Input(("n", 3))}, [Linear("a")]))
        assert model(np.eye(3, dtype=np.float32)).ravel().tolist() == exact.ravel().tolist()


def test_views(tmp_path: pathlib.Path) -> None:
    """Tensors that share a storage, from the middle of it, transposed, and of no elements."""
    values = np.arange(12, dtype=np.float32)
    entries = {
        "whole": tf.tensor("0", 12, (3, 4), (4, 1)),
        "turned": tf.tensor("0", 12, (4, 3), (1, 4)),
        "part": tf.tensor("0", 12, (2, 2), (4, 1), offset=5),
        "scalar": tf.tensor("0", 12, (), (), offset=11),
        "none": tf.tensor("0", 12, (0, 4), (4, 1), offset=12),
    }
    path = tf.archive(tmp_path / "views.pt", tf.state_dict(entries), {"0": values.tobytes()})
    weights = find_weights(read_weights(path))
    grid = values.reshape(3, 4)
    wanted = {"whole": grid, "turned": grid.T, "part": grid[1:3, 1:3], "scalar": values[11], "none": grid[:0]}
    for name, array in wanted.items():
        np.testing.assert_array_equal(weights.get(name), array)


def test_big_endian(tmp_path: pathlib.Path) -> None:
    values = np.arange(4, dtype=">f4")
    pickled = tf.state_dict({"w": tf.tensor("0", 4, (4,), (1,))})
    path = tf.archive(tmp_path / "w.pt", pickled, {"0": values.tobytes()}, byteorder=b"big")
    assert find_weights(read_weights(path)).get("w").tolist() == [0, 1, 2, 3]


def test_choice_of_a_state_dict(tmp_path: pathlib.Path) -> None:
    weight = tf.tensor("0", 4, (2, 2), (2, 1))
    inner = b"}(" + tf.text("a.weight") + weight + b"u"
    adam = b"}(" + tf.text("state") + b"}(" + b"K\0}(" + tf.text("exp_avg") + weight + b"uuu"
    items = {"epoch": b"K\3", "model": inner, "optimizer": adam}
    recipe = Recipe({"x": Input(("n", 2))}, [Linear("a")])

    def written(items: dict[str, bytes]) -> pathlib.Path:
        return tf.archive(tmp_path / "checkpoint.pt", tf.state_dict(items), {"0": bytes(16)})

    assert lstm_rt.load(written(items), recipe=recipe).parameters == 4
    two = written({**items, "ema": inner.replace(b"a.weight", b"b.weight")})
    message = r"holds several state_dicts: 'model' \(1 weights\), 'ema' \(1 weights\)\. Choose one, as in key='model'"
    with pytest.raises(lstm_rt.ArgumentError, match=message):
        lstm_rt.load(two, recipe=recipe)
    assert lstm_rt.load(two, recipe=recipe, key="model").parameters == 4
    both = Recipe({"x": Input(("n", 2))}, [Linear("model.a"), Linear("ema.b")])
    assert lstm_rt.load(two, recipe=both, key="").parameters == 8
    with pytest.raises(lstm_rt.ArgumentError, match=r"has nothing under 'mdl'\. Its state_dicts: 'model', 'ema'"):
        lstm_rt.load(two, recipe=recipe, key="mdl")


def test_no_recipe(tmp_path: pathlib.Path) -> None:
    path = tf.save(tmp_path / "model.pt", {**lone("LSTM", prefix="rnn."), "head.weight": np.zeros((2, 5), np.float32)})
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"does not say what is done with them\. Give a recipe"):
        lstm_rt.load(path)


@pytest.mark.parametrize("shape", [None, ()])
def test_a_lone_module_without_its_first_weight(shape: tuple[int, ...] | None, tmp_path: pathlib.Path) -> None:
    weights = lone("LSTM")
    del weights["weight_ih_l0"]
    if shape is not None:
        weights["weight_ih_l0"] = np.zeros(shape, np.float32)
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"lstm\.pt.*weight_ih_l0"):
        lstm_rt.load(tf.save(tmp_path / "lstm.pt", weights))


def test_options_that_do_not_fit(tmp_path: pathlib.Path) -> None:
    path = tf.save(tmp_path / "rnn.pt", lone("LSTM"))
    with pytest.raises(lstm_rt.ArgumentError, match=r"example_inputs: not for a file of weights"):
        lstm_rt.from_torch(path, example_inputs=(1,))
    with pytest.raises(lstm_rt.ArgumentError, match=r"batch_first: not for a recipe"):
        lstm_rt.load(path, recipe=Recipe({"x": Input((1,))}, [Linear("a")]), batch_first=True)


@needs_torch
@pytest.mark.filterwarnings("ignore")
class TestTorch:
    """What torch saves."""

    @pytest.mark.parametrize("legacy", [False, True])
    def test_checkpoint(self, legacy: bool, tmp_path: pathlib.Path) -> None:
        import torch

        module = torch.nn.LSTM(INPUTS, HIDDEN, 2, bidirectional=True, proj_size=2)
        optimizer = torch.optim.Adam(module.parameters())
        module(torch.zeros(2, 1, INPUTS))[0].sum().backward()
        optimizer.step()
        wrapped = {f"module.{name}": weight for name, weight in module.state_dict().items()}
        scaled = {"model": wrapped, "optimizer": optimizer.state_dict(), "loss": np.float64(3), "size": torch.Size([1])}
        path = tmp_path / "checkpoint.pth"
        torch.save(scaled, path, _use_new_zipfile_serialization=not legacy)
        x = torch.rand(6, 3, INPUTS)
        with torch.no_grad():
            y, (h, c) = module(x)
        for seen, wanted in zip(lstm_rt.load(path)(x.numpy()), (y, h, c)):
            np.testing.assert_allclose(seen, wanted.numpy(), atol=2e-6)

    def test_parameters_and_half(self, tmp_path: pathlib.Path) -> None:
        import torch

        module = torch.nn.GRU(INPUTS, HIDDEN)
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            path = tmp_path / "gru.pt"
            torch.save({name: torch.nn.Parameter(p.to(dtype)) for name, p in module.named_parameters()}, path)
            exact = module.to(dtype).float()
            x = torch.rand(4, 2, INPUTS)
            np.testing.assert_allclose(lstm_rt.load(path)(x.numpy())[0], exact(x)[0].detach().numpy(), atol=2e-6)

    def test_whole_module(self, tmp_path: pathlib.Path) -> None:
        import torch

        torch.save(torch.nn.LSTM(2, 3), tmp_path / "module.pt")
        with pytest.raises(
            lstm_rt.UnsupportedModelError, match=r"torch\.nn\.modules\.rnn\.LSTM.*whole module.*state_dict"
        ):
            lstm_rt.load(tmp_path / "module.pt")

    def test_safetensors(self, tmp_path: pathlib.Path) -> None:
        import torch
        from safetensors.torch import save_file

        module = torch.nn.LSTM(INPUTS, HIDDEN).to(torch.bfloat16)
        save_file(module.state_dict(), tmp_path / "lstm.safetensors")
        x = torch.rand(4, 2, INPUTS)
        found = lstm_rt.load(tmp_path / "lstm.safetensors", batch_first=False)(x.numpy())[0]
        np.testing.assert_allclose(found, module.float()(x)[0].detach().numpy(), atol=2e-6)

    @pytest.mark.parametrize("kind", ["LSTM", "GRU"])
    @pytest.mark.parametrize("directions", [1, 2])
    def test_quantised(self, kind: str, directions: int, tmp_path: pathlib.Path) -> None:
        """torch.ao's dynamic quantisation keeps its integers: as near to torch's as its own rounding of x."""
        import torch

        from lstm_rt import recipes

        class Model(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.rnn = getattr(torch.nn, kind)(33, 40, 2, bidirectional=directions == 2, batch_first=True)
                self.head = torch.nn.Linear(40 * directions, 17)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.head(self.rnn(x)[0])

        torch.manual_seed(0)
        module = Model().eval()
        layers = {torch.nn.LSTM, torch.nn.GRU, torch.nn.Linear}
        quantised = torch.ao.quantization.quantize_dynamic(module, layers, dtype=torch.qint8)
        path = tmp_path / "model.pt"
        torch.save(quantised.state_dict(), path)
        options = {"bidirectional": directions == 2} if directions == 2 else {}
        stack = [recipes.kinds()[kind](name="rnn", batch_first=True, **options), Linear("head")]
        model = lstm_rt.load(path, recipe=Recipe({"x": Input(("batch", "time", 33))}, stack))
        assert model.weight_bytes < 0.5 * 4 * model.parameters
        x = torch.rand(2, 9, 33) - 0.5
        with torch.no_grad():
            wanted = quantised(x).numpy()
        assert np.abs(model(x.numpy()) - wanted).max() < 0.02 * np.abs(wanted).max() + 0.01
