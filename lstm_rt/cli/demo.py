"""``lstm-rt demo``: something to see, one minute after installing."""

from enum import Enum
from typing import Annotated, Optional

import typer

from lstm_rt.cli.options import IsaOption, JsonOption, PlotOption

NAME = "demo"
EXAMPLES = (
    ("lstm-rt demo", "Irregular beats in a made-up heart trace, found as they happen"),
    ("lstm-rt demo --person 7 --seconds 60", "Another heart, and for longer"),
    ("lstm-rt demo --model silero speech.wav", "Speech in a recording; needs pip install silero-vad"),
)


class DemoModel(str, Enum):
    """The models that the demo has."""

    heartbeat = "heartbeat"
    silero = "silero"


def command(
    recording: Annotated[
        Optional[str], typer.Argument(metavar="WAV", help="For silero: speech, 16 kHz mono.", show_default=False)
    ] = None,
    model: Annotated[
        DemoModel, typer.Option(help="heartbeat comes with lstm_rt; silero is taken from the package silero-vad.")
    ] = DemoModel.heartbeat,
    person: Annotated[int, typer.Option(min=0, help="Whose heart: any number.")] = 12,
    seconds: Annotated[float, typer.Option(min=10, max=3600, help="Length of the heart trace.")] = 30.0,
    plot: PlotOption = None,
    isa: IsaOption = None,
    json: JsonOption = False,
) -> None:
    """Stream a signal through a recurrent model step by step; see what it finds, and how fast.

    Unless --plot says otherwise, the picture is lstm-rt-demo.png in the current folder.

    The model that comes with lstm_rt reports heartbeats that come early, look odd or stay away, in a trace made up from
    a number. It was trained on the traces of other numbers, needs no network, and is no medical device.
    """
    from lstm_rt.cli import demo_heartbeat, demo_silero

    if model is DemoModel.silero:
        if recording is None:
            raise typer.BadParameter("silero needs a recording: a 16 kHz mono .wav", param_hint="WAV")
        demo_silero.show(recording, plot, isa, json)
    elif recording is not None:
        raise typer.BadParameter("a recording is for --model silero", param_hint="WAV")
    else:
        demo_heartbeat.show(person, seconds, plot, isa, json)
