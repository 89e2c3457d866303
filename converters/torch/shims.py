"""Replaces functions of torch while it exports, so that recurrent layers and pooling keep their time axis free.

Torch finds the shapes of a recurrent layer's outputs by unrolling the layer over the steps of the example, which fixes
their number. The functions here know the shapes without that; the exported program stays the same.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Callable

from lstm_rt.errors import MissingPackageError

TRIED = "2.13"  # the versions of torch that this was tried with

_lock = threading.RLock()
_KINDS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@contextlib.contextmanager
def exporting(free_ones: bool = True) -> Iterator[list[Any]]:
    """Export with these functions in place; what is yielded comes to hold the lengths that sequences are packed by.

    With `free_ones`, dims of 1 in the example are free like others.
    """
    import torch

    with _lock, contextlib.ExitStack() as stack:
        with private_to_torch():
            from .packing import packing

            settings: Any = importlib.import_module("torch.fx.experimental._config")
            stack.enter_context(settings.patch(backed_size_oblivious=free_ones))
            for kind in _KINDS:
                stack.enter_context(_given(getattr(torch.ops.aten, kind).input, _lstm if kind == "lstm" else _plain))
            stack.enter_context(_given(torch.ops.aten.max_pool1d.default, _max_pool1d))
            packed = stack.enter_context(packing())
        yield packed


@contextlib.contextmanager
def private_to_torch() -> Iterator[None]:
    """Work with what torch may change in any version: say which one has it, where the installed one has not.

    Raises
    ------
    MissingPackageError
        In place of what Python says of a name, module or argument that is not there.
    """
    import torch

    try:
        yield
    except (AttributeError, ImportError, KeyError, TypeError) as error:
        raise MissingPackageError(
            f"Torch {torch.__version__} has not all that exporting a module needs ({type(error).__name__}: {error}). "
            f"Known to work is torch {TRIED}. Install it (pip install 'torch=={TRIED}.*'), or save a .pt2 or the "
            "weights, which are read without torch."
        ) from error


@contextlib.contextmanager
def _given(op: Any, function: Callable[..., Any]) -> Iterator[None]:
    """Let torch call this function for an operator."""
    import torch._decomp.decompositions
    import torch._dynamo
    from torch._C import DispatchKey

    keys = (DispatchKey.CompositeImplicitAutograd, DispatchKey.Autograd)
    # Decomposing another operator retraces the program, and then shapes come from this second table.
    tables: list[tuple[Any, dict[Any, Any]]] = [
        (op.py_kernels, dict.fromkeys(keys, function)),
        (torch._decomp.decomposition_table, {op: function}),
    ]
    before = [dict(table) for table, _ in tables]
    for table, changes in tables:
        table.update(changes)
    op._dispatch_cache.clear()
    try:
        yield
    finally:
        for (table, _), saved in zip(tables, before):
            table.clear()
            table.update(saved)
        op._dispatch_cache.clear()


def _lstm(
    x: Any, hx: Sequence[Any], params: Any, biases: bool, layers: int, p: float, train: bool, two: bool, *_: Any
) -> Any:
    return (_outputs(x, hx[0], params[0], two), *(state.new_empty(state.shape) for state in hx))


def _plain(x: Any, hx: Any, params: Any, biases: bool, layers: int, p: float, train: bool, two: bool, *_: Any) -> Any:
    return _outputs(x, hx, params[0], two), hx.new_empty(hx.shape)


def _outputs(x: Any, h: Any, weight: Any, two: bool) -> Any:
    if x.shape[2] != weight.shape[1]:  # the comparison also fixes the width if the example leaves it free
        raise RuntimeError(f"rows of {x.shape[2]} for a layer that takes {weight.shape[1]}")
    return x.new_empty((x.shape[0], x.shape[1], h.shape[2] * (2 if two else 1)))


def _max_pool1d(
    x: Any, kernel: Any, stride: Any = (), padding: Any = (0,), dilation: Any = (1,), ceil_mode: bool = False
) -> Any:
    """Pool rows of an image; torch's own one-dimensional pooling takes the length for a plain number."""
    import torch

    stride = stride or kernel
    sizes = [(first, option[0]) for first, option in ((1, kernel), (1, stride), (0, padding), (1, dilation))]
    return torch.max_pool2d(x.unsqueeze(-2), *sizes, ceil_mode).squeeze(-2)
