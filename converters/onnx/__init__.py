"""The converter for ONNX. Needs the packages onnx and gguf, and imports them only when it runs.

model.py reads and checks the file, importer.py walks its graphs, node.py is what a handler sees of one node, and the
other files hold the handlers, one for each op, sorted as in src/ops.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..graph import Graph
from ..registry import converter, missing_package

if TYPE_CHECKING:
    from onnx import ModelProto


@converter(".onnx", framework="onnx")
def from_onnx(source: str | os.PathLike[str] | bytes | ModelProto) -> Graph:
    """Make a graph of an ONNX model.

    Parameters
    ----------
    source : path-like, bytes or onnx.ModelProto
        The model. Tensors it keeps in other files are looked for beside a path, and nowhere else.

    Returns
    -------
    Graph
        Float32, int64, int32, bool, uint8 and int8 values; weights row-major and in ONNX's gate order.

    Raises
    ------
    MissingPackageError
        If the package onnx is not installed.
    ModelFileError
        If this is no ONNX model, or a damaged one.
    UnsupportedModelError
        If parts of it cannot run; the message lists all of them.

    Examples
    --------
    >>> graph = from_onnx("model.onnx")  # doctest: +SKIP
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise missing_package("onnx", error) from error
    from .importer import import_model
    from .model import read_model

    return import_model(read_model(source))
