"""Reading other frameworks' files into a `Graph`, and writing it as a model file.

A converter is one module (or package) that registers itself for a file extension; it is imported below, and imports
the packages it needs only when it runs. docs/file-format.md is what they all write.
"""

from __future__ import annotations

from . import keras as _keras  # noqa: F401  (registers itself)
from . import onnx as _onnx  # noqa: F401
from . import torch as _torch  # noqa: F401
from .budget import Budget
from .builder import Builder
from .graph import ABSENT, Block, DType, Graph, Op, Packed, PackedDType, Part, Port, SelfTest, Source, Value
from .options import Options
from .problems import Problems, Refusal
from .registry import converter, converter_for, converter_of_object, extensions, options_of

__all__ = [
    "ABSENT",
    "Block",
    "Budget",
    "Builder",
    "DType",
    "Graph",
    "Op",
    "Options",
    "Packed",
    "PackedDType",
    "Part",
    "Port",
    "Problems",
    "Refusal",
    "SelfTest",
    "Source",
    "Value",
    "converter",
    "converter_for",
    "converter_of_object",
    "extensions",
    "options_of",
]
