"""Sequences of tensors, which the planner keeps as lists: their lengths and positions are known when it plans."""

from __future__ import annotations

from ...graph import Attribute
from ..node import Node, dtype_of, handler


@handler("SequenceEmpty")
def sequence_empty(node: Node) -> None:
    node.inputs(0)
    if node.has("dtype"):
        dtype_of(node.integer("dtype"))
    node.emit([])


@handler("SequenceConstruct")
def sequence_construct(node: Node) -> None:
    node.emit(node.inputs(1, most=-1))


@handler("SequenceInsert")
def sequence_insert(node: Node) -> None:
    node.emit(node.inputs(2, 3))


@handler("SequenceErase")
def sequence_erase(node: Node) -> None:
    node.emit(node.inputs(1, 2))


@handler("SequenceAt")
def sequence_at(node: Node) -> None:
    node.emit(node.inputs(2))


@handler("SequenceLength")
def sequence_length(node: Node) -> None:
    node.emit(node.inputs(1))


@handler("SplitToSequence")
def split_to_sequence(node: Node) -> None:
    inputs = node.inputs(1, 2)
    attributes: dict[str, Attribute] = {"axis": node.integer("axis", 0), "keepdims": node.integer("keepdims", 1)}
    node.emit(inputs, attributes)


@handler("ConcatFromSequence")
def concat_from_sequence(node: Node) -> None:
    node.emit(node.inputs(1), {"axis": node.integer("axis"), "new_axis": node.integer("new_axis", 0)})
