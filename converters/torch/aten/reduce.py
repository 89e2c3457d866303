"""Reductions, and what looks for the largest."""

from __future__ import annotations

from ...graph import ABSENT, DType, Value
from ..node import Dim, Node, Sym, handler
from .compare import as_bool


def reduced(node: Node, op: str, x: Value, axes: list[int] | None, keepdims: bool) -> Value:
    """A reduction over axes, all where None."""
    over = ABSENT if axes is None else node.build.integers(axes)
    return node.build.op(op, x, over, keepdims=int(keepdims), noop_with_empty_axes=0)


def _reduction(op: str, *targets: str) -> None:
    @handler(*targets)
    def reduction(node: Node) -> None:
        node.skip("dtype")
        x = node.operand("self", node.result().dtype)
        node.give(reduced(node, op, x, node.axes("dim"), node.boolean("keepdim", False)))


_reduction("ReduceMean", "aten.mean")
_reduction("ReduceSum", "aten.sum")
_reduction("ReduceProd", "aten.prod")
_reduction("ReduceMax", "aten.amax", "aten.max.default")
_reduction("ReduceMin", "aten.amin", "aten.min.default")
_reduction("ReduceLogSumExp", "aten.logsumexp")


def _extreme(target: str, reduce: str, find: str) -> None:
    @handler(target)
    def extreme(node: Node) -> None:
        x, axis, keep = node.tensor("self"), node.axis("dim"), node.boolean("keepdim", False)
        largest = reduced(node, reduce, x, [axis], keep)
        if not node.wanted(1):
            node.give(largest)
            return
        node.give(largest, node.build.op(find, x, axis=axis, keepdims=int(keep), select_last_index=0))


_extreme("aten.max.dim", "ReduceMax", "ArgMax")
_extreme("aten.min.dim", "ReduceMin", "ArgMin")


def _find(target: str, op: str) -> None:
    @handler(target)
    def find(node: Node) -> None:
        x, keep = node.tensor("self"), int(node.boolean("keepdim", False))
        if node.has("dim"):
            node.give(node.build.op(op, x, axis=node.axis("dim"), keepdims=keep, select_last_index=0))
            return
        flat = node.build.reshape(x, [-1])
        node.give(node.build.op(op, flat, axis=0, keepdims=0, select_last_index=0))


_find("aten.argmax", "ArgMax")
_find("aten.argmin", "ArgMin")


@handler("aten.all", "aten.any")
def all_or_any(node: Node) -> None:
    truth = node.build.cast(as_bool(node, "self"), DType.INT32)
    op = "ReduceMin" if node.target.startswith("aten.all") else "ReduceMax"
    node.give(node.build.cast(reduced(node, op, truth, node.axes("dim"), node.boolean("keepdim", False)), DType.BOOL))


@handler("aten.var", "aten.std", "aten.var_mean.correction", "aten.std_mean.correction")
def variance(node: Node) -> None:
    """With a correction (`unbiased`) over axes whose sizes are known or free."""
    build, x, axes = node.build, node.tensor("self"), node.axes("dim")
    keep = node.boolean("keepdim", False)
    mean = reduced(node, "ReduceMean", x, axes, True)
    apart = build.op("Sub", x, mean)
    squares = reduced(node, "ReduceMean", build.op("Mul", apart, apart), axes, keep)
    correction = _correction(node)
    if correction:
        squares = build.op("Mul", squares, _factor(node, axes, correction))
    result = build.op("Sqrt", squares) if "std" in node.target else squares
    if "_mean" in node.target:
        node.give(result, reduced(node, "ReduceMean", x, axes, keep))
    else:
        node.give(result)


def _correction(node: Node) -> float:
    if node.has("unbiased"):
        return float(node.boolean("unbiased"))
    return node.number("correction", 1.0)


def _factor(node: Node, axes: list[int] | None, correction: float) -> Value:
    """n / (n - correction), n being how many elements each variance is of."""
    build = node.build
    count = build.integers([1])
    for axis in range(node.meta("self").rank) if axes is None else axes:
        count = build.op("Mul", count, build.op("Shape", node.tensor("self"), start=axis, end=axis + 1))
    n = node.constant(Sym(count), DType.FLOAT32)
    return build.op("Div", n, build.op("Sub", n, node.constant(correction, DType.FLOAT32)))


@handler("aten.cumsum")
def cumsum(node: Node) -> None:
    node.skip("dtype")
    x = node.operand("self", node.result().dtype)
    axis = node.build.constant(node.axis("dim"), "axis", "int64")
    node.give(node.build.op("CumSum", x, axis, exclusive=0, reverse=0))


@handler("aten.topk")
def topk(node: Node) -> None:
    _top(node, node.dim("k"), node.axis("dim", -1), node.boolean("largest", True), node.boolean("sorted", True))


@handler("aten.sort")
def sort(node: Node) -> None:
    """By TopK of the whole axis; equal elements keep their order."""
    node.skip("stable")
    axis = node.axis("dim", -1)
    _top(node, _whole(node, axis), axis, node.boolean("descending", False), True)


@handler("aten.argsort")
def argsort(node: Node) -> None:
    node.skip("stable")
    axis = node.axis("dim", -1)
    inputs = [node.tensor("self"), node.vector([_whole(node, axis)])]
    largest = int(node.boolean("descending", False))
    node.give(node.build.ops("TopK", inputs, 2, axis=axis, largest=largest, sorted=1)[1])


def _whole(node: Node, axis: int) -> Dim:
    return Sym(node.build.op("Shape", node.tensor("self"), start=axis, end=axis + 1))


def _top(node: Node, count: Dim, axis: int, largest: bool, in_order: bool) -> None:
    inputs = [node.tensor("self"), node.vector([count])]
    node.give(*node.build.ops("TopK", inputs, 2, axis=axis, largest=int(largest), sorted=int(in_order)))
