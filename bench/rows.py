"""What results come to: each of our precisions beside the best peer and the limit, and the means of that."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .engines import ENGINES, Engine
from .precision import FLOAT32
from .run import Result


@dataclass(frozen=True)
class Row:
    """One workload in one of our precisions.

    Against float32, peers in float32 count; against a quantised model, whatever is quickest.
    """

    result: Result
    ours: Engine

    @property
    def name(self) -> str:
        return self.result.workload.name

    @property
    def us(self) -> float | None:
        return self.result.us(self.ours.name) if self.ours.name in self.result.timings else None

    @property
    def best_peer(self) -> str | None:
        timed = (ENGINES[name] for name in self.result.timings)
        peers = [e.name for e in timed if not e.ours and (self.ours.precision is not FLOAT32 or e.precision is FLOAT32)]
        return min(peers, key=self.result.us, default=None)

    @property
    def lead(self) -> float | None:
        """How many times longer the best peer takes."""
        return None if self.us is None or self.best_peer is None else self.result.us(self.best_peer) / self.us

    @property
    def limit_us(self) -> float | None:
        return self.result.limits_us.get(self.ours.precision.name)

    @property
    def share(self) -> float | None:
        """1 where lstm_rt is as fast as the machine can be."""
        return None if self.us is None or self.limit_us is None else self.limit_us / self.us

    @property
    def error(self) -> float | None:
        """Root mean square of our error over that of the answer."""
        return self.result.errors[self.ours.name].rms if self.us is not None else None

    @property
    def peer_error(self) -> float | None:
        """The same of the peer that quantises to int8, beside our quantised models."""
        quantised = [e for e in ENGINES.values() if not e.ours and e.precision is not FLOAT32]
        found = [self.result.errors[e.name].rms for e in quantised if e.name in self.result.errors]
        return min(found, default=None) if self.ours.precision is not FLOAT32 else None


def rows_of(results: Iterable[Result], engines: Sequence[str]) -> list[Row]:
    """All rows, one precision after the other; none for a precision that nothing was run in."""
    ours = [ENGINES[name] for name in engines if ENGINES[name].ours]
    results = list(results)
    return [Row(result, engine) for engine in ours for result in results]


@dataclass(frozen=True)
class Mean:
    """Geometric means over the sizes of one family of workloads in one precision; None where there is nothing."""

    precision: str
    family: str
    count: int
    lead: float | None
    share: float | None


def means(rows: Sequence[Row]) -> list[Mean]:
    """One for each of our precisions and each family (lstm/step), and one over all families ("all")."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for family_of in (lambda row: row.result.workload.family, lambda row: "all"):
        for row in rows:
            if row.us is not None:
                groups[row.ours.name, family_of(row)].append(row)
    return [
        Mean(name, family, len(group), geometric(r.lead for r in group), geometric(r.share for r in group))
        for (name, family), group in groups.items()
    ]


def geometric(values: Iterable[float | None]) -> float | None:
    """The geometric mean of those that are there."""
    logs = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None
