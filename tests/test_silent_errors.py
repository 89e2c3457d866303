"""What must not pass in silence: lost files, failed checks, contradicting rates, unscaled samples."""

from __future__ import annotations

import json
import os
import pathlib
import re
import wave
from typing import Any

import models
import numpy as np
import onnx
import pytest
from lstm_rt.converters.onnx import reference
from models import Recurrent
from typer.testing import CliRunner

import lstm_rt
from lstm_rt.cli.app import app
from lstm_rt.demo import HEARTBEAT_ONNX

STACK = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 9, seed=1)]
RIGHT = reference.run


@pytest.fixture(autouse=True)
def in_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("m.onnx").write_bytes(models.stack(STACK).SerializeToString())
    pathlib.Path("heart.onnx").write_bytes(HEARTBEAT_ONNX.read_bytes())


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == exit_code, result.output
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


# ---- Targets that hold something else ----


def same_name() -> str:
    return "m.onnx"


def other_spelling() -> str:
    return os.path.join("..", pathlib.Path.cwd().name, "m.onnx")


def symbolic_link() -> str:
    os.symlink("m.onnx", "link.gguf")
    return "link.gguf"


def hard_link() -> str:
    os.link("m.onnx", "hard.gguf")
    return "hard.gguf"


def other_weights() -> str:
    pathlib.Path("weights.gguf").write_bytes(b"\0\1\2\3" * 9)
    return "weights.gguf"


def other_format() -> str:
    return "new.onnx"


TARGETS = [same_name, other_spelling, symbolic_link, hard_link, other_weights, other_format]


@pytest.mark.parametrize("make", TARGETS)
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_convert_never_destroys_a_file(make: Any, quantize: str | None) -> None:
    target = make()
    before = {path: path.read_bytes() for path in pathlib.Path().iterdir()}
    with pytest.raises(lstm_rt.ArgumentError, match=r"Give another name|Write to new\.gguf"):
        lstm_rt.convert("m.onnx", target, quantize=quantize)
    run("convert", "m.onnx", target, exit_code=1)
    assert {path: path.read_bytes() for path in pathlib.Path().iterdir()} == before


def test_external_data_is_not_overwritten() -> None:
    proto = onnx.load("m.onnx")
    onnx.save(proto, "big.onnx", save_as_external_data=True, location="big.gguf", size_threshold=0)
    before = pathlib.Path("big.gguf").read_bytes()
    with pytest.raises(lstm_rt.ArgumentError, match=r"not a \.gguf file"):
        lstm_rt.convert("big.onnx", "big.gguf")
    run("convert", "big.onnx", exit_code=1)  # the default name
    assert pathlib.Path("big.gguf").read_bytes() == before


def test_a_converted_model_may_be_replaced() -> None:
    for _ in range(2):
        lstm_rt.convert("m.onnx", "m.gguf")
    pathlib.Path("empty.gguf").touch()
    lstm_rt.convert("m.onnx", "empty.gguf")


def test_a_model_is_known_by_its_first_bytes() -> None:
    lstm_rt.convert("m.onnx", "m.gguf")
    os.rename("m.gguf", "renamed.onnx")
    assert lstm_rt.load("renamed.onnx").verify() > 0
    assert "✓" in run("verify", "renamed.onnx")


@pytest.mark.parametrize(
    "command",
    [
        "run heart.onnx x.npz -o x.npz",
        "run heart.onnx x.npz -o link.npz",
        "run heart.onnx x.npz -o model.npz",
        "stream heart.onnx x.npy --plot heart.png",
        "bench heart.onnx --seconds 0.01 --plot heart.png",
        "stream heart.onnx x.npy -o state.csv",
    ],
)
def test_results_never_destroy_a_file(command: str) -> None:
    frames = np.zeros((1, 9, 5), np.float32)
    np.savez("x.npz", frames=frames)
    np.save("x.npy", frames)
    os.symlink("x.npz", "link.npz")
    os.symlink("heart.onnx", "heart.png")
    os.symlink("heart.onnx", "state.csv")
    os.symlink("heart.onnx", "model.npz")
    before = {path: path.read_bytes() for path in pathlib.Path().iterdir()}
    assert "another name" in run(*command.split(), exit_code=1)
    assert {path: path.read_bytes() for path in pathlib.Path().iterdir()} == before


# ---- Checks that fail ----


def test_a_failed_check_raises_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(source: Any, inputs: Any) -> Any:
        runtime, outputs = RIGHT(source, inputs)
        return runtime, [[array + np.float32(0.01) for array in run] for run in outputs]

    monkeypatch.setattr(reference, "run", wrong)
    with pytest.raises(lstm_rt.CheckError, match="No file was written") as caught:
        lstm_rt.convert("m.onnx", "m.gguf", check=True, quantize="int8")
    assert caught.value.report is not None
    assert caught.value.report.check is not None
    assert not caught.value.report.check.passed
    assert not pathlib.Path("m.gguf").exists()


def test_live_torch_modules_are_checked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(4))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.eval()
    model = lstm_rt.from_torch(module, (torch.zeros(2, 3),))
    assert model.conversion is not None
    assert model.conversion.check is not None
    assert model.conversion.check.passed
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    skipped = lstm_rt.from_torch(module, (torch.zeros(2, 3),), check=False).conversion
    assert skipped is not None
    assert skipped.check is None

    from lstm_rt.converters.torch import reference as of_torch

    right = of_torch.run
    monkeypatch.setattr(
        of_torch, "run", lambda *a, **k: (right(*a, **k)[0], [[y + 1 for y in r] for r in right(*a, **k)[1]])
    )
    with pytest.raises(lstm_rt.CheckError, match="differs from torch"):
        lstm_rt.from_torch(module, (torch.zeros(2, 3),), "t.gguf")
    assert not pathlib.Path("t.gguf").exists()


def test_check_of_a_quantised_model_reports_both() -> None:
    said = run("convert", "m.onnx", "--quantize", "int8", "--check")
    assert "✓ float32, before quantising, compared with onnxruntime" in said
    assert "quantised, compared with float32" in said
    assert "dB" in said
    float_model = lstm_rt.load("m.onnx")
    model = lstm_rt.convert("m.onnx", quantize="int8", check=True)
    assert model.conversion is not None
    (change,) = model.conversion.quantized
    exact, moved = float_model.run(model.example), model.run(model.example)
    apart = np.abs(exact["out"].astype(np.float64) - moved["out"])
    assert 0 < apart.max() <= change.largest * (1 + 1e-6)
    assert 5 < change.snr_db < 80
    assert "quantised, compared" in run("convert", "m.onnx", "--quantise", "int8")


# ---- Rates and scales ----


def write_wav(path: str, rate: int, samples: Any) -> None:
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def rated(name: str, dims: list[Any]) -> onnx.ModelProto:
    """Multiplies by 2 where the rate is 16000, else by 3."""
    from onnx import TensorProto, helper

    def branch(factor: float) -> onnx.GraphProto:
        out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
        constant = helper.make_node("Constant", [], ["f"], value_float=factor)
        return helper.make_graph([constant, helper.make_node("Mul", ["x", "f"], ["o"])], "b", [], [out])

    nodes = [
        helper.make_node("Constant", [], ["k"], value_int=16000),
        helper.make_node("Equal", [name, "k"], ["is"]),
        helper.make_node("If", ["is"], ["y"], then_branch=branch(2.0), else_branch=branch(3.0)),
        helper.make_node("Tanh", ["state"], ["stateN"]),
    ]
    inputs = [("x", dims, TensorProto.FLOAT), ("state", [1, 2], TensorProto.FLOAT), (name, [], TensorProto.INT64)]
    outputs = [("y", dims), ("stateN", [1, 2])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, t, d) for n, d, t in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    "command",
    [
        "stream r.onnx in.wav --freeze sample_rate=16000",
        "run r.onnx in.wav --set samplingRate=16000",
        "stream r.onnx in.wav --freeze sr=16000",
        "stream r.onnx in.wav --rate 16000 --freeze sr=44100",
        "stream r.onnx in.wav --rate 44100 --freeze sr=16000",
        "stream r.onnx in.wav",  # its self-test has 16000
        "stream frozen.gguf in.wav",
        "stream hinted.gguf in.wav",
        "run r.onnx in.wav --set sr=16000",
        "run frozen.gguf in.wav",
        "run hinted.gguf in.wav",
    ],
)
def test_rates_that_contradict_each_other_are_refused(command: str) -> None:
    name = next((name for name in ("sample_rate", "samplingRate") if name in command), "sr")
    proto = rated(name, [1, 100])
    pathlib.Path("r.onnx").write_bytes(proto.SerializeToString())
    lstm_rt.convert(proto, "frozen.gguf", freeze={name: 16000})
    lstm_rt.convert(proto, "hinted.gguf", hints={"rate": 16000})
    write_wav("in.wav", 44100, np.zeros(100, "<i2"))
    said = run(*command.split(), exit_code=1)
    assert "44100" in said
    assert "16000" in said
    assert re.search(r"ffmpeg -i in.wav -ar (16000|44100) -ac 1 out.wav", said)
    write_wav("in.wav", 16000, np.zeros(100, "<i2"))
    if "44100" not in command:
        run(*command.split())


@pytest.mark.parametrize(
    ("dtype", "value", "wanted"),
    [("int8", 64, 0.5), ("uint8", 192, 0.5), ("int16", 16384, 0.5), ("int32", 1 << 30, 0.5), ("float64", 0.5, 0.5)],
)
@pytest.mark.parametrize("command", ["run", "stream"])
def test_samples_of_every_dtype_mean_the_same(dtype: str, value: float, wanted: float, command: str) -> None:
    np.save("x.npy", np.full(25, value, dtype))
    np.save("right.npy", np.full(25, wanted, np.float32))
    run(command, "heart.onnx", "right.npy", "-o", "right.npz")
    said = run(command, "heart.onnx", "x.npy", "-o", "out.npz")
    np.testing.assert_array_equal(np.load("out.npz")["scores"], np.load("right.npz")["scores"])
    assert f"{dtype} " in said
    assert "scaled by 1/" in said or dtype == "float64"
    run(command, "heart.onnx", "x.npy", "--json")


def test_tokens_are_not_scaled() -> None:
    from lstm_rt.cli.signals import as_samples

    tokens = np.arange(5)
    assert as_samples(tokens, np.dtype(np.float32))[0].tolist() == tokens.tolist()
    small = np.arange(5, dtype=np.int16)
    assert as_samples(small, np.dtype(np.int64))[0].tolist() == small.tolist()


@pytest.mark.parametrize("command", ["run", "stream"])
def test_the_first_value_that_is_not_finite_is_reported(command: str) -> None:
    samples = np.zeros(25, np.float32)
    samples[12] = np.nan
    np.save("x.npy", samples)
    said = run(command, "heart.onnx", "x.npy")
    assert "not finite" in said
    assert command == "run" or ("step 2" in said and "stream.reset()" in said and said.count("not finite") == 1)


# ---- Files that are not there ----


@pytest.mark.parametrize("name", ["missing.onnx", "missing.gguf", "missing.keras", "missing.pth", "no/missing.onnx"])
def test_a_missing_file_is_an_error_of_both_kinds(name: str) -> None:
    calls: list[Any] = [lstm_rt.load, lstm_rt.convert, lstm_rt.Model, lstm_rt.from_keras, lstm_rt.from_torch]
    for call in calls:
        if call is lstm_rt.Model or not name.endswith(".gguf") or call is lstm_rt.load:
            with pytest.raises(lstm_rt.MissingFileError, match="No such file") as caught:
                call(name)
            assert isinstance(caught.value, (lstm_rt.Error))
            assert isinstance(caught.value, FileNotFoundError)
            assert isinstance(caught.value, lstm_rt.ModelFileError)
            assert caught.value.filename == name
    assert run("inspect", name, exit_code=1).startswith(f"error: {name}: No such file")


@pytest.mark.parametrize("target", ["", ".", "..", "/", "folder", "folder/"])
def test_folder_as_target_is_an_error_of_both_kinds(target: str) -> None:
    os.mkdir("folder")
    before = sorted(os.listdir("."))
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.convert(HEARTBEAT_ONNX, target)
    assert isinstance(caught.value, IsADirectoryError)
    assert "cannot write the model" in str(caught.value)
    assert sorted(os.listdir(".")) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("linked", [False, True])
def test_target_that_is_no_file_is_kept(linked: bool) -> None:
    os.mkfifo("pipe.gguf")
    if linked:
        os.symlink("pipe.gguf", "link.gguf")
    target = "link.gguf" if linked else "pipe.gguf"
    before = os.lstat(target)
    with pytest.raises(lstm_rt.ModelFileError, match="a pipe, a socket or a device"):
        lstm_rt.convert(HEARTBEAT_ONNX, target)
    assert os.lstat(target).st_ino == before.st_ino


def test_a_folder_is_an_error_of_both_kinds() -> None:
    os.mkdir("folder.onnx")
    for call in (lstm_rt.load, lstm_rt.convert):
        with pytest.raises(lstm_rt.Error):
            call("folder.onnx")
    with pytest.raises(lstm_rt.ModelFileError):
        lstm_rt.Model("folder.onnx")


def test_events_of_json_stay_whole() -> None:
    np.save("x.npy", np.zeros(25, np.float32))
    assert json.loads(run("stream", "heart.onnx", "x.npy", "--json"))["notes"] == []
