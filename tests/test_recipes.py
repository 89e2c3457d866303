"""Recipes: against torch where it is installed, and what they refuse."""

from __future__ import annotations

import importlib.util
import pathlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch_files as tf

import lstm_rt
from lstm_rt import recipes
from lstm_rt.recipes import GRU, LSTM, Concat, Embedding, Input, Linear, Recipe, ReLU, Select

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


def test_every_form_is_the_same(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tagger.toml"
    path.write_text(TAGGER)
    layers = [Embedding("embed"), GRU("gru", batch_first=True), Linear("head")]
    recipe = Recipe({"ids": Input(("batch", "time"), "int64")}, layers, {"logits": "head", "state": "gru.h"})
    assert Recipe.from_toml(path) == recipe
    content = {
        "inputs": {"ids": {"shape": ["batch", "time"], "dtype": "int64"}},
        "layers": [{"kind": "Embedding", "name": "embed"}, {"kind": "GRU", "name": "gru", "batch_first": True}]
        + [{"kind": "Linear", "name": "head"}],
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
    with pytest.warns(UserWarning, match=r"2 weights of tagger\.pt not used by the recipe: head\.weight, head\.bias"):
        model = lstm_rt.from_torch(file, recipe=recipe)
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


def test_every_kind_is_tried_or_named() -> None:
    """A layer that no stack has would not be compared with torch."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: nothing to compare recipes with")
    from torch_stacks import random_stack

    seen = {type(layer).__name__ for seed in range(STACKS) for layer in random_stack(seed).layers}
    elsewhere = {
        "LSTMCell",
        "GRUCell",
        "RNNCell",
        "Conv2d",
        "ConvTranspose1d",
        "ConvTranspose2d",
        "BatchNorm2d",
        "GroupNorm",
    }
    elsewhere |= {
        "MaxPool2d",
        "AvgPool2d",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
        "Slice",
    }
    elsewhere |= {"Pad", "MatMul", "Identity", "Sqrt", "Exp"}
    assert set(recipes.kinds()) - elsewhere == seen


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
    "two at once": ({}, [Embedding("a"), GRU("b"), Linear("c")], r"3 parts of"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_misfit(name: str, tmp_path: pathlib.Path) -> None:
    changed, layers, message = MISFITS[name]
    file = tf.save(tmp_path / "tagger.pt", weights(**changed))
    with warnings.catch_warnings(), pytest.raises(lstm_rt.UnsupportedModelError, match=message):
        warnings.simplefilter("ignore")
        lstm_rt.load(file, recipe=Recipe(IDS, layers))


def test_output_that_is_none(file: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"output 'y': there is no 'gru\.c' before it"):
        lstm_rt.load(file, recipe=Recipe(IDS, [Embedding("embed"), GRU("gru"), Linear("head")], {"y": "gru.c"}))
