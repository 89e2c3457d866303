"""Comparison, logic and choice."""

from __future__ import annotations

from ...graph import DType, Value
from ..node import Node, Sym, handler

_KINDS = {DType.BOOL: 0, DType.UINT8: 1, DType.INT8: 1, DType.INT32: 1, DType.INT64: 1, DType.FLOAT32: 2}
_WIDTHS = {DType.BOOL: 0, DType.UINT8: 1, DType.INT8: 1, DType.INT32: 2, DType.INT64: 3, DType.FLOAT32: 4}


def common_dtype(node: Node, *names: str) -> DType:
    """The dtype in which torch works on operands: of tensors with dims, unless others are of a higher kind."""
    ranked: list[tuple[int, int, DType]] = []  # 0 with dims, 1 without, 2 a number
    for name in names:
        if node.is_tensor(name):
            meta = node.meta(name)
            ranked.append((0 if meta.rank else 1, _KINDS[meta.dtype], meta.dtype))
        else:
            number = node.scalar(name)
            whole = isinstance(number, (int, Sym))
            dtype = DType.BOOL if isinstance(number, bool) else DType.INT64 if whole else DType.FLOAT32
            ranked.append((2, _KINDS[dtype], dtype))
    best = max(kind for _, kind, _ in ranked)
    rank = min(rank for rank, kind, _ in ranked if kind == best)
    candidates = [dtype for r, kind, dtype in ranked if kind == best and r == rank]
    if set(candidates) == {DType.UINT8, DType.INT8}:
        return DType.INT32  # torch has int16, which holds no more than we need
    return max(candidates, key=lambda dtype: _WIDTHS[dtype])


def _comparison(target: str, op: str, negated: bool = False) -> None:
    @handler(target)
    def comparison(node: Node) -> None:
        dtype = common_dtype(node, "self", "other")
        if dtype == DType.BOOL and op != "Equal":
            dtype = DType.INT32
        seen = node.build.op(op, node.operand("self", dtype), node.operand("other", dtype))
        node.give(node.build.op("Not", seen) if negated else seen)


_comparison("aten.eq", "Equal")
_comparison("aten.ne", "Equal", negated=True)
_comparison("aten.gt", "Greater")
_comparison("aten.ge", "GreaterOrEqual")
_comparison("aten.lt", "Less")
_comparison("aten.le", "LessOrEqual")


@handler("aten.isnan")
def isnan(node: Node) -> None:
    x = node.tensor("self")
    node.give(node.build.op("Not", node.build.op("Equal", x, x)))


@handler("aten.isinf")
def isinf(node: Node) -> None:
    x = node.tensor("self")
    infinite = node.constant(float("inf"), DType.FLOAT32)
    node.give(node.build.op("Equal", node.build.op("Abs", x), infinite))


def as_bool(node: Node, name: str) -> Value:
    """A tensor as truth: what is not 0."""
    x, dtype = node.tensor(name), node.meta(name).dtype
    if dtype == DType.BOOL:
        return x
    return node.build.op("Not", node.build.op("Equal", x, node.constant(0, dtype)))


def _logic(target: str, op: str) -> None:
    @handler(target)
    def logic(node: Node) -> None:
        if node.target.startswith("aten.bitwise") and node.result().dtype != DType.BOOL:
            node.refuse("only bool is supported.")
        node.give(node.build.op(op, as_bool(node, "self"), as_bool(node, "other")))


for _name, _op in {"and": "And", "or": "Or", "xor": "Xor"}.items():
    _logic(f"aten.logical_{_name}", _op)
    _logic(f"aten.bitwise_{_name}.Tensor", _op)
    _logic(f"aten.__{_name}__.Tensor", _op)


@handler("aten.logical_not", "aten.bitwise_not")
def logical_not(node: Node) -> None:
    if "bitwise" in node.target and node.result().dtype != DType.BOOL:
        node.refuse("only bool is supported.")
    node.give(node.build.op("Not", as_bool(node, "self")))


@handler("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def where(node: Node) -> None:
    dtype = node.result().dtype
    node.give(
        node.build.op("Where", as_bool(node, "condition"), node.operand("self", dtype), node.operand("other", dtype))
    )


@handler("aten.masked_fill")
def masked_fill(node: Node) -> None:
    dtype = node.result().dtype
    node.give(node.build.op("Where", as_bool(node, "mask"), node.operand("value", dtype), node.tensor("self")))
