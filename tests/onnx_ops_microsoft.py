"""Ops of com.microsoft, in all their forms: a name, a model of one node, and its input."""

from __future__ import annotations

from typing import Callable

import onnx
from onnx_of_gguf import Array, floats, one_node

CONV = "com.microsoft::FusedConv"
GEMM = "com.microsoft::FusedGemm"
MATMUL = "com.microsoft::FusedMatMul"

X = floats(2, 3, 4)
Y = floats(2, 3, 5, 4)
FILTERS = floats(6, 3, 2)

OPS: list[tuple[str, Callable[[], onnx.ModelProto], Array]] = [
    (f"{CONV} Relu", lambda: one_node(CONV, X, FILTERS, floats(6), activation="Relu", pads=[1, 0]), X),
    (f"{CONV} Clip", lambda: one_node(CONV, X, FILTERS, activation="Clip", activation_params=[-0.5, 0.25]), X),
    (f"{CONV} Tanh", lambda: one_node(CONV, X, FILTERS, activation="Tanh", strides=[2]), X),
    (f"{CONV} LeakyRelu", lambda: one_node(CONV, X, FILTERS, activation="LeakyRelu", activation_params=[0.3]), X),
    (
        f"{CONV} HardSigmoid",
        lambda: one_node(CONV, X, FILTERS, activation="HardSigmoid", activation_params=[0.3, 0.4]),
        X,
    ),
    (f"{CONV} sum", lambda: one_node(CONV, X, FILTERS, floats(6), floats(2, 6, 3), activation="Relu"), X),
    (
        f"{GEMM} Relu",
        lambda: one_node(GEMM, X[0], floats(5, 4), floats(5), transB=1, alpha=0.5, activation="Relu"),
        X[0],
    ),
    (f"{GEMM} Sigmoid", lambda: one_node(GEMM, X[0], floats(3, 5), transA=1, activation="Sigmoid"), X[0]),
    (
        f"{GEMM} LeakyRelu",
        lambda: one_node(GEMM, X[0], floats(4, 5), activation="LeakyRelu", activation_alpha=0.2, activation_beta=0.0),
        X[0],
    ),
    (f"{MATMUL} plain", lambda: one_node(MATMUL, X, floats(4, 5), alpha=0.125), X),
    (f"{MATMUL} transA", lambda: one_node(MATMUL, X, floats(3, 5), transA=1), X),
    (f"{MATMUL} transB", lambda: one_node(MATMUL, X, floats(2, 5, 4), transB=1, alpha=2.0), X),
    ("com.microsoft::TransposeMatMul", lambda: one_node("com.microsoft::TransposeMatMul", X, floats(4, 5)), X),
    (f"{MATMUL} both", lambda: one_node(MATMUL, X, floats(2, 5, 3), transA=1, transB=1), X),
    (f"{MATMUL} batch", lambda: one_node(MATMUL, Y, floats(3, 5, 4, 3), transBatchA=1), Y),
    (
        f"{MATMUL} batch trans",
        lambda: one_node(MATMUL, Y, floats(2, 3, 5, 4), transBatchA=1, transA=1, transBatchB=1),
        Y,
    ),
]
