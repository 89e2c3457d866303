"""The converter for PyTorch: files of weights, which need no torch, and modules and exported programs.

Files of weights: files.py opens one and unpickle.py reads its pickle without running it; checkpoint.py finds the
weights in it, and derived.py those that are kept in parts (weight norm); bare.py knows a lone recurrent module, and
`lstm_rt.recipes` builds everything else. state_dict.py leads through these.

Programs: archive.py opens a ``.pt2`` file, schema.py reads its JSON, exported.py walks the program in it, node.py is
what a handler sees of one node, and aten/ holds the handlers. live.py brings a live module into the form of such a
file, and is all that needs torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_rt.errors import ArgumentError, MissingPackageError

from ..graph import Graph
from ..registry import converter
from ..sniff import kind_of_file

if TYPE_CHECKING:
    from lstm_rt.recipes import Recipe


@converter(".pt", ".pth", ".ckpt", ".th", ".tar", ".bin", ".safetensors", ".pt2", ".jit", framework="torch")
def from_torch(
    source: Any,
    *,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    recipe: Recipe | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    key: str | None = None,
    batch_first: bool | None = None,
    nonlinearity: str | None = None,
) -> Graph:
    """Make a graph of a PyTorch file, module or exported program.

    Parameters
    ----------
    source : path-like, bytes, mapping, torch.nn.Module or torch.export.ExportedProgram
        A file of weights (``.pt``, ``.pth``, ``.ckpt``, ``.bin``, ``.safetensors``), which is read without torch; a
        state_dict in memory, of tensors or arrays; an exported program (``.pt2``, or its bytes), read without torch;
        TorchScript, for which torch must be installed; or a module in memory.
    example_inputs : tuple of torch.Tensor, optional
        For a module or TorchScript: what it is called with to see what it does.
    dynamic_shapes : mapping or sequence, optional
        For a module: which dims are free, as ``torch.export.export`` takes it; every dim that can be, where left out.
    recipe : Recipe, mapping or path-like, optional
        For a file of weights: the layers. See `lstm_rt.recipes`. Needed unless the weights are those of a lone LSTM,
        GRU or RNN.
    key : str, optional
        For a file of weights: where in it they are, as in ``"model"``; needed where it holds several state_dicts.
        ``""`` for everything in it.
    batch_first : bool, optional
        For a lone recurrent module: whether its input is [batch, time, features]. False, as torch's own
        default, where left out.
    nonlinearity : {"tanh", "relu"}, optional
        For a lone RNN: its activation. "tanh", as torch's own default, where left out.

    Returns
    -------
    Graph
        Gates in the order of the model file.

    Raises
    ------
    ArgumentError
        If an option is missing, or not for this kind of source.
    ModelFileError
        If the file is damaged.
    UnsupportedModelError
        If parts of the model cannot run, or the file holds anything but weights.

    Examples
    --------
    >>> graph = from_torch("lstm.pth", batch_first=True)  # doctest: +SKIP
    >>> graph = from_torch("tagger.pth", recipe="tagger.toml")  # doctest: +SKIP
    """
    from .state_dict import from_weights, refuse_options

    of_module = {"example_inputs": example_inputs, "dynamic_shapes": dynamic_shapes}
    of_weights = {"recipe": recipe, "key": key, "batch_first": batch_first, "nonlinearity": nonlinearity}
    kind = kind_of(source)
    if kind == "weights":
        refuse_options(of_module, "a file of weights")
        return from_weights(source, recipe, key, batch_first, nonlinearity)
    refuse_options(of_weights, f"a {kind}")
    if kind == "exported program":
        from .exported import from_exported

        refuse_options(of_module, "an exported program, which has its own")
        return from_exported(source)
    from .live import from_module

    if kind == "TorchScript file" and example_inputs is None:
        raise ArgumentError(
            f"{Path(source).name} is TorchScript: a program that torch loads and runs. If you trust it, convert it "
            "with lstm_rt.from_torch(path, example_inputs)."
        )
    module = _script(source) if kind == "TorchScript file" else source
    return from_module(module, example_inputs, dynamic_shapes=dynamic_shapes)


def _script(path: str | os.PathLike[str]) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            f"{Path(path).name} is TorchScript, a program that only torch can read. Install torch, or save the weights "
            "alone: torch.save(module.state_dict(), path)."
        ) from error
    return torch.jit.load(os.fspath(path), map_location="cpu")


def kind_of(source: object) -> str:
    """Say what a source is.

    Parameters
    ----------
    source : path, bytes, mapping or torch.nn.Module
        What is to be converted.

    Returns
    -------
    str
        ``"module"``, ``"exported program"``, ``"TorchScript file"`` or ``"weights"``.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "exported program"
    if isinstance(source, Mapping):
        return "weights"
    if not isinstance(source, (str, os.PathLike)):
        return "module"
    kinds = {".jit": "TorchScript file", ".pt2": "exported program"}
    return kinds.get(kind_of_file(source) or Path(source).suffix.lower(), "weights")
