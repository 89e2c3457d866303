"""``python -m bench.overhead``: what a call costs above the work of its step, from C and from Python.

A model whose work is nothing shows what a step costs in C. The same model files are then stepped from C and from Python
(``step(x, out=y)``) in turns; what is between them is Python's. Of several turns the quickest counts: what disturbs one
makes it longer. Layers larger than the default are no use here, since their own noise is more than any call costs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import timeit
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import lstm_rt

from . import cstep
from .compiled import CompileError
from .measure import pin
from .report import aligned

TURNS = 7
REPEATS = 200
SAMPLE_S = 50e-6
C_CALL_NS, PYTHON_NS = 20, 150  # what lstm_rt promises to stay below


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="16,32", metavar="N,N", help="hidden units; 16,32")
    parser.add_argument("--quantize", metavar="NAME", help="precision of the models; float32 if left out")
    parser.add_argument("--core", type=int, metavar="N", help="core to run on; by default the last one allowed")
    parser.add_argument("--json", metavar="FILE", help="write the numbers")
    options = parser.parse_args(arguments)
    core = pin(options.core)
    sizes = [int(size) for size in options.sizes.split(",")]
    try:
        found = measure([cstep.NOTHING, *cstep.names(sizes)], options.quantize)
    except CompileError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{lstm_rt.isa()}, core {core}; nanoseconds a step, the best of {TURNS} turns\n\n{text(found)}")
    if options.json:
        Path(options.json).write_text(json.dumps({"isa": lstm_rt.isa(), "nanoseconds": found}, indent=1) + "\n")
    return 0


def measure(names: Sequence[str], quantize: str | None = None) -> dict[str, dict[str, float]]:
    """Nanoseconds of a step of each model: from C, and from Python."""
    with tempfile.TemporaryDirectory() as folder:
        files = cstep.write_models(folder, names, quantize)
        timers = {name: _timer(file) for name, file in files.items()}
        turns = []
        for _ in range(TURNS):
            from_c = cstep.times(files)
            turns.append({name: (from_c[name].median, _nanoseconds(timers[name])) for name in names})
    best = {name: [min(turn[name][i] for turn in turns) for i in range(2)] for name in names}
    return {name: {"c": from_c, "python": from_python} for name, (from_c, from_python) in best.items()}


def text(found: dict[str, dict[str, float]]) -> str:
    """A table, and what was promised."""
    rows = [[n, f"{t['c']:.1f}", f"{t['python']:.1f}", f"{t['python'] - t['c']:.1f}"] for n, t in found.items()]
    lines = aligned(["model", "C", "Python", "Python - C"], rows, left=1)
    worst = max(t["python"] - t["c"] for t in found.values())
    call = found[cstep.NOTHING]["c"] if cstep.NOTHING in found else None
    if call is not None:
        lines += ["", f"A call from C that has nothing to do: {call:.1f} ns (at most {C_CALL_NS})."]
    return "\n".join([*lines, f"A call from Python above that from C: {worst:.1f} ns (at most {PYTHON_NS})."])


def _timer(file: Path) -> timeit.Timer:
    model = lstm_rt.load(file)
    stream = model.stream()
    x = np.ones(tuple(dim or 1 for dim in model.inputs[0].shape or ()), np.float32)
    return timeit.Timer("step(x, out=y)", globals={"step": stream.step, "x": x, "y": stream.step(x)})


def _nanoseconds(timer: timeit.Timer) -> float:
    number = max(1, int(SAMPLE_S / (timer.timeit(1000) / 1000)))
    return float(np.median(timer.repeat(REPEATS, number))) / number * 1e9


if __name__ == "__main__":
    sys.exit(main())
