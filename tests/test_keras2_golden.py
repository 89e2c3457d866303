"""Models of Keras 2 reproduce what TensorFlow 2.15 gave for them (golden/keras2.zip, made by golden_keras2.py)."""

from __future__ import annotations

import io
import pathlib
import zipfile

import numpy as np
import pytest
from keras_models import compare, run_ours
from models import Array

import lstm_rt

ARCHIVE = pathlib.Path(__file__).parent / "golden" / "keras2.zip"
with zipfile.ZipFile(ARCHIVE) as _archive:
    FILES = sorted(name for name in _archive.namelist() if name.endswith((".keras", ".h5")))


def arrays(archive: zipfile.ZipFile, name: str, kind: str) -> list[Array]:
    """The inputs (``in``) or outputs (``out``) of a case."""
    with np.load(io.BytesIO(archive.read(f"{name}.npz"))) as held:
        return [held[f"{kind}{i}"] for i in range(sum(key.startswith(kind) for key in held))]


@pytest.mark.parametrize("file", FILES)
def test_keras2_model_matches_tensorflow(file: str, tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        path = pathlib.Path(archive.extract(file, tmp_path))
        inputs, expected = (arrays(archive, path.stem, kind) for kind in ("in", "out"))
    compare(run_ours(lstm_rt.load(path), inputs), expected, file)
