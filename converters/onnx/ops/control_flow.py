"""Branches and loops. Scan is a Loop that picks its inputs by the number of the iteration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...graph import ABSENT, Attribute, Block, Value
from ..node import Node, dtype_of, handler

_NO_LIMIT = np.iinfo(np.int64).max


@handler("If")
def if_(node: Node) -> None:
    branches: dict[str, Attribute] = {}
    for name in ("then_branch", "else_branch"):
        branches[name] = block = node.block(name, lambda _, names: _refuse_inputs(node, names))
        _check_count(node, f"outputs of {name}", len(block.outputs), len(node.output_names))
    node.emit(node.inputs(1), branches, most_outputs=-1)


def _refuse_inputs(node: Node, names: Sequence[str]) -> list[Value]:
    _check_count(node, "inputs of a branch", len(names), 0)
    return []


@handler("Loop")
def loop(node: Node) -> None:
    inputs = node.inputs(0, -1)
    count, condition, *states = inputs + [ABSENT] * (2 - len(inputs))
    if count == ABSENT:
        count = node.weight("trip_count", np.array(_NO_LIMIT, np.int64))
    if condition == ABSENT:
        condition = node.weight("condition", np.array(True))

    def enter(block: Block, names: Sequence[str]) -> list[Value]:
        _check_count(node, "inputs of the body", len(names), 2 + len(states))
        return node.body_inputs(block, names)

    body = node.block("body", enter)
    _check_count(node, "outputs of the body", len(body.outputs), 1 + len(node.output_names))
    _check_states(node, states)
    attributes = {"body": body, **_declared_items(node, len(states), 1)}
    node.emit([count, condition, *states], attributes, most_outputs=-1)


@handler("Scan")
def scan(node: Node) -> None:
    if node.opset < 9:
        node.refuse("Scan of opset 8 is another operator. Export the model with opset 9 or newer.")
    number = node.integer("num_scan_inputs")
    inputs = node.inputs(0, -1)
    if not 0 < number <= len(inputs) or ABSENT in inputs:
        node.refuse(f"has {len(inputs)} inputs, and num_scan_inputs is {number}. The file is damaged.")
    states, scanned = inputs[:-number], inputs[-number:]
    axes = _one_for_each(node, "scan_input_axes", number)
    backwards = _one_for_each(node, "scan_input_directions", number)
    count = _length(node, scanned[0], axes[0])
    scanned[1:] = [_of_length(node, value, axis, count) for value, axis in zip(scanned[1:], axes[1:])]
    last = node.build.op("Sub", count, node.weight("one", np.array(1, np.int64)))

    def enter(block: Block, names: Sequence[str]) -> list[Value]:
        _check_count(node, "inputs of the body", len(names), len(inputs))
        build = node.build_in(block)
        made = node.body_inputs(block, [*node.unique("iteration", "condition"), *names[: len(states)]])
        picked = []
        for value, axis, backward in zip(scanned, axes, backwards):
            position = build.op("Sub", last, made[0]) if backward else made[0]
            picked.append(build.op("Gather", value, position, axis=axis))
        return [*made[2:], *picked]

    body = node.block("body", enter)
    _check_count(node, "outputs of the body", len(body.outputs), len(node.output_names))
    _check_states(node, states)
    body.outputs.insert(0, body.inputs[1])  # always goes on
    attributes = {"body": body, **_declared_items(node, len(states), 0)}
    for name in ("scan_output_axes", "scan_output_directions"):
        items = _one_for_each(node, name, len(node.output_names) - len(states))
        if any(items):
            attributes[name] = items
    node.emit([count, node.weight("condition", np.array(True)), *states], attributes, type="Loop", most_outputs=-1)


def _declared_items(node: Node, states: int, skipped: int) -> dict[str, Attribute]:
    """One item of each stacked output, for loops of no iteration; nothing unless all are known.

    Inferred shapes come first, as in onnxruntime, then what the body declares; a dim that is free counts as 0.
    """
    dtypes, shapes = [], []
    for i, info in enumerate(node.body_outputs("body")[skipped + states :]):
        tensor, whole = info.type.tensor_type, node.inferred(states + i)
        shape = [max(dim.dim_value, 0) for dim in (whole or tensor).shape.dim]
        if whole is not None and node.type == "Loop":
            del shape[:1]
        elif whole is not None:
            axes = node.integers("scan_output_axes")
            del shape[axes[i] if axes and i < len(axes) else 0]
        elif not tensor.HasField("shape"):
            return {}
        if not (whole or tensor).elem_type:
            return {}
        dtypes.append(int(dtype_of((whole or tensor).elem_type)))
        shapes.append(shape)
    return {
        "scan_dtypes": dtypes,
        "scan_ranks": [len(shape) for shape in shapes],
        "scan_dims": [dim for shape in shapes for dim in shape],
    }


def _one_for_each(node: Node, name: str, number: int) -> list[int]:
    items = node.integers(name) or [0] * number
    _check_count(node, name, len(items), number)
    return items


def _length(node: Node, value: Value, axis: int) -> Value:
    return node.build.op("Gather", node.build.op("Shape", value), node.weight("axis", np.array(axis, np.int64)), axis=0)


def _of_length(node: Node, value: Value, axis: int, count: Value) -> Value:
    """The value itself, refused where it is not as long as the others: a Split whose one part is all of it."""
    return node.build.op("Split", value, node.build.unsqueeze(count, 0), axis=axis)


def _check_states(node: Node, states: Sequence[Value]) -> None:
    if len(node.output_names) < len(states):
        node.refuse(f"carries {len(states)} values, but has {len(node.output_names)} outputs. The file is damaged.")


def _check_count(node: Node, what: str, seen: int, wanted: int) -> None:
    if seen != wanted:
        node.refuse(f"{what}: {seen}, wanted {wanted}. The file is damaged.")
