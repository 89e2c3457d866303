"""``python -m bench.instructions``: instructions of one step, which do not depend on what else the machine does.

bench/cpp/step.cpp runs under callgrind, once with few steps and once with more: the difference is what the steps took,
without loading. callgrind knows no AVX-512, so the instruction set is x86_avx2 unless LSTM_RT_ISA says otherwise. With
--perf, the processor counts instead, in any instruction set; few virtual machines let it. With --arm, QEMU plays ARM
processors and counts (emulated.py); every precision is counted, and the instruction set is the best of each processor.
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

from . import cstep, emulated
from .compiled import CompileError
from .report import aligned

FEW, MORE = 10, 60
TOTAL = re.compile(r"Collected : (\d+)")  # of callgrind, and of native/count.c
VALGRIND_ISA = "x86_avx2"
CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
PERF = ("perf", "stat", "-x", ",", "-e", "instructions:u")
ARM_PRECISIONS = ("float32", "int8", "int4")


class CountError(Exception):
    """Instructions cannot be counted here; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.instructions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="16,32,64,128", metavar="N,N", help="hidden units; 16,32,64,128")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences stepped together; 1")
    parser.add_argument("--quantize", metavar="NAME", help="precision of the models; float32 if left out")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--perf", action="store_true", help="count with perf stat instead of valgrind")
    how.add_argument("--arm", action="store_true", help="count on ARM processors that QEMU plays")
    parser.add_argument("--json", metavar="FILE", help="write the numbers")
    options = parser.parse_args(arguments)
    names = [cstep.NOTHING, *cstep.names([int(size) for size in options.sizes.split(",")], batch=options.batch)]
    try:
        document = _on_arm(names, options.quantize) if options.arm else _here(names, options.quantize, options.perf)
    except (CountError, CompileError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _here(names: Sequence[str], quantize: str | None, perf: bool) -> dict[str, object]:
    isa = os.environ.get("LSTM_RT_ISA") or (lstm_rt.isa() if perf else VALGRIND_ISA)
    found = count(names, here(perf=perf), isa, quantize=quantize)
    print(f"{isa}, {'perf stat' if perf else 'callgrind'}\n\n{text(found)}")
    return {"isa": isa, "instructions": found}


def _on_arm(names: Sequence[str], quantize: str | None) -> dict[str, object]:
    """Every precision on every processor; a table of each as soon as it is known."""
    found: list[dict[str, object]] = []
    for cpu, isa in emulated.processors().items():
        for precision in [quantize] if quantize else ARM_PRECISIONS:
            wanted = None if precision == "float32" else precision
            instructions = count(names, emulated.command(cpu), isa, quantize=wanted)
            print(f"{cpu}, {isa}, {precision}, QEMU\n\n{text(instructions)}\n", flush=True)
            found.append({"cpu": cpu, "isa": isa, "precision": precision, "instructions": instructions})
    return {"arm": found}


def here(*, perf: bool = False) -> list[str]:
    """What runs the program that steps on this machine, and counts."""
    return [*(PERF if perf else CALLGRIND), str(cstep.program())]


def count(names: Sequence[str], command: Sequence[str], isa: str, *, quantize: str | None = None) -> dict[str, float]:
    """Instructions of one step of each model, by a command that steps and counts."""
    with tempfile.TemporaryDirectory() as folder:
        files = cstep.write_models(folder, names, quantize)
        return {name: _difference(file, command, isa) for name, file in files.items()}


def _difference(file: Path, command: Sequence[str], isa: str) -> float:
    return (_run(file, MORE, command, isa) - _run(file, FEW, command, isa)) / (MORE - FEW)


def text(found: dict[str, float]) -> str:
    """A table; beside each layer the instructions for every multiply-add of its matrices."""
    rows = [[name, f"{number:,.0f}", _per_mac(name, number)] for name, number in found.items()]
    return "\n".join(aligned(["model", "instructions a step", "per 16 multiply-adds"], rows, left=1))


def _per_mac(name: str, number: float) -> str:
    return "" if name == cstep.NOTHING else f"{16 * number / cstep.multiply_adds(name):.2f}"


def _run(file: Path, steps: int, command: Sequence[str], isa: str) -> int:
    words = [*command, "--steps", str(steps), str(file)]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env={**os.environ, "LSTM_RT_ISA": isa}
        )
    except FileNotFoundError as error:
        raise CountError(f"{words[0]} is not installed: {error}") from error
    if done.returncode:
        raise CountError(f"{words[0]} failed: {done.stderr.strip()[-500:]}")
    found = TOTAL.search(done.stderr) or re.search(r"^(\d+),", done.stderr, re.MULTILINE)
    if not found:
        raise CountError(f"{words[0]} counted nothing: {done.stderr.strip()[-300:]}")
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
