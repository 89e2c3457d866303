"""The ONNX project's own tests, all of them: each passes, or is refused for a reason that docs/onnx.md lists."""

from __future__ import annotations

import pathlib
import re
import warnings
from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.loader
import pytest
from onnx import helper, numpy_helper
from versions import skip_before

import lstm_rt
import lstm_rt.backend

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
ENOUGH = 700  # must pass
RECURRENT = 18

# Why a case may be refused: a name, as docs/onnx.md has it, and what the message says.
REASONS = {
    "dtypes": r"dtype (string|u?int(2|4|16)|uint32|uint64|complex\w+|float\de\w+|float4e2m1)\b",
    "sequences, maps, optionals": r"not a tensor but a (sequence|optional|map)_type|inner graph: it is not a tensor",
    "range of float32": r"outside the range of float32",
    "sparse tensors": r"sparse tensors",
    "data-dependent shapes": r"depends on data",
    "training": r"training mode",
    "random numbers": r"other numbers at every run",
    "other domains": r"no such operation of domain|opset none",
    "other operations": r"no such operation\b",
    "three spatial axes": r"expected rank 3 or 4",
    "strings": r"Strings and sparse tensors are not supported",
    "invalid": r"onnx\.checker finds the model invalid|The file is damaged",
    "Scan of opset 8": r"Scan of opset 8 is another operator",
}

# Operations that may not be missing.
NAMED = frozenset(
    re.findall(
        r"\w+",
        """
        Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Celu Clip Concat Constant ConstantOfShape
        Conv ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum
        Elu Equal Erf Exp Expand Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
        GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity If InstanceNormalization
        LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop MatMul MatMulInteger Max MaxPool Mean Min
        Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range
        Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
        ReduceSumSquare Relu Reshape Resize Round Scan ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Size Slice
        Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh ThresholdedRelu Tile TopK Transpose Trilu
        Unsqueeze Where Xor
        """,
    )
)

OUTCOMES: dict[str, str] = {}


def load_cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case for kind in KINDS for case in onnx.backend.test.loader.load_model_tests(kind=kind)]


CASES = load_cases()


def model_of(case: Any) -> onnx.ModelProto:
    return case.model if case.model is not None else onnx.load(str(pathlib.Path(case.model_dir, "model.onnx")))


def data_of(case: Any, model: onnx.ModelProto) -> list[tuple[list[Any], list[Any]]]:
    """Inputs and outputs of every data set, in the model's order."""
    if case.data_sets is not None:
        return [([array_of(v) for v in i], [array_of(v) for v in o]) for i, o in case.data_sets]

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


def array_of(value: Any) -> Any:
    """Cases of 8 and 16 bits hold their floats as tensors."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def tolerance(case: Any, dtype: np.dtype[Any]) -> float:
    """Models of narrow floats run in float32, so their results lack the rounding of every step of the source."""
    return max(case.rtol, {"float16": 2e-3, "bfloat16": 1.6e-2}.get(dtype.name, 0.0))


def reason_of(error: lstm_rt.Error) -> str:
    """The first reason that holds for any problem of a model; what is missing and named is none."""
    problems = getattr(error, "problems", ()) or (str(error),)
    for reason, pattern in REASONS.items():
        for problem in problems:
            if re.search(pattern, problem) and not is_missing(problem):
                return reason
    raise error


def is_missing(problem: str) -> bool:
    found = re.search(r"\((\w+), opset \d+\): no such operation", problem)
    return bool(found) and found[1] in NAMED  # type: ignore[index]


def check(case: Any) -> None:
    model = model_of(case)
    rep = lstm_rt.backend.prepare(model)
    for inputs, outputs in data_of(case, model):
        found = rep.run([np.asarray(i) for i in inputs])
        assert len(found) == len(outputs)
        for got, wanted in zip(found, outputs):
            wanted = np.asarray(wanted)
            assert got.dtype == wanted.dtype
            assert got.shape == wanted.shape
            np.testing.assert_allclose(got, wanted, rtol=tolerance(case, wanted.dtype), atol=case.atol)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Any, record_property: Any) -> None:
    OUTCOMES[case.name] = "failed"
    try:
        check(case)
        outcome = "passed"
    except lstm_rt.Error as error:
        outcome = reason_of(error)
    OUTCOMES[case.name] = outcome
    record_property("onnx_backend", outcome)


def test_enough_cases_pass() -> None:
    if len(OUTCOMES) < len({case.name for case in CASES}):
        pytest.skip("not all cases were run")
    skip_before("onnx", (1, 23), f"has {len(CASES)} cases")
    assert Counter(OUTCOMES.values())["passed"] >= ENOUGH


def test_no_recurrent_case_is_refused() -> None:
    recurrent = [c.name for c in CASES if {n.op_type for n in model_of(c).graph.node} & {"LSTM", "GRU", "RNN"}]
    assert {OUTCOMES.get(name, "passed") for name in recurrent} <= {"passed"}
    skip_before("onnx", (1, 20), f"brings {len(recurrent)} of these {RECURRENT} cases")
    assert len(recurrent) >= RECURRENT


def test_the_reasons_are_documented() -> None:
    page = pathlib.Path(__file__).parents[1].joinpath("docs", "onnx.md").read_text()
    assert [reason for reason in REASONS if f"| {reason} |" not in page] == []


# ---- The interface ----


def test_nodes_run_by_themselves() -> None:
    x = np.array([[-1.0, 2.0]], np.float32)
    node = helper.make_node("Clip", ["x", "", "high"], ["y"])
    (y,) = lstm_rt.backend.run_node(node, [x, np.float32(1)])
    np.testing.assert_array_equal(y, [[-1, 1]])
    (y,) = lstm_rt.backend.run_node(
        helper.make_node("Relu", ["x"], ["y"]), {"x": x}, outputs_info=[(x.dtype, x.shape)], opset_version=13
    )
    np.testing.assert_array_equal(y, [[0, 2]])


def test_models_run_with_arrays_in_order_or_by_name() -> None:
    case = next(case for case in CASES if case.name == "test_lstm_defaults")
    ((inputs, outputs),) = data_of(case, case.model)
    names = [i.name for i in case.model.graph.input]
    for given in (inputs, dict(zip(names, inputs))):
        found = lstm_rt.backend.run_model(case.model, given)
        np.testing.assert_allclose(found.Y_h, outputs[0], rtol=1e-3)  # type: ignore[attr-defined]
    with pytest.raises(lstm_rt.ArgumentError, match="takes 3 arrays, 1 were given"):
        lstm_rt.backend.run_model(case.model, inputs[0])


def test_devices_and_compatibility() -> None:
    assert lstm_rt.backend.supports_device("CPU:0")
    assert not lstm_rt.backend.supports_device("CUDA")
    case = next(case for case in CASES if case.name == "test_relu")
    assert lstm_rt.backend.is_compatible(case.model)
    with pytest.raises(lstm_rt.ArgumentError, match="no device 'CUDA'"):
        lstm_rt.backend.prepare(case.model, "CUDA")
    other = helper.make_model(helper.make_graph([helper.make_node("Foo", ["x"], ["y"])], "g", [], []))
    assert not lstm_rt.backend.is_compatible(other)
