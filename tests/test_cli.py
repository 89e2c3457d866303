"""The command line: every command and every example of its help, JSON, exit codes, and what is said when it fails."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import wave
from collections.abc import Sequence
from typing import Any

import cpu
import fetch
import models
import numpy as np
import pytest
import torch_files
from close import assert_same_bytes
from cpu import RECORDS_SELFTESTS, records_selftests
from models import Recurrent
from typer.testing import CliRunner

import lstm_rt
from lstm_rt.cli import app as program
from lstm_rt.cli import signals, ui
from lstm_rt.cli.signals import Framing, Signal
from lstm_rt.demo import HEARTBEAT_ONNX
from lstm_rt.demo.signal import heart_trace

COMMANDS = [module.NAME for module in program._MODULES]
EXAMPLES = [
    *((example, "lstm-rt") for example, _ in program._PROGRAM_EXAMPLES),
    *((example, module.NAME) for module in program._MODULES for example, _ in module.EXAMPLES),
]
RATE = 16000
TAGGER = """
[inputs]
x = { shape = ["batch", "time", 3] }

[[layers]]
kind = "LSTM"
name = "lstm"
batch_first = true

[[layers]]
kind = "Linear"
name = "tags"

[outputs]
tags = "tags"
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the files that the examples of the help name, but for Silero's."""
    folder = tmp_path_factory.mktemp("cli")
    shutil.copy(HEARTBEAT_ONNX, folder / "model.onnx")
    lstm_rt.convert(folder / "model.onnx", folder / "model.gguf")
    (folder / "gru.onnx").write_bytes(models.stack([Recurrent("GRU", 40, 16)], explicit=True).SerializeToString())
    backward = models.stack([Recurrent("GRU", 4, 4, direction="reverse")])
    (folder / "backward.onnx").write_bytes(backward.SerializeToString())
    trace = heart_trace(5, seconds=10)
    np.save(folder / "trace.npy", trace.samples)
    np.save(folder / "x.npy", trace.frames())
    np.savez(folder / "inputs.npz", frames=trace.frames().astype(np.float64))
    (folder / "bad.onnx").write_text("no model\n")
    (folder / "bad.gguf").write_text("no model\n")
    (folder / "bad.npy").write_text("no array\n")
    write_wav(folder / "speech.wav")
    write_tagger(folder)
    return folder


@pytest.fixture(autouse=True)
def in_files(files: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(ui.console, "width", 160)  # which it may have been told when it was made


def write_wav(path: pathlib.Path, *, rate: int = RATE, channels: int = 1) -> None:
    noise = np.random.default_rng(0).normal(0, 3000, RATE).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(noise.tobytes())


def write_tagger(folder: pathlib.Path) -> None:
    shapes = {
        "lstm.weight_ih_l0": (16, 3),
        "lstm.weight_hh_l0": (16, 4),
        "lstm.bias_ih_l0": (16,),
        "lstm.bias_hh_l0": (16,),
        "tags.weight": (2, 4),
        "tags.bias": (2,),
    }
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    torch_files.save(folder / "tagger.pth", arrays)
    torch_files.save(folder / "last.ckpt", arrays, inside="state_dict")
    (folder / "tagger.toml").write_text(TAGGER)


def run(*arguments: str, exit_code: int = 0, stdin: bytes | None = None) -> str:
    """Runs a command in this process. Returns what it printed, without colours and line breaks of tables."""
    result = CliRunner().invoke(program.app, list(arguments), input=stdin)
    assert result.exit_code == exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def installed(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs the console script that pip made."""
    script = shutil.which("lstm-rt", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    assert script, "lstm-rt is not installed"
    return subprocess.run([script, *arguments], capture_output=True, check=False, timeout=120, **options)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


def words(text: str) -> str:
    """Text without the frames and line breaks of a terminal."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


# ---- Help ----


def test_help_lists_the_commands() -> None:
    said = run("--help")
    assert all(command in said for command in COMMANDS)
    assert "Usage" in run("stream", "-h")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_ends_with_its_examples(command: str) -> None:
    said = run(command, "--help")
    mine = [example for example, owner in EXAMPLES if owner == command]
    assert mine
    assert all(example in said for example in mine)
    assert "--json" in said


@pytest.mark.parametrize("example", sorted({example for example, _ in EXAMPLES}))
def test_examples_of_the_help_work(
    example: str, files: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    if "silero" in example:
        package = tmp_path / "silero_vad" / "data"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").write_text("raise ImportError('the demo must not import this')\n")
        for target in (tmp_path, package):
            shutil.copy(fetch.model("silero_vad"), target / "silero_vad.onnx")
        monkeypatch.syspath_prepend(str(tmp_path))
    source, _, command = example.rpartition("|")
    arguments = shlex.split(command)
    assert arguments[0] == "lstm-rt"
    if arguments[1] == "verify" and not RECORDS_SELFTESTS:
        pytest.skip(cpu.WHY)
    run(*arguments[1:], stdin=np.zeros(RATE, "<i2").tobytes() if source else None)


def test_version() -> None:
    assert run("--version") == f"lstm-rt {lstm_rt.__version__}\n"


# ---- Every command ----


def test_convert(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "out.gguf"
    report = run_json("convert", "model.onnx", str(target))
    assert report["target"] == str(target)
    assert report["selftests"] == (lstm_rt.load(target).verify() if RECORDS_SELFTESTS else 0)
    assert report["selftests"] > 0 or not RECORDS_SELFTESTS
    assert report["target_bytes"] == target.stat().st_size
    assert run_json("convert", "model.onnx", str(target), "--no-selftest")["selftests"] == 0
    said = run("convert", "gru.onnx", str(target), "--bind", "h0=h0_out", "--shape", "X=?x1x40")
    assert "h0 ← h0_out" in said
    assert lstm_rt.load(target).inputs[0].shape == (None, 1, 40)


def test_inspect() -> None:
    report = run_json("inspect", "model.gguf", "--shape", "frames=1x4x5")
    assert [port["name"] for port in report["inputs"] + report["outputs"]] == ["frames", "scores"]
    assert report["stream"]["streams"] is True
    assert report["step"]["macs"] == sum(call["macs"] for call in report["step"]["calls"]) > 100_000
    assert {"LSTM", "MatMul"} <= {call["type"] for call in report["step"]["calls"]}
    # Of a new process: this one has freed memory that it uses again.
    alone = subprocess.run(
        [sys.executable, "-m", "lstm_rt.cli", "inspect", "model.gguf", "--json"], capture_output=True
    )
    memory = json.loads(alone.stdout)["memory"]
    assert memory["packed_weights"] == report["step"]["weight_bytes"] > 0
    assert memory["peak"] >= memory["packed_weights"]
    assert memory["resident"] is None or memory["resident"] <= memory["peak"]
    said = run("inspect", "model.gguf")
    assert "[batch, time, 5]" in said
    assert "✓ streams" in said
    assert "/recurrent/LSTM_1" in said
    assert "packed weights" in said


def test_inspect_says_why_a_model_does_not_stream() -> None:
    report = run_json("inspect", "backward.onnx")
    assert report["stream"]["streams"] is False
    assert "layer0" in report["stream"]["how"]
    assert "✗ does not stream" in run("inspect", "backward.onnx")


def test_inspect_still_reports_where_shapes_do_not_fit() -> None:
    report = run_json("inspect", "model.gguf", "--shape", "frames=1x1x6")
    assert "frames" in report["step"]["error"]
    assert "--shape NAME=DIMS" in run("inspect", "model.gguf", "--shape", "frames=1x1x6")


def test_inspect_ops() -> None:
    assert run_json("inspect", "--ops") == lstm_rt.supported_ops()
    assert "LSTM" in run("inspect", "--ops")


def test_run(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "out.npz"
    report = run_json("run", "model.gguf", "x.npy", "--out", str(target))
    expected = lstm_rt.load("model.gguf")(np.load("x.npy"))
    assert_same_bytes(np.load(target)["scores"], expected)
    assert report["outputs"]["scores"]["shape"] == list(expected.shape)
    for source in ("inputs.npz", "trace.npy"):  # float64 is cast; samples fill the frames
        run("run", "model.gguf", source, "-o", str(target))
        assert_same_bytes(np.load(target)["scores"], expected)


@pytest.mark.parametrize(
    "command",
    [
        "run model.gguf x.npy",
        "stream model.gguf x.npy",
        "bench model.gguf",
        pytest.param("verify model.gguf", marks=records_selftests),
    ],
)
def test_max_memory(command: str) -> None:
    run(*command.split(), "--max-memory", "1000000000")
    assert "max_memory is 10 " in run(*command.split(), "--max-memory", "10", exit_code=1)


def test_run_writes_csv_that_reads_back_exactly(tmp_path: pathlib.Path) -> None:
    run("run", "model.gguf", "x.npy", "--out", str(tmp_path / "out.csv"))
    rows = read_csv((tmp_path / "out.csv").read_text())
    assert list(rows[0]) == ["step", "scores_0", "scores_1", "scores_2"]
    assert_same_bytes(numbers(rows, "scores_"), lstm_rt.load("model.gguf")(np.load("x.npy"))[0])


def test_run_starts_state_at_zeros_and_takes_values() -> None:
    np.save("features.npy", np.ones((3, 1, 40), np.float32))
    np.save("state.npy", np.ones((1, 1, 16), np.float32))
    zeros = run_json("run", "gru.onnx", "features.npy")["outputs"]["out"]
    ones = run_json("run", "gru.onnx", "features.npy", "--set", "h0=state.npy")["outputs"]["out"]
    assert zeros["shape"] == ones["shape"] == [3, 1, 5]
    assert zeros["mean"] != ones["mean"]


def test_stream_equals_run(tmp_path: pathlib.Path) -> None:
    npz, table = tmp_path / "out.npz", tmp_path / "out.csv"
    report = run_json("stream", "model.gguf", "trace.npy", "--rate", "250", "--out", str(npz))
    expected = lstm_rt.load("model.gguf")(np.load("x.npy"))[0]
    assert (report["frame"], report["hop"], report["context"], report["steps"]) == (5, 5, 0, len(expected))
    assert report["step_seconds"] == 0.02
    assert 0 < report["latency_us"]["median"] <= report["latency_us"]["p99"]
    assert report["times_real_time"] > 0
    assert_same_bytes(np.load(npz)["scores"], expected)
    said = run("stream", "model.gguf", "trace.npy", "--frame", "20", "--out", str(table))
    assert "µs median" in said
    assert_same_bytes(numbers(read_csv(table.read_text()), "scores_").reshape(-1, 3), expected)


def test_stream_takes_rows_of_features() -> None:
    np.save("rows.npy", np.load("x.npy")[0])
    report = run_json("stream", "model.gguf", "rows.npy")
    assert (report["frame"], report["steps"]) == (1, len(np.load("rows.npy")))


def test_stream_takes_a_pipe() -> None:
    samples = (np.load("trace.npy") * 1000).astype("<i2")
    done = installed("stream", "model.gguf", "-", "--rate", "250", "--out", "-", input=samples.tobytes())
    assert done.returncode == 0, done.stderr
    rows = read_csv(done.stdout.decode())
    assert rows[1]["seconds"] == "0.04"
    frames = (samples.astype(np.float32) / 32768).reshape(1, -1, 5)
    assert_same_bytes(numbers(rows, "scores_"), lstm_rt.load("model.gguf")(frames)[0])
    assert b"median" in done.stderr


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_stream_draws(tmp_path: pathlib.Path, suffix: str) -> None:
    picture = tmp_path / f"picture{suffix}"
    run("stream", "model.gguf", "trace.npy", "--plot", str(picture))
    assert picture.stat().st_size > 5000


def test_stream_of_silero_with_context(tmp_path: pathlib.Path) -> None:
    model, target = str(fetch.model("silero_vad")), tmp_path / "out.npz"
    options = ["--frame", "512", "--context", "64", "--freeze", "sr=16000", "--out", str(target)]
    assert run_json("stream", model, "speech.wav", *options)["steps"] == -(-RATE // 512)
    samples = np.concatenate([np.zeros(64, np.float32), signals.read_wav("speech.wav").rows()])
    stream = lstm_rt.load(model).stream(freeze={"sr": 16000})
    first = [stream.step(samples[None, start : start + 576]) for start in (0, 512, 1024)]
    assert_same_bytes(np.load(target)["output"][:3], np.concatenate(first)[:, 0])


@records_selftests
def test_verify() -> None:
    exact = lstm_rt.exact_isas()
    report = run_json("verify", "model.gguf", "--every-isa")
    assert list(report["verified"]) == exact
    if lstm_rt.isa() in exact:
        assert run_json("verify", "model.gguf")["verified"] == {lstm_rt.isa(): 2}
        assert "every byte as recorded" in run("verify", "model.gguf")


def test_isa() -> None:
    report = run_json("isa")
    assert report["isa"] == lstm_rt.isa()
    assert report["available"] == lstm_rt.available_isas()
    assert lstm_rt.isa() in run("isa")


def test_installed_script() -> None:
    assert installed("--version").stdout.decode().split() == ["lstm-rt", lstm_rt.__version__]
    assert json.loads(installed("isa", "--json").stdout)["isa"] == lstm_rt.isa()
    failed = installed("inspect", "missing.gguf")
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert failed.stderr.startswith(b"error: ")
    assert b"Traceback" not in failed.stderr
    assert installed("inspect", "model.gguf", "--nonsense").returncode == 2


def test_module_runs_like_the_script() -> None:
    done = subprocess.run([sys.executable, "-m", "lstm_rt.cli", "isa"], capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@records_selftests
def test_a_terminal_without_the_characters_gets_others() -> None:
    done = installed("verify", "model.gguf", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr


# ---- Failures: exit code 1 and a message, 2 for wrong usage ----

FAILURES = {
    "missing model": (["inspect", "missing.onnx"], "missing.onnx"),
    "missing gguf": (["verify", "missing.gguf"], "missing.gguf"),
    "bad model": (["convert", "bad.onnx"], "bad.onnx"),
    "bad gguf": (["verify", "bad.gguf"], "bad.gguf"),
    "no converter": (["convert", "speech.wav"], "no converter"),
    "converted already": (["convert", "model.gguf", "again.gguf"], "converted already"),
    "missing folder": (["convert", "model.onnx", "nowhere/model.gguf"], "nowhere: No such folder"),
    "missing signal": (["stream", "model.gguf", "missing.npy"], "missing.npy"),
    "bad signal": (["stream", "model.gguf", "bad.npy"], "bad.npy"),
    "no signal": (["stream", "model.gguf", "model.onnx"], "a signal is a .wav or a .npy"),
    "does not stream": (["stream", "backward.onnx", "trace.npy"], "layer0"),
    "too short": (["run", "model.gguf", "short.npy"], "takes 5 values"),
    "unknown input": (["run", "model.gguf", "x.npy", "--set", "nothing=1"], "nothing"),
    "unknown isa": (["run", "model.gguf", "x.npy", "--isa", "abacus"], "abacus"),
    "no self-test": (["verify", "model.onnx"], "no self-test"),
    "two channels": (["run", "model.gguf", "stereo.wav"], "2 channels"),
    "missing input": (["run", "gru.onnx", "empty.npz"], "--set X=VALUE"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_work_that_fails_ends_with_1_and_a_message(case: str) -> None:
    np.save("short.npy", np.zeros(3, np.float32))
    np.savez("empty.npz")
    write_wav(pathlib.Path("stereo.wav"), channels=2)
    arguments, expected = FAILURES[case]
    said = run(*arguments, exit_code=1)
    assert said.startswith("error: ")
    assert expected in said


USAGE = {
    "no command": ["frobnicate"],
    "no model": ["inspect"],
    "unknown option": ["isa", "--nonsense"],
    "no pair": ["convert", "model.onnx", "--bind", "h0"],
    "no number": ["stream", "model.gguf", "trace.npy", "--freeze", "sr=fast"],
    "no shape": ["inspect", "model.gguf", "--shape", "frames=1xfive"],
    "kind of output": ["run", "model.gguf", "x.npy", "--out", "out.txt"],
    "kind of stream output": ["stream", "model.gguf", "trace.npy", "--out", "out.txt"],
    "kind of picture": ["stream", "model.gguf", "trace.npy", "--plot", "out.txt"],
    "two on one pipe": ["stream", "model.gguf", "trace.npy", "--out", "-", "--json"],
    "picture of a pipe": ["stream", "model.gguf", "-", "--plot", "out.png"],
    "hop beyond the frame": ["stream", "model.gguf", "trace.npy", "--hop", "6"],
    "two choices": ["verify", "model.gguf", "--isa", "portable", "--every-isa"],
    "no frame": ["stream", "free.onnx", "trace.npy"],
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_ends_with_2(case: str) -> None:
    free = models.single_op("Tanh", {"x": np.zeros((1, 1), np.float32)}, outputs={"y": np.zeros((1, 1), np.float32)})
    pathlib.Path("free.onnx").write_bytes(free.SerializeToString())
    assert "Usage" in run(*USAGE[case], exit_code=2)


def test_control_values_must_come_from_somewhere() -> None:
    model = str(fetch.model("silero_vad"))
    lstm_rt.convert(model, "untested.gguf", selftest=False)
    said = run("stream", "untested.gguf", "speech.wav", "--frame", "512", "--context", "64", exit_code=1)
    assert "Add --freeze sr=VALUE" in said
    assert run_json("inspect", "untested.gguf")["stream"]["streams"] is None
    report = run_json("inspect", model, "--shape", "input=1x576", "--freeze", "sr=16000")
    assert report["stream"]["streams"] is True
    assert report["bindings"] == {"state": "stateN"}


# ---- Extras that are not installed ----


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_cli_extra(package: str) -> None:
    done = python(f"import sys; sys.modules[{package!r}] = None; from lstm_rt.cli import main; main()")
    assert done.returncode == 1
    assert f"needs the package '{package}'" in done.stderr
    assert "pip install 'lstm_rt[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_error_of_our_own_is_not_hidden() -> None:
    done = python("import sys; sys.modules['lstm_rt.cli.ui'] = None; from lstm_rt.cli import main; main()")
    assert "Traceback" in done.stderr


def test_without_the_plot_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = run("stream", "model.gguf", "trace.npy", "--plot", "out.png", exit_code=1)
    assert "pip install 'lstm_rt[plot]'" in said


# ---- Signals ----


@pytest.mark.parametrize(
    ("frame", "hop", "context"), [(5, 5, 0), (5, 2, 0), (5, 5, 3), (7, 3, 4), (1, 1, 0), (40, 40, 8)]
)
@pytest.mark.parametrize("blocks", [[23], [1] * 23, [4, 0, 19], [10, 13]])
def test_frames_are_the_same_however_a_signal_comes(frame: int, hop: int, context: int, blocks: Sequence[int]) -> None:
    rows = np.arange(1, 24, dtype=np.float32)
    framing = Framing(frame, hop, context)
    got = list(signals.frames(Signal(np.split(rows, np.cumsum(blocks)[:-1]), None), framing))
    assert len(got) == framing.count(len(rows))
    padded = np.concatenate([np.zeros(context), rows, np.zeros(100)])
    for step, piece in enumerate(got):
        np.testing.assert_array_equal(piece, padded[step * hop : step * hop + context + frame])


def test_an_empty_pipe_is_said_to_be_empty() -> None:
    assert "empty" in run("stream", "model.gguf", "-", stdin=b"", exit_code=1)


@pytest.mark.parametrize(("width", "low", "high"), [(1, 0, 255), (2, -(2**15), 2**15 - 1), (3, -(2**23), 2**23 - 1)])
def test_wav_of_every_width(tmp_path: pathlib.Path, width: int, low: int, high: int) -> None:
    middle = 128 if width == 1 else 0
    with wave.open(str(tmp_path / "w.wav"), "wb") as file:
        file.setparams((1, width, 8000, 3, "NONE", ""))
        file.writeframes(b"".join(v.to_bytes(width, "little", signed=width > 1) for v in (low, middle, high)))
    signal = signals.read_wav(str(tmp_path / "w.wav"))
    assert signal.rate == 8000
    np.testing.assert_allclose(signal.rows(), [-1, 0, 1], atol=0.01)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def numbers(rows: list[dict[str, str]], prefix: str) -> models.Array:
    return np.array([[np.float32(v) for k, v in row.items() if k.startswith(prefix)] for row in rows], np.float32)
