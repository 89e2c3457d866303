"""The program: its commands, ``--version``, and how errors end it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import lstm_rt
from lstm_rt.cli import convert, demo, inspect, isa, run, stream, ui, verify


class _Commands(TyperGroup):
    """Turns errors that a user can do something about into one red message and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (lstm_rt.Error, OSError) as error:
            ui.fail(_message(error))


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror and not isinstance(error, lstm_rt.Error):
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lstm-rt {lstm_rt.__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    name="lstm-rt",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=ui.examples(
        ("lstm-rt demo", "See it work, now"),
        ("lstm-rt convert model.onnx model.gguf", "Make the one file that is deployed"),
        ("lstm-rt inspect model.gguf", "See what a step costs, and whether it streams"),
        ("lstm-rt verify model.gguf", "On the target: are the bytes the same?"),
    ),
)


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Run trained recurrent networks, whole or frame by frame, fast and with the same bytes on every CPU."""


for module in (demo, convert, inspect, run, stream, verify, isa):
    app.command(module.NAME, epilog=module.EXAMPLES)(module.command)
