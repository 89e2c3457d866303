"""Hints in model files, the context that streams keep, what commands take from a file, and proposals of bindings."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import wave
from typing import Any

import fetch
import numpy as np
import pytest
import voice
from close import assert_same_bytes
from onnx import helper
from onnx_of_gguf import build, info
from typer.testing import CliRunner

import lstm_rt
from lstm_rt.cli.app import app

ROOT = pathlib.Path(__file__).resolve().parents[1]
HINTS = {"frame": 512, "context": 64, "rate": 16000, "threshold": 0.5}
SAMPLES = np.random.default_rng(0).standard_normal(512 * 6).astype(np.float32) * 0.1


@pytest.fixture(scope="module")
def vad(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("hints") / "vad.gguf"
    lstm_rt.convert(fetch.model("silero_vad"), path, hints=HINTS)
    return path


def command(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == exit_code, result.output
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


def write_wav(path: pathlib.Path, samples: Any) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def test_hints_are_kept_and_drive_the_self_test(vad: pathlib.Path) -> None:
    model = lstm_rt.load(vad)
    assert model.hints == HINTS
    assert model.example["input"].shape == (1, 576)
    assert model.example["sr"] == 16000
    assert model.verify() > 0


@pytest.mark.parametrize("sizes", [[512] * 6, [512, 100, 1, 63, 64, 65, 900]])
def test_a_stream_keeps_the_context(vad: pathlib.Path, sizes: list[int]) -> None:
    model = lstm_rt.load(vad)
    fixed = sizes == [512] * 6
    stream = (
        model.stream() if fixed else lstm_rt.load(fetch.model("silero_vad")).stream(freeze={"sr": 16000}, context=64)
    )
    whole = model.stream(context=0)
    padded, start = np.concatenate([np.zeros(64, np.float32), SAMPLES]), 0
    for size in sizes:
        frame, window = SAMPLES[None, start : start + size], padded[None, start : start + 64 + size]
        start += size
        try:
            expected = whole.step(window)
        except lstm_rt.Error:
            with pytest.raises(lstm_rt.Error):
                stream.step(frame)
            start -= size
            continue
        assert_same_bytes(stream.step(frame), expected)


def test_context_is_state_for_reset_clone_and_state(vad: pathlib.Path) -> None:
    stream = lstm_rt.load(vad).stream()
    frames = [SAMPLES[None, i : i + 512] for i in range(0, 2048, 512)]
    first = [stream.step(frame) for frame in frames[:3]]
    twin, saved = stream.clone(), stream.state
    assert saved["input.context"].tolist() == frames[2][:, -64:].tolist()
    last = stream.step(frames[3])
    assert_same_bytes(twin.step(frames[3]), last)
    stream.state = saved
    assert_same_bytes(stream.step(frames[3]), last)
    with pytest.raises(lstm_rt.ShapeError, match=r"input\.context"):
        stream.state = {**saved, "input.context": np.zeros((1, 63), np.float32)}
    stream.reset()
    assert_same_bytes(stream.step(frames[0], out=np.empty((1, 1), np.float32)), first[0])


@pytest.mark.parametrize("shape", [(1, 576), (2, 512), (512,), (1, 511), (1, 0), (1, 512, 1)])
def test_a_frame_of_another_shape_is_refused_and_changes_nothing(vad: pathlib.Path, shape: tuple[int, ...]) -> None:
    stream, clean = lstm_rt.load(vad).stream(), lstm_rt.load(vad).stream()
    with pytest.raises(lstm_rt.ShapeError, match="keeps the 64 samples"):
        stream.step(np.ones(shape, np.float32))
    assert_same_bytes(stream.step(SAMPLES[None, :512]), clean.step(SAMPLES[None, :512]))


def test_a_pool_and_another_rate_are_refused(vad: pathlib.Path) -> None:
    model = lstm_rt.load(vad)
    with pytest.raises(lstm_rt.ArgumentError, match="pool keeps no context"):
        model.pool()
    assert model.pool(context=0) is not None
    with pytest.raises(lstm_rt.ArgumentError, match="contradicts"):
        model.stream(freeze={"sr": 8000})


@pytest.mark.parametrize(
    "hints",
    [
        {"frame": 0},
        {"frame": 1.5},
        {"context": -1},
        {"rate": 0},
        {"rate": float("inf")},
        {"threshold": float("nan")},
        {"frames": 1},
        {"frame": "many"},
        {"frame": 1 << 30},
        {"frame": None},
    ],
)
def test_hints_that_cannot_be_are_refused(hints: dict[str, Any]) -> None:
    with pytest.raises(lstm_rt.ArgumentError, match="hint"):
        lstm_rt.convert(fetch.model("silero_vad"), hints=hints)


@pytest.mark.parametrize(("key", "text"), [("frame", "0x9"), ("rate", "-1"), ("context", "1e99"), ("frame", "nan")])
def test_hints_of_a_file_are_not_trusted(key: str, text: str, tmp_path: pathlib.Path) -> None:
    from lstm_rt.converters import Options, gguf_file
    from lstm_rt.converters.onnx import from_onnx

    class Raw(str):
        def __repr__(self) -> str:
            return str(self)

    graph = from_onnx(build([helper.make_node("Tanh", ["x"], ["y"])], [info("x", [2])], [info("y", [2])]))
    Options().apply(graph)
    graph.hints = {key: Raw(text)}  # type: ignore[dict-item]
    gguf_file.write(graph, tmp_path / "m.gguf")
    with pytest.raises(lstm_rt.ModelFileError, match=f"hint {key}"):
        lstm_rt.load(tmp_path / "m.gguf")
    graph.hints = {"speed": 1}
    gguf_file.write(graph, tmp_path / "m.gguf")
    with pytest.raises(lstm_rt.ModelFileError, match="speed"):
        lstm_rt.load(tmp_path / "m.gguf")


# ---- What commands take from a file ----


@pytest.mark.parametrize("arguments", [("inspect",), ("bench", "--seconds", "0.01"), ("stream", "speech.wav")])
@pytest.mark.parametrize("model", ["vad.onnx", "plain.gguf"])
def test_commands_take_the_self_test(
    arguments: tuple[str, ...], model: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vad.onnx").write_bytes(fetch.model("silero_vad").read_bytes())
    if model == "plain.gguf":
        lstm_rt.convert("vad.onnx", "plain.gguf")
    write_wav(tmp_path / "speech.wav", voice.spoken()[:16000])
    said = command(arguments[0], model, *arguments[1:])
    assert "using input 1x576, sr=16000 from the file's self-test; change with --shape, --freeze" in said
    assert "does not work" not in said
    report = json.loads(command(arguments[0], model, *arguments[1:], "--json"))
    assert report["using"].startswith("using input 1x576")


def test_readme_snippet_runs_as_pasted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "silero_vad.onnx").write_bytes(fetch.model("silero_vad").read_bytes())
    write_wav(tmp_path / "speech.wav", voice.spoken())  # speech from 1 to 3 seconds, and from 4
    page = (ROOT / "README.md").read_text("utf-8")
    (snippet,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import lstm_rt" in block]
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True, timeout=120)
    found = {float(at): float(p) for at, p in re.findall(r"^([\d.]+) s  ([\d.]+)$", done.stdout, re.MULTILINE)}
    assert max(found.values()) > 0.9
    assert found[0.0] < 0.5
    assert "lstm-rt stream vad.gguf speech.wav\n" in page
    events = command("stream", "vad.gguf", "speech.wav", "--plot", "vad.jpg")
    start, end = (float(re.search(rf"^{word} ([\d.]+)$", events, re.MULTILINE)[1]) for word in ("start", "end"))  # type: ignore[index]
    assert 0.9 < start < 1.6
    assert start < end < 3.6
    assert (tmp_path / "vad.jpg").read_bytes().startswith(b"\xff\xd8")


# ---- Bindings ----


@pytest.mark.parametrize(
    ("inputs", "outputs", "pairs"),
    [
        (
            {"input_1": [1, 3, 41], "input_2": [1, 64], "input_3": [1, 64], "input_4": [1, 8]},
            {"output_1": [1, 1, 1], "output_2": [1, 64], "output_3": [1, 64], "output_4": [1, 8]},
            {"input_2": "output_2", "input_3": "output_3", "input_4": "output_4"},
        ),
        ({"a": [1, 40], "b": [1, 9]}, {"y": [1, 2], "z": [1, 9]}, {"b": "z"}),
        ({"a": [1, 9], "b": [1, 9]}, {"y": [1, 2], "z": [1, 9]}, {}),  # which?
        ({"a": [1, 9], "b": [1, 9]}, {"y": [1, 9], "z": [1, 9]}, {}),  # no frame would be left
        ({"a": [1, 9]}, {"y": [1, 9]}, {}),
    ],
)
def test_bindings_are_proposed_if_shapes_allow_one_pairing(
    inputs: dict[str, list[int]], outputs: dict[str, list[int]], pairs: dict[str, str]
) -> None:
    from lstm_rt.proposals import as_argument, as_options, propose

    nodes = [helper.make_node("Expand", ["k", f"s{i}"], [name]) for i, name in enumerate(outputs)]
    proto = build(
        nodes,
        [info(name, dims) for name, dims in inputs.items()],
        [info(name, dims) for name, dims in outputs.items()],
        {"k": np.float32(1), **{f"s{i}": np.array(dims) for i, dims in enumerate(outputs.values())}},
    )
    model = lstm_rt.load(proto)
    assert model.bindings == {}
    assert propose(model) == pairs
    assert as_options(pairs).count("--bind ") == len(pairs)
    assert str(pairs) in as_argument(pairs) or not pairs
    if pairs:
        assert model.stream(bind=pairs).inputs == (next(iter(inputs)),)
