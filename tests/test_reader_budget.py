"""Small files that ask for gigabytes or minutes, in every format: each is refused, with little memory and time."""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
import torch_files as tf
from onnx import TensorProto, helper
from test_keras_hostile import MODEL, archive, weights

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory as Linux does")

KILOBYTES = 330 << 10  # what the budget of a small file allows, and the interpreter
Files = dict[str, bytes]


def share_texts(raw: bytes, count: int, size: int) -> bytes:
    """Make all references of a list of HDF5 texts lead to its first text."""
    first, second = struct.pack("<I", size), struct.pack("<I", 7)  # references begin with the length
    at = next(m.start() for m in re.finditer(re.escape(first), raw) if raw[m.start() + 16 : m.start() + 20] == second)
    return raw[:at] + raw[at : at + 16] * count + raw[at + 16 * count :]


def shared_names(count: int = 4000, size: int = 1 << 20) -> bytes:
    file = io.BytesIO()
    names = np.array([b"A" * size] + [b"%07d" % i for i in range(count - 1)], object)
    with h5py.File(file, "w") as h5:
        h5.attrs["model_config"] = json.dumps(MODEL)
        h5.create_group("model_weights").attrs.create("layer_names", names, dtype=h5py.string_dtype())
    return share_texts(file.getvalue(), count, size)


def inflated_chunk() -> bytes:
    """A dataset of six numbers whose only chunk decompresses to 300 MB."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        group = h5.create_group("layers/dense/vars")
        made = group.create_dataset("0", (3, 2), "f4", chunks=(3, 2), compression="gzip")
        made.id.write_direct_chunk((0, 0), _zeros(300 << 20))
        group.create_dataset("1", data=np.ones(2, np.float32))
    return file.getvalue()


def _zeros(size: int) -> bytes:
    machine = zlib.compressobj(9)
    return b"".join([*(machine.compress(bytes(1 << 20)) for _ in range(size >> 20)), machine.flush()])


def large_chunk() -> bytes:
    """A dataset of six numbers in a chunk of 2 GB."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        group = h5.create_group("layers/dense/vars")
        large = (1 << 14, 1 << 15)
        made = group.create_dataset("0", (3, 2), "f4", chunks=large, maxshape=(None, None), compression="gzip")
        made.id.write_direct_chunk((0, 0), zlib.compress(bytes(64)))
        group.create_dataset("1", data=np.ones(2, np.float32))
    return file.getvalue()


def linked_groups(depth: int = 40) -> bytes:
    """Groups that hold the next one twice: 2^40 paths."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["model_config"] = json.dumps(MODEL)
        at = h5.create_group("layers/dense")
        for _ in range(depth):
            inner = at.create_group("a")
            at["b"] = inner
            at = inner
        at.create_dataset("0", data=np.ones(2, np.float32))
    return file.getvalue()


def keras(**members: Any) -> Files:
    folder = pathlib.Path(os.environ["PYTEST_SCRATCH"])
    return {"model.keras": archive(folder / "made.keras", **members).read_bytes()}


def field(number: int, payload: bytes) -> bytes:
    """A field of a protobuf message that holds bytes."""
    size, length = len(payload), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


def external(count: int, dims: list[int], **entries: object) -> bytes:
    weights = [f"w{number}" for number in range(count)]  # all are used: unused ones are dropped unread
    graph = helper.make_graph(
        [helper.make_node("Sum", ["x", *weights], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for name in weights:
        tensor = made.graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
    return made.SerializeToString()


def long_functions() -> bytes:
    """A function with a text of 1 MB that is called 2000 times."""
    nodes = [helper.make_node("f", ["x"], [f"y{i}"], domain="local") for i in range(2000)]
    nodes.append(helper.make_node("Sum", [f"y{i}" for i in range(2000)], ["y"]))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])], [])
    graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [4]))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    body = [helper.make_node("Relu", ["a"], ["b"], doc_string="A" * (1 << 20))]
    made = helper.make_model(graph, opset_imports=imports, ir_version=8)
    made.functions.append(helper.make_function("local", "f", ["a"], ["b"], body, imports))
    return made.SerializeToString()


def zipped(pickled: bytes, storages: dict[str, bytes] | None = None) -> Files:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/version", "3\n")
        for key, raw in (storages or {}).items():
            made.writestr(f"archive/data/{key}", raw)
    return {"model.pt": file.getvalue()}


ORDERED = b"ccollections\nOrderedDict\n"


def copied_dicts(pairs: int = 60_000, calls: int = 20_000) -> bytes:
    items = b"".join(b"X\4\0\0\0%04xN\x86" % i for i in range(pairs))
    return b"\x80\x02" + ORDERED + b"q\0(" + items + b"tq\x010h\x01\x85q\x020]q\x03(" + b"h\0h\x02R" * calls + b"e."


def many_members(count: int = 400_000) -> bytes:
    """A directory of a zip archive that is all there is of it."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
    names = b"".join(entry + b"%08x" % i for i in range(count))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, len(names), 0, 0)
    return names + end


def safetensors(header: bytes) -> Files:
    return {"model.safetensors": struct.pack("<Q", len(header)) + header}


SPARSE = 6 << 30  # of files that hold nothing but a hole
TYPE_V2 = b"ctorch._tensor\n_rebuild_from_type_v2\n"
BOMBS: dict[str, Callable[[], Files]] = {
    "h5 texts that are one": lambda: {"model.h5": shared_names()},
    "h5 list of texts as weights": lambda: keras(**{"model.weights.h5": weights(_texts)}),
    "h5 chunk inflates": lambda: keras(**{"model.weights.h5": inflated_chunk()}),
    "h5 chunk larger than its dataset": lambda: keras(**{"model.weights.h5": large_chunk()}),
    "h5 groups linked twice": lambda: {"model.h5": linked_groups()},
    "json of empty lists": lambda: keras(**{"config.json": "[" + "[]," * 5_000_000 + "[]]"}),
    "onnx nodes of two bytes": lambda: {"model.onnx": field(7, field(1, b"") * 4_000_000)},
    "onnx attributes of two bytes": lambda: {"model.onnx": field(7, field(1, field(5, b"") * 4_000_000))},
    "onnx external data of itself": lambda: {"model.onnx": external(2000, [1], location="model.onnx", length=40_000)},
    "onnx external data a thousand times": lambda: {
        "model.onnx": external(1000, [1 << 20], location="data.bin"),
        "data.bin": bytes(4 << 20),
    },
    "onnx one number of a sparse file": lambda: {
        "model.onnx": external(1, [1], location="sparse.bin", length=SPARSE),
        "sparse.bin": b"",
    },
    "onnx all of a sparse file": lambda: {
        "model.onnx": external(1, [SPARSE // 4], location="sparse.bin"),
        "sparse.bin": b"",
    },
    "onnx functions with long texts": lambda: {"model.onnx": long_functions()},
    "pt dicts copied": lambda: zipped(copied_dicts()),
    "pt tensor types inside each other": lambda: zipped(
        b"\x80\x02" + TYPE_V2 + b"q\0" + b"(h\0N" * 3000 + b")" + b"Nt" * 3000 + b"R."
    ),
    "pt sets without number": lambda: zipped(b"\x80\x04" + b"\x8f" * 3_000_000 + b"."),
    "pt views of one storage": lambda: zipped(
        tf.state_dict({f"w{i}": tf.tensor("0", 1 << 18, (1 << 18,), (1,)) for i in range(4000)}), {"0": bytes(1 << 20)}
    ),
    "zip of entries alone": lambda: {"model.pt": b"PK\3\4" + many_members()},
    "safetensors header of lists": lambda: safetensors(b'{"a":[' + b"[]," * 5_000_000 + b"0]}"),
    "safetensors file is a hole": lambda: {"sparse.safetensors": b""},
    "onnx file is a hole": lambda: {"sparse.onnx": b""},
}


def _texts(group: Any) -> None:
    group.create_dataset("0", data=np.array([b"A" * 1000] * 6, object), dtype=h5py.string_dtype())


SCRIPT = """
import os, sys, lstm_rt, h5py, gguf, onnx, lstm_rt.converters.torch.files, lstm_rt.recipes.build
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            lstm_rt.load(path)
        except lstm_rt.Error as error:
            print(str(error)[:300], flush=True)
            os._exit(0)
        os._exit(1)
    _, status, used = os.wait4(child, 0)
    print("=>", status, used.ru_utime + used.ru_stime, used.ru_maxrss, flush=True)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_SCRATCH", str(tmp_path))
    for file, content in BOMBS[name]().items():
        with (tmp_path / file).open("wb") as written:
            written.write(content)
            if file.startswith("sparse"):
                written.truncate(SPARSE)
    model = next(path for path in tmp_path.iterdir() if path.suffix != ".bin" and path.name != "made.keras")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(model)], capture_output=True, text=True, check=False)
    message, _, measured = done.stdout.rpartition("=>")
    assert measured, done.stderr
    status, _, kilobytes = measured.split()
    assert status == "0", done.stdout + done.stderr
    assert message.startswith(("model.", "sparse.")), message
    allowed = KILOBYTES + 16 * sum(path.stat().st_blocks // 2 for path in tmp_path.iterdir())
    assert int(kilobytes) < allowed, f"{int(kilobytes) >> 10} MB"
