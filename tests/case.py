"""One case of an operation, and the arrays that cases are made of."""

from __future__ import annotations

import dataclasses
from typing import Any

import models
import numpy as np
import onnx
from models import Array, Feeds

EPSILON = 2.0**-24  # of float32, rounding to nearest


@dataclasses.dataclass
class Case:
    name: str
    op: str
    inputs: Feeds
    expected: list[Array]
    weights: Feeds = dataclasses.field(default_factory=dict)
    order: list[str] | None = None  # the node's inputs, where not the inputs and then the weights
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    opset: int = models.OPSET
    tolerance: Any = 0.0  # 0: exactly; else absolute, a number or one for each element
    onnxruntime: bool = True  # whether onnxruntime is to give the same

    def __post_init__(self) -> None:
        # NumPy makes numbers of arrays without dims.
        self.inputs = {name: np.asarray(a) for name, a in self.inputs.items()}
        self.weights = {name: np.asarray(a) for name, a in self.weights.items()}
        self.expected = [np.asarray(a) for a in self.expected]

    @property
    def outputs(self) -> Feeds:
        return {f"y{n}": a for n, a in enumerate(self.expected)}

    def model(self) -> onnx.ModelProto:
        return models.single_op(
            self.op,
            self.inputs,
            weights=self.weights,
            order=self.order,
            outputs=self.outputs,
            opset=self.opset,
            **self.attributes,
        )


def floats(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(np.float32)


def integers(seed: int, dtype: Any, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(-50, 50, shape).astype(dtype)


def i64(*values: int) -> Array:
    return np.array(values, np.int64)
