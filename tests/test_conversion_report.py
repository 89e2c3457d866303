"""What a conversion says of itself: parts, the comparison with the source, the comparison of frames with the whole."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import fetch
import models
import numpy as np
import onnx
import pytest
from lstm_rt.converters.onnx import reference
from models import Recurrent
from onnx import helper
from onnx_of_gguf import build, info
from typer.testing import CliRunner

import lstm_rt
from lstm_rt.cli.app import app

STACK = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 9, seed=1)]


def convert(source: Any, **options: Any) -> Any:
    conversion = lstm_rt.convert(source, check=True, check_stream=True, **options).conversion
    assert conversion is not None
    return conversion


def test_parts_are_nodes_and_what_they_became() -> None:
    nodes = [
        helper.make_node("Dropout", ["x"], ["a"], name="drop"),
        helper.make_node("Tanh", ["a"], ["b"], name="squash"),
        helper.make_node("Constant", [], ["c"], name="one", value_float=1.0),
        helper.make_node("Add", ["b", "c"], ["y"], name="plus"),
    ]
    report = lstm_rt.load(build(nodes, [info("x", [2])], [info("y", [2])])).conversion
    assert report is not None
    assert [(part.name, part.kind, part.ops) for part in report.parts] == [
        ("drop", "Dropout", ("Identity",)),
        ("squash", "Tanh", ("Tanh",)),
        ("one", "Constant", ()),
        ("plus", "Add", ("Add",)),
    ]


@pytest.mark.parametrize("explicit", [False, True], ids=["implicit", "explicit"])
def test_a_right_conversion_passes_both_checks(explicit: bool) -> None:
    report = convert(models.stack(STACK, explicit=explicit))
    assert report.check.runtime.startswith("onnxruntime")
    assert report.check.passed
    assert report.check.runs == 2
    assert all(0 <= d.relative < 1e-5 and d.scale > 0 for d in report.check.differences)
    assert report.stream_check.passed
    assert report.stream_check.steps > 1
    assert ("by hand" in report.stream_check.how) == explicit


def test_real_model_with_a_control_input() -> None:
    report = convert(fetch.model("silero_vad"))
    assert report.check.passed, report.check
    assert report.stream_check.passed, report.stream_check


def test_frozen_inputs_are_given_to_the_source() -> None:
    assert convert(fetch.model("silero_vad_16k_op15"), freeze={"sr": 16000}).check.passed


def wrong(source: Any, inputs: Any) -> Any:
    runtime, outputs = RIGHT(source, inputs)
    return runtime, [[array + np.float32(0.01) for array in run] for run in outputs]


RIGHT = reference.run


def test_a_difference_is_found_and_ends_the_command_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(reference, "run", wrong)
    with pytest.raises(lstm_rt.CheckError, match="differs from onnxruntime") as caught:
        lstm_rt.convert(models.stack(STACK), tmp_path / "m.gguf", check=True)
    check = caught.value.report.check if caught.value.report else None
    assert check is not None
    assert not check.passed
    assert check.differences[0].largest == pytest.approx(0.01, rel=0.01)
    onnx.save(models.stack(STACK), str(tmp_path / "m.onnx"))
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "m.onnx"), "--check", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["check"]["passed"] is False
    assert not (tmp_path / "m.gguf").exists()


def test_where_the_source_cannot_be_run_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.warns(UserWarning, match="not compared"):
        report = convert(models.stack(STACK))
    assert not report.check.passed
    assert report.check.runs == 0
    assert "pip install onnxruntime" in report.check.why_not


def test_what_does_not_stream_says_why() -> None:
    report = convert(Recurrent("LSTM", 4, 8, direction="bidirectional").model())
    assert report.check.passed
    assert not report.stream_check.passed
    assert "backwards" in report.stream_check.how


def test_the_command_shows_all_of_it(tmp_path: pathlib.Path) -> None:
    onnx.save(models.stack(STACK), str(tmp_path / "m.onnx"))
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "m.onnx"), "--check", "--check-stream"])
    assert done.exit_code == 0, done.output
    for words in (
        "1 LSTM",
        "1 GRU",
        "compared with onnxruntime",
        "frame by frame equals the whole",
        "state kept inside",
    ):
        assert words in done.output
