"""Recipes: against torch where it is installed, and what they refuse."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

import numpy as np
import pytest
import torch_files as tf
from cpu import RECORDS_SELFTESTS

import lstm_rt
from lstm_rt import recipes
from lstm_rt.recipes import GRU, LSTM, Concat, Embedding, GroupNorm, Input, Linear, PReLU, Recipe, ReLU, Select

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: nothing to compare recipes with"
)
STACKS = 200
TAGGER = """
[inputs]
ids = { shape = ["batch", "time"], dtype = "int64" }

[[layers]]
kind = "Embedding"
name = "embed"

[[layers]]
kind = "GRU"
name = "gru"
batch_first = true

[[layers]]
kind = "Linear"
name = "head"

[outputs]
logits = "head"
state = "gru.h"
"""


def weights(**more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    shapes = {
        "embed.weight": (7, 4),
        "gru.weight_ih_l0": (15, 4),
        "gru.weight_hh_l0": (15, 5),
        "gru.bias_ih_l0": (15,),
        "gru.bias_hh_l0": (15,),
        "head.weight": (3, 5),
        "head.bias": (3,),
    }
    arrays = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    return {name: array for name, array in {**arrays, **more}.items() if array is not None}


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tf.save(tmp_path / "tagger.pt", weights())


def expected(ids: Any) -> Any:
    """The tagger, step by step."""
    w = weights()
    x = w["embed.weight"][ids].astype(np.float64)
    h = np.zeros((len(ids), 5))
    outputs = []
    for t in range(ids.shape[1]):
        a = x[:, t] @ w["gru.weight_ih_l0"].T + w["gru.bias_ih_l0"]
        b = h @ w["gru.weight_hh_l0"].T + w["gru.bias_hh_l0"]
        r, z = (1 / (1 + np.exp(-(a[:, s] + b[:, s]))) for s in (slice(0, 5), slice(5, 10)))
        n = np.tanh(a[:, 10:] + r * b[:, 10:])
        h = (1 - z) * n + z * h
        outputs.append(h @ w["head.weight"].T + w["head.bias"])
    return np.stack(outputs, 1), h[None]


def test_toml(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tagger.toml"
    path.write_text(TAGGER)
    model = lstm_rt.from_torch(file, recipe=path)
    assert model.inputs[0].name == "ids"
    assert [output.name for output in model.outputs] == ["logits", "state"]
    ids = np.array([[1, 2, 3, 4], [6, 5, 0, 0]])
    for seen, wanted in zip(model(ids), expected(ids)):
        np.testing.assert_allclose(seen, wanted, atol=2e-6)


def test_prefix_of_a_wrapper(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tagger.toml").write_text(TAGGER)
    wrapped = {f"module.{name}": array for name, array in weights().items()}
    model = lstm_rt.load(tf.save(tmp_path / "wrapped.pt", wrapped), recipe=tmp_path / "tagger.toml")
    ids = np.array([[1, 2, 3, 4], [6, 5, 0, 0]])
    for seen, wanted in zip(model(ids), expected(ids)):
        np.testing.assert_allclose(seen, wanted, atol=2e-6)


def test_every_form_is_the_same(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tagger.toml"
    path.write_text(TAGGER)
    layers = [Embedding("embed"), GRU("gru", batch_first=True), Linear("head")]
    recipe = Recipe({"ids": Input(("batch", "time"), "int64")}, layers, {"logits": "head", "state": "gru.h"})
    assert Recipe.from_toml(path) == recipe
    content = {
        "inputs": {"ids": {"shape": ["batch", "time"], "dtype": "int64"}},
        "layers": [
            {"kind": "Embedding", "name": "embed"},
            {"kind": "GRU", "name": "gru", "batch_first": True},
            {"kind": "Linear", "name": "head"},
        ],
        "outputs": {"logits": "head", "state": "gru.h"},
    }
    assert Recipe.from_dict(content) == recipe
    assert lstm_rt.from_torch(file, recipe=content).parameters == lstm_rt.from_torch(file, recipe=recipe).parameters


def test_streams_with_bound_state(file: pathlib.Path) -> None:
    recipe = Recipe(
        {"ids": Input((1, "time"), "int64"), "h": Input((1, 1, 5))},
        [Embedding("embed", inputs="ids"), GRU("gru", inputs=("embed", "h"), batch_first=True), Linear("head")],
        {"logits": "head", "h_out": "gru.h"},
        bind={"h": "h_out"},
    )
    model = lstm_rt.from_torch(file, recipe=recipe)
    ids = np.array([[1, 2, 3, 4]])
    stream = model.stream()
    steps = [stream.step(ids[:, t : t + 1]) for t in range(4)]
    np.testing.assert_allclose(np.concatenate(steps, 1), expected(ids)[0], atol=2e-6)


def test_branches(file: pathlib.Path) -> None:
    layers = [
        Embedding("embed"),
        GRU("gru", batch_first=True),
        Select("last", dim=1, index=-1),
        Select("first", inputs="gru", dim=1, index=0),
        Concat("both", inputs=("last", "first")),
        ReLU(),
    ]
    recipe = Recipe({"ids": Input(("batch", "time"), "int64")}, layers, {"y": "both"})
    model = lstm_rt.from_torch(file, recipe=recipe)
    assert model.conversion is not None
    assert model.conversion.notes == ("2 weights of tagger.pt not used by the recipe: head.weight, head.bias.",)
    assert model(np.array([[1, 2, 3]])).shape == (1, 10)


@needs_torch
@pytest.mark.parametrize("first", range(0, STACKS, 10))
def test_random_stacks(first: int, tmp_path: pathlib.Path) -> None:
    import torch
    from torch_stacks import random_stack

    for seed in range(first, first + 10):
        grower = random_stack(seed)
        path = tmp_path / f"stack{seed}.pt"
        torch.save(grower.stack.state_dict(), path)
        model = lstm_rt.load(path, recipe=grower.recipe())
        shape = (2, 11) if grower.batch_first else (11, 2)
        if grower.layers and type(grower.layers[-1]).__name__ == "Flatten":
            shape = (2, grower.time)
        x = grower.feed(shape)
        with torch.no_grad():
            wanted = grower.stack(torch.from_numpy(x)).numpy()
        seen = model(x)
        assert seen.shape == wanted.shape, (seed, grower.layers)
        error = np.abs(seen - wanted).max() / max(1.0, np.abs(wanted).max())
        assert error < 1e-5, (seed, error, grower.layers)


def test_every_kind_is_compared() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: nothing to compare recipes with")
    from torch_stacks import random_stack

    seen = {type(layer).__name__ for seed in range(STACKS) for layer in random_stack(seed).layers}
    assert set(recipes.kinds()) == seen | {kind for kind, *_ in ALONE}


# Layers that the stacks have not: kind, its options, the shape of x, and what torch calls it.
ALONE: list[tuple[str, dict[str, Any], tuple[int, ...], str]] = [
    ("Conv2d", {"stride": (2, 1), "padding": 1, "groups": 3}, (2, 6, 9, 8), "Conv2d(6, 9, 3, (2, 1), 1, groups=3)"),
    ("Conv2d", {"padding": "same", "dilation": 2}, (2, 3, 9, 8), "Conv2d(3, 4, (2, 3), padding='same', dilation=2)"),
    ("ConvTranspose1d", {"stride": 2, "padding": 1}, (2, 3, 7), "ConvTranspose1d(3, 5, 4, 2, 1)"),
    (
        "ConvTranspose2d",
        {"stride": 3, "output_padding": 1, "groups": 2},
        (1, 4, 3, 5),
        "ConvTranspose2d(4, 6, 3, 3, output_padding=1, groups=2)",
    ),
    ("BatchNorm2d", {}, (2, 3, 4, 5), "BatchNorm2d(3)"),
    ("GroupNorm", {"num_groups": 2}, (2, 6, 5), "GroupNorm(2, 6)"),
    ("MaxPool2d", {"kernel_size": (3, 2), "padding": (1, 0)}, (2, 3, 9, 8), "MaxPool2d((3, 2), padding=(1, 0))"),
    ("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 9, 8), "AvgPool2d(3, 2, 1)"),
    ("GlobalAveragePool", {}, (2, 3, 4, 5), "AdaptiveAvgPool2d(1)"),
    ("GlobalMaxPool", {}, (2, 3, 7), "AdaptiveMaxPool1d(1)"),
    ("LSTMCell", {}, (3, 6), "LSTMCell(6, 5)"),
    ("GRUCell", {}, (3, 6), "GRUCell(6, 5)"),
    ("RNNCell", {"nonlinearity": "relu"}, (3, 6), "RNNCell(6, 5, nonlinearity='relu')"),
    ("Pad", {"pad": [1, 2, 3, 0], "value": 1.5}, (2, 3, 4), "ConstantPad2d((1, 2, 3, 0), 1.5)"),
    ("Pad", {"pad": [2, 1], "mode": "reflect"}, (2, 3, 4), "ReflectionPad1d((2, 1))"),
    ("Reshape", {"shape": [0, 2, -1]}, (3, 8), "Unflatten(1, (2, 4))"),
    ("Unsqueeze", {"dim": 1}, (3, 8), "Unflatten(1, (1, 8))"),
    ("Squeeze", {"dim": 1}, (3, 1, 8), "Flatten(1)"),
    ("Identity", {}, (3, 8), "Identity()"),
    ("Slice", {"dim": -1, "start": 1, "end": 6, "step": 2}, (3, 8), "lambda x: x[:, 1:6:2]"),
    ("MatMul", {"inputs": ("x", "x")}, (2, 4, 4), "lambda x: x @ x"),
    ("Sqrt", {}, (3, 8), "lambda x: x.sqrt()"),
    ("Exp", {}, (3, 8), "lambda x: x.exp()"),
]


@needs_torch
@pytest.mark.parametrize(
    ("kind", "options", "shape", "source"), ALONE, ids=[f"{n}-{a[0]}" for n, a in enumerate(ALONE)]
)
def test_alone(kind: str, options: dict[str, Any], shape: tuple[int, ...], source: str, tmp_path: pathlib.Path) -> None:
    import torch

    torch.manual_seed(1)
    module = eval(source, vars(torch.nn))  # one of the lines above
    weights = {"unused": torch.zeros(1)}  # a file of no weights is refused
    if isinstance(module, torch.nn.Module):
        for buffer in module.eval().buffers():
            buffer.uniform_(0.5, 1.5) if buffer.is_floating_point() else None
        weights.update({f"layer.{name}": weight for name, weight in module.state_dict().items()})
    torch.save(weights, tmp_path / "layer.pt")
    layer = recipes.kinds()[kind](name="layer", **options)
    model = lstm_rt.load(tmp_path / "layer.pt", recipe=Recipe({"x": Input((None,) * len(shape))}, [layer]))
    x = torch.rand(shape)
    with torch.no_grad():
        wanted = module(x)
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    np.testing.assert_allclose(model(x.numpy()), wanted.numpy(), atol=1e-5, rtol=1e-5)


# ---- Refused ----

WRONG_RECIPES = {
    "kind": ({"layers": [{"kind": "Transformer"}]}, r"layer 1: there is no kind 'Transformer'\. There are Add"),
    "option": (
        {"layers": [{"kind": "GRU", "hidden": 3}]},
        r"layer 1 \(GRU\): 'hidden' is not an option; those are name",
    ),
    "type": ({"layers": [{"kind": "GRU", "batch_first": "yes"}]}, r"batch_first is 'yes', which is not true or false"),
    "list": ({"layers": [{"kind": "Permute", "dims": [0, "1"]}]}, r"dims is .* which is not list of integers"),
    "not finite": ({"layers": [{"kind": "ELU", "alpha": float("nan")}]}, r"alpha is 'nan'"),
    "no kind": ({"layers": [{"name": "a"}]}, r"layer 1 has no kind"),
    "no list": ({"layers": {"kind": "ReLU"}}, r"layers is no list"),
    "no layers": ({"layers": []}, r"it has no layers"),
    "key": ({"layer": []}, r"'layer' is not a key of recipes"),
    "dtype": (
        {"inputs": {"x": {"shape": [1], "dtype": "float64"}}},
        r"input 'x': dtype 'float64' is not one of float32",
    ),
    "shape": ({"inputs": {"x": {"shape": [0]}}}, r"neither a size nor a name"),
    "no shape": ({"inputs": {"x": {}}}, r"input 'x' has not a shape"),
    "outputs": ({"outputs": {"y": 3}}, r"outputs is neither"),
}


@pytest.mark.parametrize("name", WRONG_RECIPES)
def test_wrong_recipe(name: str) -> None:
    changed, message = WRONG_RECIPES[name]
    content = {"inputs": {"x": {"shape": ["batch", 3]}}, "layers": [{"kind": "ReLU"}], **changed}
    with pytest.raises(lstm_rt.ArgumentError, match=message):
        Recipe.from_dict(content)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(lstm_rt.ArgumentError, match=r"(?s)1\. .*2\. .*3\. "):
        Recipe.from_dict({"layers": [{"kind": "A"}, {"kind": "B"}, {}]})


def test_no_toml(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[[layers\n")
    with pytest.raises(lstm_rt.ArgumentError, match=r"bad\.toml: this is no TOML: "):
        lstm_rt.load(file, recipe=path)


IDS = {"ids": Input(("batch", "time"), "int64")}
MISFITS: dict[str, tuple[dict[str, Any], list[Any], str]] = {
    "missing": (
        {},
        [Embedding("embedding")],
        r"layer 1 'embedding' \(Embedding\): there is no weight 'embedding\.weight'",
    ),
    "suggested": ({}, [Embedding("embed"), Linear("ead")], r"There is 'head\.weight'"),
    "other cell": (
        {},
        [Embedding("embed"), LSTM("gru")],
        r"\[15, 5\]; that of LSTM is \[4 \* hidden, hidden\]\. It fits GRU",
    ),
    "count": ({}, [Embedding("embed"), GRU("gru", num_layers=2)], r"num_layers is 2, but the weights are those of 1"),
    "directions": ({}, [Embedding("embed"), GRU("gru", bidirectional=True)], r"bidirectional is True"),
    "shape": (
        {"gru.bias_ih_l0": np.zeros(14, np.float32)},
        [Embedding("embed"), GRU("gru")],
        r"weight 'gru\.bias_ih_l0' has the shape \[14\], wanted \[15\]",
    ),
    "one bias": ({"gru.bias_hh_l0": None}, [Embedding("embed"), GRU("gru")], r"one of bias_ih_l0 and bias_hh_l0"),
    "another kind of layer": (
        {"head.scale": np.ones(3, np.float32)},
        [Embedding("embed"), GRU("gru"), Linear("head")],
        r"weights for it that it does not use: head\.scale",
    ),
    "reference": (
        {},
        [Embedding("embed"), ReLU(inputs="embedd")],
        r"there is no 'embedd' before it\. There are 'ids', 'embed'",
    ),
    "twice": ({}, [Embedding("embed"), ReLU("embed")], r"the name 'embed' is taken"),
    "inputs": ({}, [Embedding("embed"), ReLU(inputs=("embed", "embed"))], r"it takes 1 to 1 inputs, not 2"),
    "no groups": (
        {"norm.weight": np.ones(4, np.float32), "norm.bias": np.ones(4, np.float32)},
        [Embedding("embed"), GroupNorm("norm")],
        r"num_groups is missing",
    ),
    "no rank": ({"act.weight": np.ones(4, np.float32)}, [Embedding("embed"), PReLU("act")], r"rank is missing"),
    "two at once": ({}, [Embedding("a"), GRU("b"), Linear("c")], r"3 parts of"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_misfit(name: str, tmp_path: pathlib.Path) -> None:
    changed, layers, message = MISFITS[name]
    file = tf.save(tmp_path / "tagger.pt", weights(**changed))
    with pytest.raises(lstm_rt.UnsupportedModelError, match=message):
        lstm_rt.load(file, recipe=Recipe(IDS, layers))


def test_output_that_is_none(file: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"output 'y': there is no 'gru\.c' before it"):
        lstm_rt.load(file, recipe=Recipe(IDS, [Embedding("embed"), GRU("gru"), Linear("head")], {"y": "gru.c"}))


def test_documented() -> None:
    """The table in docs/pytorch.md is that of the layers there are."""
    from lstm_rt.recipes.table import markdown

    page = (pathlib.Path(__file__).parent.parent / "docs" / "pytorch.md").read_text("utf-8")
    assert markdown() in page, "python -m lstm_rt.recipes.table writes it anew"


def test_command(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from lstm_rt.cli import app

    (tmp_path / "tagger.toml").write_text(TAGGER)
    target = tmp_path / "tagger.gguf"
    command = ["convert", str(file), str(target), "--recipe", str(tmp_path / "tagger.toml")]
    result = CliRunner().invoke(app.app, command)
    assert result.exit_code == 0, result.output
    assert not RECORDS_SELFTESTS or lstm_rt.load(target).verify() > 0
