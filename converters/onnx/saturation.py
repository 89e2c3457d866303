"""Reports whether onnxruntime multiplies bytes exactly on this CPU, and for which models the answer matters.

On x86 CPUs with AVX2 or AVX-512 but without VNNI, onnxruntime multiplies uint8 by int8 with `vpmaddubsw`. This
instruction adds two products in 16 bits and saturates. Two products of 255 and a weight of at most 64 fit into 16 bits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..graph import Array

LARGEST_SAFE_WEIGHT = 64  # 2 * 255 * 64 < 2**15

# onnxruntime multiplies bytes in its own operators, and in MatMul, Gemm and Conv that it fuses with DequantizeLinear.
PRODUCTS = frozenset(
    {
        "Conv",
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "Gemm",
        "MatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QAttention",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
    }
)


@functools.cache
def onnxruntime_is_exact() -> bool:
    """Return whether onnxruntime computes a product of 255 and 127 exactly. Needs onnx and onnxruntime."""
    import onnxruntime  # type: ignore[import-untyped]
    from onnx import TensorProto, helper

    ports = (("a", TensorProto.UINT8), ("b", TensorProto.INT8), ("y", TensorProto.INT32))
    a, b, y = (helper.make_tensor_value_info(name, dtype, [None, None]) for name, dtype in ports)
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["y"])], "product", [a, b], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"a": np.full((4, 64), 255, np.uint8), "b": np.full((64, 32), 127, np.int8)}
    return bool((session.run(None, feeds)[0] == 64 * 255 * 127).all())


def may_saturate(model: Any, inputs: Iterable[Array] = ()) -> bool:
    """Return whether a model multiplies by int8 numbers that are too large for CPUs without VNNI.

    Parameters
    ----------
    model : onnx.ModelProto
        The model, with its weights loaded.
    inputs : iterable of numpy.ndarray
        Arrays that the model will be given.

    Returns
    -------
    bool
        True if onnxruntime's outputs depend on the CPU.
    """
    from onnx import TensorProto, numpy_helper

    graphs = [*_graphs(model.graph)]
    if not any(node.op_type in PRODUCTS for graph in graphs for node in graph.node):
        return False
    tensors = [t for graph in graphs for t in graph.initializer]
    tensors += [a.t for graph in graphs for node in graph.node for a in node.attribute if a.HasField("t")]
    bytes_ = [numpy_helper.to_array(t) for t in tensors if t.data_type == TensorProto.INT8]
    bytes_ += [a for a in inputs if a.dtype == np.int8]
    return any(bool((np.abs(a.astype(np.int16)) > LARGEST_SAFE_WEIGHT).any()) for a in bytes_)


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
