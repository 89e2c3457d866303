"""From scores per step to what was found, and how it compares with what is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_rt.demo.signal import KINDS, STEP_SECONDS, Event

_TOLERANCE = (-0.1, 0.7)  # seconds from an event to the step that reports it


class Segment(NamedTuple):
    """Steps ``first`` to ``last - 1``, and the highest score among them."""

    first: int
    last: int
    peak: float


class Finding(NamedTuple):
    """An event as reported: when the score crossed the threshold, and its highest value."""

    kind: str
    seconds: float
    score: float


class Match(NamedTuple):
    """A finding and the event it is of; without one of them a false alarm or a miss."""

    finding: Finding | None
    event: Event | None


def segments(
    scores: NDArray[np.float32], on: float = 0.5, off: float = 0.35, shortest: int = 1, widest_gap: int = 0
) -> list[Segment]:
    """Find where a score is high: from reaching `on` until it falls below `off`.

    Parameters
    ----------
    scores : ndarray, shape (T,)
        One score per step.
    on, off : float
        The two thresholds.
    shortest : int
        Segments of fewer steps are left out.
    widest_gap : int
        Gaps of up to this many steps are closed.

    Returns
    -------
    list of Segment
        In order of time.

    Examples
    --------
    >>> segments(np.array([0.1, 0.7, 0.4, 0.9, 0.2], np.float32))
    [Segment(first=1, last=4, peak=0.9)]
    """
    spans: list[tuple[int, int]] = []
    start = None
    for step, score in enumerate(np.append(scores, -np.inf)):
        if start is None and score >= on:
            start = step
        elif start is not None and score < off:
            joins = spans and start - spans[-1][1] <= widest_gap
            spans.append((spans.pop()[0] if joins else start, step))
            start = None
    return [
        Segment(first, last, round(float(scores[first:last].max()), 6))
        for first, last in spans
        if last - first >= shortest
    ]


def findings(scores: NDArray[np.float32]) -> list[Finding]:
    """Read the demo model's scores.

    Parameters
    ----------
    scores : ndarray, shape (T, 3)
        One column per kind of event.

    Returns
    -------
    list of Finding
        In order of time.
    """
    found = [
        Finding(kind, (segment.first + 1) * STEP_SECONDS, segment.peak)
        for kind, column in zip(KINDS, scores.T)
        for segment in segments(column, shortest=2, widest_gap=10)
    ]
    return sorted(found, key=lambda finding: finding.seconds)


def match(found: list[Finding], events: tuple[Event, ...]) -> list[Match]:
    """Pair findings with events of the same kind.

    Parameters
    ----------
    found : list of Finding
        What was reported.
    events : tuple of Event
        What is there.

    Returns
    -------
    list of Match
        Each finding and each event once, in order of time.
    """
    early, late = _TOLERANCE
    left = list(found)
    matches = []
    for event in events:
        hits = [f for f in left if f.kind == event.kind and early <= f.seconds - event.seconds <= late]
        matches.append(Match(hits[0] if hits else None, event))
        if hits:
            left.remove(hits[0])
    matches += [Match(finding, None) for finding in left]
    return sorted(matches, key=lambda pair: (pair.event or pair.finding).seconds)  # type: ignore[union-attr]
