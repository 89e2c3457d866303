"""What a file is follows from its content, for every format, whatever its name ends with."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from lstm_rt.converters.sniff import kind_of_file

import lstm_rt

GOLDEN = pathlib.Path(__file__).parent / "golden"
ENDINGS = (".ckpt", ".pth.tar", ".tar", ".bin", ".th", ".pt", ".pth", ".pt2", ".onnx", ".h5", ".gguf", ".txt", "")
Content = Callable[[], bytes]


def onnx_model() -> bytes:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: its files are NOT sniffed")
    helper = onnx.helper
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def gguf_model() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        lstm_rt.convert(onnx_model(), pathlib.Path(name, "m.gguf"))
        return pathlib.Path(name, "m.gguf").read_bytes()


def safetensors() -> bytes:
    names = {"weight_ih_l0": (12, 2), "weight_hh_l0": (12, 3), "bias_ih_l0": (12,), "bias_hh_l0": (12,)}
    header, data = {}, b""
    for name, shape in names.items():
        array = np.ones(shape, np.float32).tobytes()
        offsets = [len(data), len(data) + len(array)]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
        data += array
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _torch(old: bool) -> bytes:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its files are NOT sniffed")
    file = io.BytesIO()
    torch.save(torch.nn.LSTM(2, 3).state_dict(), file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def _keras(ending: str) -> bytes:
    keras = pytest.importorskip("keras", reason="Keras is not installed: its files are NOT sniffed")
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.LSTM(3)])
    with tempfile.TemporaryDirectory() as name:
        model.save(pathlib.Path(name, f"m{ending}"))
        return pathlib.Path(name, f"m{ending}").read_bytes()


CONTENTS: dict[str, Content] = {
    ".onnx": onnx_model,
    ".gguf": gguf_model,
    ".safetensors": safetensors,
    ".pt": lambda: _torch(False),
    ".pt of old": lambda: _torch(True),
    ".pt2": (GOLDEN / "tagger.pt2").read_bytes,
    ".keras": lambda: _keras(".keras"),
    ".h5": lambda: _keras(".h5"),
}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("kind", CONTENTS)
def test_file_of_any_name_is_loaded_by_its_content(kind: str, tmp_path: pathlib.Path) -> None:
    content = CONTENTS[kind]()
    for ending in ENDINGS:
        path = tmp_path / f"model{ending}"
        path.write_bytes(content)
        assert kind_of_file(path) == kind.partition(" ")[0]
        assert lstm_rt.load(path).inputs


def packed_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    return file.getvalue()


REFUSED: dict[str, tuple[bytes, str]] = {
    "tar": (packed_tar(), "tar archive: unpack it"),
    "gzip": (gzip.compress(safetensors()), "compressed with gzip"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(100), "TensorFlow Lite"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_known_format_that_is_not_read_is_named(name: str, tmp_path: pathlib.Path) -> None:
    content, message = REFUSED[name]
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(lstm_rt.UnsupportedModelError, match=message):
        lstm_rt.load(path)


def test_damaged_content_is_left_to_the_ending(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", b"x" * 50)
    sources = [b"", b"PK", b"PK\3\4", b"PK\5\6" + b"\xff" * 18, file.getvalue(), b"\x08\x08" + b"\xff" * 40]
    for source in [*sources, *(rng.bytes(60) for _ in range(50))]:
        for cut in (len(source), len(source) // 2):
            path = tmp_path / "model.bin"
            path.write_bytes(source[:cut])
            kind_of_file(path)
            with pytest.raises(lstm_rt.Error):
                lstm_rt.load(path)


def test_missing_file_goes_by_its_ending(tmp_path: pathlib.Path) -> None:
    for ending in (".onnx", ".gguf", ".pth", ".keras"):
        assert kind_of_file(tmp_path / f"missing{ending}") == ""
        with pytest.raises((OSError, lstm_rt.Error)):
            lstm_rt.load(tmp_path / f"missing{ending}")
