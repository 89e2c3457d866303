"""Runs a Keras model with Keras, to compare with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..graph import Array
from ..problems import Refusal


def run(
    source: Any, inputs: Sequence[Mapping[str, Array]], *, config: Any = None, custom_layers: Any = None
) -> tuple[str, list[list[Array]]]:
    """Give what Keras gives.

    Parameters
    ----------
    source : path-like or keras.Model
        The model.
    inputs : sequence of mapping of str to numpy.ndarray
        By name, of each run.
    config : str, path-like or mapping, optional
        As for `from_keras`.
    custom_layers : mapping, optional
        As for `from_keras`; Keras does not know them.

    Returns
    -------
    tuple of str and list of list of numpy.ndarray
        Name and version of the runtime; of each run, the outputs in the model's order.

    Raises
    ------
    Refusal
        If Keras is not installed, or does not load or run the model.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")  # what is there, where nobody said otherwise
    try:
        import keras  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise Refusal(f"Keras cannot be imported ({error}). Install it with: pip install keras torch") from error
    try:
        model = source if isinstance(source, keras.Model) else _load(keras, Path(source), config)
        outputs = [_run(keras, model, feeds) for feeds in inputs]
    except Exception as error:  # whatever a layer raises
        raise Refusal(f"Keras {keras.__version__} does not run the source: {error}") from error
    return f"Keras {keras.__version__}", outputs


def _load(keras: Any, path: Path, config: Any) -> Any:
    if config is None:
        return keras.saving.load_model(path, compile=False)
    from . import config_text

    model = keras.models.model_from_json(config_text(config))
    model.load_weights(path)
    return model


def _run(keras: Any, model: Any, feeds: Mapping[str, Array]) -> list[Array]:
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
            layer.reset_state()
    names = [tensor.name for tensor in model.inputs]
    given = [feeds[name] for name in names] if set(names) <= set(feeds) else list(feeds.values())
    result = model(given[0] if len(given) == 1 else given, training=False)
    return [np.asarray(keras.ops.convert_to_numpy(output)) for output in keras.tree.flatten(result)]
