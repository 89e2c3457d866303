"""The first calls that a new user makes: arrays, inputs by name, reprs, imports at the root of a clone."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from models import Recurrent
from onnx import TensorProto, helper

import lstm_rt

ROOT = pathlib.Path(__file__).resolve().parents[1]


def recurrent(outputs: tuple[str, ...] = ("Y",)) -> lstm_rt.Model:
    return lstm_rt.load(Recurrent("LSTM", 7, 20).model(outputs=list(outputs)))


def running_sum() -> lstm_rt.Model:
    """A model whose state is explicit: total_next = total + scale * x, for a batch of any size."""
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Add", ["total", "scaled"], ["total_next"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "total")]
    ports.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, []))
    outputs = [helper.make_tensor_value_info("total_next", TensorProto.FLOAT, ["batch", 3])]
    graph = helper.make_graph(nodes, "sum", ports, outputs)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    return lstm_rt.convert(proto, bind={"total": "total_next"})


def frame() -> Any:
    return np.linspace(-1, 1, 7, dtype=np.float32).reshape(1, 1, 7)


# ---- Arrays ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "int16", "uint8", "bool", "complex64"])
def test_frame_of_another_dtype_error_names_the_cast(dtype: str) -> None:
    x = frame().astype(dtype)
    for call in (recurrent().stream().step, recurrent()):
        with pytest.raises(lstm_rt.ShapeError) as error:
            call(x)
        assert f"'X' is {dtype}" in str(error.value)
        assert "expected float32" in str(error.value)
        assert "x.astype('float32')" in str(error.value)


def test_frame_given_as_a_list_equals_the_array() -> None:
    stream, other = recurrent().stream(), recurrent().stream()
    for _ in range(3):
        np.testing.assert_array_equal(stream.step(frame().tolist()), other.step(frame()))


@pytest.mark.parametrize("value", [[[1.0], [2.0, 3.0]], [[None]], [["x"]], object(), {1: 2}, [[10**400]]])
def test_frame_that_is_no_array_raises_shape_error(value: Any) -> None:
    stream = recurrent().stream()
    before = stream.state
    for call in (stream.step, recurrent()):
        with pytest.raises(lstm_rt.ShapeError, match="input 'X'"):
            call(value)
    for name, array in stream.state.items():
        np.testing.assert_array_equal(array, before[name])


# ---- Inputs by name, and state -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4])
def test_absent_state_starts_as_zeros(batch: int) -> None:
    model, x = running_sum(), np.arange(3 * batch, dtype=np.float32).reshape(batch, 3)
    expected = 2 * x
    np.testing.assert_array_equal(model(x, scale=2), expected)
    np.testing.assert_array_equal(model(scale=2, x=x), expected)
    np.testing.assert_array_equal(model(x, np.zeros_like(x), 2), expected)
    np.testing.assert_array_equal(model.run({"x": x, "scale": 2})["total_next"], expected)


@pytest.mark.parametrize(
    ("positional", "named", "said"),
    [
        (0, {}, "missing: x, scale"),
        (1, {}, "missing: scale. Pass scale=..."),
        (1, {"scale": 1, "x": 1}, "x: given both by position and by name"),
        (1, {"scale": 1, "gain": 1}, "unknown: gain"),
        (4, {}, "takes 3 arrays"),
    ],
)
def test_wrong_names_of_inputs_raise(positional: int, named: dict[str, Any], said: str) -> None:
    with pytest.raises(lstm_rt.ArgumentError) as error:
        running_sum()(*[np.zeros((1, 3), np.float32)] * positional, **named)
    assert said in str(error.value)


# ---- Strict streams ----------------------------------------------------------------------------------------------


def test_strict_stream_refuses_another_shape_and_keeps_its_state() -> None:
    strict, free = recurrent().stream(strict=True), recurrent().stream()
    longer = np.concatenate([frame()] * 2)
    np.testing.assert_array_equal(strict.step(frame()), free.step(frame()))
    for stream in (strict, strict.clone()):
        with pytest.raises(lstm_rt.ShapeError, match=r"is \[2, 1, 7\], expected \[1, 1, 7\]"):
            stream.step(longer)
    np.testing.assert_array_equal(strict.step(frame()[::-1]), free.step(frame()))
    free.step(longer)


# ---- What is printed ---------------------------------------------------------------------------------------------


def test_repr_of_a_stream_shows_shapes_frozen_values_and_state() -> None:
    stream = running_sum().stream(freeze={"scale": 0.5}, batch=2, strict=True)
    assert repr(stream) == "<lstm_rt.Stream: x -> ; scale=0.5; state total[2, 3]; strict>"
    stream = recurrent().stream(threads=2)
    stream.step(frame())
    assert "X[1, 1, 7] -> Y[1, 1, 1, 20]" in repr(stream)
    assert "2 threads" in repr(stream)


def test_repr_of_a_port_names_its_dims() -> None:
    assert repr(running_sum().inputs[0]) == "<lstm_rt.TensorInfo: x: float32[batch, 3]>"


def test_repr_of_a_quantisation_report_is_short_and_its_text_a_table() -> None:
    model = lstm_rt.convert(Recurrent("LSTM", 7, 20).model(outputs=["Y"]), quantize="int8")
    report = model.quantization
    assert report is not None
    assert len(repr(report)) < 100
    lines = str(report).splitlines()
    assert lines[0].split()[:3] == ["layer", "op", "precision"]
    assert lines[1].split()[1:3] == ["LSTM", "int8"]


def test_html_of_a_model_escapes_names_of_the_file() -> None:
    node = helper.make_node("Relu", ["<b>"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("<b>", "y"))
    proto = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 18)])
    markup = lstm_rt.convert(proto)._repr_html_()
    assert "&lt;b&gt;[n]" in markup
    assert "<b>" not in markup


def test_dir_of_the_package_is_its_public_names() -> None:
    assert dir(lstm_rt) == sorted(lstm_rt.__all__)
    assert "lstm_rt.convert(" in (lstm_rt.__doc__ or "")


# ---- The program -------------------------------------------------------------------------------------------------


def python(*arguments: str, cwd: pathlib.Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not (ROOT / "CMakeLists.txt").exists(), reason="the source folder is not next to the tests")
def test_import_at_the_root_of_a_clone_finds_the_installed_package(tmp_path: pathlib.Path) -> None:
    program = "import lstm_rt, lstm_rt.model as m; print(lstm_rt.isa()); print(lstm_rt.__file__); print(m.__file__)"
    expected = python("-c", program, cwd=tmp_path)
    clone = tmp_path / "clone"
    (clone / "lstm_rt").mkdir(parents=True)
    (clone / "CMakeLists.txt").touch()
    for name in ("__init__.py", "_version.py"):
        (clone / "lstm_rt" / name).write_bytes((ROOT / "lstm_rt" / name).read_bytes())
    assert python("-c", program, cwd=clone) == expected


def test_module_runs_the_program(tmp_path: pathlib.Path) -> None:
    version = python("-m", "lstm_rt", "--version", cwd=tmp_path)
    assert version == f"lstm-rt {lstm_rt.__version__}\n"
    assert python("-m", "lstm_rt", "version", cwd=tmp_path) == version
    assert "--shape" in python("-m", "lstm_rt", "help", "inspect", cwd=tmp_path)
    assert "convert" in python("-m", "lstm_rt", "help", cwd=tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_the_commands(shell: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # typer looks at the parent process to find the shell, which here may be any program.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert "lstm" in python("-m", "lstm_rt", "--show-completion", shell, cwd=tmp_path)


@pytest.mark.parametrize(
    ("option", "holds"),
    [
        ("--include", "lstm_rt.h"),
        ("--lib", "liblstm_rt.so"),
        ("--cmake", "lstm_rt-config.cmake"),
        ("--pkg-config", "lstm_rt.pc"),
    ],
)
def test_paths_option_prints_an_existing_folder(option: str, holds: str, tmp_path: pathlib.Path) -> None:
    folder = pathlib.Path(python("-m", "lstm_rt", "paths", option, cwd=tmp_path).rstrip("\n"))
    assert [path for path in folder.iterdir() if path.name.startswith(holds)]
