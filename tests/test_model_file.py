"""The model file: what is written is read back, and damage gives an error, never a crash."""

from __future__ import annotations

import dataclasses
import pathlib
import struct
import subprocess
import sys
import textwrap
from typing import Any

import models
import numpy as np
import onnx
import pytest
from close import assert_same_bytes
from cpu import RECORDS_SELFTESTS, records_selftests
from models import Recurrent
from onnx import helper, numpy_helper

import lstm_rt

LAYER = Recurrent("LSTM", 5, 17, peephole=True, initial_h=True)


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("file") / "model.gguf"
    lstm_rt.convert(LAYER.model(), path)
    return path.read_bytes()


def text(value: str) -> bytes:
    """A string as GGUF writes it: its length in 8 bytes, then the bytes."""
    return struct.pack("<Q", len(value)) + value.encode()


def without_checksums(blob: bytes) -> bytes:
    """The file as earlier versions wrote it: its checksums stand where nothing looks for them."""
    return blob.replace(b"lstm_rt.checksum.", b"nothing.checksum.")


def replaced(blob: bytes, old: bytes, new: bytes) -> bytes:
    assert blob.count(old) == 1, f"{blob.count(old)} of {old!r}"
    return blob.replace(old, new)


def test_path_and_bytes(blob: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(blob)
    feeds = LAYER.feeds(4, 2)
    expected = lstm_rt.load(LAYER.model()).run(feeds)
    for source in (path, str(path), blob):
        model = lstm_rt.load(source)
        assert not RECORDS_SELFTESTS or model.verify() > 0
        assert [i.name for i in model.inputs] == ["X", "initial_h"]
        assert [o.name for o in model.outputs] == ["Y", "Y_h", "Y_c"]
        for name, value in model.run(feeds).items():
            assert_same_bytes(value, expected[name])


def test_the_model_outlives_its_file(blob: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(blob)
    model = lstm_rt.load(path)
    path.unlink()
    model.run(LAYER.feeds(4, 2))


def test_a_model_in_use_stays_when_its_file_is_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    feeds = LAYER.feeds(4, 2)
    lstm_rt.convert(LAYER.model(), path)
    model = lstm_rt.load(path)
    lstm_rt.convert(dataclasses.replace(LAYER, seed=9).model(), path)
    expected = lstm_rt.load(LAYER.model()).run(feeds)
    for name, value in model.run(feeds).items():
        assert_same_bytes(value, expected[name])
    assert lstm_rt.load(path).run(feeds)["Y"].tobytes() != expected["Y"].tobytes()


@records_selftests
def test_a_model_of_bytes_needs_no_file(blob: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(blob)
    model = lstm_rt.load(path.read_bytes())
    path.write_bytes(b"")  # cut in place: a mapped model would end the process
    assert model.verify() > 0


def test_conversion_is_repeatable(blob: bytes, tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(LAYER.model(), tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == blob


def test_tensor_info() -> None:
    model = lstm_rt.load(LAYER.model(batch=2))
    x, h = model.inputs
    assert (x.name, x.shape, x.dtype) == ("X", (None, 2, 5), np.dtype(np.float32))
    assert (h.name, h.shape) == ("initial_h", (1, 2, 17))
    assert x.dim_names[0] == "time"
    assert [o.name for o in model.outputs] == ["Y", "Y_h", "Y_c"]


def test_without_self_tests(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(LAYER.model(), path, selftest=False)
    assert lstm_rt.load(path).verify() == 0


@records_selftests
def test_every_kind_of_op_in_one_file(tmp_path: pathlib.Path) -> None:
    proto = models.stack([Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 9), Recurrent("RNN", 9, 4)], explicit=True)
    path = tmp_path / "model.gguf"
    first = lstm_rt.convert(proto, path)
    again = lstm_rt.load(path)
    assert dict(first.bindings) == dict(again.bindings)
    assert again.verify() > 0


@records_selftests
def test_self_tests_notice_a_changed_weight(blob: bytes) -> None:
    weights = LAYER.weights["R"]
    at = blob.index(weights.tobytes())
    damaged = bytearray(blob)
    damaged[at + 4 * 100 + 2] ^= 0x40
    model = lstm_rt.load(without_checksums(bytes(damaged)))
    with pytest.raises(lstm_rt.StateError) as caught:
        model.verify()
    assert "Y" in str(caught.value)


def test_wrong_architecture(blob: bytes) -> None:
    damaged = replaced(blob, text("general.architecture") + struct.pack("<I", 8) + text("lstm_rt"),
                       text("general.architecture") + struct.pack("<I", 8) + text("llama_x"))  # fmt: skip
    with pytest.raises(lstm_rt.ModelFileError, match="llama_x"):
        lstm_rt.load(damaged)


def test_unknown_format_version(blob: bytes) -> None:
    key = text("lstm_rt.format_version") + struct.pack("<I", 4)
    for version in (2, 99, 0):
        damaged = replaced(blob, key + struct.pack("<I", 1), key + struct.pack("<I", version))
        with pytest.raises(lstm_rt.ModelFileError, match="version"):
            lstm_rt.load(damaged)


def test_unknown_gguf_version(blob: bytes) -> None:
    for version in (1, 2, 4, 3 << 24):
        with pytest.raises(lstm_rt.ModelFileError):
            lstm_rt.load(blob[:4] + struct.pack("<I", version) + blob[8:])


def test_unknown_operation(blob: bytes) -> None:
    with pytest.raises(lstm_rt.Error, match="LSTX"):
        lstm_rt.load(without_checksums(blob).replace(text("LSTM"), text("LSTX"))).run(LAYER.feeds(2, 1))


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF" + bytes(100), b"GGUF" + b"\xff" * 100, b"hello", bytes(1000)]
)
def test_no_model_at_all(content: bytes, tmp_path: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.ModelFileError):
        lstm_rt.load(content)
    for name in ("model.gguf", "model.onnx"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(lstm_rt.ModelFileError, match=name):
            lstm_rt.load(path)


def test_no_such_file(tmp_path: pathlib.Path) -> None:
    for name in ("nothing.gguf", "nothing.onnx"):
        with pytest.raises((lstm_rt.ModelFileError, FileNotFoundError), match="nothing"):
            lstm_rt.load(tmp_path / name)
    with pytest.raises((lstm_rt.Error, OSError)):
        lstm_rt.load(tmp_path)


# Loads, verifies and runs each mutant of the file at argv[1]. Memory is bounded: a dim that lies is an error too.
ATTACK = textwrap.dedent(
    """
    import mmap, random, resource, struct, sys, warnings
    import numpy as np
    import lstm_rt

    if not lstm_rt.build_info()["sanitize"]:  # a sanitizer's shadow takes terabytes of addresses
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    warnings.simplefilter("ignore")
    blob = open(sys.argv[1], "rb").read()
    feeds = dict(np.load(sys.argv[2]))
    kind, count = sys.argv[3], int(sys.argv[4])
    rng = random.Random(kind)
    header = blob.index(feeds.pop("first_weight").tobytes())

    def mutants():
        if kind == "truncated":
            for size in sorted({*range(0, header, max(1, header // count)), *range(header, len(blob), 97)}):
                yield blob[:size]
        for _ in range(count if kind != "truncated" else 0):
            mutant = bytearray(blob)
            for _ in range(rng.choice((1, 1, 1, 2, 5))):
                at = rng.randrange(header if rng.random() < 0.95 else len(blob))
                if kind == "bits":
                    mutant[at] ^= 1 << rng.randrange(8)
                elif kind == "bytes":
                    mutant[at] = rng.choice((0, 1, 2, 8, 127, 128, 255))
                elif kind == "numbers":
                    size, form = rng.choice(((4, "<I"), (8, "<Q")))
                    at = min(at // 4 * 4 + rng.choice((0, 0, 1, 2, 3)), len(blob) - 8)
                    value = rng.choice((0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1))
                    mutant[at : at + size] = struct.pack(form, value % 2 ** (8 * size))
                elif kind == "moved":
                    to, n = rng.randrange(header), rng.choice((1, 4, 8, 33))
                    mutant[to : to + n] = mutant[at : at + n]
            yield bytes(mutant)

    errors = (lstm_rt.Error, MemoryError)
    outcomes = {"loaded": 0, "refused": 0}
    with open("mutant", "w+b") as file:  # outlives a crash, and costs no call to the system
        file.truncate(8 + len(blob))
        last = mmap.mmap(file.fileno(), 0)
    for mutant in mutants():
        last[: 8 + len(mutant)] = struct.pack("<Q", len(mutant)) + mutant
        try:
            model = lstm_rt.load(mutant)
        except errors:
            outcomes["refused"] += 1
            continue
        outcomes["loaded"] += 1
        for work in (model.verify, lambda: model.run(feeds), lambda: model.stream().step(*feeds.values())):
            try:
                work()
            except errors:
                pass
    print(outcomes["loaded"], outcomes["refused"])
    """
)


def recurrent_model() -> tuple[onnx.ModelProto, models.Feeds]:
    """A layer with a branch and state, and what to feed it."""
    then = helper.make_graph(
        [helper.make_node("Relu", ["y"], ["a"], name="relu")],
        "then",
        [],
        [helper.make_tensor_value_info("a", 1, None)],
    )
    otherwise = helper.make_graph(
        [helper.make_node("Slice", ["y", "zero", "one"], ["b"], name="slice")],
        "else",
        [],
        [helper.make_tensor_value_info("b", 1, None)],
    )
    layer = Recurrent("LSTM", 3, 4, initial_h=True, peephole=True)
    nodes = [
        helper.make_node("LSTM", layer.node_inputs(), ["Y", "hn"], name="lstm", **layer.attributes),
        helper.make_node("Squeeze", ["Y", "one"], ["y"], name="squeeze"),
        helper.make_node("If", ["flag"], ["z"], name="if", then_branch=then, else_branch=otherwise),
        helper.make_node("Add", ["z", "w"], ["out"], name="add"),
    ]
    weights = {
        **layer.weights,
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "w": np.ones(4, np.float32),
    }
    proto = models.model_of(
        nodes,
        [("X", np.float32, ["time", 1, 3]), ("initial_h", np.float32, [1, 1, 4]), ("flag", np.bool_, [])],
        [("out", np.float32, ["time", 1, 4]), ("hn", np.float32, [1, 1, 4])],
        weights,
    )
    feeds = {
        "X": np.ones((2, 1, 3), np.float32),
        "initial_h": np.zeros((1, 1, 4), np.float32),
        "flag": np.array(True),
    }
    return proto, feeds


def operations_model() -> tuple[onnx.ModelProto, models.Feeds]:
    """A chain of operations whose attributes and weights are sizes, axes and indices, and what to feed it."""

    def i64(*values: int) -> models.Array:
        return np.array(values, np.int64)

    weights = {
        "w": np.ones((4, 3, 3), np.float32),
        "pads": i64(0, 0, 1, 0, 0, 2),
        "split": i64(3, 6),
        "starts": i64(1),
        "ends": i64(7),
        "axes": i64(1),
        "steps": i64(2),
        "indices": i64(2, 0, -1),
        "wanted": i64(2, 3, 4),
        "shape": i64(-1, 4),
        "b": np.ones((4, 5), np.float32),
        "c": np.ones(5, np.float32),
        "two": np.array(2, np.float32),
    }
    nodes = [
        helper.make_node("Pad", ["X", "pads"], ["a"], mode="reflect"),
        helper.make_node("Conv", ["a", "w"], ["d"], strides=[1], pads=[1, 1], dilations=[1], group=1),
        helper.make_node("Transpose", ["d"], ["e"], perm=[0, 2, 1]),
        helper.make_node("Split", ["e", "split"], ["f", "g"], axis=1),
        helper.make_node("Concat", ["g", "f"], ["h"], axis=1),
        helper.make_node("Slice", ["h", "starts", "ends", "axes", "steps"], ["i"]),
        helper.make_node("Gather", ["i", "indices"], ["j"], axis=1),
        helper.make_node("Expand", ["j", "wanted"], ["k"]),
        helper.make_node("Reshape", ["k", "shape"], ["l"]),
        helper.make_node("Gemm", ["l", "b", "c"], ["m"], alpha=0.5, transB=0),
        helper.make_node("Pow", ["m", "two"], ["n"]),
        helper.make_node("ReduceMean", ["n"], ["o"], axes=[0], keepdims=1),
        helper.make_node("Shape", ["o"], ["p"]),
        helper.make_node("ConstantOfShape", ["p"], ["q"]),
        helper.make_node("Add", ["o", "q"], ["out"]),
    ]
    proto = models.model_of(nodes, [("X", np.float32, [1, 3, 6])], [("out", np.float32, [1, 5])], weights)
    return proto, {"X": np.ones((1, 3, 6), np.float32)}


@pytest.mark.parametrize("model", [recurrent_model, operations_model], ids=["recurrent", "operations"])
@pytest.mark.parametrize(
    ("kind", "count"),
    [("truncated", 4000), ("bits", 15000), ("bytes", 15000), ("numbers", 30000), ("moved", 15000)],
)
def test_damage_never_crashes(model: Any, kind: str, count: int, tmp_path: pathlib.Path) -> None:
    proto, feeds = model()
    path = tmp_path / "model.gguf"
    lstm_rt.convert(proto, path, bind={"initial_h": "hn"} if "initial_h" in feeds else None)
    blob = without_checksums(path.read_bytes())  # else nothing but the checksums would be tried
    path.write_bytes(blob)
    weights = (numpy_helper.to_array(w) for w in proto.graph.initializer)
    first = min((w for w in weights if w.dtype == np.float32 and w.size > 8), key=lambda w: blob.index(w.tobytes()))
    np.savez(tmp_path / "feeds.npz", first_weight=first, **feeds)
    command = [sys.executable, "-c", ATTACK, str(path), str(tmp_path / "feeds.npz"), kind, str(count)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        last = (tmp_path / "mutant").read_bytes()
        last = last[8 : 8 + struct.unpack("<Q", last[:8])[0]]
        changed = [(at, a, b) for at, (a, b) in enumerate(zip(blob, last)) if a != b]
        raise AssertionError(
            f"exit code {done.returncode} on {len(last)} of {len(blob)} bytes, changed at (offset, was, is) {changed}\n"
            f"{done.stderr[-3000:]}"
        )
    loaded, refused = (int(n) for n in done.stdout.split())
    print(f"{loaded} mutants loaded, {refused} were refused")
    assert refused > (loaded + refused) // 4
    assert loaded > (loaded + refused) // 100 or kind == "truncated"
