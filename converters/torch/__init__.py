"""The converter for PyTorch: files of weights, which need no torch, and modules and exported programs.

Files of weights: files.py opens one and unpickle.py reads its pickle without running it; checkpoint.py finds the
weights in it; bare.py knows a lone recurrent module, and `lstm_rt.recipes` builds everything else.

Programs: archive.py opens a ``.pt2`` file, schema.py reads its JSON, exported.py walks the program in it, node.py is
what a handler sees of one node, and aten/ holds the handlers. live.py brings a live module into the form of such a
file, and is all that needs torch.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_rt.errors import ArgumentError, MissingPackageError, UnsupportedModelError

from ..graph import Graph, Source
from ..problems import Refusal
from ..registry import converter, converter_version

if TYPE_CHECKING:
    from lstm_rt.recipes import Recipe

    from .checkpoint import Weights


@converter(".pt", ".pth", ".bin", ".safetensors", ".pt2", ".jit", framework="torch")
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
    source : path-like, bytes, torch.nn.Module or torch.export.ExportedProgram
        A file of weights (``.pt``, ``.pth``, ``.bin``, ``.safetensors``), which is read without torch; an exported
        program (``.pt2``, or its bytes), likewise; TorchScript, for which torch must be installed; or a module in
        memory.
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
    of_module = {"example_inputs": example_inputs, "dynamic_shapes": dynamic_shapes}
    of_weights = {"recipe": recipe, "key": key, "batch_first": batch_first, "nonlinearity": nonlinearity}
    kind = kind_of(source)
    if kind == "weights":
        _refuse_options(of_module, "a file of weights")
        return _from_weights(source, recipe, key, batch_first, nonlinearity)
    _refuse_options(of_weights, f"a {kind}")
    if kind == "exported program":
        from .exported import from_exported

        _refuse_options(of_module, "an exported program, which has its own")
        return from_exported(source)
    from .live import from_module

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
    source : path, bytes or torch.nn.Module
        What is to be converted.

    Returns
    -------
    str
        ``"module"``, ``"exported program"``, ``"TorchScript file"`` or ``"weights"``.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "exported program"
    if not isinstance(source, (str, os.PathLike)):
        return "module"
    names = _members(Path(source))
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        return "TorchScript file"
    if Path(source).suffix.lower() == ".pt2" or any(name.endswith("models/model.json") for name in names):
        return "exported program"
    return "weights"


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return []  # whatever it is, its reader will say


def _refuse_options(options: Mapping[str, object], kind: str) -> None:
    given = [name for name, option in options.items() if option is not None]
    if given:
        raise ArgumentError(f"{', '.join(given)}: not for {kind}.")


def _from_weights(
    source: str | os.PathLike[str],
    recipe: Recipe | Mapping[str, Any] | str | os.PathLike[str] | None,
    key: str | None,
    batch_first: bool | None,
    nonlinearity: str | None,
) -> Graph:
    from lstm_rt.recipes.build import build_graph, read_recipe

    from .checkpoint import find_weights
    from .files import read_weights

    if recipe is not None:
        _refuse_options({"batch_first": batch_first, "nonlinearity": nonlinearity}, "a recipe, whose layers say it")
        followed = read_recipe(recipe)
    file = read_weights(source)
    weights = find_weights(file, key)
    notes: list[str] = []
    if recipe is None:
        try:
            followed, notes = _lone(weights, batch_first, nonlinearity)
        except Refusal as refusal:
            raise UnsupportedModelError(f"{file.label}: {refusal}") from None
    graph = build_graph(followed, weights)
    graph.notes += notes
    graph.source = Source(file.label, file.sha256, "torch", converter_version())
    return graph


def _lone(weights: Weights, batch_first: bool | None, nonlinearity: str | None) -> tuple[Recipe, list[str]]:
    """The recipe of a recurrent module that is alone in its file, and what it takes for granted."""
    from lstm_rt.recipes import Recipe

    from .bare import assumptions, lone_layer

    kind, place = lone_layer(weights)
    notes = assumptions(kind, batch_first, nonlinearity)
    layer = {"kind": kind, "name": "layer", "weights": place, "batch_first": bool(batch_first)}
    if nonlinearity is not None:
        layer["nonlinearity"] = nonlinearity
    first = f"{place}.weight_ih_l0" if place else "weight_ih_l0"
    shape = weights.shape(first)
    if len(shape) != 2 or 0 in shape:
        raise Refusal(f"weight {first!r} has the shape {list(shape)}, wanted [gates, features].")
    dims = ["batch", "time"] if batch_first else ["time", "batch"]
    states = {"hn": "layer.h", "cn": "layer.c"} if kind == "LSTM" else {"hn": "layer.h"}
    content = {
        "inputs": {"input": {"shape": [*dims, shape[1]]}},
        "layers": [layer],
        "outputs": {"output": "layer", **states},
    }
    return Recipe.from_dict(content, f"the shapes of {kind}"), notes
