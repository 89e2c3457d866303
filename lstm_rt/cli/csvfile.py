"""Results as ``.csv``: a row per step, written as it comes."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

import numpy as np

from lstm_rt.cli.options import Array
from lstm_rt.cli.signals import Framing
from lstm_rt.cli.stepping import Step

Sink = Callable[[Step], None]


class StepCsv:
    """Writes a header with the first row. Floats are as short as they can be and still read back exactly."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._has_header = False

    def write(self, leading: dict[str, object], outputs: dict[str, Array]) -> None:
        """Write one step: plain cells first, then every value of every output."""
        if not self._has_header:
            names = [name for output, array in outputs.items() for name in columns(output, array.size)]
            self._writer.writerow([*leading, *names])
            self._has_header = True
        cells = [cell for array in outputs.values() for cell in np.ravel(array).astype(str)]
        self._writer.writerow([*leading.values(), *cells])
        self._file.flush()


def columns(name: str, width: int) -> list[str]:
    """Name the columns of an output: ``scores``, or ``scores_0``, ``scores_1``."""
    return [name] if width == 1 else [f"{name}_{i}" for i in range(width)]


@contextlib.contextmanager
def csv_rows(out: str | None, framing: Framing, rate: float | None) -> Iterator[Sink | None]:
    """Give what writes each step to the .csv file, if one is wanted."""
    if out is None or out.endswith(".npz"):
        yield None
        return
    with contextlib.nullcontext(sys.stdout) if out == "-" else open(out, "w", newline="") as file:
        table = StepCsv(file)

        def write(step: Step) -> None:
            time = {"seconds": framing.seconds(step.number, rate)} if rate else {}
            table.write({"step": step.number, **time}, step.outputs)

        yield write
