"""Scaled dot product attention."""

from __future__ import annotations

import math

import numpy as np

from ...graph import DType, Value
from ..node import Node, handler
from .shape import sizes


@handler("aten.scaled_dot_product_attention")
def attention(node: Node) -> None:
    """softmax(q kᵀ scale + mask) v, with masks of bool or float, causal or not."""
    if node.number("dropout_p", 0.0) > 0:
        node.refuse("its dropout is on. Export the module after module.eval().")
    node.skip("scale")
    if node.boolean("enable_gqa", False):
        node.refuse("enable_gqa is not supported. Repeat the heads of key and value before.")
    build = node.build
    query, rank = node.tensor("query"), node.meta("query").rank
    turned = build.transpose(node.tensor("key"), *range(rank - 2), rank - 1, rank - 2)
    scores = build.op("MatMul", build.op("Mul", query, _scale(node)), turned)
    node.give(build.op("MatMul", build.op("Softmax", _masked(node, scores), axis=-1), node.tensor("value")))


def _scale(node: Node) -> Value:
    """1 / sqrt(width), unless another is given."""
    build, width = node.build, sizes(node, "query")[-1]
    if node.has("scale"):
        return node.constant(node.number("scale"), DType.FLOAT32)
    if isinstance(width, int):
        return node.constant(1 / math.sqrt(width), DType.FLOAT32)
    return build.op("Reciprocal", build.op("Sqrt", node.constant(width, DType.FLOAT32)))


def _masked(node: Node, scores: Value) -> Value:
    build = node.build
    if node.boolean("is_causal", False):
        rows, columns = (sizes(node, name)[-2] for name in ("query", "key"))
        ones = build.op("ConstantOfShape", node.vector([rows, columns]), value=1, dtype=int(DType.INT64))
        lower = build.op("Trilu", ones, build.constant(0, "diagonal", "int64"), upper=0)
        return _where(node, build.cast(lower, DType.BOOL), scores)
    if not node.has("attn_mask"):
        return scores
    mask = node.tensor("attn_mask")
    if node.meta("attn_mask").dtype == DType.BOOL:
        return _where(node, mask, scores)
    return build.op("Add", scores, mask)


def _where(node: Node, seen: Value, scores: Value) -> Value:
    hidden = node.build.constant(np.array(-np.inf, np.float32), "hidden")
    return node.build.op("Where", seen, scores, hidden)
