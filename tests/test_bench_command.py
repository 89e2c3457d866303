"""``lstm-rt bench``: what it reports, of made-up times and of real models. How long anything took is not judged."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import models
import numpy as np
import pytest
from models import Recurrent
from typer.testing import CliRunner

import lstm_rt
from lstm_rt.cli import app as program
from lstm_rt.cli import jitter
from lstm_rt.cli.jitter import Jitter
from lstm_rt.demo import HEARTBEAT_ONNX

QUICK = ("--seconds", "0.02")


def run(*arguments: Any, exit_code: int = 0) -> str:
    result = CliRunner().invoke(program.app, ["bench", *map(str, arguments)], env={"COLUMNS": "160"})
    assert result.exit_code == exit_code, result.output
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


def run_json(*arguments: Any) -> Any:
    return json.loads(run(*arguments, *QUICK, "--json"))


@pytest.fixture
def backward(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "backward.onnx"
    path.write_bytes(models.stack([Recurrent("GRU", 4, 4, direction="reverse")]).SerializeToString())
    return path


# ---- Made-up times ----


def test_percentiles_are_of_single_calls() -> None:
    facts = Jitter(np.arange(1, 1002) * 1000, clock_ns=40.0).facts()
    assert facts["latency_us"] == {"least": 1, "median": 501, "p99": 991, "p99.9": pytest.approx(1000), "most": 1001}
    assert facts["mean_us"] == 501
    assert facts["steps_per_second"] == pytest.approx(1e6 / 501)
    assert facts["clock_us"] == 0.04


def test_every_call_is_in_the_histogram() -> None:
    times = np.array([100] * 1000 + [500] * 10 + [4_000_000])
    found = Jitter(times, 40.0)
    counts, edges = (found.facts()["histogram"][key] for key in ("counts", "edges_us"))
    assert counts.sum() == len(times)
    assert (counts[0], counts[-1]) == (1000, 1)
    assert edges[0] < 0.1 < 4000 < edges[-1]
    heading, *lines = found.histogram()
    assert heading.endswith("steps")
    assert [line.count("█") > 0 for line in lines] == list(counts > 0)
    assert lines[0].endswith("1,000")
    assert "#" in found.histogram(blocks=False)[1]


@pytest.mark.parametrize("times", [[0], [0, 0, 5], [7]])
def test_few_and_empty_times_have_a_histogram(times: list[int]) -> None:
    assert Jitter(np.array(times), 0.0).facts()["histogram"]["counts"].sum() == len(times)


@pytest.mark.parametrize(("us", "said"), [(0.1234, "0.123 µs"), (1500.0, "1.5 ms"), (2e6, "2 s")])
def test_times_are_said_in_their_unit(us: float, said: str) -> None:
    assert jitter.microseconds(us) == said


def test_calls_are_counted() -> None:
    calls: list[int] = []
    found = jitter.measure(lambda: calls.append(1), 0.001)
    assert len(found) == len(calls) > 0
    assert (found >= 0).all()


# ---- Real models ----


def test_a_model_that_streams_is_timed_by_the_step(tmp_path: pathlib.Path) -> None:
    picture = tmp_path / "jitter.png"
    found = run_json(HEARTBEAT_ONNX, "--frame-ms", 20, "--plot", picture)
    assert (found["timed"], found["whole_because"]) == ("one step", None)
    assert found["shapes"] == {"frames": [1, 1, 5]}
    assert found["steps"] == sum(found["histogram"]["counts"]) > 0
    assert found["times_real_time"] == pytest.approx(20e3 / found["mean_us"])
    assert found["isa"] == lstm_rt.isa()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run_json(HEARTBEAT_ONNX, "--shape", "frames=1x7x5")["shapes"] == {"frames": [1, 7, 5]}


def test_people_see_what_was_timed() -> None:
    said = run(HEARTBEAT_ONNX, "--frame-ms", 20, *QUICK)
    for part in (
        "one step of heartbeat.onnx",
        "median",
        "p99.9",
        "a second",
        "frames of 20 ms",
        "nothing is subtracted",
    ):
        assert part in said


def test_a_model_that_does_not_stream_is_timed_whole(backward: pathlib.Path) -> None:
    found = run_json(backward, "--shape", "X=9x1x4")
    assert found["timed"] == "one whole run"
    assert "layer0" in found["whole_because"]
    assert found["shapes"] == {"X": [9, 1, 4]}
    assert "does not stream" in run(backward, *QUICK)


def test_state_can_be_bound(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "explicit.onnx"
    path.write_bytes(models.stack([Recurrent("GRU", 4, 4)], explicit=True).SerializeToString())
    assert run_json(path, "--bind", "h0=h0_out")["shapes"] == {"X": [1, 1, 4]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--freeze", "sr=16000"], "no input 'sr'"),
        (["--shape", "wave=1x2"], "no input 'wave'"),
        (["--shape", "frames=1x1x6"], "frames"),
        (["--bind", "frames=nothing"], "nothing"),
    ],
)
def test_what_does_not_fit_is_said(arguments: list[str], said: str) -> None:
    assert said in run(HEARTBEAT_ONNX, *arguments, *QUICK, exit_code=1)


def test_precision_and_threads() -> None:
    plain = run_json(HEARTBEAT_ONNX)
    assert (plain["quantize"], plain["threads"]) == (None, 1)
    found = run_json(HEARTBEAT_ONNX, "--quantize", "int8", "--threads", 2)
    assert (found["quantize"], found["threads"]) == ("int8", 2)
