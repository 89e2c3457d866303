"""The ONNX project's own tests: every case made of our operations passes, or is refused for a reason listed here."""

from __future__ import annotations

import pathlib
import re
import warnings
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.loader
import onnx.version_converter
import pytest
from onnx import TensorProto, numpy_helper
from versions import skip_before

import lstm_rt

# Constants become weights when a model is converted.
SUPPORTED = {"Constant", *lstm_rt.supported_ops()}
DTYPES = {
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.UINT8,
    TensorProto.INT8,
}
RECURRENT = 18
OLDEST_OPSET = 7

# Cases of dtypes that we have, refused all the same: pattern of the name, words of the message.
REFUSED = {
    r"test_Conv3d": "wanted [N, C, W] or [N, C, H, W]",
}


def dtypes_of(graph: onnx.GraphProto) -> set[int]:
    """Element types of a graph's inputs, outputs and constants; 0 for what is no tensor."""
    found = {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    found |= {t.data_type for t in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                found.add(attribute.t.data_type)
            if attribute.type == onnx.AttributeProto.GRAPH:
                found |= dtypes_of(attribute.g)
            if node.op_type == "Cast" and attribute.name == "to":
                found.add(attribute.i)
    return found


def ops_of(graph: onnx.GraphProto) -> set[str]:
    found = set()
    for node in graph.node:
        found.add(node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}")
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found |= ops_of(attribute.g)
    return found


def model_of(case: Any) -> onnx.ModelProto:
    return case.model if case.model is not None else onnx.load(str(pathlib.Path(case.model_dir, "model.onnx")))


def data_of(case: Any, model: onnx.ModelProto) -> list[tuple[list[Any], list[Any]]]:
    """Inputs and outputs of every data set, in the model's order."""
    if case.data_sets is not None:
        return [(list(i), list(o)) for i, o in case.data_sets]

    def read(path: pathlib.Path) -> Any:
        return numpy_helper.to_array(onnx.load_tensor(str(path)))

    weights = {t.name for t in model.graph.initializer}
    counts = [sum(i.name not in weights for i in model.graph.input), len(model.graph.output)]
    folders = sorted(pathlib.Path(case.model_dir).glob("test_data_set_*"))
    return [
        (
            [read(folder / f"input_{n}.pb") for n in range(counts[0])],
            [read(folder / f"output_{n}.pb") for n in range(counts[1])],
        )
        for folder in folders
    ]


def load_cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            c
            for kind in ("node", "simple", "pytorch-converted", "pytorch-operator")
            for c in onnx.backend.test.loader.load_model_tests(kind=kind)
        ]
    return [c for c in found if ops_of(model_of(c).graph) <= SUPPORTED]


CASES = load_cases()


def reason_to_refuse(case: Any, model: onnx.ModelProto) -> str | None:
    if not dtypes_of(model.graph) <= DTYPES:
        return ""
    return next((words for pattern, words in REFUSED.items() if re.match(pattern, case.name)), None)


def opset_of(model: onnx.ModelProto) -> int:
    return max(int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx"))


def assert_refused(case: Any, model: onnx.ModelProto, words: str) -> None:
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(model)(*data_of(case, model)[0][0])
    assert words in str(caught.value)


def modernised(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """A model of an old opset brought to a newer one, as the refusal advises; None where onnx itself cannot."""
    try:
        newer = onnx.version_converter.convert_version(model, 13)
    except RuntimeError:
        return None
    newer.ir_version = 8  # it leaves the old one, which wants weights among the inputs
    return newer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Any) -> None:
    original = model = model_of(case)
    if opset_of(model) < OLDEST_OPSET:
        assert_refused(case, model, "version_converter")
        newer = modernised(model)
        if newer is None:
            return
        model = newer
    refusal = reason_to_refuse(case, model)
    if refusal is not None:
        assert_refused(case, model, refusal)
        return
    loaded = lstm_rt.load(model)
    for inputs, outputs in data_of(case, original):
        found = loaded(*[np.asarray(i) for i in inputs])
        found = found if isinstance(found, tuple) else (found,)
        assert len(found) == len(outputs)
        for got, wanted in zip(found, outputs):
            wanted = np.asarray(wanted)
            assert got.dtype == wanted.dtype
            assert got.shape == wanted.shape
            np.testing.assert_allclose(got, wanted, rtol=case.rtol, atol=case.atol)


def test_all_recurrent_cases_are_there_and_none_is_refused() -> None:
    recurrent = [c for c in CASES if ops_of(model_of(c).graph) & {"LSTM", "GRU", "RNN"}]
    assert not [c.name for c in recurrent if reason_to_refuse(c, model_of(c)) is not None]
    skip_before("onnx", (1, 20), f"brings {len(recurrent)} of these {RECURRENT} cases")
    assert len(recurrent) >= RECURRENT
