"""The converter for Keras 1, 2 and 3. Needs the packages h5py and gguf, never Keras itself, and runs nothing of a file.

files.py reads the bytes, hdf5.py what is in an HDF5 file, weights.py hands each layer its own, shared.py finds those of
layers that several models share, config.py reads a layer's settings, masks.py lists what layers do with masks, nodes.py
reads the calls between layers, model.py walks them, steps.py makes the number of steps free, layer.py is what a handler
sees of one layer, and layers/ holds the handlers.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..graph import Graph
from ..registry import converter, missing_package


@converter(".keras", ".h5", ".hdf5", framework="keras")
def from_keras(
    source: str | os.PathLike[str] | object,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    custom_layers: Mapping[str, Any] | None = None,
) -> Graph:
    """Make a graph of a Keras model.

    Parameters
    ----------
    source : path-like or keras.Model
        A ``.keras``, ``.h5`` or ``.hdf5`` file, or a model of Keras 3 in memory.
    config : str, path-like or mapping, optional
        The model as ``model.to_json()`` gives it (the text, a file of it, or the parsed object), for files that hold
        weights only.
    custom_layers : mapping of str to callable, optional
        Layers that are not Keras's own: class name to a function of the `Builder`, the layer's config, its weights
        (a list of arrays) and its inputs (a list of `Value`) that returns the output, or several in a list. For a cell
        of an RNN, the inputs are those of one step and the states, and the output and the new states are returned.

    Returns
    -------
    Graph
        Batch first, as in Keras; inputs are named after the InputLayers, outputs after their layers. The second dim
        of an input, the steps, is free unless a layer needs the declared number; then `Graph.notes` names the layer.

    Raises
    ------
    MissingPackageError
        If the package h5py is not installed.
    ModelFileError
        If this is no Keras file, or a damaged one.
    UnsupportedModelError
        If parts of it cannot run; the message lists all of them.

    Examples
    --------
    >>> graph = from_keras("names.h5")  # doctest: +SKIP
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise missing_package("keras", error) from error
    from .files import read_file
    from .steps import import_model

    if isinstance(source, (str, os.PathLike)):
        return import_model(read_file(Path(source), config_text(config)), custom_layers or {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{getattr(source, 'name', 'model')}.keras".replace("/", "_"))
        source.save(path)  # type: ignore[attr-defined]
        return import_model(read_file(path, config_text(config)), custom_layers or {})


def config_text(config: str | os.PathLike[str] | Mapping[str, Any] | None) -> str | None:
    """Return a model's description as JSON.

    Parameters
    ----------
    config : str, path or mapping, optional
        JSON, the path of a file of it, or what it describes.

    Returns
    -------
    str or None
        The JSON; None where there is no description.
    """
    if config is None:
        return None
    if isinstance(config, Mapping):
        return json.dumps(config)
    if isinstance(config, str) and config.lstrip().startswith("{"):
        return config
    return Path(config).read_text("utf-8")
