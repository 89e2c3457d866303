"""Running products, extremes and sums of exponentials: a loop over an axis, step by step, as in torch."""

from __future__ import annotations

from typing import Callable

import numpy as np

from ...builder import Builder
from ...graph import Block, DType, Value
from ..node import Node, handler
from .arithmetic import log1p
from .shape import sizes

# Takes the carried values, the element of this step and the number of the step; returns the values to carry on.
_Step = Callable[[Builder, list[Value], Value, Value], list[Value]]


@handler("aten.cumprod")
def cumprod(node: Node) -> None:
    node.skip("dtype")
    dtype = node.result().dtype
    one = node.build.constant(1, "one", dtype.numpy)
    node.give(*_scan(node, node.operand("self", dtype), [one], lambda b, held, x, _: [b.op("Mul", held[0], x)]))


@handler("aten.logcumsumexp")
def logcumsumexp(node: Node) -> None:
    """The larger of sum and element is factored out in every step, so that nothing overflows."""
    log_of_2 = node.build.constant(np.log(2.0), "log_of_2", np.float32)

    def step(build: Builder, held: list[Value], x: Value, _: Value) -> list[Value]:
        (total,) = held
        apart = build.op("Abs", build.op("Sub", total, x))
        more = log1p(build, build.op("Exp", build.op("Neg", apart)))
        unequal = build.op("Add", build.op("Max", total, x), more)
        # Infinities of one sign differ by NaN, and what is equal only doubles.
        return [build.op("Where", build.op("Equal", total, x), build.op("Add", x, log_of_2), unequal)]

    nothing = node.build.constant(-np.inf, "nothing", np.float32)
    node.give(*_scan(node, node.tensor("self"), [nothing], step))


@handler("aten.cummax", "aten.cummin")
def extreme(node: Node) -> None:
    """With the place of each, the last of equal ones; NaN counts as the most extreme."""
    dtype, largest = node.meta("self").dtype, "cummax" in node.target
    compare = "GreaterOrEqual" if largest else "LessOrEqual"

    def step(build: Builder, held: list[Value], x: Value, number: Value) -> list[Value]:
        taken = build.op(compare, x, held[0])
        if dtype is DType.FLOAT32:
            taken = build.op("Or", taken, build.op("Not", build.op("Equal", x, x)))
        return [build.op("Where", taken, x, held[0]), build.op("Where", taken, number, held[1])]

    if dtype is DType.BOOL:
        node.refuse("dtype bool is not supported here. Cast it to int32 first.")
    if dtype is DType.FLOAT32:
        worst = -np.inf if largest else np.inf
    else:
        worst = np.iinfo(dtype.numpy).min if largest else np.iinfo(dtype.numpy).max
    first = [node.build.constant(worst, "worst", dtype.numpy), node.build.constant(0, "place", np.int64)]
    node.give(*_scan(node, node.tensor("self"), first, step))


def _scan(node: Node, x: Value, first: list[Value], step: _Step) -> list[Value]:
    """What is carried after each step over an axis, stacked along it; it begins as numbers without dims."""
    build, shape = node.build, sizes(node, "self")
    if not shape:  # a number: one step
        node.skip("dim")
        return step(build, first, x, build.constant(0, "number", np.int64))
    axis = node.axis("dim")
    rest = node.vector(shape[:axis] + shape[axis + 1 :])
    count = build.squeeze(build.op("Shape", x, start=axis, end=axis + 1), 0)
    carried = [build.op("Expand", value, rest) for value in first]
    graph, body = build.graph, Block()
    inside = Builder(graph, body)
    inside.name = build.name
    names = [
        graph.unique(f"{build.name}/{name}")
        for name in ("number", "goes_on", *(f"held_{i}" for i in range(len(first))))
    ]
    graph.reserve(names)
    number, goes_on, *held = body.inputs = [graph.add_value(name) for name in names]
    after = step(inside, held, inside.op("Gather", x, number, axis=axis), number)
    stacked = [inside.op("Identity", value) for value in after]
    body.outputs = [goes_on, *after, *stacked]
    inputs = [count, build.constant(True, "goes_on", np.bool_), *carried]
    results = build.ops(
        "Loop",
        inputs,
        2 * len(first),
        body=body,
        scan_output_axes=[axis] * len(first),
        scan_output_directions=[0] * len(first),
    )
    return results[len(first) :]
