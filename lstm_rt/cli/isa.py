"""``lstm-rt isa``."""

import lstm_rt
from lstm_rt.cli import ui
from lstm_rt.cli.options import JsonOption

NAME = "isa"
EXAMPLES = (
    ("lstm-rt isa", "What this CPU runs, and what is used"),
    ("lstm-rt isa --json", "The same for programs"),
)


def command(json: JsonOption = False) -> None:
    """Show the instruction sets that this CPU runs, the one in use, and how lstm_rt was built.

    The environment variable LSTM_RT_ISA chooses another one of them. The results are the same bytes with each.
    """
    used, available, build = lstm_rt.isa(), lstm_rt.available_isas(), lstm_rt.build_info()
    if json:
        ui.print_json({"isa": used, "available": available, "build": build})
        return
    for name in available:
        ui.console.print(f"[bold green]● {name}[/]  in use" if name == used else f"○ {name}")
    ui.console.print()
    ui.console.print(ui.facts((name, _text(value)) for name, value in build.items()))


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
