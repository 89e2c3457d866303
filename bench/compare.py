"""``python -m bench.compare old.json new.json``, and ``--compare``: what changed between two runs beyond their noise.

The noise of a timing is the interquartile range of the medians of its rounds. A workload got slower, or faster, where
its median moved by more than the noises of both runs together, and both its median and its fastest sample by more than
3%. Rounds of one run lie seconds apart and know nothing of what differs between hours: busy neighbours move a median for
minutes, but hardly the fastest of thousands of samples; other code moves both.
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
    """One engine on one workload, before and after; microseconds."""

    workload: str
    engine: str
    old: float
    new: float
    noise: float
    fastest_ratio: float  # of the fastest samples

    @property
    def ratio(self) -> float:
        return self.new / self.old

    @property
    def verdict(self) -> str:
        """``slower``, ``faster``, or nothing where it is within the noise."""
        if abs(self.new - self.old) <= self.noise:
            return ""
        if min(self.ratio, self.fastest_ratio) > 1 + LEAST:
            return "slower"
        return "faster" if max(self.ratio, self.fastest_ratio) < 1 - LEAST else ""


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
    """Every engine and workload that is in both."""
    before, after = _timings(old), _timings(new)
    return [_change(key, before[key], timing) for key, timing in after.items() if key in before]


def _change(key: tuple[str, str], old: dict[str, float], new: dict[str, float]) -> Change:
    noise = old["spread"] + new["spread"]
    return Change(*key, old["median"], new["median"], noise, new["fastest"] / old["fastest"])


def _timings(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, float]]:
    timings = {(r["workload"], e): t for r in found["results"] for e, t in r["timings_us"].items()}
    if any("spread" not in timing for timing in timings.values()):
        raise CompareError("a file is of an older python -m bench, which kept no noise: measure it again")
    return timings


def is_ours(change: Change) -> bool:
    return change.engine.startswith(OURS)


def text(found: Sequence[Change], old: dict[str, Any], new: dict[str, Any]) -> str:
    """A table of our changes, what the peers say of the machine, and the sum of it."""
    ours = [change for change in found if is_ours(change)]
    header = ["workload", "engine", "old µs", "new µs", "change", "noise", "of fastest", ""]
    lines = aligned(header, [_cells(change) for change in ours])
    drift = geometric(change.ratio for change in found if not is_ours(change))
    if drift is not None:
        lines += ["", f"The peers' times changed by {drift - 1:+.1%} (geometric mean): the machine's own drift."]
    if old["machine"].get("cpu") != new["machine"].get("cpu"):
        lines += ["", f"Two machines: {old['machine'].get('cpu')}; {new['machine'].get('cpu')}."]
    count = {verdict: sum(change.verdict == verdict for change in ours) for verdict in ("slower", "faster", "")}
    lines += ["", f"{count['slower']} slower, {count['faster']} faster, {count['']} within the noise."]
    return "\n".join(lines)


def regressed(found: Sequence[Change]) -> bool:
    """Whether one of ours got slower beyond the noise."""
    return any(is_ours(change) and change.verdict == "slower" for change in found)


def _cells(change: Change) -> list[str]:
    return [
        change.workload,
        change.engine,
        microseconds(change.old),
        microseconds(change.new),
        f"{change.ratio - 1:+.1%}",
        f"±{change.noise / change.old:.1%}",
        f"{change.fastest_ratio - 1:+.1%}",
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
