"""Dense, Embedding, masks, shapes, and what does nothing once a model is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...graph import ABSENT, DType
from ..activations import activation_of, apply, as_float, not_equal, number
from ..layer import Layer, Tensor, handler
from ..shapes import product, require_size


@handler("Dense", note="input of any rank", pointwise=True)
def dense(layer: Layer) -> Tensor:
    """Multiply the last axis by the kernel."""
    x = layer.input
    units = layer.config.integer("units")
    use_bias = layer.config.flag("use_bias", True)
    kernel, *bias = layer.take("kernel", *["bias"] * use_bias)
    if kernel.ndim != 2 or kernel.shape[1] != units:
        layer.refuse(f"its kernel is {kernel.shape}, not of {units} units. The file is damaged.")
    require_size(x.shape[-1] if x.rank else 1, int(kernel.shape[0]), "the last dim of its input")
    build = layer.build
    value = build.op("MatMul", as_float(build, x), layer.constant(kernel, "kernel"))
    if use_bias:
        value = build.op("Add", value, layer.constant(bias[0], "bias"))
    y = replace(x, value=value, shape=(*x.shape[:-1], units), dtype=DType.FLOAT32)
    return apply(layer, y, activation_of(layer.config.raw("activation", None)))


@handler("Embedding", note="with mask_zero")
def embedding(layer: Layer) -> Tensor:
    """Look up rows."""
    x = layer.input
    layer.config.skip("input_dim", "output_dim", "dropout")
    (table,) = layer.take("embeddings")
    if table.ndim != 2:
        layer.refuse(f"its embeddings are {table.shape}. The file is damaged.")
    build = layer.build
    mask = ABSENT
    if layer.config.flag("mask_zero", False):
        zero = layer.constant(np.zeros((), x.dtype.numpy), "zero")
        mask = layer.new_mask(not_equal(build, x.value, zero), x.rank)
    index = x.value if x.dtype in (DType.INT32, DType.INT64) else build.cast(x.value, DType.INT32)
    value = build.op("Gather", layer.constant(table, "embeddings"), index, axis=0)
    return Tensor(value, (*x.shape, int(table.shape[1])), DType.FLOAT32, mask)


@handler("Masking", note="mask_value")
def masking(layer: Layer) -> Tensor:
    """Mask steps whose features all have one value, and make them zero."""
    x = layer.input
    build = layer.build
    value = number(build, layer.config.number("mask_value", 0.0))
    differs = build.cast(not_equal(build, x.value, value), DType.FLOAT32)
    any_differs = build.op("ReduceMax", differs, build.integers([-1]), keepdims=1)
    mask = layer.new_mask(build.cast(build.squeeze(any_differs, -1), DType.BOOL), x.rank - 1)
    return replace(x, value=build.op("Mul", x.value, any_differs), mask=mask)


@handler(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise",
    "AlphaDropout", "ActivityRegularization", "Identity", note="nothing: they only train",
    pointwise=True,
)  # fmt: skip
def identity(layer: Layer) -> Tensor:
    """Give the input."""
    layer.config.skip("data_format", "dim_ordering")
    return layer.input


@handler("Activation", note="every activation below", pointwise=True)
def activation(layer: Layer) -> Tensor:
    """Apply an activation."""
    return apply(layer, layer.input, activation_of(layer.config.raw("activation")))


@handler("Flatten", note="channels_last and channels_first")
def flatten(layer: Layer) -> Tensor:
    """Bring all but the first axis into one."""
    x = layer.input
    if layer.config.raw("data_format", None) == "channels_first" and x.rank > 2:
        order = (0, *range(2, x.rank), 1)
        x = x.to(layer.build.transpose(x.value, *order), tuple(x.shape[axis] for axis in order))
    if x.rank == 1:
        return replace(x, value=layer.build.unsqueeze(x.value, 1), shape=(x.shape[0], 1), mask=ABSENT)
    return replace(
        x, value=layer.build.reshape(x.value, [0, -1]), shape=(x.shape[0], product(x.shape[1:])), mask=ABSENT
    )


@handler("Reshape")
def reshape(layer: Layer) -> Tensor:
    """Give the elements another shape."""
    x = layer.input
    wanted = layer.config.raw("target_shape")
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(d, int) or d is None for d in wanted):
        layer.refuse(f"target_shape = {wanted!r} is no shape.")
    dims = [-1 if d is None else int(d) for d in wanted]
    if dims.count(-1) > 1:
        layer.refuse(f"target_shape = {wanted!r} has several free dims.")
    known = product(x.shape[1:])
    rest = product([d for d in dims if d != -1])
    if known is not None and rest:
        if known % rest or (-1 not in dims and known != rest):
            layer.refuse(f"{known} elements do not fit target_shape = {wanted}.")
        dims = [known // rest if d == -1 else d for d in dims]
    shape = (x.shape[0], *[None if d == -1 else d for d in dims])
    return replace(x, value=layer.build.reshape(x.value, [0, *dims]), shape=shape, mask=ABSENT)


@handler("Permute")
def permute(layer: Layer) -> Tensor:
    """Put axes in another order."""
    x = layer.input
    dims = layer.config.integers("dims", x.rank - 1)
    if sorted(dims) != list(range(1, x.rank)):
        layer.refuse(f"dims = {dims} is no order of the axes.")
    order = (0, *dims)
    shape = tuple(x.shape[axis] for axis in order)
    return replace(x, value=layer.build.transpose(x.value, *order), shape=shape, mask=ABSENT)


@handler("RepeatVector")
def repeat_vector(layer: Layer) -> Tensor:
    """Repeat each row as so many steps."""
    x = layer.ranked(2)
    count = layer.config.integer("n")
    build = layer.build
    repeated = build.op("Expand", build.unsqueeze(x.value, 1), build.integers([1, count, 1]))
    return replace(x, value=repeated, shape=(x.shape[0], count, x.shape[1]), mask=ABSENT)
