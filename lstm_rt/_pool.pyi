from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lstm_rt._stepper import Stepper
from lstm_rt.model import Model

_Array = npt.NDArray[Any]

class Pool(Stepper):
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

def open_pool(
    model: Model,
    handle: int,
    bindings: list[tuple[int, int]] | None,
    freeze: dict[int, np.ndarray[Any, Any]],
    capacity: int,
    threads: int,
) -> Pool: ...
