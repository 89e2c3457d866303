"""Taking and putting elements by index."""

from __future__ import annotations

from ...graph import ABSENT, DType, Value
from ..node import Node, handler


@handler("aten.index_select")
def index_select(node: Node) -> None:
    node.give(node.build.op("Gather", node.tensor("self"), node.tensor("index"), axis=node.axis("dim")))


@handler("aten.gather")
def gather(node: Node) -> None:
    node.skip("sparse_grad")
    node.give(node.build.op("GatherElements", node.tensor("self"), node.tensor("index"), axis=node.axis("dim")))


@handler("aten.take_along_dim")
def take_along_dim(node: Node) -> None:
    """Along one axis, the other dims being equal."""
    shapes = [node.meta(name).shape for name in ("self", "indices")]
    axis = node.axis("dim")
    if any(a != b for i, (a, b) in enumerate(zip(*shapes)) if i != axis):
        node.refuse("dims that are broadcast are not supported. Expand before.")
    node.give(node.build.op("GatherElements", node.tensor("self"), node.tensor("indices"), axis=axis))


@handler("aten.index.Tensor")
def index(node: Node) -> None:
    """By tensors of integers that stand side by side, such as ``x[i]``, ``x[:, i]`` and ``x[i, j]``."""
    given = node.optional_tensors("indices")
    at = [axis for axis, value in enumerate(given) if value != ABSENT]
    if any(node.dtype_of(given[axis]) == DType.BOOL for axis in at):
        node.refuse("an index of bool gives a shape that depends on data. Use torch.where.")
    if at != list(range(at[0], at[0] + len(at))):
        node.refuse("indices of axes that are not side by side are not supported. Permute before.")
    x, build = node.tensor("self"), node.build
    if len(at) == 1:
        node.give(build.op("Gather", x, given[at[0]], axis=at[0]))
        return
    if at[0] != 0:
        node.refuse("several indices behind an axis that is taken whole are not supported. Permute before.")
    node.give(build.op("GatherND", x, _tuples(node, [given[axis] for axis in at]), batch_dims=0))


def _tuples(node: Node, indices: list[Value]) -> Value:
    """Indices of several axes, broadcast, as rows of one tensor."""
    build = node.build
    zero = build.constant(0, "zero", "int64")
    total = build.cast(indices[0], DType.INT64)
    for other in indices[1:]:
        total = build.op("Add", total, build.cast(other, DType.INT64))
    zeros = build.op("Mul", total, zero)  # of the shape that all have together
    columns = [build.unsqueeze(build.op("Add", zeros, build.cast(i, DType.INT64)), -1) for i in indices]
    return build.op("Concat", *columns, axis=-1)


@handler("aten.scatter.src", "aten.scatter.value", "aten.scatter_add")
def scatter(node: Node) -> None:
    build, at = node.build, node.tensor("index")
    if node.has("src"):
        new = node.tensor("src")
        if node.meta("src").shape != node.meta("index").shape:
            node.refuse("a source larger than the index is not supported. Slice it before.")
    else:
        new = build.op("Expand", node.operand("value", node.result().dtype), build.op("Shape", at))
    reduction = "add" if "scatter_add" in node.target else "none"
    node.give(build.op("ScatterElements", node.tensor("self"), at, new, axis=node.axis("dim"), reduction=reduction))


@handler("aten.one_hot")
def one_hot(node: Node) -> None:
    classes = node.build.integers(node.integer("num_classes"))
    values = node.build.integers([0, 1])
    node.give(node.build.op("OneHot", node.tensor("self"), classes, values, axis=-1))
