"""``python -m bench.compare old.json new.json``, and ``--compare``: what changed between two runs beyond their noise.

A machine runs at another pace every hour, a quarter slower where neighbours are busy. The other engines, timed in turns
with ours, show it: what their times changed by on a workload (geometric mean over those in both files) is taken off
ours. What is left is a change where it is more than the noises of both runs together, the noise of a timing being the
interquartile range of the medians of its rounds, and where median and fastest sample both moved by more than 3%.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .engines import OURS
from .report import aligned, microseconds
from .rows import geometric

LEAST = 0.03
REGRESSED = 3  # exit code


@dataclass(frozen=True)
class Change:
    """One of our engines on one workload, before and after, in microseconds.

    `pace` is what the peers' times changed by meanwhile, 1 where there are none; `fastest` what our fastest sample
    changed by, after that of the peers.
    """

    workload: str
    engine: str
    old: float
    new: float
    noise: float
    pace: float
    fastest: float

    @property
    def ratio(self) -> float:
        """How many times as long, the pace of the machine taken off."""
        return self.new / (self.old * self.pace)

    @property
    def verdict(self) -> str:
        """``slower``, ``faster``, or nothing where it is within the noise."""
        if abs(self.new - self.old * self.pace) <= self.noise:
            return ""
        if min(self.ratio, self.fastest) > 1 + LEAST:
            return "slower"
        return "faster" if max(self.ratio, self.fastest) < 1 - LEAST else ""


class CompareError(Exception):
    """The files cannot be compared; the message says why."""


def read(path: str) -> dict[str, Any]:
    """Read what --json wrote."""
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise CompareError(f"{path}: {error}") from error
    if not isinstance(found, dict) or "results" not in found:
        raise CompareError(f"{path}: was not written by python -m bench --json")
    return found


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Ours, on every workload that is in both."""
    before, after = _timings(old), _timings(new)
    return [
        _change(workload, engine, before[workload], engines)
        for workload, engines in after.items()
        for engine in engines
        if engine.startswith(OURS) and engine in before.get(workload, {})
    ]


def _timings(found: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    timings = {result["workload"]: result["timings_us"] for result in found["results"]}
    if any("spread" not in timing for engines in timings.values() for timing in engines.values()):
        raise CompareError("a file is of an older python -m bench, which kept no noise: measure it again")
    return timings


def _change(
    workload: str, engine: str, before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]
) -> Change:
    def pace(statistic: str) -> float:
        peers = [name for name in after if name in before and not name.startswith(OURS)]
        return geometric(after[name][statistic] / before[name][statistic] for name in peers) or 1.0

    old, new = before[engine], after[engine]
    fastest = new["fastest"] / old["fastest"] / pace("fastest")
    noise = old["spread"] * pace("median") + new["spread"]
    return Change(workload, engine, old["median"], new["median"], noise, pace("median"), fastest)


def text(found: Sequence[Change], old: dict[str, Any], new: dict[str, Any]) -> str:
    """A table of our changes, and the sum of it."""
    header = ["workload", "engine", "old µs", "new µs", "peers", "change", "noise", "of fastest", ""]
    lines = aligned(header, [_cells(change) for change in found])
    if old["machine"].get("cpu") != new["machine"].get("cpu"):
        lines += ["", f"Two machines: {old['machine'].get('cpu')}; {new['machine'].get('cpu')}."]
    count = {verdict: sum(change.verdict == verdict for change in found) for verdict in ("slower", "faster", "")}
    lines += ["", "change, noise and of fastest: after the peers' own change was taken off."]
    lines += [f"{count['slower']} slower, {count['faster']} faster, {count['']} within the noise."]
    return "\n".join(lines)


def regressed(found: Sequence[Change]) -> bool:
    """Whether one of ours got slower beyond the noise."""
    return any(change.verdict == "slower" for change in found)


def _cells(change: Change) -> list[str]:
    return [
        change.workload,
        change.engine,
        microseconds(change.old),
        microseconds(change.new),
        f"{change.pace - 1:+.1%}",
        f"{change.ratio - 1:+.1%}",
        f"±{change.noise / (change.old * change.pace):.1%}",
        f"{change.fastest - 1:+.1%}",
        change.verdict,
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description=__doc__,
        epilog=f"exit codes: 0 nothing slower; {REGRESSED} slower beyond the noise; 2 the files cannot be compared",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", help="written by python -m bench --json")
    parser.add_argument("new", help="likewise, later")
    options = parser.parse_args(arguments)
    try:
        old, new = read(options.old), read(options.new)
        found = changes(old, new)
    except CompareError as error:
        parser.error(str(error))
    print(text(found, old, new))
    return REGRESSED if regressed(found) else 0


if __name__ == "__main__":
    sys.exit(main())
