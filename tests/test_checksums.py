"""Checksums in model files: what does not match them is refused by name, and files without them load."""

from __future__ import annotations

import pathlib
import struct
import zlib

import gguf
import numpy as np
import pytest
from cpu import records_selftests
from models import Recurrent
from test_model_file import without_checksums

import lstm_rt

LAYER = Recurrent("LSTM", 32, 32)
KEY = b"lstm_rt.checksum.header" + struct.pack("<I", 4)


def converted(folder: pathlib.Path, precision: str | None) -> pathlib.Path:
    lstm_rt.convert(LAYER.model(), folder / "model.gguf", quantize=precision)
    return folder / "model.gguf"


@pytest.mark.parametrize("precision", [None, "int8", "int4", "bf16"])
def test_they_are_those_of_zlib(precision: str | None, tmp_path: pathlib.Path) -> None:
    path = converted(tmp_path, precision)
    file = gguf.GGUFReader(path)
    sums = file.fields["lstm_rt.checksum.tensors"].contents()
    assert sums == [zlib.crc32(tensor.data.tobytes()) for tensor in file.tensors]
    header = bytearray(path.read_bytes()[: file.data_offset])
    at = header.index(KEY) + len(KEY)
    (sum_of_header,) = struct.unpack_from("<I", header, at)
    struct.pack_into("<I", header, at, 0)
    assert sum_of_header == zlib.crc32(header)


@pytest.mark.parametrize("precision", [None, "int8", "int4", "bf16"])
def test_a_changed_byte_of_a_tensor_is_refused_by_its_name(precision: str | None, tmp_path: pathlib.Path) -> None:
    path = converted(tmp_path, precision)
    blob = path.read_bytes()
    for tensor in gguf.GGUFReader(path).tensors:
        for at in (0, int(tensor.n_bytes) - 1):
            damaged = bytearray(blob)
            damaged[tensor.data_offset + at] ^= 1
            with pytest.raises(lstm_rt.ModelFileError, match=f"tensor '{tensor.name}': its .* copy it again"):
                lstm_rt.load(bytes(damaged))


def test_a_changed_number_of_the_graph_is_refused(tmp_path: pathlib.Path) -> None:
    blob = converted(tmp_path, None).read_bytes()
    damaged = blob.replace(b"hidden_size", b"hidden_sise")
    with pytest.raises(lstm_rt.ModelFileError, match="the header does not match its checksum"):
        lstm_rt.load(damaged)


def test_a_file_of_zeros_from_some_page_on_is_refused(tmp_path: pathlib.Path) -> None:
    blob = converted(tmp_path, None).read_bytes()
    for written in range(0, len(blob), 4096):
        with pytest.raises(lstm_rt.ModelFileError):
            lstm_rt.load(blob[:written] + bytes(len(blob) - written))


@records_selftests
def test_files_without_them_load(tmp_path: pathlib.Path) -> None:
    blob = converted(tmp_path, None).read_bytes()
    x = np.ones((2, 1, 32), np.float32)
    assert lstm_rt.load(without_checksums(blob)).verify() == lstm_rt.load(blob).verify() > 0
    np.testing.assert_array_equal(lstm_rt.load(without_checksums(blob))(x)[0], lstm_rt.load(blob)(x)[0])


def test_weights_in_any_order_of_memory(tmp_path: pathlib.Path) -> None:
    from lstm_rt.converters.gguf_file import write
    from lstm_rt.converters.graph import DType, Graph

    graph = Graph()
    x = graph.add_input("x", DType.FLOAT32, (1, 3))
    weights = np.arange(6, dtype=np.float32).reshape(2, 3).T
    graph.add_output(graph.add_op(graph.main, "MatMul", "m", [x, graph.add_weight("w", weights)], ["y"])[0])
    write(graph, tmp_path / "m.gguf")
    assert lstm_rt.load(tmp_path / "m.gguf")(np.ones((1, 3), np.float32)).tolist() == [[3, 12]]
