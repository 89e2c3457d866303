"""Quantising: weights as int8, int4 or bfloat16, layer by layer, with a report of what it changed."""

from __future__ import annotations

from .choice import FLOAT32, PRECISIONS, Choice
from .graph import LayerReport, Report, quantize_graph
from .layers import find_layers

__all__ = ["FLOAT32", "PRECISIONS", "Choice", "LayerReport", "Report", "find_layers", "quantize_graph"]
