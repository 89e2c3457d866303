"""The reference itself against onnxruntime, the ONNX reference evaluator and torch."""

from __future__ import annotations

from typing import Any

import models
import numpy as np
import pytest
import reference
from models import Array, Recurrent
from onnx.reference import ReferenceEvaluator
from versions import skip_before

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment,unused-ignore]

KINDS = ("LSTM", "GRU", "RNN")
DIRECTIONS = ("forward", "reverse", "bidirectional")
# float32 runtimes against float64: a few units in the last place of sums of 32 terms near 1, over 7 steps.
TOLERANCE = 1e-6


def differences(found: dict[str, Array], expected: dict[str, Array]) -> dict[str, float]:
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}
    return {k: float(np.abs(found[k] - expected[k]).max()) for k in expected}


def assert_like_onnxruntime(layer: Recurrent, feeds: dict[str, Array] | None = None) -> None:
    feeds = layer.feeds(time=7, batch=3) if feeds is None else feeds
    found = differences(models.run_onnxruntime(layer.model(), feeds), layer.expected(feeds))
    assert max(found.values()) < TOLERANCE, found


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"initial_h": True},
    {"clip": 0.3, "scale": 2.0},
    {"sequence_lens": True},
    {"sequence_lens": True, "initial_h": True, "clip": 0.5},
]
LSTM_OPTIONS: list[dict[str, Any]] = [
    {"initial_h": True, "initial_c": True},
    {"peephole": True},
    {"peephole": True, "clip": 0.3, "scale": 2.0, "initial_c": True},
    {"input_forget": 1},
    {"input_forget": 1, "peephole": True, "clip": 0.5, "sequence_lens": True},
]
CASES = [(k, o) for k in KINDS for o in OPTIONS]
CASES += [("GRU", {**o, "linear_before_reset": 1}) for o in OPTIONS]
CASES += [("LSTM", o) for o in LSTM_OPTIONS]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("kind", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v) or "plain")
def test_like_onnxruntime(kind: str, options: dict[str, Any], direction: str) -> None:
    assert_like_onnxruntime(Recurrent(kind, direction=direction, **options))


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@pytest.mark.parametrize("given", [False, True], ids=["defaults", "given"])
def test_activations_like_onnxruntime(name: str, given: bool) -> None:
    if not given and name in ("Affine", "ScaledTanh"):
        return  # neither has a default
    if not given and name == "ThresholdedRelu":
        return  # onnxruntime takes 0 for alpha; the operator of that name says 1.0
    if not given and name in ("LeakyRelu", "HardSigmoid", "Elu"):
        skip_before("onnxruntime", (1, 24), f"takes other defaults for {name} than ONNX")
    alpha = (0.3,) if given and name in reference.ALPHA else None
    beta = (0.7,) if given and name in reference.BETA else None
    for kind, cell in reference.CELLS.items():
        for position in range(len(cell.functions)):
            functions = list(cell.functions)
            functions[position] = name
            for reset in (0, 1) if kind == "GRU" else (0,):
                assert_like_onnxruntime(
                    Recurrent(
                        kind,
                        activations=tuple(functions),
                        activation_alpha=alpha,
                        activation_beta=beta,
                        linear_before_reset=reset,
                        scale=0.7,
                    )
                )


def test_alphas_are_consumed_by_those_that_use_one() -> None:
    six = ("HardSigmoid", "Tanh", "Elu", "Sigmoid", "Affine", "Tanh")
    assert_like_onnxruntime(
        Recurrent(
            direction="bidirectional",
            activations=six,
            activation_alpha=(0.3, 0.1, 0.5),
            activation_beta=(0.4, 0.1),
        )
    )


def test_length_zero_gives_the_initial_state() -> None:
    # onnxruntime gives zeros for Y_h here and the initial state for Y_c; the state after no step is the initial one.
    layer = Recurrent(sequence_lens=True, initial_h=True, initial_c=True)
    feeds = layer.feeds(time=4, batch=2)
    feeds["sequence_lens"][0] = 0
    expected = layer.expected(feeds)
    found = models.run_onnxruntime(layer.model(), feeds)
    assert np.array_equal(expected["Y_h"][0, 0], feeds["initial_h"][0, 0])
    assert np.array_equal(expected["Y_c"][0, 0], feeds["initial_c"][0, 0])
    assert not expected["Y"][:, 0, 0].any()
    assert differences(found, expected)["Y"] < TOLERANCE


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_like_onnx_reference_evaluator(kind: str, direction: str, layout: int) -> None:
    # The evaluator knows neither clip, sequence_lens nor input_forget; layout=1 only it knows.
    if kind == "LSTM" or direction != "forward" or layout == 1:
        skip_before("onnx", (1, 20), "has an evaluator that refuses or gets wrong this direction, layout or Y_c")
    for options in ({}, {"initial_h": True}, {"peephole": True} if kind == "LSTM" else {"linear_before_reset": 1}):
        if kind == "RNN" and "linear_before_reset" in options:
            continue
        layer = Recurrent(kind, direction=direction, layout=layout, **options)
        feeds = layer.feeds(time=5, batch=3)
        found = dict(zip(layer.outputs, ReferenceEvaluator(layer.model()).run(None, feeds)))
        assert max(differences(found, layer.expected(feeds)).values()) < TOLERANCE


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_layout_1_is_layout_0_transposed(kind: str, direction: str) -> None:
    first = Recurrent(kind, direction=direction, initial_h=True, sequence_lens=True)
    second = Recurrent(kind, direction=direction, initial_h=True, sequence_lens=True, layout=1)
    feeds = first.feeds(time=5, batch=3)
    swapped = {**feeds, "X": feeds["X"].transpose(1, 0, 2), "initial_h": feeds["initial_h"].transpose(1, 0, 2)}
    plain, batchwise = first.expected(feeds), second.expected(swapped)
    assert np.array_equal(plain["Y"].transpose(2, 0, 1, 3), batchwise["Y"])
    assert np.array_equal(plain["Y_h"].transpose(1, 0, 2), batchwise["Y_h"])


@pytest.mark.skipif(torch is None, reason="torch is not installed")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_like_torch(kind: str, bidirectional: bool) -> None:
    # torch: LSTM gates i f g o, GRU gates r z n with the reset behind the product (linear_before_reset = 1).
    order = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}[kind]
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(6, 9, bidirectional=bidirectional).double()
    x = torch.randn(5, 3, 6, dtype=torch.float64)

    def gates(name: str) -> Array:
        suffixes = ["", "_reverse"] if bidirectional else [""]
        parts = [getattr(module, f"{name}_l0{s}").detach().numpy() for s in suffixes]
        return np.stack([np.concatenate([p.reshape(len(order), 9, -1)[g] for g in order]) for p in parts])

    biases = np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1)[:, :, 0]
    with torch.no_grad():
        y, state = module(x)
    h, c = state if kind == "LSTM" else (state, None)
    options: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    found = reference.recurrent(
        kind,
        x.numpy(),
        gates("weight_ih"),
        gates("weight_hh"),
        biases,
        direction="bidirectional" if bidirectional else "forward",
        **options,
    )
    steps, directions, batch, hidden = found[0].shape
    flat = found[0].transpose(0, 2, 1, 3).reshape(steps, batch, directions * hidden)
    np.testing.assert_allclose(flat, y.numpy(), atol=1e-12)
    np.testing.assert_allclose(found[1], h.numpy(), atol=1e-12)
    if c is not None:
        np.testing.assert_allclose(found[2], c.numpy(), atol=1e-12)


@pytest.mark.parametrize("spatial", [1, 2])
@pytest.mark.parametrize("group", [1, 2])
def test_conv_like_onnxruntime(spatial: int, group: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, *[9, 8][:spatial])).astype(np.float32)
    w = rng.standard_normal((6, 4 // group, *[3, 2][:spatial])).astype(np.float32)
    b = rng.standard_normal(6).astype(np.float32)
    options: dict[str, Any] = {
        "strides": [2, 1][:spatial],
        "dilations": [1, 2][:spatial],
        "pads": [1, 0, 2, 1] if spatial == 2 else [1, 2],
        "group": group,
    }
    expected = reference.conv(x, w, b, **options)
    outputs = {"y": expected.astype(np.float32)}
    model = models.single_op("Conv", {"x": x}, weights={"w": w, "b": b}, outputs=outputs, **options)
    np.testing.assert_allclose(models.run_onnxruntime(model, {"x": x})["y"], expected, atol=1e-5)
