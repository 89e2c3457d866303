"""A file of every format is converted where no framework can be imported, to the same bytes as where all can."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable

import h5py
import models
import numpy as np
import pytest
import torch_files
from models import Array, Recurrent
from safetensors.numpy import save_file

import lstm_rt

FRAMEWORKS = ("torch", "tensorflow", "keras", "tf_keras")
GOLDEN = pathlib.Path(__file__).parent / "golden"
CONVERT = f"""
import sys
for name in {FRAMEWORKS!r}:
    sys.modules[name] = None  # importing it fails
import lstm_rt
lstm_rt.convert(sys.argv[1], sys.argv[2])
"""
KERAS = {
    "class_name": "Sequential",
    "config": {
        "name": "model",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, None, 3], "dtype": "float32"}},
            {"class_name": "LSTM", "config": {"name": "lstm", "units": 4, "return_sequences": True}},
        ],
    },
}


def floats(*shape: int) -> Array:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def keras_weights() -> list[Array]:
    return [floats(3, 16), floats(4, 16), floats(16)]


def torch_weights() -> dict[str, Array]:
    shapes = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}
    return {name: floats(*shape) for name, shape in shapes.items()}


def onnx_file(path: pathlib.Path) -> None:
    path.write_bytes(models.stack([Recurrent("LSTM", 3, 4)]).SerializeToString())


def keras_file(path: pathlib.Path) -> None:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for number, array in enumerate(keras_weights()):
            file[f"layers/lstm/cell/vars/{number}"] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        archive.writestr("config.json", json.dumps(KERAS))
        archive.writestr("model.weights.h5", weights.getvalue())


def h5_file(path: pathlib.Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(KERAS)
        file.attrs["keras_version"], file.attrs["backend"] = "2.9.0", "tensorflow"
        file.create_group("model_weights").attrs["layer_names"] = ["lstm"]
        names = ["lstm/kernel:0", "lstm/recurrent_kernel:0", "lstm/bias:0"]
        for name, array in zip(names, keras_weights()):
            file[f"model_weights/lstm/{name}"] = array
        file["model_weights/lstm"].attrs["weight_names"] = names


def pth_file(path: pathlib.Path) -> None:
    torch_files.save(path, torch_weights())


def safetensors_file(path: pathlib.Path) -> None:
    save_file(torch_weights(), path)


def pt2_file(path: pathlib.Path) -> None:
    shutil.copy(GOLDEN / "tagger.pt2", path)


@pytest.mark.parametrize("write", [onnx_file, keras_file, h5_file, pth_file, safetensors_file, pt2_file])
def test_converts(write: Callable[[pathlib.Path], None], tmp_path: pathlib.Path) -> None:
    source = tmp_path / f"model.{write.__name__[: -len('_file')]}"
    write(source)
    alone = tmp_path / "alone.gguf"
    command = [sys.executable, "-c", CONVERT, str(source), str(alone)]
    # From elsewhere: the source folder would hide the installed package.
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    beside = tmp_path / "beside.gguf"
    assert lstm_rt.convert(source, beside).verify() > 0
    assert alone.read_bytes() == beside.read_bytes()
