"""Writing model files: the tables of docs/file-format.md, as the gguf package reads them."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
import struct
import subprocess
import sys

import gguf
import numpy as np
import pytest
from lstm_rt.converters import DType, Graph, Options, SelfTest
from lstm_rt.converters.gguf_file import write
from lstm_rt.converters.onnx import from_onnx
from models import Recurrent
from onnx_of_gguf import Tables, build, floats, info, one_node, relu

import lstm_rt


def test_the_file_is_as_documented(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (None, 3), ("batch", ""))
    scalar = graph.add_weight("s", np.array(True))
    deep = graph.add_weight("d" * 80, np.zeros((1, 1, 1, 1, 2), np.int32))
    deeper = graph.add_weight("d" * 81, np.zeros((0, 3), np.uint8))
    (y,) = graph.add_op(graph.main, "Op", "op", [x, scalar, deep, deeper], ["y"], {"axes": [1, -2], "f": 0.5, "s": "t"})
    graph.add_output(y)
    graph.selftests = [SelfTest([np.ones((1, 3), np.float32)], [np.zeros(2, np.float32)])]
    write(graph, tmp_path / "m.gguf")
    t = Tables(tmp_path / "m.gguf")
    assert t["format_version"] == 1
    assert t["graph.values"] == ["x", "s", "d" * 80, "d" * 81, "y"]
    assert (t["graph.inputs"], t["graph.weights"]) == ([0], [1, 2, 3])
    assert (t["input.dims"], t["input.dim_names"], t["output.ranks"], t["output.dtypes"]) == (
        [-1, 3],
        ["batch", ""],
        [-1],
        [-1],
    )
    assert (t["tensor.dtypes"], t["tensor.ranks"]) == ([3, 2, 4, 0, 0], [0, 5, 2, 2, 1])
    assert t["tensor.dims"] == [1, 1, 1, 1, 2, 0, 3, 1, 3, 2]
    assert t.kind("tensor.dims")[1] == gguf.GGUFValueType.INT64
    assert (t["attr.kinds"], t["attr.lengths"], t["attr.ints"]) == ([0, 1, 2], [2, 1, 1], [1, -2])
    assert (t["op.outputs"], t["block.outputs"], t["selftest.count"], t["bindings"]) == ([4], [4], 1, [])
    assert t.names() == ["s", "d" * 63, "d" * 61 + ".1", "selftest.0.x", "selftest.0.y"]
    assert [a.dtype for a in t.tensors()][:3] == [np.bool_, np.int32, np.uint8]


def test_a_file_appears_whole_or_not_at_all(tmp_path: pathlib.Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"before")
    graph = from_onnx(one_node("Relu", floats(2)))
    graph.main.ops[0].attributes["bad"] = [2**70]
    Options().apply(graph)
    with pytest.raises(struct.error):
        write(graph, tmp_path / "m.gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["m.gguf"]
    assert (tmp_path / "m.gguf").read_bytes() == b"before"


FULL_DISK = """
import resource, signal, sys
import lstm_rt

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit then fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    lstm_rt.convert(sys.argv[1], sys.argv[2], quantize=sys.argv[4] or None)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("precision", ["", "int8", "int4"])
@pytest.mark.parametrize("short", [1, 2000, 6000])
def test_a_full_disk_leaves_the_old_file(short: int, precision: str, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("resource")
    model, source, path = Recurrent("LSTM", 32, 32).model(), tmp_path / "m.onnx", tmp_path / "out" / "m.gguf"
    source.write_bytes(model.SerializeToString())
    path.parent.mkdir()
    lstm_rt.convert(model, path, quantize=precision or None)
    size = path.stat().st_size
    before = b"GGUF of before"  # a file of another kind would not be overwritten at all
    path.write_bytes(before)
    command = [sys.executable, "-c", FULL_DISK, str(source), str(path), str(size - short), precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "cannot write the model: " in done.stdout, done.stderr
    assert [p.name for p in path.parent.iterdir()] == ["m.gguf"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_disk_that_fails_at_last_leaves_the_old_file(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "m.gguf").write_bytes(b"before")
    graph = from_onnx(one_node("Relu", floats(2)))
    Options().apply(graph)
    monkeypatch.setattr(os, name, fail)
    with pytest.raises(OSError, match=r"cannot write the model: No space left on device: '.*m.gguf'"):
        write(graph, tmp_path / "m.gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["m.gguf"]
    assert (tmp_path / "m.gguf").read_bytes() == b"before"


def test_the_disk_has_the_file_before_its_name(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    replace, sync = os.replace, os.fsync

    def replaced(old: pathlib.Path, new: pathlib.Path) -> None:
        events.append("rename")
        replace(old, new)

    def synced(descriptor: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "fsync", synced)
    graph = from_onnx(one_node("Relu", floats(2)))
    Options().apply(graph)
    write(graph, tmp_path / "m.gguf")
    assert events == ["file", "rename", "folder"]


def test_the_same_source_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    source = build([relu()], [info("x", [2])], [info("y", [2])]).SerializeToString()
    for name in ("a", "b"):
        write(from_onnx(source), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
