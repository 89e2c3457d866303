"""The demo: its signal, its model, what it reports, and that it holds for every instruction set."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import sys
import wave
from typing import Any

import fetch
import numpy as np
import pytest
from close import assert_same_bytes
from typer.testing import CliRunner
from voice import babble

import lstm_rt
from lstm_rt.cli.app import app
from lstm_rt.cli.segments import Change, Detector, Segment, segments
from lstm_rt.demo import HEARTBEAT_ONNX
from lstm_rt.demo.detect import Finding, findings, match
from lstm_rt.demo.signal import FRAME, KINDS, RATE, TEST_SEEDS, Event, heart_trace

EXACT = lstm_rt.exact_isas()


@pytest.fixture(autouse=True)
def in_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, ["demo", *arguments])
    assert result.exit_code == exit_code, result.output
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


def report(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


# ---- The signal ----


def test_trace_follows_from_its_seed() -> None:
    first, again, other = heart_trace(3), heart_trace(3), heart_trace(4)
    assert_same_bytes(first.samples, again.samples)
    assert first.events == again.events
    assert not np.array_equal(first.samples, other.samples)


@pytest.mark.parametrize("seconds", [10.0, 10.01, 33.3])
def test_trace_is_whole_frames_of_rounded_millivolts(seconds: float) -> None:
    trace = heart_trace(1, seconds)
    assert trace.frames().shape == (1, len(trace.samples) // FRAME, FRAME)
    assert abs(trace.seconds - seconds) <= FRAME / RATE
    steps = trace.samples / 0.005
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert trace.samples.dtype == np.float32
    assert np.abs(trace.samples).max() < 5


def test_traces_hold_every_kind_of_event_in_order() -> None:
    traces = [heart_trace(seed) for seed in range(30)]
    assert {event.kind for trace in traces for event in trace.events} == set(KINDS)
    for trace in traces:
        times = [event.seconds for event in trace.events]
        assert times == sorted(times)
        assert all(4 < time < trace.seconds for time in times)


# ---- From scores to findings ----


def test_segments_have_two_thresholds() -> None:
    scores = np.array([0, 0.4, 0.6, 0.4, 0.4, 0.1, 0.45, 0.9], np.float32)
    assert segments(scores) == [Segment(2, 5, 0.6), Segment(7, 8, 0.9)]
    assert segments(scores, shortest=2) == [Segment(2, 5, 0.6)]
    assert segments(scores, widest_gap=2) == [Segment(2, 8, 0.9)]
    assert segments(np.zeros(0, np.float32)) == []


def test_segments_are_those_that_are_seen_from_the_end() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        scores = rng.choice(np.array([0.1, 0.4, 0.6], np.float32), rng.integers(1, 30))
        shortest, gap = int(rng.integers(1, 5)), int(rng.integers(0, 4))
        high, runs = False, []
        for step, score in enumerate(scores):
            high = score >= 0.5 or (high and score >= 0.35)
            runs += [step] if high else []
        spans: list[list[int]] = []
        for step in runs:
            joins = spans and step - spans[-1][1] - 1 <= gap
            spans[-1:] = [[spans[-1][0], step]] if joins else [*spans[-1:], [step, step]]
        expected = [(first, last + 1) for first, last in spans if last + 1 - first >= shortest]
        assert [(s.first, s.last) for s in segments(scores, shortest=shortest, widest_gap=gap)] == expected


def test_a_detector_reports_as_soon_as_it_can() -> None:
    detector = Detector(shortest=2, widest_gap=1)
    said = [detector.push(score) for score in (0.6, 0.2, 0.6, 0.6, 0.2, 0.2, 0.2)]
    assert said == [None, None, Change("start", 0), None, None, Change("end", 4), None]
    assert detector.finish() is None
    assert [detector.push(score) for score in (0.9, 0.9)] == [None, Change("start", 7)]
    assert detector.push(float("nan")) is None
    assert detector.finish() == Change("end", 9)


def test_match_pairs_each_once() -> None:
    events = (Event("early", 5.0), Event("wide", 9.0))
    found = [Finding("early", 5.1, 0.9), Finding("early", 5.2, 0.8), Finding("missing", 9.1, 0.7)]
    pairs = match(found, events)
    assert [(p.finding and p.finding.seconds, p.event and p.event.kind) for p in pairs] == [
        (5.1, "early"),
        (5.2, None),
        (None, "wide"),
        (9.1, None),
    ]


# ---- The model ----


def test_model_finds_the_events_of_people_it_was_not_trained_on() -> None:
    model = lstm_rt.load(HEARTBEAT_ONNX)
    traces = [heart_trace(TEST_SEEDS + person) for person in range(40)]
    scores = model(np.concatenate([trace.frames() for trace in traces]))
    pairs = [pair for row, trace in zip(scores, traces) for pair in match(findings(row), trace.events)]
    hits = sum(1 for finding, event in pairs if finding and event)
    assert 2 * hits / (len(pairs) + hits) > 0.97  # F1; every pair is a hit, a miss or a false alarm


def test_model_is_small() -> None:
    assert HEARTBEAT_ONNX.stat().st_size < 200_000


# ---- The command ----


def test_demo() -> None:
    said = run()
    assert "found 5 of 5, no false alarm" in said
    assert "1,500 steps gave the same bytes as one run over the whole" in said
    assert "µs median" in said
    assert pathlib.Path("lstm-rt-demo.png").stat().st_size > 20_000


def test_demo_json() -> None:
    told = report("--plot", "x.svg")
    assert told["same_bytes_as_whole"] is True
    assert told["isa"] == lstm_rt.isa()
    assert {finding["kind"] for finding in told["findings"]} == set(KINDS)
    assert told["steps"] == 1500
    assert told["plot"] == "x.svg"
    assert pathlib.Path("x.svg").read_text().lstrip().startswith("<?xml")


def test_every_instruction_set_gives_the_same_bytes() -> None:
    assert len({report("--isa", name, "--seconds", "10")["sha256"] for name in EXACT}) <= 1


def test_other_people_and_lengths() -> None:
    told = report("--person", "7", "--seconds", "12")
    assert told["seconds"] == 12
    assert told["sha256"] != report("--seconds", "12")["sha256"]


def test_without_matplotlib_there_is_no_picture_but_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = run("--seconds", "10")
    assert "pip install 'lstm_rt[plot]'" in said
    assert not pathlib.Path("lstm-rt-demo.png").exists()
    assert "pip install 'lstm_rt[plot]'" in run("--plot", "x.png", exit_code=1)


# ---- Silero ----


@pytest.fixture
def silero(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package silero_vad with its model, that must not be imported."""
    data = tmp_path / "packages" / "silero_vad" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise ImportError('the demo must not import this')\n")
    shutil.copy(fetch.model("silero_vad"), data / "silero_vad.onnx")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))


def write_wav(name: str, samples: Any, rate: int = 16000) -> None:
    with wave.open(name, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.asarray(samples, "<i2").tobytes())


@pytest.mark.usefixtures("silero")
def test_silero_finds_no_speech_in_silence() -> None:
    write_wav("silence.wav", np.zeros(32000))
    assert "No speech was found" in run("--model", "silero", "silence.wav")
    told = report("--model", "silero", "silence.wav", "--plot", "x.png")
    assert (told["speech"], told["steps"]) == ([], 63)
    assert pathlib.Path("x.png").exists()


@pytest.mark.usefixtures("silero")
def test_silero_finds_speech() -> None:
    samples = np.concatenate([np.zeros(16000), babble(2.0), np.zeros(16000)])
    write_wav("speech.wav", samples)
    speech = report("--model", "silero", "speech.wav")["speech"]
    assert speech
    assert 0.8 < speech[0]["start"] < 2.0
    assert speech[-1]["end"] < 3.5


@pytest.mark.usefixtures("silero")
def test_silero_refuses_another_rate() -> None:
    write_wav("slow.wav", np.zeros(8000), rate=8000)
    said = run("--model", "silero", "slow.wav", exit_code=1)
    assert "8000 samples a second" in said
    assert "Resample" in said


def test_silero_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    write_wav("x.wav", np.zeros(100))
    assert "pip install silero-vad" in run("--model", "silero", "x.wav", exit_code=1)


@pytest.mark.parametrize("arguments", [["--model", "silero"], ["x.wav"], ["--model", "other"], ["--plot", "x.txt"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert "Usage" in run(*arguments, exit_code=2)
