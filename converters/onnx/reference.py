"""Runs an ONNX model with onnxruntime, to compare with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..graph import Array
from ..problems import Refusal
from . import saturation


def run(source: Any, inputs: Sequence[Mapping[str, Array]]) -> tuple[str, list[list[Array]]]:
    """Give what onnxruntime gives.

    Parameters
    ----------
    source : path-like, bytes or onnx.ModelProto
        The model.
    inputs : sequence of mapping of str to numpy.ndarray
        By name, of each run.

    Returns
    -------
    tuple of str and list of list of numpy.ndarray
        Name and version of the runtime; of each run, the outputs in the model's order.

    Raises
    ------
    Refusal
        If onnxruntime is not installed, does not run the model, or multiplies the model's bytes inexactly on this CPU.
    """
    try:
        import onnxruntime as ort  # type: ignore[import-untyped]
    except ImportError as error:
        raise Refusal("onnxruntime is not installed. Install it with: pip install onnxruntime") from error
    if not saturation.onnxruntime_is_exact() and _may_saturate(source, inputs):
        raise Refusal(
            f"onnxruntime {ort.__version__} multiplies int8 weights inexactly on this CPU: it lacks VNNI, "
            "and sums of 16 bits saturate. Check the conversion on a CPU with VNNI"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(_model_of(source), options, providers=["CPUExecutionProvider"])
        outputs = [[*session.run(None, dict(feeds))] for feeds in inputs]
    except Exception as error:  # its errors have no common base of their own
        raise Refusal(f"onnxruntime {ort.__version__} does not run the source: {error}") from error
    return f"onnxruntime {ort.__version__}", outputs


def _may_saturate(source: Any, inputs: Sequence[Mapping[str, Array]]) -> bool:
    import onnx

    given = _model_of(source)
    model = onnx.load_from_string(given) if isinstance(given, bytes) else onnx.load(given)
    return saturation.may_saturate(model, [array for feeds in inputs for array in feeds.values()])


def _model_of(source: Any) -> Any:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else source.SerializeToString()
