"""Real models from files of weights and recipes reproduce what torch gave for them (golden/README.md)."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import fetch
import numpy as np
import pytest
from close import assert_within
from test_golden import frames_16k, golden

import lstm_rt
from lstm_rt.recipes import GRU, BatchNorm2d, Conv2d, Input, Layer, Linear, Permute, Recipe, ReLU, Squeeze

RECIPES = pathlib.Path(__file__).parent / "recipes"
LOGITS = 1e-5  # of the largest


@pytest.mark.parametrize("name", ["bilstm", "bigru"])
def test_uzmorph(name: str) -> None:
    data = golden("uzmorph")
    model = lstm_rt.load(fetch.model(f"uzmorph_{name}"), recipe=RECIPES / f"uzmorph_{name}.toml")
    wanted = data[f"{name}_logits"]
    found = model(data[f"{name}_chars"])[:, : wanted.shape[1]]
    assert_within(found, wanted, LOGITS * np.abs(wanted).max(), "logits")


def legere() -> Recipe:
    """13 convolutions, 6 of them depthwise, then a bidirectional GRU over the columns."""
    layers: list[Layer] = [Conv2d(weights="stem.0", stride=2, padding=1), BatchNorm2d(weights="stem.1"), ReLU()]
    channels = (24, 48, 64, 96, 128, 160)
    strides = ((2, 2), (1, 1), (2, 1), (1, 1), (2, 1), (2, 1))
    for number, (groups, stride) in enumerate(zip(channels, strides)):
        block = f"blocks.{number}"
        layers += [Conv2d(weights=f"{block}.depthwise", stride=stride, padding=1, groups=groups)]
        layers += [BatchNorm2d(weights=f"{block}.bn1"), ReLU()]
        layers += [Conv2d(weights=f"{block}.pointwise"), BatchNorm2d(weights=f"{block}.bn2"), ReLU()]
    layers += [Squeeze(dim=2), Permute(dims=(0, 2, 1)), GRU("rnn", batch_first=True), Linear("head")]
    outputs = {"logits": "head", "rnn_out": "rnn"}
    return Recipe({"images": Input(("batch", 1, 32, "width"))}, layers, outputs)


def test_legere() -> None:
    data = golden("legere")
    model = lstm_rt.load(fetch.model("legere"), recipe=legere())
    for name, found in model.run({"images": data["images"]}).items():
        assert_within(found, data[name], LOGITS * np.abs(data[name]).max(), name)


def test_silero_safetensors() -> None:
    model = lstm_rt.load(fetch.model("silero_vad_safetensors"), recipe=RECIPES / "silero.toml")
    stream = model.stream()
    found = np.array([stream.step(frame[None])[0, 0] for frame in frames_16k()])
    assert_within(found, golden("silero_safetensors")["prob"], 1e-5, "probability")


def test_without_torch() -> None:
    """Nor any other framework, wherever it is installed."""
    path, recipe = fetch.model("uzmorph_bilstm"), RECIPES / "uzmorph_bilstm.toml"
    code = (
        "import sys, lstm_rt; lstm_rt.load(sys.argv[1], recipe=sys.argv[2]);"
        "print([name for name in ('torch', 'onnx', 'keras', 'tensorflow') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(path), str(recipe)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=recipe.parent)
    assert done.stdout.strip() == "[]"
