"""Numbers that are known when shapes are: the sizes of tensors, and arithmetic on them. The planner works them out."""

from __future__ import annotations

from typing import Callable

from ...graph import Value
from ..node import Dim, Node, Sym, handler


@handler("aten.sym_size.int")
def sym_size(node: Node) -> None:
    axis = node.axis("dim")
    node.give_symbol(node.build.op("Shape", node.tensor("self"), start=axis, end=axis + 1))


@handler("aten.dim")
def dim(node: Node) -> None:
    """The number of dims, which is known."""
    node.give_symbol(node.build.integers([node.meta("self").rank]))


@handler("aten.sym_numel")
def sym_numel(node: Node) -> None:
    node.give_symbol(node.build.reshape(node.build.op("Size", node.tensor("self")), [1]))


def _value(node: Node, dim: Dim) -> Value:
    return dim.value if isinstance(dim, Sym) else node.build.integers([dim])


def _two(node: Node) -> tuple[Value, Value]:
    return _value(node, node.dim("a")), _value(node, node.dim("b"))


def _binary(target: str, op: str) -> None:
    @handler(target)
    def binary(node: Node) -> None:
        node.give_symbol(node.build.op(op, *_two(node)))


_binary("_operator.add", "Add")
_binary("_operator.sub", "Sub")
_binary("_operator.mul", "Mul")
_binary("torch.sym_max", "Max")
_binary("torch.sym_min", "Min")


@handler("_operator.neg")
def negative(node: Node) -> None:
    node.give_symbol(node.build.op("Sub", node.build.integers([0]), _value(node, node.dim("a"))))


@handler("_operator.floordiv")
def floor_division(node: Node) -> None:
    node.give_symbol(_floor_divided(node, *_two(node)))


@handler("_operator.mod")
def modulo(node: Node) -> None:
    a, b = _two(node)
    whole = node.build.op("Mul", _floor_divided(node, a, b), b)
    node.give_symbol(node.build.op("Sub", a, whole))


def _floor_divided(node: Node, a: Value, b: Value) -> Value:
    """Rounded down, where Div rounds towards zero: one less where the rest is negative. The divisor is positive."""
    build = node.build
    quotient = build.op("Div", a, b)
    rest = build.op("Sub", a, build.op("Mul", quotient, b))
    limits = [build.constant(limit, "limit", "int64") for limit in (-1, 0)]
    return build.op("Add", quotient, build.op("Clip", rest, *limits))


@handler("torch.sym_int", "math.trunc")
def to_integer(node: Node) -> None:
    node.give_symbol(_value(node, node.dim("a")))


def _nothing(targets: tuple[str, ...], why: str) -> Callable[[Node], None]:
    @handler(*targets)
    def nothing(node: Node) -> None:
        node.skip_all()

    nothing.__doc__ = why
    return nothing


checks = _nothing(
    (
        "aten._assert_async",
        "aten._assert_scalar",
        "aten._assert_tensor_metadata",
        "aten.sym_constrain_range",
        "aten.sym_constrain_range_for_size",
        "_operator.ge",
        "_operator.gt",
        "_operator.le",
        "_operator.lt",
        "_operator.eq",
        "_operator.ne",
        "_operator.and_",
        "_operator.or_",
    ),
    "What torch assumed of sizes; the planner checks those it needs.",
)
