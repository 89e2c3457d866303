"""From scores per step to what was found, and how it compares with what is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_rt.cli.segments import segments
from lstm_rt.demo.signal import KINDS, STEP_SECONDS, Event

_TOLERANCE = (-0.1, 0.7)  # seconds from an event to the step that reports it


class Finding(NamedTuple):
    """An event as reported: when the score crossed the threshold, and its highest value."""

    kind: str
    seconds: float
    score: float


class Match(NamedTuple):
    """A finding and the event it is of; without one of them a false alarm or a miss."""

    finding: Finding | None
    event: Event | None


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
