"""``python -m bench.pi``: how long a step should take on a Raspberry Pi. A model, not a measurement.

A step takes the longest of three times, as if they overlapped entirely: its instructions (counted under QEMU, see
bench.instructions --arm) at the rate that the core sustains, the vector operations of its multiply-adds at the rate
that its pipes take them, and its weights at the bandwidth of the cache or memory that holds them. What it leaves out
(a core and caches that slept, other work on the board, heat) makes a board slower.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from . import cstep
from .precision import PRECISIONS
from .report import aligned

COUNTS = Path(__file__).parent / "arm_instructions.json"
KIB = 1024
FOR_WEIGHTS = 0.75  # of a cache: states, inputs and the program are in it too


@dataclass(frozen=True)
class Level:
    """A cache, or memory: how much it holds, and bytes a second that one core reads."""

    name: str
    holds: float
    bytes_per_second: float


@dataclass(frozen=True)
class Board:
    name: str
    cpu: str  # whose instructions are counted
    hertz: float
    instructions: float  # a cycle, sustained
    vectors: float  # operations on 128 bits a cycle: multiply-adds of floats or bytes
    levels: tuple[Level, ...]


def board(
    name: str,
    cpu: str,
    ghz: float,
    instructions: float,
    vectors: float,
    caches: dict[str, tuple[int, float]],
    memory: float,
) -> Board:
    """A board of caches given as KiB and bytes a cycle, and of memory given in GB/s."""
    levels = [Level(cache, kib * KIB * FOR_WEIGHTS, rate * ghz * 1e9) for cache, (kib, rate) in caches.items()]
    return Board(name, cpu, ghz * 1e9, instructions, vectors, (*levels, Level("memory", float("inf"), memory * 1e9)))


# Where each number is from: docs/arm.md. The A72 runs the instructions of the A53: both have plain NEON.
A53 = {"L1": (32, 8.0), "L2": (512, 4.0)}
A72 = {"L1": (32, 16.0), "L2": (1024, 8.0)}
A76 = {"L1": (64, 32.0), "L2": (512, 16.0), "L3": (2048, 8.0)}
BOARDS = (
    board("Pi 3", "cortex-a53", 1.2, 2 / 3, 1.0, A53, 2.0),
    board("Pi 3+", "cortex-a53", 1.4, 2 / 3, 1.0, A53, 2.0),
    board("Pi 4", "cortex-a53", 1.5, 2.0, 1.0, A72, 4.0),
    board("Pi 4 at 1.8 GHz", "cortex-a53", 1.8, 2.0, 1.0, A72, 4.0),
    board("Pi 5", "cortex-a76", 2.4, 3.0, 2.0, A76, 9.1),
)
# Vector operations for 16 multiply-adds: of floats 4 fmla; of bytes smull, smull2, addp and sadalp, or one sdot.
OPERATIONS = {"arm64_neon": {"float32": 4, "int8": 4}, "arm64_dotprod": {"float32": 4, "int8": 1}}


class Expected(NamedTuple):
    """Seconds of one step, and what bounds it."""

    seconds: float
    bound: str


def expected(at: Board, name: str, precision: str, isa: str, instructions: float) -> Expected:
    """What a step of a model of cstep's should take on a board."""
    multiply_adds = cstep.multiply_adds(name)
    kind = PRECISIONS[precision]
    weights = multiply_adds * kind.bits / 8
    level = next(level for level in at.levels if weights <= level.holds)
    operations = multiply_adds / 16 * OPERATIONS[isa][kind.unit] * kind.products
    return max(
        Expected(instructions / at.instructions / at.hertz, "instructions"),
        Expected(operations / at.vectors / at.hertz, "multiply-adds"),
        Expected(weights / level.bytes_per_second, level.name),
    )


def table(counts: Sequence[dict[str, Any]]) -> str:
    """Microseconds of every model and precision on every board, and what bounds it."""
    by_place = {(count["cpu"], count["precision"]): count for count in counts}
    precisions = dict.fromkeys(count["precision"] for count in counts)
    layers = [name for name in counts[0]["instructions"] if name != cstep.NOTHING]
    rows = []
    for name, precision in itertools.product(layers, precisions):
        here = [(at, by_place[at.cpu, precision]) for at in BOARDS]
        found = [expected(at, name, precision, c["isa"], c["instructions"][name]) for at, c in here]
        rows.append([name, precision, *(f"{each.seconds * 1e6:.1f} {each.bound}" for each in found)])
    return "\n".join(aligned(["model", "precision", *(f"{at.name}, µs" for at in BOARDS)], rows, left=2))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.pi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=Path, default=COUNTS, help="written by bench.instructions --arm --json")
    options = parser.parse_args(arguments)
    print("A MODEL, NOT A MEASUREMENT: microseconds of one step, and what bounds it\n")
    print(table(json.loads(options.counts.read_text())["arm"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
