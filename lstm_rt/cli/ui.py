"""What the commands have in common on the screen: consoles, errors, tables, numbers, examples."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

import lstm_rt
from lstm_rt.text import json_text, one_line, printable

BARS = "▁▂▃▄▅▆▇█"


class _SafeConsole(Console):
    """A console that escapes control characters in what it is given: names and paths come from files."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


console = _SafeConsole(highlight=False)
messages = _SafeConsole(stderr=True, highlight=False)  # progress, notes, errors: never mixed into output


def fail(message: str) -> NoReturn:
    """End with a red message and exit code 1."""
    messages.print(Text.assemble(("error: ", "bold red"), (message, "red")), soft_wrap=True)
    raise typer.Exit(1)


def note(message: str) -> None:
    """Say something that is no failure."""
    messages.print(Text(message, "yellow"), soft_wrap=True)


def is_exact(isa: str) -> bool:
    """Whether an instruction set has fused multiply-add, and so gives the bytes that all others that have it give."""
    return isa in lstm_rt.exact_isas()


def print_json(value: Any) -> None:
    """Print one JSON value; arrays and numpy numbers are taken too. Not-a-number becomes null."""
    sys.stdout.write(json_text(json.dumps(_plain(value), indent=2, ensure_ascii=False)) + "\n")


def print_json_line(value: Any) -> None:
    """Print one JSON value on a line of its own, at once."""
    print(json_text(json.dumps(_plain(value), ensure_ascii=False)), flush=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def table(*columns: str, title: str | None = None) -> Table:
    """Make an empty table. A column whose name begins with ``>`` holds numbers and is aligned right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    made.padding = (0, 2, 0, 0)
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.lstrip(">"), justify="right" if right else "left", no_wrap=right)
    return made


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Make a table of names and what they are."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, text in rows:
        if text:
            made.add_row(Text(name), Text(text))
    return made


def print_examples(examples: Sequence[tuple[str, str]]) -> None:
    """Print what follows a command's help: commands to copy, each with its purpose."""
    console.print("[bold]Examples[/]\n")
    for command, purpose in examples:
        console.print(Text(f"  # {purpose}", "dim"))
        console.print(Text(f"  {command}\n", "cyan"), soft_wrap=True)


def literal(text: object) -> str:
    """Quote a path or a name for text with markup: brackets are not tags, and the text stays on one line."""
    return escape(one_line(str(text)))


def count(number: float) -> str:
    """Write a count: 1,234 · 56.7 k · 1.2 M."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if number >= limit:
            return f"{number / (limit if unit != ' k' else 1e3):,.1f}{unit}"
    return f"{number:,.0f}"


def size(byte_count: float) -> str:
    """Write a size in bytes."""
    for limit, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if byte_count >= limit:
            return f"{byte_count / limit:,.1f} {unit}"
    return f"{byte_count:,.0f} B"


def tail(name: str, width: int = 22) -> str:
    """Shorten a long name from its left: what tells nodes apart stands at the end."""
    name = one_line(name)
    return name if len(name) <= width else "…" + name[1 - width :]


def dims(shape: Sequence[int | None] | None, names: Sequence[str] = ()) -> str:
    """Write a shape; free dims by their name."""
    if shape is None:
        return "unknown"
    names = [one_line(name) for name in names] or [""] * len(shape)
    return "[" + ", ".join(name or "?" if dim is None else str(dim) for dim, name in zip(shape, names)) + "]"


def number(value: float) -> str:
    """Write a number of an array in a few characters."""
    return f"{value:.4g}"


def array_facts(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Describe an array: shape, dtype, least, mean and greatest value."""
    described: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.size and array.dtype != np.bool_:
        described.update(min=array.min(), mean=float(array.mean(dtype=np.float64)), max=array.max())
    return described


def arrays_table(arrays: dict[str, np.ndarray[Any, Any]], kind: str) -> Table:
    """Describe arrays, one a row."""
    made = table(kind, "shape", "dtype", ">min", ">mean", ">max")
    for name, array in arrays.items():
        described = array_facts(array)
        ends = [number(described[key]) if key in described else "" for key in ("min", "mean", "max")]
        made.add_row(Text(one_line(name)), Text(dims(described["shape"])), described["dtype"], *ends)
    return made


def sparkline(values: np.ndarray[Any, Any], width: int) -> str:
    """Draw a curve as one line of block characters: the greatest value of each column, from least to greatest."""
    values = np.asarray(values, np.float64)
    columns = np.array([part.max() for part in np.array_split(values, min(width, len(values)))])
    low, high = float(values.min()), float(values.max())
    levels = np.nan_to_num((columns - low) / (high - low) if high > low else columns * 0)
    return "".join(BARS[int(level * (len(BARS) - 1) + 0.5)] for level in levels)


def shows_blocks() -> bool:
    """Whether the terminal's encoding has the characters that `sparkline` draws with."""
    return (console.encoding or "").lower().startswith("utf")


def import_pyplot() -> ModuleType:
    """Import matplotlib for writing files, or say what to install."""
    try:
        import matplotlib
    except ImportError:
        raise lstm_rt.errors.MissingPackageError(
            "Pictures need matplotlib. Install it with: pip install 'lstm_rt[plot]'"
        ) from None
    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot
