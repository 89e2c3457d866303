"""Decides whether a test may compare with onnxruntime, whose products of uint8 by int8 saturate on CPUs without VNNI.

LSTM_RT_TEST_ONNXRUNTIME=saturating runs the tests as on such a CPU: onnxruntime counts as saturating, and a test fails
if it takes onnxruntime for the reference of a product that could saturate. Under `qemu-x86_64 -cpu Haswell` it does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from lstm_rt.converters.onnx import saturation
from models import Array
from onnx import numpy_helper

VARIABLE = "LSTM_RT_TEST_ONNXRUNTIME"


def forced() -> bool:
    return os.environ.get(VARIABLE) == "saturating"


def onnxruntime_is_exact() -> bool:
    return not forced() and saturation.onnxruntime_is_exact()


def describe() -> str:
    """Returns what the header of a test run says of onnxruntime."""
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError:
        return "onnxruntime: not installed"
    kind = "exact" if onnxruntime_is_exact() else "saturating"
    how = f"as {VARIABLE} has it" if forced() else "as computed"
    return f"onnxruntime {onnxruntime.__version__}: its products of bytes are {kind} on this CPU ({how})"


def comparable(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> bool:
    """Returns whether onnxruntime's outputs are the model's on this CPU."""
    return onnxruntime_is_exact() or not saturation.may_saturate(model, feeds.values())


def safe(x: Array) -> Array:
    """Returns int8 numbers clipped to what no CPU saturates, and all other arrays as they are."""
    most = saturation.LARGEST_SAFE_WEIGHT
    return np.clip(x, -most, most) if x.dtype == np.int8 else x


def with_safe_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the model with its int8 weights clipped."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(safe(numpy_helper.to_array(tensor)), tensor.name))
    return model


def run(model: Any, feeds: Mapping[str, Array]) -> list[Array]:
    """Runs onnxruntime on one thread. On several it cuts the batch of an LSTM, and each part has its own range."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes onnxruntime refuse every product that could saturate."""
    try:
        import onnxruntime
    except ImportError:
        return
    original = onnxruntime.InferenceSession

    class Guarded(original):  # type: ignore[misc, valid-type]
        def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(model, *args, **kwargs)
            self._proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(os.fspath(model))

        def run(self, names: Any, feeds: Mapping[str, Array], *args: Any) -> Any:
            self._refuse([a for a in feeds.values() if isinstance(a, np.ndarray)])
            return super().run(names, feeds, *args)

        def run_with_iobinding(self, *args: Any) -> Any:
            self._refuse()
            return super().run_with_iobinding(*args)

        def _refuse(self, inputs: Sequence[Array] = ()) -> None:
            if saturation.may_saturate(self._proto, inputs):
                raise AssertionError("this test compares with products of onnxruntime that saturate on some CPUs")

    monkeypatch.setattr(onnxruntime, "InferenceSession", Guarded)
