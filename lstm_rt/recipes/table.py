"""The table of layers in docs/pytorch.md: ``python -m lstm_rt.recipes.table`` prints it."""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from typing import get_type_hints

from .layer import Layer, Weighted, kinds, options
from .options import describe


def markdown() -> str:
    """Write the layers of recipes as a table.

    Returns
    -------
    str
        In Markdown: a line for each kind.
    """
    lines = ["| kind | what it is | options | weights |", "|---|---|---|---|"]
    for name, cls in kinds().items():
        weights = "yes" if issubclass(cls, Weighted) else ""
        lines.append(f"| `{name}` | {inspect.getdoc(cls)} | {_options(cls)} | {weights} |")
    return "\n".join(lines) + "\n"


def _options(cls: type[Layer]) -> str:
    hints = get_type_hints(cls)
    listed = []
    for option in options(cls):
        default = "" if option.default in (MISSING, None, ()) else f" = {option.default!r}".lower()
        listed.append(f"`{option.name}{default}` ({describe(hints[option.name])})")
    return ", ".join(listed)


if __name__ == "__main__":
    print(markdown(), end="")
