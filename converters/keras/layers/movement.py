"""Operations between layers that move elements: shapes, parts, joining."""

from __future__ import annotations

from typing import Any

from ...graph import ABSENT, DType, Value
from ..layer import Layer, Tensor, handler
from ..shapes import axis_of, broadcast, product
from .operations import as_tensor, setting, the_tensor, whole


@handler("ops.ConvertToTensor")
def convert_to_tensor(layer: Layer) -> Tensor:
    """Give what is a tensor already."""
    layer.argument(1, "dtype")
    layer.argument(2, "sparse")
    layer.config.skip("dtype", "sparse", "ragged")
    return the_tensor(layer)


@handler("ops.ExpandDims")
def expand_dims(layer: Layer) -> Tensor:
    """Put in an axis of size 1."""
    x = the_tensor(layer)
    axis = axis_of(whole(layer, 1, "axis", 0), x.rank + 1)
    return Tensor(layer.build.unsqueeze(x.value, axis), (*x.shape[:axis], 1, *x.shape[axis:]), x.dtype)


@handler("ops.Squeeze", note="with an axis")
def squeeze(layer: Layer) -> Tensor:
    """Drop an axis of size 1."""
    x = the_tensor(layer)
    given = setting(layer, 1, "axis", None)
    if given is None:
        layer.refuse("axis is not given. Name the axis to drop.")
    axes = [axis_of(int(a), x.rank) for a in (given if isinstance(given, (list, tuple)) else [given])]
    for axis in axes:
        if x.shape[axis] not in (None, 1):
            layer.refuse(f"dim {axis} is {x.shape[axis]}, not 1.")
    return Tensor(
        layer.build.squeeze(x.value, *axes), tuple(d for i, d in enumerate(x.shape) if i not in axes), x.dtype
    )


@handler("ops.Transpose")
def transpose(layer: Layer) -> Tensor:
    """Put axes in another order."""
    x = the_tensor(layer)
    axes = setting(layer, 1, "axes", None)
    order = list(reversed(range(x.rank))) if axes is None else [axis_of(int(a), x.rank) for a in axes]
    return Tensor(layer.build.transpose(x.value, *order), tuple(x.shape[a] for a in order), x.dtype)


@handler("ops.Reshape", note="one free dim")
def reshape(layer: Layer) -> Tensor:
    """Give the elements another shape."""
    x = the_tensor(layer)
    wanted = setting(layer, 1, "newshape", None)
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(d, int) or d is None for d in wanted):
        layer.refuse(f"newshape = {wanted!r} is no shape of numbers.")
    dims = [-1 if d is None else int(d) for d in wanted]
    if dims.count(-1) > 1:
        layer.refuse(f"newshape = {wanted!r} has several free dims.")
    total = product(x.shape)
    rest = product([d for d in dims if d != -1])
    if total is not None and rest and (total % rest or (-1 not in dims and total != rest)):
        layer.refuse(f"{total} elements do not fit newshape = {wanted}.")
    free = total // rest if total is not None and rest else None
    return Tensor(layer.build.reshape(x.value, dims), tuple(free if d == -1 else d for d in dims), x.dtype)


@handler("ops.Stack")
def stack(layer: Layer) -> Tensor:
    """Put one next to the other along a new axis."""
    inputs = layer.some_inputs
    axis = axis_of(whole(layer, 1, "axis", 0), inputs[0].rank + 1)
    joint = broadcast(*[x.shape for x in inputs])
    value = layer.build.op("Concat", *[layer.build.unsqueeze(x.value, axis) for x in inputs], axis=axis)
    return Tensor(value, (*joint[:axis], len(inputs), *joint[axis:]), inputs[0].dtype)


@handler("ops.Split", note="into equal parts, or at places")
def split(layer: Layer) -> list[Tensor]:
    """Cut along an axis."""
    x = the_tensor(layer)
    how = setting(layer, 1, "indices_or_sections", None)
    axis = axis_of(whole(layer, 2, "axis", 0), x.rank)
    size = x.shape[axis]
    if size is None:
        layer.refuse(f"dim {axis} of its input is free, so its parts are unknown.")
    if isinstance(how, int) and how > 0 and size % how == 0:
        ends = [size // how * (i + 1) for i in range(how)]
    elif isinstance(how, (list, tuple)) and all(isinstance(i, int) for i in how):
        ends = [*how, size]
    else:
        layer.refuse(f"{size} places cannot be cut by {how!r}.")
    begins = [0, *ends[:-1]]
    if any(not 0 <= a <= b <= size for a, b in zip(begins, ends)):
        layer.refuse(f"{size} places cannot be cut at {ends[:-1]}.")
    return [
        Tensor(layer.build.slice(x.value, axis, a, b), (*x.shape[:axis], b - a, *x.shape[axis + 1 :]), x.dtype)
        for a, b in zip(begins, ends)
    ]


@handler("ops.Unstack")
def unstack(layer: Layer) -> list[Tensor]:
    """Take apart along an axis."""
    x = the_tensor(layer)
    axis = axis_of(whole(layer, 2, "axis", 0), x.rank)
    count, size = setting(layer, 1, "num", None), x.shape[axis]
    if size is None or count not in (None, size) or size > 1024:
        layer.refuse(f"dim {axis} of its input is {size or 'free'}, so its parts are unknown or too many.")
    build = layer.build
    return [
        Tensor(
            build.squeeze(build.slice(x.value, axis, i, i + 1), axis), (*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype
        )
        for i in range(size)
    ]


@handler("ops.Tile", note="as many numbers as dims")
def tile(layer: Layer) -> Tensor:
    """Repeat the whole along axes."""
    x = the_tensor(layer)
    times = setting(layer, 1, "repeats", None)
    if not isinstance(times, (list, tuple)) or len(times) != x.rank or not all(isinstance(t, int) for t in times):
        layer.refuse(f"repeats = {times!r} is not a number for each of {x.rank} dims.")
    shape = tuple(None if d is None else d * t for d, t in zip(x.shape, times))
    return Tensor(layer.build.op("Tile", x.value, layer.build.integers(list(times))), shape, x.dtype)


@handler("ops.Flip")
def flip(layer: Layer) -> Tensor:
    """Reverse axes."""
    x = the_tensor(layer)
    given = setting(layer, 1, "axis", None)
    axes = range(x.rank) if given is None else given if isinstance(given, (list, tuple)) else [given]
    value = x.value
    for axis in sorted({axis_of(int(axis), x.rank) for axis in axes}):
        value = layer.build.slice(value, axis, -1, None, -1)
    return x.to(value)


@handler("ops.Pad", note="with a constant")
def pad(layer: Layer) -> Tensor:
    """Put a constant around."""
    x = the_tensor(layer)
    pairs = setting(layer, 1, "pad_width", None)
    if str(setting(layer, 2, "mode", "constant")).lower() != "constant":
        layer.refuse("only constant padding is supported.")
    fill = layer.argument(3, "constant_values")
    if not isinstance(pairs, (list, tuple)) or len(pairs) != x.rank:
        layer.refuse(f"pad_width = {pairs!r} is not a pair for each of {x.rank} dims.")
    sides = [[int(n) for n in pair] for pair in pairs]
    if any(len(pair) != 2 or min(pair) < 0 for pair in sides):
        layer.refuse(f"pad_width = {pairs!r} is not a pair for each of {x.rank} dims.")
    shape = tuple(None if d is None else d + sum(pair) for d, pair in zip(x.shape, sides))
    build = layer.build
    around = build.integers([pair[0] for pair in sides] + [pair[1] for pair in sides])
    filling = as_tensor(layer, 0 if fill is None else fill, x.dtype)
    return Tensor(build.op("Pad", x.value, around, filling.value, mode="constant"), shape, x.dtype)


@handler("ops.Take", note="along an axis")
def take(layer: Layer) -> Tensor:
    """Take places along an axis."""
    x = the_tensor(layer)
    given = layer.argument(1, "indices")
    axis = setting(layer, 2, "axis", None)
    if isinstance(axis, bool) or not isinstance(axis, int):
        layer.refuse("axis is not given. Name the axis to take from.")
    axis = axis_of(axis, x.rank)
    places = as_tensor(layer, given, given.dtype if isinstance(given, Tensor) else DType.INT64)
    if places.dtype not in (DType.INT32, DType.INT64):
        layer.refuse("its indices are not integers.")
    value = layer.build.op("Gather", x.value, places.value, axis=axis)
    return Tensor(value, (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]), x.dtype)


@handler("ops.Swapaxes")
def swapaxes(layer: Layer) -> Tensor:
    """Exchange two axes."""
    x = the_tensor(layer)
    a, b = (axis_of(whole(layer, place, name, 0), x.rank) for place, name in ((1, "axis1"), (2, "axis2")))
    order = list(range(x.rank))
    order[a], order[b] = b, a
    return Tensor(layer.build.transpose(x.value, *order), tuple(x.shape[i] for i in order), x.dtype)


@handler("ops.Concatenate")
def concatenate(layer: Layer) -> Tensor:
    """Put one after the other."""
    inputs = layer.some_inputs
    axis = axis_of(whole(layer, 1, "axis", 0), inputs[0].rank)
    broadcast(*[(*x.shape[:axis], 1, *x.shape[axis + 1 :]) for x in inputs])
    sizes = [x.shape[axis] for x in inputs]
    along = None if None in sizes else sum(s or 0 for s in sizes)
    value = layer.build.op("Concat", *[x.value for x in inputs], axis=axis)
    shape = tuple(along if i == axis else d for i, d in enumerate(inputs[0].shape))
    return Tensor(value, shape, inputs[0].dtype)


@handler("ops.Cast")
def cast(layer: Layer) -> Tensor:
    """Convert to another dtype."""
    x = the_tensor(layer)
    name = str(setting(layer, 1, "dtype", "float32"))
    kinds = {"float16": "float32", "bfloat16": "float32", "float64": "float32"}
    name = kinds.get(name, name)
    found = {d.name.lower(): d for d in DType}.get(name)
    if found is None:
        layer.refuse(f"dtype {name!r} is not supported.")
    return Tensor(layer.build.cast(x.value, found), x.shape, found)


def _like(layer: Layer) -> Tensor:
    x = the_tensor(layer)
    name = setting(layer, 1, "dtype", None)
    dtype = x.dtype if name is None else {d.name.lower(): d for d in DType}.get(str(name), DType.FLOAT32)
    build = layer.build
    shape: Value = build.op("Shape", x.value)
    filled = build.op("ConstantOfShape", shape, dtype=int(DType.INT64), value=int(layer.kind == "ops.OnesLike"))
    return Tensor(build.cast(filled, dtype), x.shape, dtype)


for _name in ("OnesLike", "ZerosLike"):
    handler(f"ops.{_name}")(_like)


@handler("ops.GetItem", note="slices and numbers")
def get_item(layer: Layer) -> Tensor:
    """Take a part."""
    x = the_tensor(layer)
    key = layer.argument(1, "key")
    items = list(key) if isinstance(key, (list, tuple)) else [key]
    ellipses = [
        i for i, item in enumerate(items) if isinstance(item, dict) and item.get("class_name") == "__ellipsis__"
    ]
    taken = sum(item is not None for item in items) - len(ellipses)
    if taken > x.rank or len(ellipses) > 1:
        layer.refuse(f"{taken} indices are too many for {x.rank} dims.")
    for place in ellipses:
        items[place : place + 1] = [_WHOLE] * (x.rank - taken)
    return _parts(layer, x, items)


_WHOLE = {"class_name": "__slice__", "config": {}}


def _parts(layer: Layer, x: Tensor, items: list[Any]) -> Tensor:
    """Take a part along each axis; None puts in an axis."""
    value, shape = x.value, list(x.shape)
    dropped: list[int] = []
    for axis, item in enumerate(items):  # those that drop an axis do so at the end
        if item is None:
            value = layer.build.unsqueeze(value, axis)
            shape.insert(axis, 1)
        else:
            begin, end, step, drop = _bounds(layer, item)
            size = shape[axis]
            if drop and size is not None and not -size <= begin < size:
                layer.refuse(f"index {begin} is not one of {size} places.")
            if (begin, end, step) != (0, None, 1):
                value = layer.build.slice(value, axis, begin, end, step)
                shape[axis] = 1 if drop else None if size is None else len(range(size)[begin:end:step])
            dropped += [axis] * drop
    if dropped:
        value = layer.build.squeeze(value, *dropped)
    return Tensor(value, tuple(d for i, d in enumerate(shape) if i not in dropped), x.dtype, ABSENT)


def _bounds(layer: Layer, item: Any) -> tuple[int, int | None, int, bool]:
    """Begin, end, step, and whether the axis goes."""
    if isinstance(item, int) and not isinstance(item, bool):
        return item, item + 1 if item != -1 else None, 1, True
    config = item.get("config", {}) if isinstance(item, dict) else {}
    bounds = [config.get(name) for name in ("start", "stop", "step")]
    if (
        not isinstance(item, dict)
        or item.get("class_name") != "__slice__"
        or any(isinstance(b, Tensor) for b in bounds)
    ):
        layer.refuse(f"index {str(item)[:40]!r} is not supported.")
    start, stop, step = bounds
    step = 1 if step is None else int(step)
    if step == 0:
        layer.refuse("a step of 0 is none.")
    first = (0 if step > 0 else -1) if start is None else int(start)
    return first, None if stop is None else int(stop), step, False
