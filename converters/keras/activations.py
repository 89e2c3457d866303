"""Keras's activation functions: as ops, and as the activations of recurrent ops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

import numpy as np

from ..builder import Builder
from ..graph import DType, Value
from ..problems import Refusal
from .config import Config
from .layer import Layer, Tensor, handlers, tensors_of

# Activations that recurrent ops have: name, alpha, beta. hard_sigmoid depends on the version.
_OF_CELLS = {
    "tanh": ("Tanh", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "linear": ("Affine", 1.0, 0.0),
    "softsign": ("Softsign", 0.0, 0.0),
    "softplus": ("Softplus", 0.0, 0.0),
    "elu": ("Elu", 1.0, 0.0),
    "leaky_relu": ("LeakyRelu", 0.2, 0.0),
}
_BUILTIN_MODULES = ("builtins", "keras.activations", "keras.src.activations.activations", "keras.src.activations", None)


# Layers that a config may have in place of an activation: those without weights.
_LAYERS = ("Activation", "ELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU")


@dataclass(frozen=True)
class ActivationLayer:
    """A layer that is an activation, with its settings."""

    kind: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return self.kind


Activation = Union[str, ActivationLayer]


def activation_of(found: Any) -> Activation:
    """An activation as a config has it; those that are not Keras's own are refused by name."""
    if found is None:
        return "linear"
    if isinstance(found, Mapping) and isinstance(found.get("config"), Mapping):
        kind = str(found.get("class_name"))
        if str(found.get("module", "keras")).split(".")[0] == "keras" and kind in _LAYERS:
            return ActivationLayer(kind, found["config"])
        if kind == "PReLU":
            raise Refusal("activation PReLU has weights of its own. Put it behind the layer, as a layer.")
    if isinstance(found, Mapping):
        inner = found.get("config")
        registered = found.get("registered_name")
        own = found.get("module") in _BUILTIN_MODULES and (registered in (None, "function") or registered == inner)
        if isinstance(inner, str) and own:
            return inner
        raise Refusal(
            f"activation {str(registered or found.get('class_name'))!r} is not one of Keras's functions. "
            "Use one that is, or a layer."
        )
    if not isinstance(found, str):
        raise Refusal(f"activation {str(found)[:60]!r} is no name.")
    return found


def hard_sigmoid(version: tuple[int, ...]) -> tuple[float, float]:
    """Slope and middle of hard_sigmoid, whose slope Keras 3 changed."""
    return (1 / 6 if version[0] >= 3 else 0.2), 0.5


def cell_activation(name: Activation, version: tuple[int, ...]) -> Optional[tuple[str, float, float]]:
    """The activation of a recurrent op, None where ops have none like it."""
    if isinstance(name, ActivationLayer):
        return _cell_layer(name, version)
    if name in ("hard_sigmoid",):
        return ("HardSigmoid", *hard_sigmoid(version))
    return _OF_CELLS.get(name)


def _cell_layer(found: ActivationLayer, version: tuple[int, ...]) -> Optional[tuple[str, float, float]]:
    config = Config(found.settings)
    if found.kind == "Activation":
        return cell_activation(activation_of(config.raw("activation")), version)
    if found.kind == "LeakyReLU":
        return "LeakyRelu", slope(config, "negative_slope", 0.3), 0.0
    if found.kind == "ELU":
        return "Elu", config.number("alpha", 1.0), 0.0
    if found.kind == "ThresholdedReLU":
        return "ThresholdedRelu", config.number("theta", 1.0), 0.0
    return None


def slope(config: Config, name: str, default: float) -> float:
    """A slope, which Keras 2 calls alpha."""
    return config.number(name if name in config else "alpha", default)


def apply(layer: Layer, x: Tensor, name: Activation) -> Tensor:
    """Apply an activation to a tensor."""
    return x.to(activate(layer, x.value, name))


def activate(layer: Layer, x: Value, name: Activation) -> Value:
    """Apply an activation to a value."""
    build = layer.build
    if isinstance(name, ActivationLayer):
        inside = layer.inside((name.kind, name.settings), layer.weights, [Tensor(x, ())])
        (y,) = tensors_of(handlers[name.kind].handle(inside))
        inside.config.check_all_read()
        return y.value
    if name == "hard_sigmoid":
        alpha, beta = hard_sigmoid(layer.version)
        return build.op("HardSigmoid", x, alpha=alpha, beta=beta)
    function = _FUNCTIONS.get(name)
    if function is None:
        raise Refusal(f"activation {name!r} is not supported. Supported: {', '.join(activation_names())}.")
    return function(build, x)


def activation_names() -> list[str]:
    """Names of all activations."""
    return sorted([*_FUNCTIONS, "hard_sigmoid"])


def number(build: Builder, value: float) -> Value:
    """A constant of one number."""
    return build.constant(np.array(value, np.float32), "number")


def clip(build: Builder, x: Value, low: float, high: float) -> Value:
    """Keep a value between two numbers."""
    return build.op("Clip", x, number(build, low), number(build, high))


_Function = Callable[[Builder, Value], Value]


def _op(type: str, **attributes: Any) -> _Function:
    return lambda build, x: build.op(type, x, **attributes)


def _gelu(build: Builder, x: Value) -> Value:
    return build.op("Gelu", x, approximate="none")


def _silu(build: Builder, x: Value) -> Value:
    return build.op("Mul", x, build.op("Sigmoid", x))


def _log_sigmoid(build: Builder, x: Value) -> Value:
    return build.op("Neg", build.op("Softplus", build.op("Neg", x)))


_FUNCTIONS: dict[str, _Function] = {
    "linear": lambda build, x: x,
    "relu": _op("Relu"),
    "sigmoid": _op("Sigmoid"),
    "tanh": _op("Tanh"),
    "softplus": _op("Softplus"),
    "softsign": _op("Softsign"),
    "elu": _op("Elu", alpha=1.0),
    "selu": _op("Selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "celu": _op("Celu", alpha=1.0),
    "gelu": _gelu,
    "exponential": _op("Exp"),
    "swish": _silu,
    "silu": _silu,
    "mish": _op("Mish"),
    "softmax": _op("Softmax", axis=-1),
    "log_softmax": _op("LogSoftmax", axis=-1),
    "leaky_relu": _op("LeakyRelu", alpha=0.2),
    "relu6": lambda build, x: clip(build, x, 0.0, 6.0),
    "hard_tanh": lambda build, x: clip(build, x, -1.0, 1.0),
    "hard_swish": _op("HardSwish"),
    "hard_silu": _op("HardSwish"),
    "log_sigmoid": _log_sigmoid,
    "tanh_shrink": lambda build, x: build.op("Sub", x, build.op("Tanh", x)),
}


def where(build: Builder, condition: Value, yes: Value, no: Value) -> Value:
    """Choose element by element."""
    return build.op("Where", condition, yes, no)


def not_equal(build: Builder, a: Value, b: Value) -> Value:
    """Compare element by element."""
    return build.op("Not", build.op("Equal", a, b))


def as_float(build: Builder, x: Tensor) -> Value:
    """A tensor as float32."""
    return x.value if x.dtype == DType.FLOAT32 else build.cast(x.value, DType.FLOAT32)
