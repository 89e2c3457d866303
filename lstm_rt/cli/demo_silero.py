"""The demo with Silero VAD, taken from the package silero-vad where that is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

import lstm_rt
from lstm_rt.cli import signals, stepping, ui
from lstm_rt.cli.options import Array
from lstm_rt.cli.picture import Mark, Picture, write_demo_picture
from lstm_rt.cli.segments import Segment, segments
from lstm_rt.cli.signals import Framing
from lstm_rt.errors import MissingPackageError

_RATE = 16000
_FRAMING = Framing(frame=512, hop=512, context=64)
_STEP_SECONDS = _FRAMING.hop / _RATE
_SHORTEST_SPEECH, _WIDEST_GAP = 8, 4  # steps, as silero-vad joins and drops them: 256 ms, 128 ms


def show(recording: str, plot: Path | None, isa: str | None, json: bool) -> None:
    """Find speech in a recording and report it.

    Parameters
    ----------
    recording : str
        A 16 kHz mono ``.wav`` file.
    plot : Path or None
        The picture, if its place was chosen.
    isa : str or None
        The instruction set.
    json : bool
        Whether the report is for programs.
    """
    path = _silero_onnx()
    signal = signals.read_wav(recording)
    if signal.rate != _RATE:
        raise lstm_rt.UnsupportedModelError(
            f"{recording}: {signal.rate:.0f} samples a second; this demo takes {_RATE}. "
            f"Resample it first: ffmpeg -i {recording} -ar {_RATE} -ac 1 speech.wav"
        )
    model = lstm_rt.load(path, isa=isa)
    stream = stepping.open_stream(model, None, {"sr": np.array(_RATE)})
    results = stepping.run_steps(stream, signal, _FRAMING)
    latency = results.latency(_STEP_SECONDS)
    (speech,) = results.outputs.values()
    found = segments(speech, shortest=_SHORTEST_SPEECH, widest_gap=_WIDEST_GAP)
    report = {
        "model": str(path),
        "isa": model.isa,
        "seconds": (signal.length or 0) / _RATE,
        "steps": len(speech),
        **latency.facts(),
        "speech": [_seconds(segment) for segment in found],
        "plot": write_demo_picture(
            Picture(
                title=f"Speech in {Path(recording).name}",
                subtitle=f"Silero VAD · a step every {1000 * _STEP_SECONDS:.0f} ms takes {latency.median:.1f} µs "
                f"on {model.isa}",
                signal=signal,
                framing=_FRAMING,
                curves={"speech": speech},
                nanoseconds=results.nanoseconds,
                marks=[Mark(**_seconds(segment), curve="speech") for segment in found],
                bounded=True,
            ),
            plot,
        ),
    }
    if json:
        ui.print_json(report)
    else:
        _print(report, speech, latency.text())


def _silero_onnx() -> Path:
    """Find the model without importing the package, which would import torch."""
    spec = importlib.util.find_spec("silero_vad")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "data", "silero_vad.onnx")
        if path.exists():
            return path
    raise MissingPackageError("Silero VAD is not installed. Install it with: pip install silero-vad")


def _seconds(segment: Segment) -> dict[str, float]:
    return {"start": round(segment.first * _STEP_SECONDS, 3), "end": round(segment.last * _STEP_SECONDS, 3)}


def _print(report: dict[str, Any], speech: Array, latency: str) -> None:
    if ui.shows_blocks():
        ui.console.print(f"[blue]{ui.sparkline(speech, min(ui.console.width - 1, 120))}[/]\n")
    found = ui.table(">speech from", ">to", ">for")
    for segment in report["speech"]:
        length = segment["end"] - segment["start"]
        found.add_row(f"{segment['start']:.2f} s", f"{segment['end']:.2f} s", f"{length:.2f} s")
    ui.console.print(found if report["speech"] else "No speech was found.")
    ui.console.print()
    rows = [("one step", f"{latency} ({report['steps']:,} steps of 32 ms)"), ("on", report["isa"])]
    rows += [("picture", str(report["plot"]))] if report["plot"] else []
    ui.console.print(ui.facts(rows))
