"""The engines, one file each. A module here is imported only when its engine is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from ..precision import PRECISIONS, Precision
from ..workloads.workload import Case
from .engine import CannotError, Session

OURS = "lstm_rt"


@dataclass(frozen=True)
class Engine:
    """A name in the table, the package it comes from, and where its `prepare` function is.

    `options` are handed to that function: what a model is loaded with (``quantize``, and whatever else `lstm_rt.load`
    takes).
    """

    name: str
    package: str
    module: str
    function: str = "prepare"
    what: str = ""
    precision: Precision = PRECISIONS["float32"]
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.package == OURS

    @property
    def version(self) -> str | None:
        """Version of the installed package; None where it is not installed."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def prepare(self, case: Case) -> Session:
        """Make the case ready. Raises CannotError where the engine has no way to run it."""
        try:
            module = importlib.import_module(f".{self.module}", __name__)
        except ImportError as error:
            raise CannotError(f"not installed ({error})") from error
        session: Session = getattr(module, self.function)(case, **self.options)
        return session


def _quantised(precision: Precision) -> Engine:
    name = precision.name
    what = f"the same, converted with quantize={name!r}"
    return Engine(f"{OURS}-{name}", OURS, "lstm_rt", what=what, precision=precision, options={"quantize": name})


INT8 = PRECISIONS["int8"]
ENGINES = {
    engine.name: engine
    for engine in (
        Engine(OURS, OURS, "lstm_rt", what="stream.step(frame, out=y); pool.step(ids, x, out=y); whole: model(x)"),
        *(_quantised(precision) for name, precision in PRECISIONS.items() if name != "float32"),
        Engine("lstm_rt-run", OURS, "lstm_rt", "prepare_run", "model.run(dict), state carried by the caller"),
        Engine("ort", "onnxruntime", "onnxruntime", what="onnxruntime, session.run(dict)"),
        Engine("ort-bind", "onnxruntime", "onnxruntime", "prepare_bound", "onnxruntime, run_with_iobinding"),
        Engine("ort-int8", "onnxruntime", "onnxruntime", "prepare_int8", "quantize_dynamic, then as ort-bind", INT8),
        Engine("openvino", "openvino", "openvino", what="a reused request; state kept inside by MakeStateful"),
        Engine("ncnn", "ncnn", "ncnn", what="an extractor per call; written straight into ncnn's format"),
        Engine("tract", "tract", "tract", what="a state per stream"),
        Engine("torch", "torch", "torch", what="LSTMCell and GRUCell; whole sequences: nn.LSTM and nn.GRU"),
    )
}
DEFAULT = tuple(name for name in ENGINES if name != "lstm_rt-run")
