"""``python -m bench.latency``: how long the slowest steps take, alone and with the other cores busy.

Ten million steps of each model are timed one by one from C (cpp/latency.cpp), on one core, with memory locked where the
system allows it. Percentiles tell more than a mean: of frames that come every 10 ms, one in ten thousand (p99.99) comes
every 100 seconds. The step itself always does the same, so what is far above the median is the machine: interrupts, the
scheduler, a neighbour's memory traffic. Under load, every other core copies memory that fits no cache.

  python -m bench.latency                                   LSTM of 128 units and GRU of 64, ten million steps each
  python -m bench.latency --fifo                            as a real-time thread (root, or CAP_SYS_NICE)
  python -m bench.latency --models lstm/256 --quantize int8 --json a.json --plot a.png
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import lstm_rt

from . import cstep, machine
from .compiled import CompileError, compiled
from .measure import pin
from .report import aligned

SOURCE = Path(__file__).parent / "cpp" / "latency.cpp"
STEPS = 10_000_000
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "p99.99": 99.99, "max": 100.0}
LOADS = ("alone", "loaded")
# What keeps a core, and the memory, busy until it is killed.
_BURN = """
import os, sys, numpy
os.sched_setaffinity(0, {int(sys.argv[1])})
a = numpy.ones(8 << 20)
b = a.copy()
print(flush=True)
while True:
    b[:] = a
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="lstm/128,gru/64", metavar="CELL/N,…", help="lstm/128,gru/64")
    parser.add_argument("--quantize", metavar="NAME", help="precision of the models; float32 if left out")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"timed of each; {STEPS:,}")
    parser.add_argument("--core", type=int, metavar="N", help="core to run on; by default the last one allowed")
    parser.add_argument("--fifo", action="store_true", help="under SCHED_FIFO, which only an interrupt comes before")
    parser.add_argument("--json", metavar="FILE", help="write the numbers")
    parser.add_argument("--plot", metavar="FILE", help="draw which part of the steps took longer than a time")
    options = parser.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        parser.error("only Linux keeps a process on a core of choice, and tells how to lock its memory")
    if options.steps < 1:
        parser.error("--steps must be at least 1")
    cores = sorted(os.sched_getaffinity(0))
    core = pin(options.core)
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = cstep.write_models(folder, options.models.split(","), options.quantize)
            others = [other for other in cores if other != core]
            taken = {name: _both(file, options, others) for name, file in files.items()}
    except (CompileError, PermissionError) as error:
        print(error, file=sys.stderr)
        return 1
    found = {name: {load: _summary(*times) for load, times in loads.items()} for name, loads in taken.items()}
    print(f"{machine.cpu()}, {lstm_rt.isa()}, core {core}{', SCHED_FIFO' if options.fifo else ''}")
    print(f"microseconds of each of {options.steps:,} steps\n\n{text(found)}")
    if options.json:
        facts = {"isa": lstm_rt.isa(), "machine": machine.describe([], core), "steps": options.steps}
        facts |= {"fifo": options.fifo, "quantize": options.quantize, "latency": found}
        Path(options.json).write_text(json.dumps(facts, indent=1) + "\n")
    if options.plot:
        draw(options.plot, {f"{n}, {load}": t[0] for n, loads in taken.items() for load, t in loads.items()})
    return 0


def text(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """A table, a line for each model and load."""
    rows = [
        [name, load, *(f"{summary[percentile]:.2f}" for percentile in PERCENTILES)]
        for name, loads in found.items()
        for load, summary in loads.items()
    ]
    clock = max(summary["clock"] for loads in found.values() for summary in loads.values())
    lines = aligned(["model", "other cores", *PERCENTILES], rows, left=2)
    return "\n".join([*lines, "", f"Reading the clock is up to {clock * 1000:.0f} ns of each time."])


def _both(file: Path, options: Any, others: Sequence[int]) -> dict[str, tuple[Any, float]]:
    """Times of steps in microseconds, and what reading the clock adds, alone and under load."""
    found = {"alone": _times(file, options.steps, options.fifo)}
    if not others:
        print("there is no other core to load", file=sys.stderr)
        return found
    with _load(others):
        found["loaded"] = _times(file, options.steps, options.fifo)
    return found


def _times(file: Path, steps: int, fifo: bool) -> tuple[Any, float]:
    library = lstm_rt.get_library_dir()
    flags = ("-I", lstm_rt.get_include(), "-L", library, "-llstm_rt", f"-Wl,-rpath,{library},-z,now")
    program = compiled(SOURCE, ("g++", "-std=c++17", "-O2", *flags))
    times = file.with_suffix(".times")
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    if fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))  # which a child has too
    try:
        command = [str(program), str(steps), str(times), str(file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        os.sched_setscheduler(0, *before)
    return np.fromfile(times, np.uint32) / 1e3, float(done.stdout) / 1e3


def _summary(times: Any, clock: float) -> dict[str, float]:
    values = np.percentile(times, list(PERCENTILES.values()), method="higher")
    return {**{name: float(value) for name, value in zip(PERCENTILES, values)}, "clock": clock}


@contextmanager
def _load(cores: Sequence[int]) -> Iterator[None]:
    """Keep cores and the memory busy."""
    burners = []
    try:
        for core in cores:
            burner = subprocess.Popen([sys.executable, "-c", _BURN, str(core)], stdout=subprocess.PIPE)
            burners.append(burner)
        for burner in burners:
            assert burner.stdout
            burner.stdout.readline()  # it has begun
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.communicate()


def draw(file: str, times: dict[str, Any]) -> None:
    """Of every curve: which part of the steps took longer."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 5), dpi=125, layout="constrained")
    for name, values in times.items():
        longest_first = np.sort(values)[::-1]
        ranks = np.unique(np.geomspace(1, len(values), 400).astype(np.int64))
        axes.plot(longest_first[ranks - 1], ranks / len(values), label=name, drawstyle="steps-post")
    axes.set(xscale="log", yscale="log", xlabel="microseconds", ylabel="part of the steps that took as long, or longer")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    try:
        figure.savefig(file)
    finally:
        pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
