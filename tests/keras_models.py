"""Keras models for tests: weights that leave nothing at zero, saved, converted and compared with Keras itself."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import fetch
import numpy as np
import pytest
from close import assert_within
from models import Array

import lstm_rt

TOLERANCE = 1e-5


def keras() -> Any:
    """The module keras with the torch backend. Skips, and says so at the end of the run, where there is none."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras as module
    except ImportError as error:
        fetch.unreachable["keras"] = f"not installed: {error}"
        pytest.skip(f"keras is not installed: {error}")
    return module


def shake(model: Any, seed: int) -> None:
    """Random weights: new layers have zeros and ones, under which much that is wrong looks right."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        low, high = (0.5, 1.5) if "variance" in variable.path else (-0.5, 0.5)
        if variable.dtype.startswith("float"):
            variable.assign(rng.uniform(low, high, tuple(variable.shape)).astype(np.float32))


def run_keras(model: Any, inputs: list[Array]) -> list[Array]:
    """What Keras gives."""
    found = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(item.detach().cpu().numpy()) for item in keras().tree.flatten(found)]


def run_ours(model: lstm_rt.Model, inputs: list[Array]) -> list[Array]:
    """What we give; tokens are integers where the model wants them."""
    feeds = [array.astype(port.dtype) for array, port in zip(inputs, model.inputs)]
    found = model(*feeds)
    return list(found) if isinstance(found, tuple) else [found]


def compare(found: list[Array], expected: list[Array], what: str, tolerance: float = TOLERANCE) -> None:
    """Within a part of the largest output."""
    assert len(found) == len(expected), f"{what}: {len(found)} outputs, expected {len(expected)}"
    for number, (ours, theirs) in enumerate(zip(found, expected)):
        assert np.isfinite(theirs).all(), f"{what}: Keras gives what is not finite"
        largest = float(np.abs(theirs).max(initial=1.0))
        assert_within(ours, theirs, tolerance * largest, f"{what}, output {number}")


def check(model: Any, inputs: list[Array], folder: pathlib.Path, formats: tuple[str, ...] = (".keras", ".h5")) -> None:
    """Save a model, convert it, and compare."""
    shake(model, 1)
    expected = run_keras(model, inputs)
    for extension in formats:
        path = folder / f"model{extension}"
        model.save(path)
        converted = lstm_rt.load(path)
        found = run_ours(converted, inputs)
        compare(found, expected, extension)
        for port, array in zip(converted.outputs, found):
            declared = port.shape or ()
            assert len(declared) == array.ndim, f"{port.name}: {declared}, given {array.shape}"
            assert all(d in (None, n) for d, n in zip(declared, array.shape)), f"{port.name}: {declared}, {array.shape}"


def sequence(seed: int, *shape: int) -> Array:
    """Random floats."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def tokens(seed: int, batch: int, steps: int, most: int) -> Array:
    """Random tokens with zeros at the end, in the middle and at the beginning, and a row of nothing else."""
    found = np.random.default_rng(seed).integers(1, most, (batch, steps))
    found[0, -2:] = 0
    found[1 % batch, steps // 2] = 0
    if batch > 2:
        found[2, :2] = 0
    if batch > 3:
        found[3] = 0
    return found
