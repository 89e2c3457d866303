"""``lstm-rt verify``."""

from typing import Annotated, Optional

import typer

import lstm_rt
from lstm_rt.cli import ui
from lstm_rt.cli.options import IsaOption, JsonOption, MaxMemoryOption

NAME = "verify"
EXAMPLES = (
    ("lstm-rt verify model.gguf", "Does this machine give the bytes that were recorded?"),
    ("lstm-rt verify model.gguf --every-isa", "With each instruction set of this CPU"),
)


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A .gguf file with self-tests.", show_default=False)],
    isa: IsaOption = None,
    every_isa: Annotated[bool, typer.Option("--every-isa", help="Try every instruction set of this CPU.")] = False,
    max_memory: MaxMemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Replay the self-tests held in a model file: the same inputs must give the same bytes, on every CPU."""
    if isa and every_isa:
        raise typer.BadParameter("--isa and --every-isa exclude each other")
    isas = lstm_rt.available_isas() if every_isa else [isa or lstm_rt.isa()]
    inexact = [name for name in isas if not ui.is_exact(name)] if every_isa else []
    counts = {name: _replay(model, name, max_memory) for name in isas if name not in inexact}
    if json:
        ui.print_json({"model": model, "verified": counts, "not_compared": inexact})
        return
    for name, tests in counts.items():
        noun = "self-test" if tests == 1 else "self-tests"
        ui.console.print(f"[bold green]✓[/] {name}: {tests} {noun}, every byte as recorded")
    for name in inexact:
        ui.console.print(f"[dim]– {name}: not compared; without fused multiply-add the last bits differ[/]")


def _replay(path: str, isa: str, max_memory: Optional[int]) -> int:
    tests = lstm_rt.load(path, isa=isa, max_memory=max_memory).verify()
    if not tests:
        raise lstm_rt.StateError(
            f"{path} holds no self-test, so nothing was verified. lstm-rt convert writes some into every .gguf file, "
            "unless told --no-selftest or not knowing the shapes of the inputs (--shape)."
        )
    return tests
