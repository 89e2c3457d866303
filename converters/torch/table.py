"""The table of docs/pytorch-export.md, made of the registry, so that it says what there is."""

from __future__ import annotations

from collections.abc import Iterator

from . import aten  # noqa: F401  (registers the handlers)
from .node import Handler, handlers

BEGIN, END = "<!-- made by converters/torch/table.py -->", "<!-- until here -->"


def table() -> str:
    """What stands between the marks of the page.

    Returns
    -------
    str
        Markdown: each family of operators, then those that have more to say.
    """
    families: dict[str, list[str]] = {}
    for target in sorted(handlers):
        family = handlers[target].__module__.rpartition(".")[2]
        families.setdefault(family, []).append(f"`{target}`")
    rows = [f"| {family} | {', '.join(targets)} |" for family, targets in sorted(families.items())]
    return "\n".join(["| family | operators |", "|---|---|", *rows, "", "| operators | what |", "|---|---|", *_notes()])


def _notes() -> Iterator[str]:
    said: dict[Handler, list[str]] = {}
    for target in sorted(handlers):
        if handlers[target].__doc__:
            said.setdefault(handlers[target], []).append(f"`{target}`")
    for function, targets in said.items():
        text = " ".join((function.__doc__ or "").split())
        yield f"| {', '.join(targets)} | {text} |"


def fill(page: str) -> str:
    """Put the table into a page.

    Parameters
    ----------
    page : str
        With both marks.

    Returns
    -------
    str
        With the table between them.
    """
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
