"""``lstm-rt demo``: something to see, one minute after installing."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import numpy as np
import typer
from rich.text import Text

import lstm_rt
from lstm_rt.cli import signals, stepping, ui
from lstm_rt.cli.options import Array, IsaOption, JsonOption
from lstm_rt.cli.picture import Mark, Picture
from lstm_rt.cli.signals import Framing, Signal
from lstm_rt.demo import HEARTBEAT_ONNX
from lstm_rt.demo.detect import Match, Segment, findings, match, segments
from lstm_rt.demo.signal import FRAME, KINDS, RATE, STEP_SECONDS, TEST_SEEDS, heart_trace
from lstm_rt.errors import MissingPackageError

NAME = "demo"
EXAMPLES = ui.examples(
    ("lstm-rt demo", "Irregular beats in a made-up heart trace, found as they happen"),
    ("lstm-rt demo --person 7 --seconds 60", "Another heart, and longer"),
    ("lstm-rt demo --model silero speech.wav", "Speech in a recording; after pip install silero-vad"),
)
_KIND_COLOURS = dict(zip(KINDS, ("blue", "red", "green")))
_SILERO_RATE = 16000
_SILERO_FRAMING = Framing(frame=512, hop=512, context=64)
_SHORTEST_SPEECH, _LONGEST_BREATH = 8, 3  # steps: 256 ms, 96 ms


class DemoModel(str, Enum):
    """The models that the demo has."""

    heartbeat = "heartbeat"
    silero = "silero"


def command(
    recording: Annotated[
        Optional[Path], typer.Argument(metavar="[WAV]", help="For silero: speech, 16 kHz mono.", show_default=False)
    ] = None,
    model: Annotated[
        DemoModel, typer.Option(help="heartbeat comes with lstm_rt; silero is taken from the package silero-vad.")
    ] = DemoModel.heartbeat,
    person: Annotated[int, typer.Option(min=0, help="Whose heart: any number.")] = 12,
    seconds: Annotated[float, typer.Option(min=10, max=3600, help="Length of the heart trace.")] = 30.0,
    plot: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="Picture to write.", show_default="lstm-rt-demo.png")
    ] = None,
    isa: IsaOption = None,
    json: JsonOption = False,
) -> None:
    """Stream a signal through a small recurrent model step by step, and show what it finds and how fast.

    The model that comes with lstm_rt reports heartbeats that come early, look odd or stay away, in a trace made up from
    a number; it was trained on others. It needs no network and is no medical device.
    """
    if plot:
        ui.import_pyplot()
    if model is DemoModel.silero:
        if recording is None:
            raise typer.BadParameter("silero needs a recording: a 16 kHz mono .wav", param_hint="WAV")
        _silero(recording, plot, isa, json)
    elif recording is not None:
        raise typer.BadParameter("a recording is for --model silero", param_hint="WAV")
    else:
        _heartbeat(person, seconds, plot, isa, json)
