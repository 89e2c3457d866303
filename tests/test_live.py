"""Raw samples from a pipe: what is printed, when it is printed, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from close import assert_same_bytes
from typer.testing import CliRunner

import lstm_rt
from lstm_rt.cli.app import app
from lstm_rt.cli.live import _KEPT, Pace
from lstm_rt.cli.pcm import Pcm
from lstm_rt.cli.segments import segments
from lstm_rt.cli.signals import Framing
from lstm_rt.cli.stepping import Step
from lstm_rt.demo import HEARTBEAT_ONNX
from lstm_rt.demo.signal import heart_trace

FRAME, RATE = 5, 250
LIVE = ("stream", str(HEARTBEAT_ONNX), "-", "--rate", str(RATE))


@pytest.fixture(autouse=True)
def in_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def samples() -> Any:
    return (heart_trace(5, seconds=20).samples * 8000).astype("<i2")


@pytest.fixture(scope="module")
def scores(samples: Any) -> Any:
    frames = (samples.astype(np.float32) / 32768).reshape(1, -1, FRAME)
    return lstm_rt.load(HEARTBEAT_ONNX)(frames)[0]


def run(*options: str, stdin: bytes, exit_code: int = 0) -> tuple[str, str]:
    """What was printed on standard output and on standard error."""
    result = CliRunner().invoke(app, [*LIVE, *options], input=stdin, env={"COLUMNS": "160"})
    assert result.exit_code == exit_code, result.output
    return result.stdout, result.stderr


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def table(text: str) -> Any:
    rows = csv.DictReader(io.StringIO(text))
    return np.array([[value for name, value in row.items() if name.startswith("scores")] for row in rows], np.float32)


# ---- Lines ----


def test_a_line_for_each_step(samples: Any, scores: Any) -> None:
    out, err = run(stdin=samples.tobytes())
    assert_same_bytes(table(out), scores)
    assert out.splitlines()[2].startswith("1,0.04,")
    assert "real time" in err
    assert "behind" in err
    assert "zeros" not in err


def test_json_lines_read_back_exactly(samples: Any, scores: Any) -> None:
    lines = objects(run("--json", stdin=samples.tobytes())[0])
    assert [line["step"] for line in lines] == list(range(len(scores)))
    assert [line["seconds"] for line in lines[:3]] == [0.02, 0.04, 0.06]
    assert_same_bytes(np.array([line["outputs"]["scores"] for line in lines], np.float32), scores)


def test_rows_may_go_to_a_file(samples: Any, scores: Any, tmp_path: pathlib.Path) -> None:
    out, _ = run("--out", str(tmp_path / "rows.csv"), "--threshold", "scores_1=0.5", stdin=samples.tobytes())
    assert_same_bytes(table((tmp_path / "rows.csv").read_text()), scores)
    assert not out or out.startswith("start")


@pytest.mark.parametrize("encoding", ["s16le", "s32le", "f32le"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_encoding_of_a_signal_gives_the_same(samples: Any, encoding: str, channels: int) -> None:
    encoded = {
        "s16le": samples,
        "s32le": samples.astype("<i4") * 65536,
        "f32le": (samples / np.float32(32768)).astype("<f4"),
    }[encoding]
    silent = np.zeros((len(encoded), channels), encoded.dtype)
    silent[:] = encoded[:, None]
    said = run("--pcm", encoding, "--channels", str(channels), stdin=silent.tobytes())[0]
    assert said == run(stdin=samples.tobytes())[0]


def test_channels_are_mixed() -> None:
    pcm = Pcm("s16le", 2)
    np.testing.assert_array_equal(pcm._samples(np.array([-32768, 0, 16384, 8192], "<i2").tobytes()), [-0.5, 0.375])


@pytest.mark.parametrize("sizes", [[1], [7, 1, 2], [3, 64], [4096]])
def test_pieces_of_any_size_give_the_same_samples(
    samples: Any, sizes: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pieces(io.BytesIO):
        reads = 0

        def read1(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            return self.read(sizes[self.reads % len(sizes)])

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pieces(samples.tobytes() + b"x")))
    pcm = Pcm("s16le", 1)
    got = np.concatenate(list(pcm))
    np.testing.assert_array_equal(got, samples / np.float32(32768))
    assert (pcm.length, pcm.spare_bytes) == (len(samples), 1)


# ---- Events ----


def test_events_are_those_of_the_whole(samples: Any, scores: Any) -> None:
    column = scores[:, 1]
    level = float(np.quantile(column, 0.9))
    wanted = ["--threshold", f"scores_1={level}", "--offset", str(level / 2), "--min-on", "0.04", "--min-off", "0.06"]
    found = objects(run(*wanted, "--json", stdin=samples.tobytes())[0])
    expected = segments(column, level, level / 2, shortest=2, widest_gap=2)
    assert len(expected) > 2
    step = FRAME / RATE
    assert [(line["event"], line["seconds"]) for line in found] == [
        pair for s in expected for pair in (("start", round(s.first * step, 6)), ("end", round(s.last * step, 6)))
    ]
    assert all(line["known"] > line["seconds"] for line in found if line["event"] == "start")
    text = run(*wanted, stdin=samples.tobytes())[0].splitlines()
    assert text == [f"{line['event']} {line['seconds']:.3f}" for line in found]


def test_events_of_several_columns_name_them(samples: Any) -> None:
    wanted = ["--threshold", "scores_0=0.0001", "--threshold", "scores_2=0.0001", "--min-on", "0"]
    lines = run(*wanted, stdin=samples.tobytes())[0].splitlines()
    assert {line.split()[2] for line in lines} == {"scores_0", "scores_2"}


def test_events_of_a_file(samples: Any, tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "trace.npy", samples / np.float32(32768))
    options = ["--rate", str(RATE), "--threshold", "scores_1=0.0001"]
    result = CliRunner().invoke(app, ["stream", str(HEARTBEAT_ONNX), str(tmp_path / "trace.npy"), *options])
    assert result.exit_code == 0, result.output
    assert result.stdout == run("--threshold", "scores_1=0.0001", stdin=samples.tobytes())[0]


# ---- Ends ----


def test_what_is_left_at_the_end_is_said(samples: Any) -> None:
    out, err = run(stdin=samples[:13].tobytes() + b"x")
    assert len(out.splitlines()) == 1 + 3
    assert "1 bytes at the end are no whole sample" in err
    assert "The last frame has 3 of 5 samples" in err


def test_samples_that_are_no_numbers_are_refused(samples: Any) -> None:
    floats = (samples[:20] / np.float32(32768)).astype("<f4")
    floats[12] = np.nan
    assert "Sample 12 is not a finite number" in run("--pcm", "f32le", stdin=floats.tobytes(), exit_code=1)[1]


def started(*options: str) -> subprocess.Popen[bytes]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-m", "lstm_rt.cli", *LIVE, *options], **pipes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_lines_come_at_once_and_a_signal_ends_it_well(samples: Any, number: signal.Signals) -> None:
    with started() as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(samples[: 10 * FRAME + 2].tobytes())
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(11)]  # the pipe is open: each line was flushed
        assert lines[-1].startswith(b"9,")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.count(b"\n") == 1  # the frame that lacked samples
    assert b"The last frame has 2 of 5 samples" in err
    assert re.search(rb"steps +11\b", err)


def test_a_reader_that_leaves_ends_it_without_a_word(samples: Any) -> None:
    with started() as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(samples[:FRAME].tobytes())
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(samples.tobytes())
        process.stdin.flush()  # still open: it is the line that cannot be written that ends it
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == b""


def test_a_terminal_is_no_recorder() -> None:
    leader, follower = os.openpty()
    command = [sys.executable, "-m", "lstm_rt.cli", *LIVE]
    done = subprocess.run(command, stdin=follower, capture_output=True, timeout=60, check=False)
    os.close(leader)
    os.close(follower)
    assert done.returncode == 2
    assert b"terminal" in done.stderr


# ---- Pace ----


def test_pace_is_of_all_steps_and_keeps_no_more_than_some() -> None:
    framing = Framing(FRAME, FRAME, 0)
    pace = Pace(framing, float(RATE))
    for number in range(_KEPT + 10):
        pace.add(Step(number, {}, 2_000_000 if number < 10 else 1_000), 0)
    assert pace.count == _KEPT + 10
    assert pace.latency().p99 == 1.0
    assert pace.latency().times_real_time == pytest.approx(0.02 * pace.count / (10 * 2e-3 + _KEPT * 1e-6))


def test_pace_tells_how_far_it_fell_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    late = [0.0, 0.005, -0.002, 0.03, 0.0]
    clock = iter([100 + 0.02 * (step + 1) + more for step, more in enumerate(late)])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    pace = Pace(Framing(FRAME, FRAME, 0), float(RATE))
    for number in range(len(late)):
        pace.add(Step(number, {}, 1), 1000)
    assert pace.behind == pytest.approx(0.032)


USAGE = {
    "encoding": ["--pcm", "mp3"],
    "no column": ["--threshold", "0.5"],
    "unknown column": ["--threshold", "speech=0.5"],
    "no level": ["--threshold", "scores_0=loud"],
    "events of nothing": ["--min-on", "0.1"],
    "two on one pipe": ["--threshold", "0.5", "--out", "-"],
    "all at once": ["--out", "all.npz"],
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_ends_with_2(case: str) -> None:
    assert "Usage" in run(*USAGE[case], stdin=bytes(100), exit_code=2)[1]


@pytest.mark.parametrize("options", [["--pcm", "s16le"], ["--channels", "2"], ["--threshold", "scores_0=0.5"]])
def test_options_that_do_not_fit_a_file(options: list[str], samples: Any, tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "trace.npy", samples / np.float32(32768))
    result = CliRunner().invoke(app, ["stream", str(HEARTBEAT_ONNX), str(tmp_path / "trace.npy"), *options])
    assert result.exit_code == 2, result.output
