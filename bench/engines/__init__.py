"""The engines, one file each. A module here is imported only when its engine is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata

from ..workloads.workload import Case
from .engine import CannotError, Session

OURS = "lstm_rt"


@dataclass(frozen=True)
class Engine:
    """A name in the table, the package it comes from, and where its `prepare` function is."""

    name: str
    package: str
    module: str
    function: str = "prepare"
    what: str = ""

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
        session: Session = getattr(module, self.function)(case)
        return session


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(OURS, "lstm_rt", "lstm_rt", what="stream.step(frame, out=y); whole sequences: model(x)"),
        Engine("lstm_rt-run", "lstm_rt", "lstm_rt", "prepare_run", "model.run(dict), state carried by the caller"),
        Engine("ort", "onnxruntime", "onnxruntime", what="onnxruntime, session.run(dict)"),
        Engine("ort-bind", "onnxruntime", "onnxruntime", "prepare_bound", "onnxruntime, run_with_iobinding"),
        Engine("openvino", "openvino", "openvino", what="a reused request; state kept inside by MakeStateful"),
        Engine("ncnn", "ncnn", "ncnn", what="an extractor per call; written straight into ncnn's format"),
        Engine("tract", "tract", "tract", what="a state per stream"),
        Engine("torch", "torch", "torch", what="LSTMCell and GRUCell; whole sequences: nn.LSTM and nn.GRU"),
    )
}
DEFAULT = tuple(name for name in ENGINES if name != "lstm_rt-run")
