"""What a workload is: a model, the frames it is fed, the state it carries and what a call must cost at least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Union

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ASKED_FOR = ("gru0",)


@dataclass(frozen=True)
class Dense:
    """y = activation(x W + b); W is [I, H]; activation is None, "Relu" or "Sigmoid"."""

    W: Array
    b: Array
    activation: str | None = None


@dataclass(frozen=True)
class Recurrent:
    """A forward LSTM or GRU in ONNX's layout and gate order.

    linear_before_reset is the GRU's: the reset gate scales the recurrent product, as in torch and Keras, or the state
    before it. W is [G*H, I], R [G*H, H], b [2*G*H]; gates are i, o, f, c for LSTM and z, r, h for GRU.
    """

    cell: str
    W: Array
    R: Array
    b: Array
    linear_before_reset: bool = True

    @property
    def inputs(self) -> int:
        return int(self.W.shape[1])

    @property
    def hidden(self) -> int:
        return int(self.R.shape[1])

    @property
    def gates(self) -> int:
        return len(self.R) // self.hidden


Layer = Union[Dense, Recurrent]


@dataclass(frozen=True)
class State:
    """An input that a step takes from the step before, and the output it is taken from. It starts as zeros."""

    input: str
    output: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """The least a call can do: multiply-adds, and bytes of weights read from a working set of `footprint` bytes."""

    macs: float
    bytes: float
    footprint: float


@dataclass(frozen=True)
class Case:
    """A workload ready to run: one call takes a frame, and the state where there is one, and gives one output."""

    onnx: bytes
    frames: Array  # [frames, *shape of one call's input]
    output_shape: tuple[int, ...]
    cost: Cost
    input: str = "x"
    output: str = "y"
    batch: int = 1
    state: tuple[State, ...] = ()
    fixed: Mapping[str, Array] = field(default_factory=dict)  # inputs that never change, such as a sample rate
    layers: tuple[Layer, ...] = ()  # the same model, for engines that do not read ONNX; frames are [T, B, I]
    stateless_onnx: bytes | None = None  # the same model without its initial states, for engines that keep state
    pool_onnx: bytes | None = None  # the same model for any batch, where the batch is streams that come and go
    static_onnx: bytes | None = None  # the same model without control flow or fixed inputs
    torchscript: Path | None = None  # the same model; it keeps its state, and the first `context` samples
    context: int = 0

    @property
    def static(self) -> Case:
        """This case with the model that has no control flow, where there is one."""
        return replace(self, onnx=self.static_onnx, fixed={}) if self.static_onnx else self


@dataclass(frozen=True)
class Workload:
    """A named case, made when it is needed. Those that are `quick` are run by --quick too.

    Names are ``cell/shape/size`` or ``model/shape``. Families whose cell is in ASKED_FOR are run only where named.
    """

    name: str
    what: str
    make: Callable[[], Case]
    quick: bool = True

    @property
    def asked_for(self) -> bool:
        return self.name.split("/")[0] in ASKED_FOR

    @property
    def family(self) -> str:
        """What means are taken over: lstm/step of lstm/step/128."""
        return "/".join(self.name.split("/")[:2])


def random_frames(count: int, *shape: int) -> Array:
    """Frames as a trained net sees them: zero mean, unit variance; the same on every run."""
    return np.random.default_rng(7).standard_normal((count, *shape), dtype=np.float32)
