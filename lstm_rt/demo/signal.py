"""A made-up heart trace with known irregular beats: what the demo model was trained on and what the demo streams.

Everything follows from the seed. Samples are rounded as a 12-bit recorder would, so a last-bit difference in some
machine's ``exp`` does not reach the model. It looks like an ECG; it is none, and the model is no medical device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RATE = 250  # samples a second
FRAME = 5  # samples of one step of the model: 20 ms
STEP_SECONDS = FRAME / RATE
KINDS = ("early", "wide", "missing")
TEST_SEEDS = 10_000_000  # traces of this seed and above: never trained on, never used to choose how to train

_RESOLUTION = 0.005  # millivolts of one step of the recorder
_QUIET_START = 4.0  # seconds of regular rhythm before the first event
_QUIET_END = 3.0  # and behind the last
_NEXT_EVENT_BEATS = 3  # regular beats after each event, at least
_EVENT_SHARE = 0.18  # of the beats that may be one

Samples = NDArray[np.float32]


class Wave(NamedTuple):
    """One bump of a beat: its height in millivolts, and its place and width in seconds from the beat's main peak."""

    height: float
    place: float
    width: float


@dataclass(frozen=True)
class Event:
    """An irregular beat. A missing one stands where the beat was due."""

    kind: str
    seconds: float


@dataclass(frozen=True)
class Trace:
    """A signal and what is in it."""

    samples: Samples
    events: tuple[Event, ...]

    @property
    def seconds(self) -> float:
        """Length of the signal."""
        return len(self.samples) / RATE

    def frames(self) -> Samples:
        """Give the samples as the model takes them.

        Returns
        -------
        ndarray of float32, shape (1, T, 5)
            Batch, steps, samples of a step.
        """
        return self.samples.reshape(1, -1, FRAME)


def heart_trace(seed: int, seconds: float = 30.0) -> Trace:
    """Make one person's trace.

    Rate, beat shape, breathing, drift, mains hum and bursts of muscle noise differ from seed to seed. Three kinds of
    events are scattered over it: ``early``, a beat of the usual shape before its time; ``wide``, an early beat of an
    odd shape with a pause behind it; ``missing``, a beat left out. Shape tells only the second: the others are to be
    heard from the rhythm so far, which drifts.

    Parameters
    ----------
    seed : int
        The person. From `TEST_SEEDS` on, none the model was trained on.
    seconds : float
        Length; rounded to whole frames.

    Returns
    -------
    Trace
        Samples in millivolts at 250 a second, and the events in order of time.

    Examples
    --------
    >>> trace = heart_trace(seed=7, seconds=10)
    >>> trace.samples.shape, trace.frames().shape
    ((2500,), (1, 500, 5))
    """
    rng = np.random.default_rng(seed)
    count = round(seconds / STEP_SECONDS) * FRAME
    time = np.arange(count) / RATE
    beats, events = _rhythm(rng, count / RATE)
    signal = _beats_signal(rng, time, beats) * rng.uniform(0.7, 1.4) + _noise(rng, time)
    samples = (np.round(signal / _RESOLUTION) * _RESOLUTION).astype(np.float32)
    return Trace(samples, tuple(events))


def _rhythm(rng: np.random.Generator, seconds: float) -> tuple[list[Event], list[Event]]:
    """Give the beats that are there, regular ones too, and the events."""
    usual_interval = _pacemaker(rng)
    beats = [Event("regular", rng.uniform(0.1, 0.9))]
    events: list[Event] = []
    regular_beats, pause = 0, 1.0
    while beats[-1].seconds < seconds + 1:
        now = beats[-1].seconds
        due = usual_interval(now)
        kind, share, next_pause = "regular", pause, 1.0
        if regular_beats >= _NEXT_EVENT_BEATS and _QUIET_START < now < seconds - _QUIET_END:
            kind, share, next_pause = _draw_beat(rng)
        beats.append(Event("regular" if kind == "missing" else kind, now + share * due))
        if kind != "regular":
            events.append(Event(kind, now + due) if kind == "missing" else beats[-1])
        regular_beats = regular_beats + 1 if kind == "regular" else 0
        pause = next_pause
    return beats, events


def _pacemaker(rng: np.random.Generator) -> Callable[[float], float]:
    """Give the seconds from a beat to the next at a time: a mean, a slow drift, breathing and chance."""
    mean, phases = rng.uniform(0.65, 1.1), rng.uniform(0, 2 * np.pi, 2)
    periods = np.array([rng.uniform(15, 60), rng.uniform(3, 5)])
    depths = np.array([0.10, 0.04])

    def interval(now: float) -> float:
        swing = depths @ np.sin(2 * np.pi * now / periods + phases)
        return float(mean * (1 + swing + rng.normal(0, 0.015)))

    return interval


def _draw_beat(rng: np.random.Generator) -> tuple[str, float, float]:
    """Draw a beat: its kind, when it comes and how long the pause behind it is, both in usual intervals."""
    if rng.random() >= _EVENT_SHARE:
        return "regular", 1.0, 1.0
    kind = KINDS[rng.integers(len(KINDS))]
    if kind == "missing":
        return kind, rng.uniform(1.9, 2.1), 1.0
    share = rng.uniform(0.5, 0.72)
    return kind, share, rng.uniform(1.0, 1.2) if kind == "early" else 2 - share


def _beat_waves(rng: np.random.Generator) -> dict[str, list[Wave]]:
    """One person's beat of each kind."""

    def vary(height: float, place: float, width: float) -> Wave:
        return Wave(height * rng.uniform(0.7, 1.3), place * rng.uniform(0.9, 1.1), width * rng.uniform(0.85, 1.2))

    lead, dip, rebound = vary(0.13, -0.17, 0.022), vary(-0.12, -0.030, 0.009), vary(-0.22, 0.030, 0.011)
    peak, recovery = vary(1.1, 0.0, 0.011), vary(0.28, 0.25, 0.045)
    return {
        "regular": [lead, dip, peak, rebound, recovery],
        "early": [Wave(lead.height * rng.uniform(0.4, 0.9), -0.13, 0.018), dip, peak, rebound, recovery],
        "wide": [vary(1.2, 0.0, 0.038), vary(-0.55, 0.095, 0.045), vary(-0.35, 0.31, 0.06)],
    }


def _beats_signal(rng: np.random.Generator, time: NDArray[np.float64], beats: list[Event]) -> NDArray[np.float64]:
    waves = _beat_waves(rng)
    signal = np.zeros_like(time)
    for beat in beats:
        here = slice(*np.searchsorted(time, [beat.seconds - 0.5, beat.seconds + 0.7]))
        size = rng.normal(1, 0.04)
        for wave in waves[beat.kind]:
            offset = (time[here] - beat.seconds - wave.place) / wave.width
            signal[here] += size * wave.height * np.exp(-0.5 * offset * offset)
    return signal


def _noise(rng: np.random.Generator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wander of the baseline, mains hum, the recorder's own noise, and a burst of muscle noise now and then."""
    noise = rng.normal(0, rng.uniform(0.01, 0.03), len(time))
    for frequency, height in ((rng.uniform(0.15, 0.4), 0.15), (rng.uniform(0.03, 0.1), 0.15), (50.0, 0.02)):
        noise += rng.uniform(0, height) * np.sin(2 * np.pi * (frequency * time + rng.random()))
    for _ in range(rng.poisson(len(time) / RATE / 15)):
        start, length = rng.uniform(0, max(time[-1], 1.0)), rng.uniform(0.4, 1.5)
        burst = np.exp(-0.5 * ((time - start) / (length / 3)) ** 2)
        noise += burst * rng.normal(0, 0.15, len(time))
    return noise
