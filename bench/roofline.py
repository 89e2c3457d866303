"""``python -m bench.roofline``: the two limits of one core by themselves, for people, as JSON and as a picture."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import limits, machine
from .measure import pin
from .precision import PRECISIONS

KIB = 1024
FOOTPRINTS = tuple(KIB << power for power in range(5, 17))  # 32 KiB to 64 MiB
MIDDLE = 512 * KIB  # the working set of the picture of roofs: a layer of 128 to 256 units


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__)
    parser.add_argument("--core", type=int, metavar="N", help="core to run on; by default the last one allowed")
    parser.add_argument("--json", metavar="FILE", help="write the numbers; - is standard output")
    parser.add_argument("--plot", metavar="FILE.png", help="draw them (needs matplotlib)")
    options = parser.parse_args(arguments)
    core = pin(options.core)
    try:
        found = measure()
    except limits.LimitsError as error:
        print(error, file=sys.stderr)
        return 1
    document = {"cpu": machine.cpu(), "core": core, **found}
    if options.json != "-":
        print(f"{document['cpu']}, core {core}\n\n{text(found)}")
    if options.json:
        written = json.dumps(document, indent=1) + "\n"
        sys.stdout.write(written) if options.json == "-" else Path(options.json).write_text(written)
    if options.plot:
        plot(options.plot, document)
    return 0


def measure() -> dict[str, Any]:
    """Bandwidth by footprint, and the peak of each precision."""
    reads = {size: limits.bandwidth(size) for size in FOOTPRINTS}
    peaks = {name: limits.multiply_adds(p.unit) / p.products for name, p in PRECISIONS.items()}
    return {
        "read_bytes_per_second": {str(size): rate for size, rate in reads.items()},
        "multiply_adds_per_second": peaks,
        "int8_instruction": limits.int8_instruction(),
    }


def text(found: dict[str, Any]) -> str:
    """Two small tables."""
    lines = ["footprint   read GB/s"]
    lines += [f"{size_text(int(s)):>9} {rate / 1e9:>11.1f}" for s, rate in found["read_bytes_per_second"].items()]
    lines += ["", "precision   GMAC/s"]
    lines += [f"{name:<9} {rate / 1e9:>8.0f}" for name, rate in found["multiply_adds_per_second"].items()]
    return "\n".join([*lines, "", f"int8 by {found['int8_instruction'] or 'float32: no instruction of its own'}"])


def size_text(size: int) -> str:
    return f"{size // KIB} KiB" if size < KIB * KIB else f"{size // KIB // KIB} MiB"


def plot(path: str, found: dict[str, Any]) -> None:
    """Two pictures side by side: bandwidth by footprint, and the roof of each precision over batch size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    reads = {int(size): rate for size, rate in found["read_bytes_per_second"].items()}
    left.plot(list(reads), [rate / 1e9 for rate in reads.values()], "o-")
    left.set_xscale("log", base=2)
    marks = list(reads)[::2]
    left.set_xticks(marks, [size_text(size) for size in marks], rotation=30)
    left.set(title="one core reading over and over", xlabel="working set", ylabel="GB/s", ylim=(0, None))
    left.grid(alpha=0.3)
    rate = reads[MIDDLE]
    batches = [2**power for power in range(11)]
    for name, peak in found["multiply_adds_per_second"].items():
        # A weight that is read once is multiplied once for each stream of a batch.
        weights = rate / (PRECISIONS[name].bits / 8)
        right.plot(batches, [min(peak, batch * weights) / 1e9 for batch in batches], ".-", label=name)
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    right.set(title=f"the roof, weights of {size_text(MIDDLE)}", xlabel="streams in a batch", ylabel="GMAC/s at most")
    right.grid(alpha=0.3)
    right.legend(frameon=False)
    figure.suptitle(found["cpu"])
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
