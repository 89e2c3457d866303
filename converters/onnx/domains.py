"""Names of operator domains."""

from __future__ import annotations

DEFAULT_DOMAINS = ("", "ai.onnx")  # two ways to write ONNX's own
