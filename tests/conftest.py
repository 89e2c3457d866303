"""Hypothesis profiles, a header about the CPU, and a summary of the real models that could not be fetched."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from typing import Any

import fetch
import hypothesis
import pytest
from lstm_rt.converters import boundary

import lstm_rt

os.environ.setdefault("KERAS_BACKEND", "torch")  # before anything imports Keras

# No deadlines: the first example of a shape pays for planning.
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_report_header() -> list[str]:
    exact = lstm_rt.exact_isas()
    sets = [name if name in exact else f"{name} (no fused multiply-add)" for name in lstm_rt.available_isas()]
    lines = [f"instruction sets: {', '.join(sets)}; in use: {lstm_rt.isa()}"]
    with contextlib.suppress(ImportError):  # onnx
        import saturation

        lines.append(saturation.describe())
    return lines


@pytest.fixture(autouse=True)
def _no_saturated_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails tests that depend on onnxruntime's products, where LSTM_RT_TEST_ONNXRUNTIME asks for it."""
    if os.environ.get("LSTM_RT_TEST_ONNXRUNTIME"):
        import saturation

        saturation.guard(monkeypatch)


def _raise(error: Exception) -> None:
    raise error


boundary.observers.append(_raise)  # what the boundary around the readers has to translate is a bug of a reader


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if fetch.unreachable:
        terminalreporter.section("REAL MODELS NOT TESTED", red=True, bold=True)
        for package, why in sorted(fetch.unreachable.items()):
            terminalreporter.line(f"{package}: {why}")
    _summarise_onnx_backend(terminalreporter)


def _summarise_onnx_backend(terminalreporter: Any) -> None:
    """How many of the ONNX project's tests passed, and how many were refused why."""
    reports = terminalreporter.stats.get("passed", [])
    outcomes = Counter(value for r in reports for name, value in r.user_properties if name == "onnx_backend")
    if not outcomes:
        return
    passed, refused = outcomes.pop("passed", 0), sum(outcomes.values())
    terminalreporter.section(f"onnx.backend.test: {passed} passed, {refused} refused")
    for reason, count in outcomes.most_common():
        terminalreporter.line(f"{count:5} {reason}")
