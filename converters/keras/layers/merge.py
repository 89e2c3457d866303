"""Layers of several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Optional

from ...graph import ABSENT, DType, Value
from ..activations import as_float, number, where
from ..layer import Layer, Tensor, handler
from ..masks import check_rank
from ..shapes import axis_of, broadcast


def _aligned(layer: Layer) -> list[Tensor]:
    """Inputs of one rank: Keras puts missing axes behind the batch."""
    inputs = layer.inputs
    if len(inputs) < 2:
        layer.refuse(f"is called with {len(inputs)} inputs; it takes several.")
    rank = max(x.rank for x in inputs)
    return [_raised(layer, x, rank) for x in inputs]


def _raised(layer: Layer, x: Tensor, rank: int) -> Tensor:
    missing = rank - x.rank
    if not missing:
        return x
    axes = range(1, 1 + missing)
    return x.to(layer.build.unsqueeze(x.value, *axes), (x.shape[0], *[1] * missing, *x.shape[1:]))


def _merged_mask(layer: Layer, inputs: Sequence[Tensor]) -> Value:
    """Keras 3: where any input counts, and everywhere if one is not masked. Before: where all that are masked count."""
    masks = [x.mask for x in inputs if x.mask != ABSENT]
    newer = layer.version[0] >= 3
    if not masks or (newer and len(masks) < len(inputs)):
        return ABSENT
    rank = layer.mask_rank(masks[0])
    for mask in masks:
        check_rank(layer.mask_rank(mask), rank)
    op = "Or" if newer else "And"
    return reduce(lambda a, b: a if a == b else layer.new_mask(layer.build.op(op, a, b), rank), masks)


def _skips_masked(layer: Layer, inputs: Sequence[Tensor]) -> bool:
    """Since 3.4 what is masked in an input takes no part in products, maxima and minima."""
    return layer.version >= (3, 4) and any(x.mask != ABSENT for x in inputs)


def _wide(layer: Layer, mask: Value, x: Tensor) -> Value:
    """A mask of all dims but the last, to choose among elements."""
    check_rank(layer.mask_rank(mask), x.rank - 1)
    return layer.build.unsqueeze(mask, -1)


def _fold(layer: Layer, op: str) -> Tensor:
    inputs = _aligned(layer)
    build = layer.build
    value = reduce(lambda a, b: build.op(op, a, b), [as_float(build, x) for x in inputs])
    return Tensor(value, broadcast(*[x.shape for x in inputs]), DType.FLOAT32, _merged_mask(layer, inputs))


@handler("Add", note="inputs of several ranks are aligned as Keras does")
def add(layer: Layer) -> Tensor:
    """Add."""
    return _fold(layer, "Add")


@handler("Multiply", note="as Add")
def multiply(layer: Layer) -> Tensor:
    """Multiply."""
    inputs = layer.inputs
    if not _skips_masked(layer, inputs):
        return _fold(layer, "Mul")
    build = layer.build
    one, zero = number(build, 1.0), number(build, 0.0)
    kept = [x if x.mask == ABSENT else x.to(where(build, _wide(layer, x.mask, x), x.value, one)) for x in inputs]
    layer.args[0] = kept
    product = _fold(layer, "Mul")
    if product.mask == ABSENT:
        return product
    return product.to(where(build, _wide(layer, product.mask, product), product.value, zero))


@handler("Maximum", note="as Add")
def maximum(layer: Layer) -> Tensor:
    """Take the larger."""
    return _extreme(layer, "Max")


@handler("Minimum", note="as Add")
def minimum(layer: Layer) -> Tensor:
    """Take the smaller."""
    return _extreme(layer, "Min")


def _extreme(layer: Layer, op: str) -> Tensor:
    """One after the other; where one of the two is masked, the other is taken."""
    inputs = layer.inputs
    if not _skips_masked(layer, inputs):
        return _fold(layer, op)
    build = layer.build
    found, *others = _aligned(layer)
    for x in others:
        value, so_far = x.value, found.value
        if x.mask != ABSENT:
            value = where(build, _wide(layer, x.mask, x), value, so_far)
        if found.mask != ABSENT:
            so_far = where(build, _wide(layer, found.mask, found), so_far, value)
        mask = _merged_mask(layer, [found, x])
        found = Tensor(build.op(op, so_far, value), broadcast(found.shape, x.shape), DType.FLOAT32, mask)
    return found


@handler("Subtract", note="two inputs")
def subtract(layer: Layer) -> Tensor:
    """Subtract the second from the first."""
    if len(layer.inputs) != 2:
        layer.refuse(f"is called with {len(layer.inputs)} inputs, not 2.")
    return _fold(layer, "Sub")


@handler("Average", note="as Add")
def average(layer: Layer) -> Tensor:
    """Take the mean."""
    total = _fold(layer, "Add")
    return total.to(layer.build.op("Div", total.value, number(layer.build, len(layer.inputs))))


@handler("Concatenate", note="any axis but the batch")
def concatenate(layer: Layer) -> Tensor:
    """Put one after the other along an axis."""
    inputs = layer.some_inputs
    rank = inputs[0].rank
    axis = axis_of(layer.config.whole("axis", -1), rank)
    build = layer.build
    value = build.op("Concat", *[as_float(build, x) for x in inputs], axis=axis)
    along: Optional[int] = 0
    for x in inputs:
        size = x.shape[axis]
        along = None if along is None or size is None else along + size
    others = [tuple(1 if i == axis else d for i, d in enumerate(x.shape)) for x in inputs]
    if any(len(set(dims) - {None}) > 1 for dims in zip(*others)):
        layer.refuse(f"its inputs are {', '.join(str(x.shape) for x in inputs)}, of different dims.")
    joint = broadcast(*others)
    shape = tuple(along if i == axis else dim for i, dim in enumerate(joint))
    return Tensor(value, shape, DType.FLOAT32, _concatenated_mask(layer, inputs, axis))


def _concatenated_mask(layer: Layer, inputs: list[Tensor], axis: int) -> Value:
    """Keras joins masks widened to the inputs' shape, then asks of each step whether any of it counts."""
    if all(x.mask == ABSENT for x in inputs):
        return ABSENT
    build = layer.build
    rank = inputs[0].rank
    if axis == rank - 1:  # a step counts where it does in any input; an input without a mask always does
        return _merged_mask(layer, inputs)
    masks = []
    for x in inputs:
        if x.mask == ABSENT:
            layer.refuse("some of its inputs are masked and others are not. Mask all of them, or none.")
        check_rank(layer.mask_rank(x.mask), rank - 1)
        masks.append(x.mask)
    return layer.new_mask(build.op("Concat", *masks, axis=axis), rank - 1)


@handler("Dot", note="inputs of rank 2 and 3; normalize")
def dot(layer: Layer) -> Tensor:
    """Multiply batch by batch, along one axis of each."""
    inputs = layer.inputs
    if len(inputs) != 2 or any(x.rank not in (2, 3) for x in inputs):
        layer.refuse("it takes two inputs of rank 2 or 3.")
    axes = layer.config.raw("axes")
    pair = list(axes) if isinstance(axes, (list, tuple)) else [axes, axes]
    if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
        layer.refuse(f"axes = {axes!r} are not two axes.")
    normalize = layer.config.flag("normalize", False)
    build = layer.build
    sides, along = [], []
    for x, axis, last in zip(inputs, pair, (True, False)):
        axis = axis_of(axis, x.rank, "axes")
        value = as_float(build, x)
        along.append(x.shape[axis])
        if normalize:
            value = unit(layer, value, axis)
        if x.rank == 2:
            value = build.unsqueeze(value, 1 if last else 2)
        elif (axis == 1) == last:
            value = build.transpose(value, 0, 2, 1)
        kept = None if x.rank == 2 else x.shape[3 - axis]
        sides.append((value, x.rank, kept))
    if None not in along and along[0] != along[1]:
        layer.refuse(f"the axes that it multiplies along have {along[0]} and {along[1]} places.")
    product = build.op("MatMul", sides[0][0], sides[1][0])
    batch = inputs[0].shape[0]
    kept_dims = [dim for _, rank, dim in sides if rank == 3]
    dropped = [axis for axis, (_, rank, _) in zip((1, 2), sides) if rank == 2]
    if len(dropped) == 2:
        return Tensor(build.squeeze(product, 2), (batch, 1))
    if dropped:
        product = build.squeeze(product, *dropped)
    return Tensor(product, (batch, *kept_dims))


def unit(layer: Layer, value: Value, axis: int) -> Value:
    """Bring vectors along an axis to length 1, as Keras does."""
    build = layer.build
    squares = build.op("ReduceSum", build.op("Mul", value, value), build.integers([axis]), keepdims=1)
    return build.op("Div", value, build.op("Sqrt", build.op("Max", squares, number(build, 1e-12))))


@handler("Merge", note="Keras 1: sum, mul, concat, ave, max, dot of layers")
def merge(layer: Layer) -> Tensor:
    """Refuse what keras1.py did not rename."""
    layer.refuse(f"mode = {str(layer.config.raw('mode', '?'))[:40]!r} is not supported. Use a merging layer.")
