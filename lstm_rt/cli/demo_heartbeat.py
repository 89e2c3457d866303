"""The demo with the model that comes with lstm_rt."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

import lstm_rt
from lstm_rt.cli import stepping, ui
from lstm_rt.cli.options import Array
from lstm_rt.cli.picture import Mark, Picture, write_demo_picture
from lstm_rt.cli.segments import segments
from lstm_rt.cli.signals import Framing, Signal
from lstm_rt.demo import HEARTBEAT_ONNX
from lstm_rt.demo.detect import Match, findings, match
from lstm_rt.demo.signal import FRAME, KINDS, RATE, STEP_SECONDS, TEST_SEEDS, Trace, heart_trace

_COLOURS = dict(zip(KINDS, ("blue", "red", "green")))
_FRAMING = Framing(frame=FRAME, hop=FRAME, context=0)


def show(person: int, seconds: float, plot: Path | None, isa: str | None, json: bool) -> None:
    """Convert, stream, compare with the whole run, and report.

    Parameters
    ----------
    person : int
        Whose heart trace.
    seconds : float
        Its length.
    plot : Path or None
        The picture, if its place was chosen.
    isa : str or None
        The instruction set.
    json : bool
        Whether the report is for programs.
    """
    start = time.perf_counter()
    model = lstm_rt.load(HEARTBEAT_ONNX, isa=isa)
    load_ms = 1000 * (time.perf_counter() - start)
    trace = heart_trace(TEST_SEEDS + person, seconds)
    signal = Signal.of(trace.samples, RATE)
    results = stepping.run_steps(stepping.open_stream(model, None, None), signal, _FRAMING)
    scores = results.outputs["scores"]
    _require_same(scores, model(trace.frames())[0])
    latency = results.latency(STEP_SECONDS)
    matches = match(findings(scores), trace.events)
    picture = Picture(
        title="Heartbeats out of rhythm, found as they happen",
        subtitle=f"LSTM of {ui.count(model.parameters)} parameters · a step every {1000 * STEP_SECONDS:.0f} ms takes "
        f"{latency.median:.2f} µs on {model.isa} · made-up trace no. {person}",
        signal=signal,
        framing=_FRAMING,
        curves=dict(zip(KINDS, scores.T)),
        nanoseconds=results.nanoseconds,
        marks=_marks(scores),
        label="mV",
        bounded=True,
    )
    report = {
        "model": HEARTBEAT_ONNX.name,
        "isa": model.isa,
        "parameters": model.parameters,
        "load_ms": load_ms,
        "seconds": trace.seconds,
        "steps": len(scores),
        **latency.facts(),
        "findings": [_finding(pair) for pair in matches],
        "same_bytes_as_whole": True,
        "sha256": hashlib.sha256(scores.tobytes()).hexdigest(),
        "plot": write_demo_picture(picture, plot),
    }
    if json:
        ui.print_json(report)
    else:
        _print(report, matches, trace, latency.text())


def _require_same(stepped: Array, whole: Array) -> None:
    if stepped.tobytes() != whole.tobytes():
        steps = np.flatnonzero((stepped != whole).any(axis=1))
        ui.fail(f"{len(steps)} of {len(whole)} steps differ from the whole run, the first at {steps[:1]}. Report this.")


def _marks(scores: Array) -> list[Mark]:
    return [
        Mark(segment.first * STEP_SECONDS, segment.last * STEP_SECONDS, kind)
        for kind, column in zip(KINDS, scores.T)
        for segment in segments(column)
    ]


def _finding(pair: Match) -> dict[str, Any]:
    finding, event = pair
    return {
        "kind": (finding or event).kind,  # type: ignore[union-attr]
        "reported_at": finding and finding.seconds,
        "score": finding and finding.score,
        "happened_at": event and event.seconds,
    }


def _print(report: dict[str, Any], matches: list[Match], trace: Trace, latency: str) -> None:
    ui.console.print(
        "[bold]A small LSTM listens to a heart, 20 ms a step, and reports beats out of rhythm.[/]\n"
        "[dim]early: before its time · wide: of an odd shape · missing: left out. The trace is made up.[/]\n"
    )
    if ui.shows_blocks():
        _print_trace(trace, matches)
    ui.console.print(_table(matches))
    ui.console.print()
    found = sum(1 for finding, event in matches if finding and event)
    alarms = sum(1 for _, event in matches if not event)
    missed = sum(1 for finding, _ in matches if not finding)
    mark = "[bold green]✓[/]" if not alarms + missed else "[bold yellow]![/]"
    ui.console.print(f"{mark} found {found} of {found + missed}, {_counted(alarms, 'false alarm')}")
    ui.console.print(f"[bold green]✓[/] {report['steps']:,} steps gave the same bytes as one run over the whole\n")
    same = ", the same on every CPU" if ui.is_exact(report["isa"]) else ""
    rows = [
        ("one step", latency),
        ("on", report["isa"]),
        ("model", f"{ui.count(report['parameters'])} parameters, from ONNX to ready in {report['load_ms']:.0f} ms"),
        ("sha256", f"{report['sha256'][:16]}… of the scores{same}"),
    ]
    rows += [("picture", str(report["plot"]))] if report["plot"] else []
    ui.console.print(ui.facts(rows))


def _counted(number: int, noun: str) -> str:
    return f"no {noun}" if not number else f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_trace(trace: Trace, matches: list[Match]) -> None:
    """Draw the trace as one line of blocks, and below it where something was found."""
    width = min(ui.console.width - 1, 120)
    ui.console.print(Text(ui.sparkline(trace.samples, width), "dim"))
    below = Text(" " * width)
    for finding, event in matches:
        if finding:
            place = min(int((event or finding).seconds / trace.seconds * width), width - 1)
            below.plain = below.plain[:place] + "▲" + below.plain[place + 1 :]
            below.stylize(_COLOURS[finding.kind], place, place + 1)
    ui.console.print(below)
    ui.console.print()


def _table(matches: list[Match]) -> Any:
    made = ui.table("found", ">beat at", ">reported after", ">score", "")
    for finding, event in matches:
        kind = (finding or event).kind  # type: ignore[union-attr]
        made.add_row(
            Text(kind, _COLOURS[kind]) if finding else Text("–", "dim"),
            f"{event.seconds:.2f} s" if event else f"{finding.seconds:.2f} s" if finding else "",
            f"{1000 * (finding.seconds - event.seconds):.0f} ms" if finding and event else "",
            f"{finding.score:.2f}" if finding else "",
            Text("false alarm", "red") if not event else Text(f"missed: {kind}", "red") if not finding else Text(""),
        )
    return made
