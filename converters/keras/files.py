"""Reads the files Keras writes: .keras (a zip), .h5 with or without the model's config, .weights.h5."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_rt.errors import ArgumentError, ModelFileError, UnsupportedModelError

from ..source import read_file as read_bytes
from ..source import read_json
from ..zipped import Zip
from .hdf5 import File
from .weights import LayeredWeights, LegacyModelWeights, Weights

_MOST_JSON = 16 << 20
_NEEDED = {
    "config.json": "It is no .keras file of Keras 2.12 or newer.",
    "metadata.json": "It is no .keras file of Keras 2.12 or newer.",
    "model.weights.h5": "Save the model again as one .keras file.",
}


@dataclass
class KerasFile:
    """A model as its file has it."""

    label: str
    sha256: str
    config: dict[str, Any]  # class_name, config
    weights: Weights
    version: tuple[int, ...]  # of the Keras that wrote it
    version_text: str
    backend: str


def read_file(path: Path, config: str | None) -> KerasFile:
    """Read a file whole.

    Parameters
    ----------
    path : Path
        The file.
    config : str, optional
        The model's JSON, where the file has none.

    Returns
    -------
    KerasFile
        Nothing of it is checked but that it could be read.

    Raises
    ------
    ModelFileError
        If it is damaged, or reaches outside itself.
    """
    if path.is_dir():
        raise UnsupportedModelError(
            f"{path.name}: a folder (a SavedModel), which only TensorFlow can read. "
            "Load it there and save it as one file: model.save('model.keras') or model.save('model.h5')."
        )
    data = read_bytes(path)
    if data[:4] == b"PK\x03\x04":
        return _read_zip(path.name, data, config)
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return _read_hdf5(path.name, data, config)
    raise ModelFileError(f"{path.name}: neither a .keras nor an HDF5 file, or cut short.")


def parse_json(text: str | bytes, label: str) -> dict[str, Any]:
    """Read JSON that came with a model.

    Raises
    ------
    ModelFileError
        If it is damaged, or nested deeper than any model.
    """
    found = read_json(text, label)
    if not isinstance(found, dict):
        raise ModelFileError(f"{label}: not the JSON of a model.")
    return found


# ---- .keras ----


def _read_zip(label: str, data: bytes, config: str | None) -> KerasFile:
    archive = Zip(data, label)
    for name in archive.names:
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name:
            raise ModelFileError(f"{label}: holds {name!r}, a name that leads outside. It is not a Keras file.")
    for name, advice in _NEEDED.items():
        if name not in archive:
            raise ModelFileError(f"{label}: has no {name}. {advice}")
    own, about, weights = (archive.read(name, _MOST_JSON if "json" in name else None) for name in _NEEDED)
    version = str(parse_json(about, f"{label}/metadata.json").get("keras_version", "3"))
    model = parse_json(config if config is not None else own, f"{label}/config.json")
    return KerasFile(
        label,
        hashlib.sha256(data).hexdigest(),
        model,
        LayeredWeights(File(weights, f"{label}/model.weights.h5").root),
        _version(version),
        version,
        "",
    )


# ---- HDF5 ----


def _read_hdf5(label: str, data: bytes, config: str | None) -> KerasFile:
    root = File(data, label).root
    own = root.attribute("model_config")
    text = config if config is not None else own
    if text is None:
        raise ArgumentError(
            f"{label}: holds weights but not the model. Give its JSON (model.to_json()) as well: "
            "config='model.json', or save the whole model: model.save('model.keras')."
        )
    model = parse_json(str(text), f"{label}, model_config")
    group = root.group("model_weights") or root
    legacy = bool(group.texts("layer_names"))
    written = root.attribute("keras_version") or group.attribute("keras_version")
    version = str(written or model.get("keras_version") or ("1" if legacy else "3"))
    backend = root.attribute("backend") or group.attribute("backend") or model.get("backend") or ""
    return KerasFile(
        label,
        hashlib.sha256(data).hexdigest(),
        model,
        LegacyModelWeights(group) if legacy else LayeredWeights(group),
        _version(version),
        version,
        str(backend),
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2]) or (3,)
