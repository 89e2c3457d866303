"""The converter for PyTorch: live modules, exported programs and their files.

archive.py opens a ``.pt2`` file, schema.py reads its JSON, exported.py walks the program in it, node.py is what a
handler sees of one node, and aten/ holds the handlers. live.py brings a live module into the form of such a file, and is
all that needs torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..graph import Graph
from ..registry import converter


@converter(".pt2", framework="torch")
def from_torch(source: Any, *, example_inputs: Any = None, dynamic_shapes: Any = None) -> Graph:
    """Make a graph of a PyTorch module, exported program, or file of one.

    Parameters
    ----------
    source : path-like, bytes, torch.nn.Module or torch.export.ExportedProgram
        A module needs `example_inputs`.
    example_inputs : tuple of torch.Tensor, optional
        What the module is called with to see what it does.
    dynamic_shapes : optional
        As ``torch.export.export`` takes it; every dim that can be free is when it is left out.

    Returns
    -------
    Graph
        Float32, int64, int32, bool, uint8 and int8 values.

    Examples
    --------
    >>> graph = from_torch("model.pt2")  # doctest: +SKIP
    """
    if isinstance(source, (bytes, bytearray, memoryview, str, Path)) or hasattr(source, "__fspath__"):
        from .exported import from_exported

        return from_exported(source)
    from .live import from_module

    return from_module(source, example_inputs, dynamic_shapes=dynamic_shapes)
