"""Brings a live module or an exported program into the form of a ``.pt2`` file. This needs torch."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

from lstm_rt.errors import ArgumentError, UnsupportedModelError

from ..graph import Graph
from ..registry import missing_package


def from_module(module: Any, example_inputs: Any = None, dynamic_shapes: Any = None) -> Graph:
    """Make a graph of a live module, by way of ``torch.export``.

    Parameters
    ----------
    module : torch.nn.Module or torch.export.ExportedProgram
        A module in training mode is copied, and the copy put into inference mode.
    example_inputs : tuple of torch.Tensor, optional
        What the module is called with to see what it does; a single tensor counts as a tuple of one.
    dynamic_shapes : optional
        As ``torch.export.export`` takes it; every dim that can be free is when it is left out.

    Returns
    -------
    Graph
        As of the file that ``torch.export.save`` writes.

    Raises
    ------
    MissingPackageError
        If torch is not installed.
    ArgumentError
        If a module comes without example inputs.
    UnsupportedModelError
        If torch cannot export it, or parts of it cannot run.

    Examples
    --------
    >>> graph = from_module(torch.nn.LSTM(8, 16), torch.zeros(5, 2, 8))  # doctest: +SKIP
    """
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", error) from error
    from .exported import from_exported

    if not isinstance(module, torch.export.ExportedProgram):
        module = _exported(module, example_inputs, dynamic_shapes)
    elif example_inputs is not None or dynamic_shapes is not None:
        raise ArgumentError("example_inputs, dynamic_shapes: an exported program has its own.")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(module, file)
    graph = from_exported(file.getvalue())
    graph.source.sha256 = ""  # of bytes that nobody keeps
    return graph


def _exported(module: Any, example_inputs: Any, dynamic_shapes: Any) -> Any:
    import torch

    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(f"{type(module).__qualname__} is neither a torch.nn.Module nor an exported program.")
    if example_inputs is None:
        raise ArgumentError("A module needs example_inputs, as in from_torch(module, (torch.zeros(1, 50, 40),)).")
    inputs = (example_inputs,) if isinstance(example_inputs, torch.Tensor) else tuple(example_inputs)
    if any(part.training for part in module.modules()):
        module = copy.deepcopy(module).eval()
    if dynamic_shapes is None:
        dynamic_shapes = _all_free(inputs)
    failures: list[str] = []
    for strict in (False, True):
        try:
            return _export(module, inputs, dynamic_shapes, strict)
        except Exception as error:  # torch raises errors of a hundred types here, some of them bare
            failures.append(f"{type(error).__name__}: {' '.join(str(error).split())[:600]}")
    raise UnsupportedModelError(f"torch.export cannot export {type(module).__qualname__}: {failures[0]}")


def _all_free(inputs: Any) -> Any:
    """Free dims wherever torch finds that they can be."""
    import torch

    def free(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            return dict.fromkeys(range(item.dim()), torch.export.Dim.AUTO)
        if isinstance(item, (tuple, list)):
            return type(item)(free(part) for part in item)
        if isinstance(item, dict):
            return {key: free(part) for key, part in item.items()}
        return None

    return tuple(free(item) for item in inputs)


def _export(module: Any, inputs: Any, dynamic_shapes: Any, strict: bool) -> Any:
    import torch

    from .shims import exporting

    with torch.no_grad(), exporting(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=strict)
