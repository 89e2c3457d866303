"""Hypothesis profiles, and a summary that says loudly which real models could not be had."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import fetch
import hypothesis

os.environ.setdefault("KERAS_BACKEND", "torch")  # before anything imports Keras

# No deadlines: the first example of a shape pays for planning.
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


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
