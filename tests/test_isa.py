"""Instruction sets: the one asked for is the one in use, and all with fused multiply-add give the same bytes."""

from __future__ import annotations

import itertools
import os
import pathlib
import subprocess
import sys

import cases
import models
import numpy as np
import pytest
import reference
from close import assert_layer, assert_same_bytes
from models import Feeds, Recurrent

import lstm_rt

AVAILABLE = lstm_rt.available_isas()
# Those without fused multiply-add are held to a tolerance, the others to each other's bytes.
EXACT = lstm_rt.exact_isas()
ROUNDED = [name for name in AVAILABLE if name not in EXACT]


def python(code: str, folder: pathlib.Path, isa: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "LSTM_RT_ISA"}
    if isa is not None:
        environment["LSTM_RT_ISA"] = isa
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_there_is_one_to_compare_with() -> None:
    assert "portable" in AVAILABLE
    assert len(set(AVAILABLE)) == len(AVAILABLE)


@pytest.mark.parametrize("isa", AVAILABLE)
def test_the_one_asked_for_is_in_use(isa: str, tmp_path: pathlib.Path) -> None:
    assert lstm_rt.load(Recurrent().model(), isa=isa).isa == isa
    path = tmp_path / "model.gguf"
    lstm_rt.convert(Recurrent().model(), path)
    assert lstm_rt.load(path, isa=isa).isa == isa
    # By name wins over the variable.
    other = AVAILABLE[-1] if isa == AVAILABLE[0] else AVAILABLE[0]
    loads = f"lstm_rt.load('model.gguf').isa, lstm_rt.load('model.gguf', isa={other!r}).isa"
    code = f"import lstm_rt; print(lstm_rt.isa(), {loads})"
    done = python(code, tmp_path, isa)
    assert done.stdout.split() == [isa, isa, other], done.stderr


def test_the_best_is_the_default(tmp_path: pathlib.Path) -> None:
    done = python("import lstm_rt; print(lstm_rt.isa())", tmp_path)
    assert done.stdout.split() == AVAILABLE[:1], done.stderr


def test_a_name_that_is_none_fails_with_the_list(tmp_path: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(Recurrent().model(), isa="x86_avx1024")
    for word in ("x86_avx1024", *AVAILABLE):
        assert word in str(caught.value)
    lstm_rt.convert(Recurrent().model(), tmp_path / "model.gguf")
    for code in ("import lstm_rt; lstm_rt.isa()", "import lstm_rt; lstm_rt.load('model.gguf')"):
        done = python(code, tmp_path, "x86_avx1024")
        assert done.returncode == 1
        for word in ("x86_avx1024", *AVAILABLE):
            assert word in done.stderr
        assert "Error" in done.stderr.splitlines()[-1]


def layers() -> list[Recurrent]:
    """Every code path of the cells over sizes around the lanes."""
    sizes = ((1, 1), (3, 15), (16, 16), (17, 33), (100, 100), (40, 128))
    options = [
        {"kind": "LSTM"},
        {"kind": "LSTM", "peephole": True, "clip": 0.5, "bias": False},
        {"kind": "LSTM", "input_forget": 1, "direction": "bidirectional", "sequence_lens": True},
        {"kind": "GRU"},
        {"kind": "GRU", "linear_before_reset": 1},
        {"kind": "GRU", "linear_before_reset": 1, "clip": 0.5, "direction": "reverse"},
        {"kind": "RNN"},
        {"kind": "RNN", "layout": 1, "direction": "bidirectional", "sequence_lens": True, "initial_h": True},
    ]
    made = [Recurrent(inputs=i, hidden=h, **o) for (i, h), o in itertools.product(sizes, options)]  # type: ignore[arg-type]
    for name in reference.ACTIVATIONS:
        alpha = (0.3, 0.3, 0.3) if name in reference.ALPHA else None
        beta = (0.6, 0.6, 0.6) if name in reference.BETA else None
        for kind, count in (("LSTM", 3), ("GRU", 2), ("RNN", 1)):
            functions = (name,) * count
            made.append(
                Recurrent(
                    kind,
                    inputs=5,
                    hidden=33,
                    activations=functions,
                    activation_alpha=alpha and alpha[:count],
                    activation_beta=beta and beta[:count],
                    scale=0.5,
                )
            )
    return made


@pytest.mark.skipif(len(EXACT) < 2, reason="this machine has one instruction set with fused multiply-add")
def test_layers_have_the_same_bytes() -> None:
    for layer in layers():
        proto = layer.model()
        loaded = [lstm_rt.load(proto, isa=isa) for isa in EXACT]
        for time, batch in ((1, 1), (2, 5), (9, 3), (5, 17)):
            feeds = layer.feeds(time, batch)
            first = loaded[0].run(feeds)
            for model in loaded[1:]:
                for name, value in model.run(feeds).items():
                    assert_same_bytes(value, first[name], f"{name} by {model.isa} against {EXACT[0]}: {layer}")


@pytest.mark.skipif(len(EXACT) < 2, reason="this machine has one instruction set with fused multiply-add")
def test_long_sequences_have_the_same_bytes() -> None:
    for kind, reset in (("LSTM", 0), ("GRU", 0), ("GRU", 1), ("RNN", 0)):
        layer = Recurrent(kind, inputs=40, hidden=128, linear_before_reset=reset, scale=3.0)
        feeds = layer.feeds(1000, 1)
        first, *others = (lstm_rt.load(layer.model(), isa=isa).run(feeds) for isa in EXACT)
        for found in others:
            assert_same_bytes(found["Y"], first["Y"], str(layer))


@pytest.mark.skipif(len(EXACT) < 2, reason="this machine has one instruction set with fused multiply-add")
@pytest.mark.parametrize("op", sorted({c.op for c in cases.ALL}))
def test_operations_have_the_same_bytes(op: str) -> None:
    for case in (c for c in cases.ALL if c.op == op):
        proto = case.model()
        first, *others = (list(lstm_rt.load(proto, isa=isa).run(case.inputs).values()) for isa in EXACT)
        for isa, found in zip(EXACT[1:], others):
            for a, b in zip(found, first):
                assert_same_bytes(a, b, f"{case.name} by {isa} against {EXACT[0]}")


@pytest.mark.skipif(len(EXACT) < 2, reason="this machine has one instruction set with fused multiply-add")
@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Relu", "Sqrt"])
def test_functions_have_the_same_bytes_over_every_exponent(op: str) -> None:
    # Every exponent and sign with scattered mantissas: denormals, infinities and what is no number among them.
    bits = np.arange(2**32, step=4099, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    proto = models.single_op(op, {"x": x}, outputs={"y": x})
    first, *others = (lstm_rt.load(proto, isa=isa)(x) for isa in EXACT)
    for found in others:
        numbers = ~np.isnan(first)
        assert np.array_equal(np.isnan(found), ~numbers)
        assert_same_bytes(found[numbers], first[numbers], op)


@pytest.mark.parametrize("isa", ROUNDED)
def test_without_fused_multiply_add_is_within_tolerance(isa: str) -> None:
    for layer in layers():
        model = lstm_rt.load(layer.model(), isa=isa)
        feeds = layer.feeds(9, 2)
        assert_layer(model.run(feeds), layer, feeds)


@pytest.mark.parametrize("isa", ROUNDED)
def test_without_fused_multiply_add_operations_are_within_tolerance(isa: str) -> None:
    for case in cases.ALL:
        found = lstm_rt.load(case.model(), isa=isa).run(case.inputs)
        for got, wanted in zip(found.values(), case.expected):
            assert got.dtype == wanted.dtype, case.name
            allowed = case.tolerance + np.abs(wanted.astype(np.float64)) * 1.2e-7
            assert (np.abs(got.astype(np.float64) - wanted) <= allowed).all(), case.name


@pytest.mark.parametrize("isa", AVAILABLE)
def test_the_caller_s_floating_point_modes_are_left_alone(isa: str) -> None:
    # Denormals are flushed inside only.
    tiny = np.array([1e-40], np.float32)
    layer = Recurrent()
    model: lstm_rt.Model = lstm_rt.load(layer.model(), isa=isa)
    feeds: Feeds = layer.feeds(2, 1)
    model.run(feeds)
    assert (tiny * np.float32(0.5))[0] != 0
