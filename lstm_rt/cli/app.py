"""The program: its commands, ``--version``, and how errors end it.

Where typer reads annotations they stay as they are, without ``from __future__ import annotations``: under Python 3.9 it
does not see through the strings that makes of them.
"""

from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

import lstm_rt
from lstm_rt.cli import bench, convert, demo, inspect, isa, paths, recipe, run, stream, ui, verify

_MODULES = (demo, convert, inspect, run, stream, bench, verify, isa, recipe, paths)
_EXAMPLES = {module.NAME: module.EXAMPLES for module in _MODULES}
_PROGRAM_EXAMPLES = (
    ("lstm-rt demo", "See it work, now"),
    ("lstm-rt convert model.onnx model.gguf", "Make the one file that is deployed"),
    ("lstm-rt inspect model.gguf", "See what a step costs, and whether it streams"),
    ("lstm-rt verify model.gguf", "On the target: does it give the same bytes?"),
)


class _Command(TyperCommand):
    """A command whose help ends with examples."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        ui.print_examples(_EXAMPLES[self.name or ""])


class _Program(TyperGroup):
    """Turns errors that a user can do something about into one red message and exit code 1."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # People type these as often as the options; neither is a command of its own.
        if args[0] == "help":
            return super().resolve_command(ctx, [args[1], "--help"]) if args[1:] else _print_help(ctx)
        if args[0] == "version":
            _version(True)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        ui.print_examples(_PROGRAM_EXAMPLES)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (lstm_rt.Error, OSError) as error:
            ui.fail(_message(error))


def _print_help(ctx: Any) -> NoReturn:
    typer.echo(ctx.get_help(), nl=False)
    raise typer.Exit


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror and not isinstance(error, lstm_rt.Error):
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lstm-rt {lstm_rt.__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Program,
    name="lstm-rt",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Run trained recurrent networks, whole or frame by frame, fast and with the same bytes on every CPU."""


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph: the terminal's width decides where they break."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


for _module in _MODULES:
    app.command(_module.NAME, cls=_Command, help=_unwrapped(_module.command.__doc__ or ""))(_module.command)
