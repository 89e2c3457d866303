"""What every engine gives: a call that can be timed, on the very path whose answers are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..workloads.workload import Array


class CannotError(Exception):
    """The engine cannot run this case; the message says why in a few words."""


@dataclass
class Session:
    """A case made ready in one engine.

    One call takes its input from `frame`, a NumPy array that the caller may change between calls, carries the state on,
    and leaves its output where `output` finds it as a NumPy array without further work.
    """

    frame: Array
    call: Callable[[], object]
    output: Callable[[], Array]
    reset: Callable[[], None]  # state back to zeros

    def answer(self, frames: Array) -> Array:
        """The outputs for frames given one after the other, from a zero state."""
        self.reset()
        return np.stack([self._one(frame) for frame in frames])

    def _one(self, frame: Array) -> Array:
        self.frame[...] = frame
        self.call()
        return np.array(self.output())


def nothing() -> None:
    """The reset of a session without state."""
