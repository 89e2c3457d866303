"""What is known of shapes: of a model's input, of results of convolution, of broadcasting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..problems import Refusal
from .layer import Dims
from .weights import Weights

# Layers whose first weight tells how many features they take: rank of the input, axis of the weight.
_BY_WEIGHTS = {
    "Dense": (2, 0),
    "LSTM": (3, 0),
    "GRU": (3, 0),
    "SimpleRNN": (3, 0),
    "CuDNNLSTM": (3, 0),
    "CuDNNGRU": (3, 0),
    "RNN": (3, 0),
    "Bidirectional": (3, 0),
    "Conv1D": (3, 1),
    "Conv2D": (4, 2),
}


def input_shape_of(
    model: Mapping[str, Any],
    first: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any], Weights]],
) -> Dims:
    """The shape of a Sequential's input: as its config says, or as the weights of the first layer do."""
    for kind, config, entry, weights in first:
        for name in ("batch_shape", "batch_input_shape"):
            if isinstance(config.get(name), (list, tuple)):
                return _dims(config[name])
        if isinstance(config.get("input_shape"), (list, tuple)):
            return (None, *_dims(config["input_shape"]))
        build = entry.get("build_config")
        if isinstance(build, Mapping) and isinstance(build.get("input_shape"), (list, tuple)):
            return _dims(build["input_shape"])
        if isinstance(model.get("build_input_shape"), (list, tuple)):
            return _dims(model["build_input_shape"])
        if kind == "Embedding":
            return (None, _dims([config.get("input_length")])[0])
        if kind in _BY_WEIGHTS:
            found = weights.fresh().rest()
            rank, axis = _BY_WEIGHTS[kind]
            if found and found[0].ndim > axis:
                return (*[None] * (rank - 1), int(found[0].shape[axis]))
    raise Refusal("the shape of its input is nowhere in the file. Build the model with an Input layer.")


def _dims(shape: Any) -> Dims:
    return tuple(dim if isinstance(dim, int) and dim > 0 else None for dim in shape)


def window(size: Optional[int], kernel: int, stride: int, dilation: int, padding: str) -> Optional[int]:
    """How many places a window takes along an axis."""
    if size is None:
        return None
    if padding != "valid":
        return -(-size // stride)
    return max(0, (size - dilation * (kernel - 1) - 1) // stride + 1)


def broadcast(*shapes: Dims) -> Dims:
    """The shape of shapes broadcast to each other."""
    rank = max(len(shape) for shape in shapes)
    padded = [(*[1] * (rank - len(shape)), *shape) for shape in shapes]
    return tuple(_joint(dims) for dims in zip(*padded))


def _joint(dims: tuple[Optional[int], ...]) -> Optional[int]:
    known = [dim for dim in dims if dim not in (None, 1)]
    if len(set(known)) > 1:
        raise Refusal(f"dims of {' and '.join(map(str, known))} do not go together.")
    if known:
        return known[0]
    return None if None in dims else 1


def require_size(dim: Optional[int], size: int, what: str) -> None:
    """Refuse a dim that contradicts a weight."""
    if dim is not None and dim != size:
        raise Refusal(f"{what} is {dim}, and its weights are for {size}.")


def product(dims: Sequence[Optional[int]]) -> Optional[int]:
    """How many elements there are, None where that is not known."""
    total = 1
    for dim in dims:
        if dim is None:
            return None
        total *= dim
    return total


def axis_of(axis: int, rank: int, name: str = "axis") -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise Refusal(f"{name} = {axis} is not one of its {rank} dims.")
    return axis % rank
