"""Taking tensors apart and putting them together."""

from __future__ import annotations

from ...graph import Value
from ..node import Dim, Node, Sym, handler
from .shape import sizes

_END = 2**63 - 1


@handler("aten.cat", "aten.concat", "aten.concatenate")
def cat(node: Node) -> None:
    values, metas = node.tensors("tensors"), node.metas("tensors")
    dtype = node.result().dtype
    rank = node.result().rank
    real = [(v, m) for v, m in zip(values, metas) if m.shape != (0,) or rank == 1]  # an empty one counts for nothing
    parts = [node.cast(value, meta.dtype, dtype) for value, meta in real]
    axis = node.integer("dim", 0) % rank
    node.give(parts[0] if len(parts) == 1 else node.build.op("Concat", *parts, axis=axis))


@handler("aten.stack")
def stack(node: Node) -> None:
    dtype, rank = node.result().dtype, node.result().rank
    axis = node.integer("dim", 0) % rank
    parts = [node.cast(v, m.dtype, dtype) for v, m in zip(node.tensors("tensors"), node.metas("tensors"))]
    node.give(node.build.op("Concat", *(node.build.unsqueeze(part, axis) for part in parts), axis=axis))


@handler("aten.slice.Tensor")
def slice_(node: Node) -> None:
    axis = node.axis("dim", 0)
    start, end, step = node.dim("start", 0), node.dim("end", _END), node.integer("step", 1)
    last = node.last_step("self", axis) if (start, end, step) == (-1, _END, 1) else None
    if last is not None:
        node.give(node.build.unsqueeze(last, axis))
        return
    node.give(_sliced(node, node.tensor("self"), axis, start, end, step))


def _sliced(node: Node, x: Value, axis: int, start: Dim, end: Dim, step: int = 1) -> Value:
    if start == 0 and end == _END and step == 1:
        return x
    bounds = [node.vector([bound]) for bound in (start, end, axis, step)]
    return node.build.op("Slice", x, *bounds)


@handler("aten.narrow")
def narrow(node: Node) -> None:
    axis, start, length = node.axis("dim"), node.dim("start"), node.dim("length")
    end: Dim
    if isinstance(start, int) and isinstance(length, int):
        end = start + length if start >= 0 or start + length < 0 else _END
    else:
        end = Sym(node.build.op("Add", node.vector([start]), node.vector([length])))
    node.give(_sliced(node, node.tensor("self"), axis, start, end))


@handler("aten.select.int")
def select(node: Node) -> None:
    index, axis = node.dim("index"), node.axis("dim")
    last = node.last_step("self", axis) if index == -1 else None
    if last is not None:
        node.give(last)
        return
    if isinstance(index, int):
        at = node.build.constant(index, "index", "int64")
    else:
        at = node.build.squeeze(index.value, 0)
    node.give(node.build.op("Gather", node.tensor("self"), at, axis=axis))


@handler(
    "aten.split.Tensor",
    "aten.split.default",
    "aten.chunk",
    "aten.split_with_sizes",
    "aten.split.sizes",
    "aten.unsafe_chunk",
    "aten.unsafe_split.Tensor",
    "aten.tensor_split.sections",
)
def split(node: Node) -> None:
    """Into parts whose sizes are known, or as many as there were in the example."""
    axis = node.axis("dim", 0)
    node.skip("split_size", "split_sizes", "chunks", "sections")
    count = node.outputs
    parts: list[Dim] = []
    for i in range(count):
        dim = node.result(i).shape[axis]
        parts.append(-1 if dim is None else dim)
    if -1 not in parts:
        node.give(*node.build.ops("Split", [node.tensor("self"), node.vector(parts)], count, axis=axis))
        return
    if node.has("split_sizes"):
        given = node.dims("split_sizes")
        node.give(*node.build.ops("Split", [node.tensor("self"), node.vector(given)], count, axis=axis))
        return
    if node.has("split_size"):
        size, x = node.integer("split_size"), node.tensor("self")
        node.give(*(_sliced(node, x, axis, i * size, (i + 1) * size) for i in range(count)))
        return
    if "tensor_split" in node.target:  # its parts differ by 1 at most; those of Split are equal but for the last
        node.refuse("the size of the axis is free. Fix it with dynamic_shapes.")
    node.give(*node.build.ops("Split", [node.tensor("self")], count, axis=axis, num_outputs=count))


@handler("aten.unbind.int")
def unbind(node: Node) -> None:
    axis, x = node.axis("dim", 0), node.tensor("self")
    at = [node.build.constant(i, "index", "int64") for i in range(node.outputs)]
    node.give(*(node.build.op("Gather", x, index, axis=axis) for index in at))


@handler("aten.flip")
def flip(node: Node) -> None:
    x = node.tensor("self")
    for axis in node.axes("dims") or []:
        x = node.build.slice(x, axis, -1, None, -1)
    node.give(x)


@handler("aten.roll")
def roll(node: Node) -> None:
    shifts, axes, x = node.integers("shifts"), node.axes("dims"), node.tensor("self")
    build = node.build
    flat = axes is None
    if flat:
        x = build.reshape(x, [-1])
    for shift, axis in zip(shifts, [0] if axes is None else axes):
        x = _rolled(node, x, axis, shift, None if flat else node.meta("self").shape[axis])
    node.give(build.op("Reshape", x, node.vector(sizes(node, "self"))) if flat else x)


def _rolled(node: Node, x: Value, axis: int, shift: int, size: int | None) -> Value:
    """Turned round once or more often: what comes first stood at -shift modulo the size."""
    first: Dim
    if size is None:
        length = node.build.op("Shape", x, start=axis, end=axis + 1)
        first = Sym(node.build.op("Mod", node.vector([-shift]), length, fmod=0))
    else:
        first = -shift % size if size else 0
    if shift == 0 or first == 0:
        return x
    parts = [_sliced(node, x, axis, first, _END), _sliced(node, x, axis, 0, first)]
    return node.build.op("Concat", *parts, axis=axis)


@handler("aten.unfold")
def unfold(node: Node) -> None:
    """Windows over an axis whose size is known."""
    axis, size, step = node.axis("dimension"), node.integer("size"), node.integer("step")
    length, build = node.meta("self").shape[axis], node.build
    if length is None:
        node.refuse("the size of the axis is free. Fix it with dynamic_shapes.")
    starts = range(0, length - size + 1, step)
    node.check_count(len(starts) * size)
    at = build.constant([[start + i for i in range(size)] for start in starts], "windows", "int64")
    windows = build.op("Gather", node.tensor("self"), at, axis=axis)  # the window stands behind its axis
    rank = node.meta("self").rank
    order = [i for i in range(rank + 1) if i != axis + 1] + [axis + 1]
    node.give(build.transpose(windows, *order))


@handler("aten.slice_scatter", "aten.select_scatter")
def scatter_slice(node: Node) -> None:
    """What a slice is replaced by; in steps of 1."""
    axis, x, new = node.axis("dim", 0), node.tensor("self"), node.tensor("src")
    start: Dim
    end: Dim
    if "select" in node.target:
        new = node.build.unsqueeze(new, axis)
        start = node.integer("index")
        end = start + 1 if start != -1 else _END
    else:
        start, end = node.dim("start", 0), node.dim("end", _END)
        if node.integer("step", 1) != 1:
            node.refuse("steps other than 1 are not supported.")
    parts = [new]
    if start != 0:
        parts.insert(0, _sliced(node, x, axis, 0, start))
    if end != _END:
        parts.append(_sliced(node, x, axis, end, _END))
    node.give(new if len(parts) == 1 else node.build.op("Concat", *parts, axis=axis))


@handler("aten.copy")
def copy(node: Node) -> None:
    """The second, in the dtype and shape of the first."""
    source = node.operand("src", node.result().dtype)
    if node.meta("src").dims == node.meta("self").dims:
        node.skip("self")
        node.give(source)
        return
    node.give(node.build.op("Expand", source, node.vector(sizes(node, "self"))))
