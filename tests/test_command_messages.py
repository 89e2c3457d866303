"""Messages of the command line at the first mistakes of a new user."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from models import Recurrent

import lstm_rt
from lstm_rt.demo import HEARTBEAT_ONNX

pytest.importorskip("typer")


def command(*words: object, cwd: pathlib.Path, stdin: bytes = b"", exit_code: int = 0) -> str:
    call = [sys.executable, "-m", "lstm_rt.cli", *map(str, words)]
    done = subprocess.run(
        call, input=stdin, capture_output=True, check=False, cwd=cwd, env={**os.environ, "COLUMNS": "200"}
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == exit_code, said
    return re.sub(r"\x1b\[[0-9;]*m", "", said)


def test_whole_recording_for_a_streaming_model_proposes_stream(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(HEARTBEAT_ONNX, tmp_path / "m.gguf")
    (port, *_) = lstm_rt.load(tmp_path / "m.gguf").inputs
    assert port.shape is not None
    np.save(tmp_path / "x.npy", np.zeros((3, *[dim or 7 for dim in port.shape]), np.float32))  # one dim too many
    said = command("run", "m.gguf", "x.npy", cwd=tmp_path, exit_code=1)
    assert f"wanted {port.name}" in said or "as in its self-test" in said
    assert "lstm-rt stream m.gguf x.npy" in said


@pytest.mark.parametrize("words", [("stream", "m.gguf", "x.npy"), ("bench", "m.gguf"), ("inspect", "m.gguf")])
def test_unknown_frozen_input_is_named_with_the_known_ones(words: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(Recurrent(inputs=3, hidden=5).model(), tmp_path / "m.gguf")
    np.save(tmp_path / "x.npy", np.zeros((4, 3), np.float32))
    said = command(*words, "--freeze", "SR=16000", cwd=tmp_path, exit_code=1)
    assert "no input 'SR'" in said
    assert "It has X" in said


def test_signal_of_one_feature_is_stepped_by_one_sample(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(Recurrent(inputs=1, hidden=5, layout=1).model(), tmp_path / "m.gguf")
    np.save(tmp_path / "x.npy", np.zeros(9, np.float32))
    assert "9" in command("stream", "m.gguf", "x.npy", cwd=tmp_path)


@pytest.mark.parametrize("ending", [".onnx", ".gguf", ".keras", ".h5", ".pt2", ".safetensors", ".pth"])
def test_empty_model_file_is_said_to_be_empty(ending: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / f"m{ending}").touch()
    said = command("inspect", f"m{ending}", cwd=tmp_path, exit_code=1)
    assert "empty" in said
    assert f"m{ending}" in said


@pytest.mark.parametrize("ending", [".wav", ".npy"])
def test_empty_signal_file_is_said_to_be_empty(ending: str, tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(HEARTBEAT_ONNX, tmp_path / "m.gguf")
    (tmp_path / f"x{ending}").touch()
    assert "empty" in command("stream", "m.gguf", f"x{ending}", cwd=tmp_path, exit_code=1)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signal")
def test_interrupted_bench_shows_what_was_measured(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(HEARTBEAT_ONNX, tmp_path / "m.gguf")
    call = [sys.executable, "-m", "lstm_rt.cli", "bench", "m.gguf", "--seconds", "30"]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path)
    time.sleep(10)  # 3 s of warming up, and the start of Python
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "median" in said
    assert "Traceback" not in said
