from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lstm_rt.model import Model

_Array = npt.NDArray[Any]

class _Stepper:
    @property
    def model(self) -> Model: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...

class Stream(_Stepper):
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

class Pool(_Stepper):
    def __len__(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    def open(self) -> int: ...
    def close(self, id: int) -> None: ...
    def reset(self, id: int) -> None: ...
    def step(
        self,
        ids: Sequence[int] | npt.NDArray[np.integer[Any]],
        frames: npt.ArrayLike | tuple[npt.ArrayLike, ...],
        *more: npt.ArrayLike,
        out: _Array | tuple[_Array, ...] | None = None,
    ) -> Any: ...
    def state(self, id: int) -> dict[str, _Array]: ...
    def set_state(self, id: int, values: Mapping[str, npt.ArrayLike]) -> None: ...

def open_stream(
    model: Model,
    handle: int,
    bindings: list[tuple[int, int]] | None,
    freeze: dict[int, np.ndarray[Any, Any]],
    batch: int,
    threads: int,
) -> Stream: ...
def open_pool(
    model: Model,
    handle: int,
    bindings: list[tuple[int, int]] | None,
    freeze: dict[int, np.ndarray[Any, Any]],
    capacity: int,
    threads: int,
) -> Pool: ...
