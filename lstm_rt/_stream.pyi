from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lstm_rt._stepper import Stepper
from lstm_rt.model import Model

_Array = npt.NDArray[Any]

class Stream(Stepper):
    @property
    def time_axes(self) -> tuple[int | None, ...]: ...
    def step(
        self, frame: npt.ArrayLike, *more: npt.ArrayLike, out: _Array | tuple[_Array, ...] | None = None
    ) -> Any: ...
    def reset(self) -> None: ...
    @property
    def state(self) -> dict[str, _Array]: ...
    @state.setter
    def state(self, values: Mapping[str, npt.ArrayLike]) -> None: ...
    def clone(self) -> Stream: ...

def open_stream(
    model: Model,
    handle: int,
    bindings: list[tuple[int, int]] | None,
    freeze: dict[int, np.ndarray[Any, Any]],
    batch: int,
    threads: int,
    strict: bool,
    context: int,
    frame: int,
) -> Stream: ...
