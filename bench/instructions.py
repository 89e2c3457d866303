"""``python -m bench.instructions``: instructions of one step, which do not depend on what else the machine does.

bench/cpp/step.cpp runs under callgrind, once with few steps and once with more: the difference is what the steps took,
without loading. callgrind knows no AVX-512, so the instruction set is x86_avx2 unless LSTM_RT_ISA says otherwise. With
--perf, the processor counts instead, in any instruction set; few virtual machines let it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import lstm_rt

from . import cstep
from .compiled import CompileError
from .report import aligned
from .workloads.layers import random_layer

FEW, MORE = 10, 60
TOTAL = re.compile(r"Collected : (\d+)")
VALGRIND_ISA = "x86_avx2"


class CountError(Exception):
    """Instructions cannot be counted here; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.instructions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="16,32,64,128", metavar="N,N", help="hidden units; 16,32,64,128")
    parser.add_argument("--quantize", metavar="NAME", help="precision of the models; float32 if left out")
    parser.add_argument("--perf", action="store_true", help="count with perf stat instead of valgrind")
    parser.add_argument("--json", metavar="FILE", help="write the numbers")
    options = parser.parse_args(arguments)
    names = [cstep.NOTHING, *cstep.names([int(size) for size in options.sizes.split(",")])]
    isa = os.environ.get("LSTM_RT_ISA") or (lstm_rt.isa() if options.perf else VALGRIND_ISA)
    try:
        found = count(names, isa, perf=options.perf, quantize=options.quantize)
    except (CountError, CompileError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{isa}, {'perf stat' if options.perf else 'callgrind'}\n\n{text(found)}")
    if options.json:
        Path(options.json).write_text(json.dumps({"isa": isa, "instructions": found}, indent=1) + "\n")
    return 0


def count(names: Sequence[str], isa: str, *, perf: bool = False, quantize: str | None = None) -> dict[str, float]:
    """Instructions of one step of each model."""
    with tempfile.TemporaryDirectory() as folder:
        files = cstep.write_models(folder, names, quantize)
        return {name: _difference(file, isa, perf) for name, file in files.items()}


def _difference(file: Path, isa: str, perf: bool) -> float:
    return (_run(file, MORE, isa, perf) - _run(file, FEW, isa, perf)) / (MORE - FEW)


def text(found: dict[str, float]) -> str:
    """A table; beside each layer the instructions for every multiply-add of its matrices."""
    rows = [[name, f"{number:,.0f}", _per_mac(name, number)] for name, number in found.items()]
    return "\n".join(aligned(["model", "instructions a step", "per 16 multiply-adds"], rows, left=1))


def _per_mac(name: str, number: float) -> str:
    if name == cstep.NOTHING:
        return ""
    cell, size = name.split("/")
    layer = random_layer(cell.upper(), int(size))
    return f"{16 * number / (layer.W.size + layer.R.size):.2f}"


def _run(file: Path, steps: int, isa: str, perf: bool) -> int:
    command = [str(cstep.program()), "--steps", str(steps), str(file)]
    tool = ["perf", "stat", "-x", ",", "-e", "instructions:u"] if perf else _CALLGRIND
    try:
        done = subprocess.run(
            [*tool, *command], capture_output=True, text=True, check=False, env={**os.environ, "LSTM_RT_ISA": isa}
        )
    except FileNotFoundError as error:
        raise CountError(f"{tool[0]} is not installed: {error}") from error
    if done.returncode:
        raise CountError(f"{tool[0]} failed: {done.stderr.strip()[-500:]}")
    found = re.search(r"^(\d+),", done.stderr, re.MULTILINE) if perf else TOTAL.search(done.stderr)
    if not found:
        raise CountError(f"{tool[0]} counted nothing: {done.stderr.strip()[-300:]}")
    return int(found[1])


_CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]

if __name__ == "__main__":
    sys.exit(main())
