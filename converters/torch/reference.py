"""Runs a PyTorch module or program with torch, to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..graph import Array
from ..problems import Refusal


def run(
    source: Any, inputs: Sequence[Mapping[str, Array]], *, example_inputs: Any = None, **options: Any
) -> tuple[str, list[list[Array]]]:
    """Give what torch gives.

    Parameters
    ----------
    source : path-like, bytes, torch.nn.Module or torch.export.ExportedProgram
        The model.
    inputs : sequence of mapping of str to numpy.ndarray
        By name, of each run, in the order of the module's arguments.
    example_inputs : tuple, optional
        As for `from_torch`: how the arguments are nested.
    **options : Any
        The others of `from_torch`.

    Returns
    -------
    tuple of str and list of list of numpy.ndarray
        Name and version of the runtime; of each run, the outputs in the model's order.

    Raises
    ------
    Refusal
        If torch is not installed, the source is weights alone, or torch does not run it.
    """
    try:
        import torch
    except ImportError as error:
        raise Refusal("torch is not installed. Install it to compare with it.") from error
    module = _module(torch, source)
    try:
        with torch.no_grad(), _unchanged(torch, source):
            outputs = [_run(torch, module, feeds, example_inputs) for feeds in inputs]
    except Exception as error:  # whatever a module raises
        raise Refusal(f"torch {torch.__version__} does not run the source: {error}") from error
    return f"torch {torch.__version__}", outputs


def _module(torch: Any, source: Any) -> Any:
    import io
    import os

    from . import kind_of

    if isinstance(source, torch.nn.Module):
        return source
    if hasattr(source, "graph_signature"):
        return source.module()
    kind = kind_of(source)
    if kind == "weights":
        raise Refusal("weights alone do not say what computes them: there is nothing to compare with.")
    if kind == "TorchScript file":
        return torch.jit.load(os.fspath(source), map_location="cpu").eval()
    return torch.export.load(io.BytesIO(source) if isinstance(source, bytes) else source).module()


@contextmanager
def _unchanged(torch: Any, source: Any) -> Iterator[None]:
    """Run a module of the user in evaluation mode, and leave its modes and buffers as they were."""
    if not isinstance(source, torch.nn.Module):
        yield
        return
    modes = [(module, module.training) for module in source.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in source.buffers()]
    source.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for buffer, before in buffers:
            buffer.copy_(before)


def _run(torch: Any, module: Any, feeds: Mapping[str, Array], example_inputs: Any) -> list[Array]:
    """The arrays take the places of the tensors among the arguments; whatever else is there stays."""
    from torch.utils import _pytree as tree

    arrays = iter([torch.from_numpy(np.array(array)) for array in feeds.values()])
    arguments = tuple(arrays)
    if example_inputs is not None:
        leaves, nesting = tree.tree_flatten(example_inputs)
        if sum(isinstance(leaf, torch.Tensor) for leaf in leaves) != len(arguments):
            raise Refusal("the converted model has other inputs, as for state that the module keeps in buffers.")
        arrays = iter(arguments)
        arguments = tree.tree_unflatten(
            [next(arrays) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves], nesting
        )
    results, _ = tree.tree_flatten(module(*arguments))
    return [result.numpy() for result in results]
