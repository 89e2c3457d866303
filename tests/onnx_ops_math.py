"""Elementwise functions, comparisons, reductions, softmax and norms, in old forms and new: models of one node."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import onnx
from onnx_of_gguf import Array, floats, one_node

X = floats(2, 3, 4)
UNIT = np.tanh(X)
WHOLE = np.arange(-12, 12).reshape(2, 3, 4)
BYTES = (WHOLE + 12).astype(np.uint8)
FLAGS = X > 0

_Op = tuple[str, Callable[[], onnx.ModelProto], Array]


def op(name: str, x: Array, *extra: Array, **attributes: Any) -> _Op:
    """A case; the words of its name after the first only tell it from others."""
    return name, lambda: one_node(name.split()[0], x, *extra, **attributes), x


def axes(*items: int) -> Array:
    return np.array(items, np.int64)


_FUNCTIONS = ("Abs", "Ceil", "Exp", "Floor", "Neg", "Reciprocal", "Softplus", "Softsign", "Elu", "LeakyRelu", "Selu")
_NEWER = {"Celu": 12, "Cosh": 9, "Erf": 9, "HardSwish": 14, "Mish": 18, "Round": 11, "Shrink": 9, "Sign": 9, "Sinh": 9}
_TURNS = {"Acos": 7, "Asin": 7, "Asinh": 9, "Atan": 7, "Atanh": 9, "Cos": 7, "Sin": 7, "Tan": 7, "ThresholdedRelu": 10}
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Min", "Prod", "Sum", "SumSquare")
_NUMBERS: dict[str, dict[str, float]] = {
    "Celu": {"alpha": 0.5},
    "Elu": {"alpha": 0.5},
    "LeakyRelu": {"alpha": 0.5},
    "Selu": {"alpha": 1.5, "gamma": 0.5},
    "Shrink": {"bias": 0.1, "lambd": 0.2},
    "ThresholdedRelu": {"alpha": 0.3},
}

OPS: list[_Op] = [
    *[op(f"{name} 7", X, opset=7) for name in _FUNCTIONS],
    *[op(f"{name} {opset}", X, opset=opset) for name, opset in _NEWER.items()],
    *[op(f"{name} {opset}", UNIT, opset=opset) for name, opset in _TURNS.items()],
    *[op(f"{name} numbers", X, **numbers) for name, numbers in _NUMBERS.items()],
    op("Acosh", 1 + np.abs(X), opset=9),
    op("Log", np.abs(X), opset=7),
    op("Gelu 20", X, opset=20),
    op("Gelu tanh", X, opset=20, approximate="tanh"),
    op("Swish", X, opset=24, alpha=1.5),
    op("IsNaN", X, opset=9),
    op("IsInf", X, opset=10, detect_negative=0),
    op("BitwiseNot", WHOLE, opset=18),
    *[op(f"Bitwise{name}", WHOLE, WHOLE[0] + 5, opset=18) for name in ("And", "Or", "Xor")],
    *[op(name, FLAGS, FLAGS[1], opset=7) for name in ("And", "Or", "Xor")],
    op("BitShift", BYTES, BYTES[:1] % np.uint8(8), opset=11, direction="LEFT"),
    *[op(name, X, X[1], opset=9) for name in ("Greater", "Less")],
    *[op(name, X, X[1], opset=16) for name in ("GreaterOrEqual", "LessOrEqual")],
    *[op(f"{name} 8", X, floats(4), floats(3, 1), opset=8) for name in ("Max", "Mean", "Min", "Sum")],
    *[op(f"{name} one", X, opset=13) for name in ("Max", "Mean", "Min", "Sum")],
    op("Mod", WHOLE, np.array([3, -5, 7, 2]), opset=10),
    op("Mod fmod", X, floats(4), opset=10, fmod=1),
    op("PRelu", X, floats(3, 1), opset=7),
    op("Where", FLAGS, X, floats(4), opset=9),
    *[op(f"Reduce{name} 7", np.abs(X), opset=7, axes=[1], keepdims=0) for name in _REDUCTIONS],
    *[op(f"Reduce{name} 18", np.abs(X), axes(-1), opset=18) for name in _REDUCTIONS],
    op("ReduceSum 11", X, opset=11, axes=[0, 2]),
    op("ReduceSum 13", X, axes(0, 2), opset=13, keepdims=0),
    op("ReduceSum 13 noop", X, axes(), opset=13, noop_with_empty_axes=1),
    *[op(f"{name} 11", X, opset=11, axis=2) for name in ("Hardmax", "LogSoftmax", "Softmax")],
    *[op(f"{name} 13", X, opset=13, axis=1) for name in ("Hardmax", "LogSoftmax", "Softmax")],
    op("BatchNormalization 7", X, floats(3), floats(3), floats(3), np.abs(floats(3)), opset=7, momentum=0.5),
    op("BatchNormalization 15", X, floats(3), floats(3), floats(3), np.abs(floats(3)), opset=15, epsilon=1e-3),
    op("InstanceNormalization", X, floats(3), floats(3), opset=7, epsilon=1e-3),
    op("GroupNormalization", X, floats(3), floats(3), opset=21, num_groups=3),
    op("LayerNormalization", X, floats(4), floats(4), axis=-1, epsilon=1e-3),
    op("LayerNormalization all", X, floats(3, 4), axis=1, outputs=3),
    op("RMSNormalization", X, floats(4), opset=23),
    # In files it is of ONNX's own domain, where onnxruntime writes it though it is no op of ONNX's.
    (
        "com.microsoft::SimplifiedLayerNormalization",
        lambda: one_node("SimplifiedLayerNormalization", X, floats(4), epsilon=1e-6, stash_type=1),
        X,
    ),
    op("LpNormalization", X, opset=7, axis=1, p=1),
    op("LpNormalization 2", X, opset=7),
    op("LRN", X[..., None], opset=7, size=3, alpha=0.1),
    op("MeanVarianceNormalization", X[..., None], opset=9),
    op("MeanVarianceNormalization axes", X, opset=13, axes=[1, 2]),
    op("com.microsoft::Gelu", X),
    op("com.microsoft::BiasGelu", X, floats(4)),
    op("com.microsoft::FastGelu", X, floats(4)),
    op("com.microsoft::FastGelu plain", X),
    op("com.microsoft::QuickGelu", X, alpha=1.5),
    op("com.microsoft::SkipLayerNormalization", X, floats(2, 3, 4), floats(4), floats(4), floats(4), epsilon=1e-5),
    op("com.microsoft::SkipLayerNormalization scale", X, floats(2, 3, 4), floats(4)),
    op("com.microsoft::SkipSimplifiedLayerNormalization", X, floats(2, 3, 4), floats(4), floats(4), epsilon=1e-5),
]
