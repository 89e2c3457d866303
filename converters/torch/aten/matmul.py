"""Products of matrices, dense layers, embeddings' tables."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT, DType, Value
from ..node import Node, handler


@handler("aten.linear")
def linear(node: Node) -> None:
    x, weight, bias = node.tensor("input"), node.tensor("weight"), node.optional("bias")
    build = node.build
    if node.meta("input").rank == 2 and node.meta("weight").rank == 2:
        node.give(build.op("Gemm", x, weight, bias, alpha=1.0, beta=1.0, transA=0, transB=1))
        return
    y = build.op("MatMul", x, _transposed(node, weight))
    node.give(y if bias == ABSENT else build.op("Add", y, bias))


@handler("lstm_rt.quantized_linear")
def quantized_linear(node: Node) -> None:
    """Weights stay the integers they are; inputs are rounded row by row at run time, as for `quantize="int8"`."""
    build, bias = node.build, node.optional("bias")
    weight = _transposed(node, node.tensor("weight"))
    y = build.op("MatMul", node.tensor("input"), weight, node.tensor("scales"), activation_bits=8)
    node.give(y if bias == ABSENT else build.op("Add", y, bias))


def _transposed(node: Node, weight: Value) -> Value:
    """A matrix, or a vector as it is, as the right side of a product."""
    array = node.known(weight)
    rank = len(node.shape_of(weight))
    if rank < 2:
        return weight

    def make() -> Value:
        if array is None:
            return node.build.transpose(weight, *range(rank - 2), rank - 1, rank - 2)
        return node.build.constant(np.ascontiguousarray(np.swapaxes(array, -1, -2)), "weight")

    return node.once(("transposed", weight), make)


@handler("aten.matmul", "aten.bmm", "aten.mm", "aten.mv", "aten.dot")
def matmul(node: Node) -> None:
    second = next(name for name in ("other", "mat2", "vec", "tensor") if node.has(name))
    node.give(node.build.op("MatMul", node.tensor("self"), node.tensor(second)))


@handler("aten.addmm")
def addmm(node: Node) -> None:
    node.give(
        node.build.op(
            "Gemm",
            node.tensor("mat1"),
            node.tensor("mat2"),
            node.tensor("self"),
            alpha=node.number("alpha", 1.0),
            beta=node.number("beta", 1.0),
            transA=0,
            transB=0,
        )
    )


@handler("aten.baddbmm", "aten.addbmm")
def baddbmm(node: Node) -> None:
    """beta self + alpha batch1 batch2."""
    if "addbmm" in node.target and "baddbmm" not in node.target:
        node.refuse("sums over the batch are not supported. Write torch.baddbmm and sum.")
    build = node.build
    product = build.op("MatMul", node.tensor("batch1"), node.tensor("batch2"))
    node.give(build.op("Add", _times(node, node.tensor("self"), "beta"), _times(node, product, "alpha")))


def _times(node: Node, value: Value, name: str) -> Value:
    factor = node.number(name, 1.0)
    return value if factor == 1.0 else node.build.op("Mul", value, node.constant(factor, DType.FLOAT32))


@handler("aten.einsum")
def einsum(node: Node) -> None:
    """The equations that the operation Einsum takes."""
    if node.has("path"):
        node.skip("path")  # an order of products, which changes nothing but speed
    equation = node.text("equation").replace(" ", "")
    node.give(node.build.op("Einsum", *node.tensors("tensors"), equation=equation))


@handler("aten.embedding")
def embedding(node: Node) -> None:
    node.skip("padding_idx", "scale_grad_by_freq", "sparse")  # of training
    node.give(node.build.op("Gather", node.tensor("weight"), node.tensor("indices"), axis=0))
