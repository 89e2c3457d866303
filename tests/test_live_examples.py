"""The live examples, and the page about the Raspberry Pi: every command on it that this machine can run."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import fetch
import numpy as np
import pytest
from voice import spoken

import lstm_rt

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIVE = ROOT / "examples" / "live"
SILERO = ["--rate", "16000", "--frame", "512", "--context", "64", "--freeze", "sr=16000"]
NEEDS_A_BOARD = ("sudo ", "/opt/vad/", "pip install", "arecord -l", "journalctl", "vcgencmd")
PACKAGES = """$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"""
INSTALLED_MODEL = f'"{PACKAGES}/silero_vad/data/silero_vad.onnx"'


def commands() -> list[str]:
    """Every line of the page's blocks of shell."""
    blocks = (ROOT / "docs" / "raspberry-pi.md").read_text().split("```sh\n")[1:]
    return [line for block in blocks for line in block.split("```")[0].splitlines()]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the model, samples, the examples, and programs as they would be on the path."""
    folder = tmp_path_factory.mktemp("board")
    hints = {"frame": 512, "context": 64, "rate": 16000}  # as the page has them
    lstm_rt.convert(fetch.model("silero_vad"), folder / "vad.gguf", hints=hints)
    samples = spoken()
    samples.tofile(folder / "speech.raw")
    np.repeat(samples.astype("<i4") * 65536, 2).tofile(folder / "S32_LE.raw")
    samples.tofile(folder / "S16_LE.raw")
    shutil.copytree(ROOT / "examples", folder / "examples")
    programs = {
        "python3": f'exec {shlex.quote(sys.executable)} "$@"',
        "lstm-rt": f'exec {shlex.quote(sys.executable)} -m lstm_rt.cli "$@"',
        "arecord": f'while [ "$1" != -f ]; do shift; done; exec cat {shlex.quote(str(folder))}/$2.raw',
    }
    (folder / "bin").mkdir()
    for name, script in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    return folder


def run(board: pathlib.Path, command: str) -> str:
    path = os.pathsep.join([str(board / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=board,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(board: pathlib.Path) -> None:
    (line,) = [line for line in commands() if line.startswith("cc ")]
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    run(board, line.replace("cc ", "cc -std=c99 -Wall -Wextra -Wpedantic -Werror ", 1))


def test_both_examples_and_the_command_say_the_same(board: pathlib.Path) -> None:
    build(board)
    c = run(board, "./vad -a vad.gguf < speech.raw")
    assert c == run(board, "python3 examples/live/vad.py -a vad.gguf < speech.raw")
    words = [line.split() for line in c.splitlines()]
    lines = run(board, f"lstm-rt stream vad.gguf - --json {shlex.join(SILERO)} < speech.raw").splitlines()
    expected = np.array([json.loads(line)["outputs"]["output"] for line in lines], np.float32)
    given = [np.float32(value) for at, value in words if at not in ("start", "end")]
    np.testing.assert_array_equal(np.array(given), expected)
    events = "".join(line + "\n" for line in c.splitlines() if line[0] in "se")
    assert events.count("start") == events.count("end") >= 2
    command = f"lstm-rt stream vad.gguf - {shlex.join(SILERO)} --threshold 0.5 --min-on 0 < speech.raw"
    assert run(board, command) == events == run(board, "./vad vad.gguf < speech.raw")


@pytest.mark.parametrize("program", ["./vad", "python3 examples/live/vad.py"])
def test_wrong_use_of_the_examples_is_said(board: pathlib.Path, program: str) -> None:
    build(board)
    for arguments, said in ({"": "usage", "-b vad.gguf": "usage", "missing.gguf": "missing.gguf"}).items():
        assert said in run(board, f"{program} {arguments} 2>&1 < /dev/null || true")
    assert run(board, f"{program} vad.gguf < /dev/null") == ""
    assert run(board, f"set +o pipefail; {program} -a vad.gguf < speech.raw | head -n 1").count("\n") == 1


@pytest.mark.parametrize("command", [line for line in commands() if not line.startswith(NEEDS_A_BOARD)])
def test_commands_of_the_page_work(board: pathlib.Path, command: str) -> None:
    if command.startswith("systemd-analyze") and not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze: apt install systemd")
    if command.startswith("arecord") and "./vad" in command:
        build(board)
    said = run(board, command.replace(INSTALLED_MODEL, shlex.quote(str(fetch.model("silero_vad")))))
    if command.startswith("arecord"):
        assert said.count("\n") >= 2


def test_the_page_is_read() -> None:
    runnable = [line for line in commands() if not line.startswith(NEEDS_A_BOARD)]
    assert len(runnable) >= 10
    assert sum(INSTALLED_MODEL in line for line in runnable) == 1
