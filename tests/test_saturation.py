"""Products of bytes in onnxruntime: which of them saturate, and how the tests run on CPUs where they do."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime")

import models
import reference_integers
import saturation
from close import assert_same_bytes
from lstm_rt.converters.onnx.saturation import may_saturate
from models import Array
from onnx import helper
from onnx_of_gguf import build, info

import lstm_rt


def product(weights: Array, op: str = "MatMulInteger", **kwargs: Any) -> onnx.ModelProto:
    x = np.zeros((2, len(weights)), np.uint8)
    y = np.zeros((2, 3), np.int32)
    return models.single_op(op, {"x": x}, weights={"w": weights}, outputs={"y": y}, opset=13, **kwargs)


def in_a_branch(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model's graph as both branches of an If."""
    graph = onnx.GraphProto.FromString(model.graph.SerializeToString())
    del graph.input[:]
    node = helper.make_node("If", ["flag"], ["y"], then_branch=graph, else_branch=graph)
    ports = [info("flag", [], onnx.TensorProto.BOOL), *model.graph.input]
    return build([node], ports, [info("y", None, onnx.TensorProto.INT32)])


def as_constant(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights in a Constant."""
    [weights] = model.graph.initializer
    nodes = [helper.make_node("Constant", [], ["w"], value=weights), *model.graph.node]
    return build(nodes, model.graph.input, model.graph.output)


LARGE, SMALL = np.full((8, 3), -65, np.int8), np.full((8, 3), -64, np.int8)


@pytest.mark.parametrize("change", [lambda model: model, in_a_branch, as_constant])
def test_large_int8_weights_may_saturate(change: Any) -> None:
    assert may_saturate(change(product(LARGE)))
    assert not may_saturate(change(product(SMALL)))
    assert not may_saturate(change(product(np.full((8, 3), 255, np.uint8))))


def test_large_int8_inputs_may_saturate() -> None:
    model = product(SMALL)
    assert may_saturate(model, [LARGE])
    assert not may_saturate(model, [SMALL, np.full((2, 8), 1e9, np.float32)])


def test_int8_without_a_product_never_saturates() -> None:
    nodes = [helper.make_node("Identity", ["w"], ["y"])]
    assert not may_saturate(build(nodes, [], [info("y", None, onnx.TensorProto.INT8)], {"w": LARGE}))


def test_safe_weights_never_saturate() -> None:
    model = saturation.with_safe_weights(product(np.full((8, 3), -128, np.int8)))
    assert not may_saturate(model)
    feeds = {"x": np.full((5, 8), 255, np.uint8)}
    wanted = reference_integers.run(model, feeds)[0]
    assert_same_bytes(saturation.run(model, feeds)[0], wanted)  # holds on every CPU
    assert_same_bytes(lstm_rt.load(model)(feeds["x"]), wanted)


def test_exact_reference_is_numpy_s_product() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (40, 513)).astype(np.uint8), rng.integers(-128, 128, (513, 3)).astype(np.int8)
    model = product(w)
    wanted = (x.astype(np.int64) @ w.astype(np.int64)).astype(np.int32)
    assert_same_bytes(reference_integers.run(model, {"x": x})[0], wanted)
    assert_same_bytes(lstm_rt.load(model)(x), wanted)


def test_forced_mode_refuses_a_saturating_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(saturation.VARIABLE, "saturating")
    saturation.guard(monkeypatch)
    assert not saturation.onnxruntime_is_exact()
    feeds = {"x": np.zeros((2, 8), np.uint8)}
    assert not saturation.run(product(SMALL), feeds)[0].any()
    with pytest.raises(AssertionError, match="saturate on some CPUs"):
        saturation.run(product(LARGE), feeds)


def test_forced_mode_passes_and_is_in_the_header() -> None:
    """Runs tests of every kind that compares with products of bytes as they run on a CPU without VNNI."""
    folder = pathlib.Path(__file__).parent
    selection = "MatMulInteger or QLinearConv or (test_dynamic_lstm and layer0)"
    command = [sys.executable, "-P"] if sys.version_info >= (3, 11) else [sys.executable]
    files = [str(folder / name) for name in ("test_quantized_onnx.py", "test_ops.py")]
    done = subprocess.run(
        [*command, "-m", "pytest", "-p", "no:cacheprovider", *files, "-k", selection],
        cwd=folder.parent,
        env={**os.environ, saturation.VARIABLE: "saturating"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "products of bytes are saturating" in done.stdout
    assert "instruction sets: " in done.stdout
    assert lstm_rt.available_isas()[0] in done.stdout


@pytest.mark.parametrize("form", ["proto", "bytes", "path"])
def test_a_check_refuses_to_compare_saturated_products(
    form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    from lstm_rt.converters.onnx import saturation as of_the_converter

    monkeypatch.setattr(of_the_converter, "onnxruntime_is_exact", lambda: False)

    def checked(model: onnx.ModelProto) -> Any:
        onnx.save(model, tmp_path / "m.onnx")
        sources = {"proto": model, "bytes": model.SerializeToString(), "path": tmp_path / "m.onnx"}
        conversion = lstm_rt.convert(sources[form], check=True, shapes={"x": (2, 8)}).conversion
        assert conversion is not None
        return conversion.check

    assert checked(product(SMALL)).passed
    assert "saturate" in checked(product(LARGE)).why_not
