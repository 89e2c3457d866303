"""`lstm_rt.convert` and `lstm_rt.load`: what is written when, and the self-tests of a file."""

from __future__ import annotations

import builtins
import pathlib
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from cpu import records_selftests
from onnx import TensorProto, helper
from onnx_of_gguf import Tables, build, floats, info, one_node, relu

import lstm_rt


def adder() -> onnx.ModelProto:
    """Y = x + 1, whole batches and times."""
    node = helper.make_node("Add", ["x", "one"], ["y"])
    dims = ["batch", "time", 3]
    return build([node], [info("x", dims)], [info("y", dims)], {"one": np.ones(3, np.float32)})


def picky(*sizes: int) -> onnx.ModelProto:
    """A model that takes frames of one size only: x is reshaped to it."""
    nodes = [helper.make_node("Reshape", ["x", "dims"], ["y"])]
    return build(nodes, [info("x", [None, None])], [info("y", None)], {"dims": np.array(sizes, np.int64)})


def switch() -> onnx.ModelProto:
    """A model with a sample rate that chooses what happens."""
    graphs = {
        branch: helper.make_graph([helper.make_node(op, ["x"], ["z"])], branch, [], [info("z", [2])])
        for branch, op in (("then_branch", "Relu"), ("else_branch", "Tanh"))
    }
    nodes = [helper.make_node("Equal", ["sr", "k"], ["c"]), helper.make_node("If", ["c"], ["y"], **graphs)]
    rate = info("sr", [], TensorProto.INT64)
    return build(nodes, [info("x", [2]), rate], [info("y", [2])], {"k": np.array(16000)})


def test_convert_writes_a_file_and_loads_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "adder.onnx").write_bytes(adder().SerializeToString())
    model = lstm_rt.convert(tmp_path / "adder.onnx", tmp_path / "adder.gguf")
    x = floats(2, 5, 3)
    np.testing.assert_array_equal(model.run({"x": x})["y"], x + 1)
    np.testing.assert_array_equal(lstm_rt.load(str(tmp_path / "adder.gguf")).run({"x": x})["y"], x + 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adder.gguf", "adder.onnx"]


@pytest.mark.parametrize("make", [lambda m: m, lambda m: m.SerializeToString()], ids=["ModelProto", "bytes"])
def test_load_converts_what_is_no_file(make: Any) -> None:
    x = floats(1, 2, 3)
    np.testing.assert_array_equal(lstm_rt.load(make(adder())).run({"x": x})["y"], x + 1)


@records_selftests
def test_self_tests_hold_inputs_and_outputs(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(adder(), tmp_path / "m.gguf")
    tables = Tables(tmp_path / "m.gguf")
    _, x0, y0, x1, y1 = tables.tensors()
    assert tables["selftest.count"] == 2
    assert x0.shape == (1, 4, 3)
    assert not np.array_equal(x0, x1)
    np.testing.assert_array_equal(y0, x0 + 1)
    np.testing.assert_array_equal(y1, x1 + 1)


@records_selftests
def test_self_tests_find_the_frame_a_model_takes(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(picky(2, 80), tmp_path / "m.gguf")
    assert Tables(tmp_path / "m.gguf").tensors()[1].shape == (1, 160)


@records_selftests
def test_self_tests_take_every_branch(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(switch(), tmp_path / "m.gguf")
    tensors = Tables(tmp_path / "m.gguf").tensors()[-12:]
    assert [int(rate) for rate in tensors[1::3]] == [16000, 8000, 1, 0]  # a likely rate first
    np.testing.assert_array_equal(tensors[2], np.maximum(tensors[0], 0))


@records_selftests
def test_a_model_that_fits_no_shape_has_no_self_test(tmp_path: pathlib.Path) -> None:
    with pytest.warns(UserWarning, match="no self-test: no shapes were found.*Give the shapes") as caught:
        lstm_rt.convert(picky(7, 11), tmp_path / "m.gguf")
    assert caught[0].filename == __file__
    assert Tables(tmp_path / "m.gguf")["selftest.count"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lstm_rt.convert(picky(7, 11), tmp_path / "m.gguf", shapes={"x": (1, 77)})
        lstm_rt.convert(picky(7, 11), tmp_path / "n.gguf", selftest=False)
    assert Tables(tmp_path / "m.gguf")["selftest.count"] == 2


def test_nothing_is_written_where_conversion_fails(tmp_path: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError):
        lstm_rt.convert(one_node("Det", floats(2, 2)), tmp_path / "m.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_converted_model_takes_no_options(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(adder(), tmp_path / "m.gguf", selftest=False)
    with pytest.raises(lstm_rt.ArgumentError, match="freeze: for models that are converted"):
        lstm_rt.load(tmp_path / "m.gguf", freeze={"x": 1})
    with pytest.raises(lstm_rt.ArgumentError, match="converted already"):
        lstm_rt.convert(tmp_path / "m.gguf", tmp_path / "n.gguf")


def test_an_unknown_kind_of_file_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"no converter for '\.tflite'"):
        lstm_rt.load(tmp_path / "m.tflite")


@pytest.mark.parametrize("package", ["onnx", "gguf"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, original = adder().SerializeToString(), builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "lstm_rt.converters.gguf_file", raising=False)
    monkeypatch.delattr("lstm_rt.converters.gguf_file", raising=False)
    with pytest.raises(lstm_rt.MissingPackageError, match=rf"package '{package}'.*pip install 'lstm_rt\[") as caught:
        lstm_rt.load(data)
    assert isinstance(caught.value, ImportError)


def test_loading_a_converted_file_imports_no_converter(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(build([relu()], [info("x", [2])], [info("y", [2])]), tmp_path / "m.gguf")
    program = (
        "import sys, lstm_rt; lstm_rt.load(sys.argv[1]); "
        "print([m for m in sys.modules if m.split('.')[0] in ('onnx', 'gguf') or m.startswith('lstm_rt.converters')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "m.gguf")],
        cwd=tmp_path,  # the source folder would hide the installed package
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_convert_is_there_after_load(tmp_path: pathlib.Path) -> None:
    """A submodule of the same name would take the function's place once it is imported."""
    program = "import lstm_rt; lstm_rt.load; assert callable(lstm_rt.convert)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
