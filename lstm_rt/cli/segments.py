"""Where a score is high: one detector, fed score by score as they come, or with all of them at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Segment(NamedTuple):
    """Steps ``first`` to ``last - 1``, and the highest score among them."""

    first: int
    last: int
    peak: float


class Change(NamedTuple):
    """A segment began or ended at this step."""

    event: str  # start, end
    step: int


class Detector:
    """Finds segments in scores that come one by one.

    A segment begins where a score reaches `on` and ends where one falls below `off`.

    Parameters
    ----------
    on, off : float
        The two thresholds.
    shortest : int
        Segments of fewer steps are left out: a start is reported once it has lasted so long.
    widest_gap : int
        Gaps of up to this many steps are closed: an end is reported once a gap is wider.
    """

    def __init__(self, on: float = 0.5, off: float = 0.35, shortest: int = 1, widest_gap: int = 0) -> None:
        self._on, self._off, self._shortest, self._widest_gap = on, off, shortest, widest_gap
        self._step = 0  # of the next score
        self._first: int | None = None  # of the segment under way
        self._last: int | None = None  # where it ends, unless the gap closes
        self._reported = False

    def push(self, score: float) -> Change | None:
        """Take the score of the next step; what is known since."""
        step, self._step = self._step, self._step + 1
        if score >= self._on:
            self._first = step if self._first is None else self._first
            self._last = None
        elif self._first is not None and self._last is None and not score >= self._off:  # not-a-number ends it too
            self._last = step
        if self._first is None:
            return None
        if self._last is not None:
            return self._end() if self._step - self._last > self._widest_gap else None
        if self._reported or self._step - self._first < self._shortest:
            return None
        self._reported = True
        return Change("start", self._first)

    def finish(self) -> Change | None:
        """Report the end of the segment under way, there being no more scores."""
        return None if self._first is None else self._end()

    def _end(self) -> Change | None:
        end = Change("end", self._step if self._last is None else self._last) if self._reported else None
        self._first, self._last, self._reported = None, None, False
        return end


def segments(
    scores: NDArray[np.float32], on: float = 0.5, off: float = 0.35, shortest: int = 1, widest_gap: int = 0
) -> list[Segment]:
    """Find where a score is high: from reaching `on` until it falls below `off`.

    Parameters
    ----------
    scores : ndarray, shape (T,)
        One score per step.
    on, off, shortest, widest_gap
        As for `Detector`.

    Returns
    -------
    list of Segment
        In order of time.

    Examples
    --------
    >>> segments(np.array([0.1, 0.7, 0.4, 0.9, 0.2], np.float32))
    [Segment(first=1, last=4, peak=0.9)]
    """
    detector = Detector(on, off, shortest, widest_gap)
    changes = [detector.push(float(score)) for score in scores]
    steps = [change.step for change in (*changes, detector.finish()) if change]
    spans = zip(steps[::2], steps[1::2])
    return [Segment(first, last, round(float(scores[first:last].max()), 6)) for first, last in spans]
