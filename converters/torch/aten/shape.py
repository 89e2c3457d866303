"""The same elements under another shape or in another order of axes."""

from __future__ import annotations

from ..node import Dim, Node, Sym, handler


def sizes(node: Node, name: str) -> list[Dim]:
    """The dims of a tensor, as they will be."""
    value = node.tensor(name)
    return [
        dim if dim is not None else Sym(node.build.op("Shape", value, start=axis, end=axis + 1))
        for axis, dim in enumerate(node.meta(name).shape)
    ]


@handler("aten.view", "aten.reshape", "aten._unsafe_view", "aten._reshape_alias")
def reshape(node: Node) -> None:
    if node.target == "aten.view.dtype":
        node.refuse("looking at bits as another dtype is not supported.")
    node.skip("stride")
    shape = node.dims("size" if node.has("size") else "shape")
    node.give(node.build.op("Reshape", node.tensor("self"), node.vector(shape), allowzero=int(0 in shape)))


@handler("aten.view_as", "aten.reshape_as")
def view_as(node: Node) -> None:
    node.give(node.build.op("Reshape", node.tensor("self"), node.vector(sizes(node, "other"))))


@handler("aten.flatten.using_ints")
def flatten(node: Node) -> None:
    dims = sizes(node, "self")
    first, last = node.axis("start_dim", 0), node.axis("end_dim", -1)
    if dims:
        dims[first : last + 1] = [-1]
    node.give(node.build.op("Reshape", node.tensor("self"), node.vector(dims or [1])))


@handler("aten.unflatten.int")
def unflatten(node: Node) -> None:
    dims, axis = sizes(node, "self"), node.axis("dim")
    dims[axis : axis + 1] = node.dims("sizes")
    node.give(node.build.op("Reshape", node.tensor("self"), node.vector(dims)))


@handler("aten.squeeze")
def squeeze(node: Node) -> None:
    """Axes whose size is 1 in the example; those that are free stay."""
    shape, axes = node.meta("self").shape, node.axes("dim")
    chosen = [axis for axis in (range(len(shape)) if axes is None else axes) if shape[axis : axis + 1] == (1,)]
    node.give(node.build.squeeze(node.tensor("self"), *chosen) if chosen else node.tensor("self"))


@handler("aten.unsqueeze")
def unsqueeze(node: Node) -> None:
    node.give(node.build.unsqueeze(node.tensor("self"), node.axis("dim", extra=1)))


@handler("aten.permute")
def permute(node: Node) -> None:
    order = node.axes("dims") or []
    node.give(node.build.transpose(node.tensor("self"), *order) if order else node.tensor("self"))


@handler("aten.transpose.int", "aten.swapaxes", "aten.swapdims")
def transpose(node: Node) -> None:
    names = ("axis0", "axis1") if node.has("axis0") else ("dim0", "dim1")
    _swap(node, *(node.axis(name) for name in names))


@handler("aten.t", "aten.numpy_T", "aten.mT")
def t(node: Node) -> None:
    rank = node.meta("self").rank
    if rank < 2:
        node.give(node.tensor("self"))
    elif "numpy_T" in node.target:
        node.give(node.build.transpose(node.tensor("self"), *reversed(range(rank))))
    else:
        _swap(node, rank - 2, rank - 1)


def _swap(node: Node, a: int, b: int) -> None:
    order = list(range(node.meta("self").rank))
    if order:
        order[a], order[b] = order[b], order[a]
    node.give(node.build.transpose(node.tensor("self"), *order) if order else node.tensor("self"))


@handler("aten.movedim", "aten.moveaxis")
def movedim(node: Node) -> None:
    sources, targets = node.axes("source") or [], node.axes("destination") or []
    rest = iter(axis for axis in range(node.meta("self").rank) if axis not in sources)
    placed = dict(zip(targets, sources))
    order = [placed[i] if i in placed else next(rest) for i in range(node.meta("self").rank)]
    node.give(node.build.transpose(node.tensor("self"), *order))


@handler("aten.expand", "aten.broadcast_to")
def expand(node: Node) -> None:
    node.skip("implicit")
    shape = [1 if dim == -1 else dim for dim in node.dims("size")]  # 1 keeps the dim, as -1 does for torch
    node.give(node.build.op("Expand", node.tensor("self"), node.vector(shape)))


@handler("aten.expand_as")
def expand_as(node: Node) -> None:
    node.give(node.build.op("Expand", node.tensor("self"), node.vector(sizes(node, "other"))))


@handler("aten.repeat", "aten.tile")
def repeat(node: Node) -> None:
    counts = node.dims("repeats" if node.has("repeats") else "dims")
    rank, x = node.meta("self").rank, node.tensor("self")
    if len(counts) < rank:
        counts = [*[1] * (rank - len(counts)), *counts]
    if len(counts) > rank:
        x = node.build.unsqueeze(x, *range(len(counts) - rank))
    node.give(node.build.op("Tile", x, node.vector(counts)))


@handler("aten.repeat_interleave.self_int")
def repeat_interleave(node: Node) -> None:
    """By a number; the same for all elements."""
    build, x = node.build, node.tensor("self")
    count: Dim = node.dim("repeats")
    node.skip("output_size")
    if node.has("dim"):
        axis, dims = node.axis("dim"), sizes(node, "self")
    else:
        x, axis, dims = build.reshape(x, [-1]), 0, [-1]
    counts: list[Dim] = [1] * (len(dims) + 1)
    counts[axis + 1] = count
    spread = build.op("Tile", build.unsqueeze(x, axis + 1), node.vector(counts))
    node.give(build.op("Reshape", spread, node.vector([*dims[:axis], -1, *dims[axis + 1 :]])))


@handler("aten.pixel_shuffle")
def pixel_shuffle(node: Node) -> None:
    size = node.integer("upscale_factor")
    node.give(node.build.op("DepthToSpace", node.tensor("self"), blocksize=size, mode="CRD"))


@handler("aten.tril", "aten.triu")
def triangle(node: Node) -> None:
    offset = node.build.constant(node.integer("diagonal", 0), "diagonal", "int64")
    node.give(node.build.op("Trilu", node.tensor("self"), offset, upper=int("triu" in node.target)))
