"""Files that try to run code, reach outside themselves or claim too much: refused, quickly and cheaply."""

from __future__ import annotations

import builtins
import os
import pathlib
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import torch_files as tf
from lstm_rt.converters.torch.files import read_weights

import lstm_rt

FLOAT = tf.tensor("0", 4, (4,), (1,))
LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e") + b"\x80\x02M\xe9\x03." + tf.dumps({"little_endian": True})
MARKER = "this-must-not-run"


def zipped(pickled: bytes, storages: dict[str, bytes] | None = None) -> Callable[[pathlib.Path], pathlib.Path]:
    return lambda folder: tf.archive(folder / "model.pt", pickled, storages or {"0": bytes(16)})


def legacy(pickled: bytes, rest: bytes = b"") -> Callable[[pathlib.Path], pathlib.Path]:
    def write(folder: pathlib.Path) -> pathlib.Path:
        path = folder / "model.pt"
        path.write_bytes(LEGACY + pickled + rest)
        return path

    return write


def one(value: bytes) -> bytes:
    return tf.state_dict({"weight_hh_l0": value})


def calls(function: object, *arguments: object) -> bytes:
    return tf.dumps({"weight": tf.Runs(function, *arguments)})


def touch(path: str) -> bytes:
    return calls(os.system, f"touch {path}")


def directory_entry_past_the_end(folder: pathlib.Path) -> pathlib.Path:
    path = tf.archive(folder / "model.pt", one(FLOAT), {"0": bytes(16)})
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\1\2")
    for offset in (20, 24):  # both sizes of the last member
        raw[at + offset : at + offset + 4] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(raw.replace(b"archive/version", b"archive/data/0 "))
    return path


def compressed(folder: pathlib.Path) -> pathlib.Path:
    size = 1 << 27
    pickled = one(tf.tensor("0", size // 4, (size // 4,), (1,)))
    return tf.archive(folder / "model.pt", pickled, {"0": bytes(size)}, zipfile.ZIP_DEFLATED)


def safetensors(header: str, data: bytes = b"", claimed: int | None = None) -> Callable[[pathlib.Path], pathlib.Path]:
    def write(folder: pathlib.Path) -> pathlib.Path:
        path = folder / "model.safetensors"
        path.write_bytes(struct.pack("<Q", len(header) if claimed is None else claimed) + header.encode() + data)
        return path

    return write


def reuse(times: int) -> bytes:
    """Many tensors of one storage."""
    return tf.state_dict({f"weight_ih_l{n}": tf.tensor("0", 1 << 16, (1 << 16,), (1,)) for n in range(times)})


SETATTR = tf.op_global("builtins", "setattr")
NESTED_KEY = b"\x80\x02})" + b"\x85" * 300_000 + b"K\1s."
LAUGHS = b"\x80\x02})" + b"q\0h\0\x86" * 60 + b"K\1s."
COLLIDING = b"\x80\x02}(" + b"".join(tf.integer(n * (2**61 - 1)) + b"N" for n in range(200_000)) + b"u."

ATTACKS: dict[str, tuple[Callable[[pathlib.Path], pathlib.Path], str]] = {
    "system": (zipped(calls(os.system, f"touch {MARKER}")), r"posix\.system|nt\.system"),
    "eval": (zipped(calls(builtins.eval, "1+1")), r"eval"),
    "exec protocol 4": (zipped(tf.dumps({"w": tf.Runs(builtins.exec, "1")}, 4)), r"builtins\.exec"),
    "open": (zipped(calls(builtins.open, MARKER, "w")), r"open"),
    "popen": (zipped(calls(subprocess.Popen, ["touch", MARKER])), r"Popen"),
    "getattr": (zipped(calls(builtins.getattr, "", "join")), r"getattr"),
    "legacy system": (legacy(calls(os.system, f"touch {MARKER}"), tf.dumps([])), r"system"),
    "inst": (zipped(b"\x80\x02(" + tf.text("1") + b"i__builtin__\neval\n."), r"__builtin__\.eval"),
    "obj": (zipped(b"\x80\x02(" + tf.op_global("os", "system") + tf.text("true") + b"o."), r"os\.system"),
    "build": (zipped(b"\x80\x02" + SETATTR + b")\x81}X\1\0\0\0aK\1sb."), r"builtins\.setattr"),
    "build on a dict": (
        zipped(b"\x80\x02}}" + tf.text("update") + tf.op_global("os", "system") + b"sb."),
        r"os\.system",
    ),
    "build on a function": (
        zipped(b"\x80\x02" + tf.op_global("collections", "OrderedDict") + b"}b."),
        r"no named weights|OrderedDict",
    ),
    "reduce of data": (zipped(b"\x80\x02" + tf.text("eval") + b")R."), r"damaged"),
    "reduce with a list": (zipped(b"\x80\x02" + tf.op_global("collections", "OrderedDict") + b"]R."), r"damaged"),
    "hidden name": (
        zipped(tf.state_dict({"a": FLOAT, "b": tf.op_global("torch._utils.os", "system")})),
        r"torch\._utils\.os",
    ),
    "dotted name": (
        zipped(b"\x80\x04" + tf.text("torch") + tf.text("_utils._rebuild_tensor_v2.__globals__") + b"\x93."),
        r"__globals__",
    ),
    "name that is no text": (zipped(b"\x80\x04))\x93."), r"damaged"),
    "load from bytes": (
        zipped(one(tf.op_global("torch.storage", "_load_from_bytes") + b"(C\1atR")),
        r"_load_from_bytes",
    ),
    "whole module": (zipped(one(tf.op_global("torch.nn.modules.rnn", "LSTM") + b")\x81")), r"whole module.*state_dict"),
    "extension": (zipped(b"\x80\x02\x82\1."), r"EXT1"),
    "out-of-band buffer": (zipped(b"\x80\x05\x97."), r"NEXT_BUFFER"),
    "persistent text": (zipped(b"\x80\x02Pevil\n."), r"PERSID"),
    "huge numel": (zipped(one(tf.tensor("0", 1 << 40, (1 << 40,), (1,)))), r"1099511627776|promised"),
    "huge shape": (zipped(one(tf.tensor("0", 4, (1 << 30, 1 << 30), (1, 1)))), r"outside its storage"),
    "overlapping": (zipped(one(tf.tensor("0", 4, (1 << 40,), (0,)))), r"outside its storage"),
    "offset": (zipped(one(tf.tensor("0", 4, (4,), (1,), offset=1))), r"outside its storage"),
    "negative offset": (zipped(one(tf.tensor("0", 4, (4,), (1,), offset=-4))), r"no sizes"),
    "negative stride": (zipped(one(tf.tensor("0", 4, (4,), (-1,)))), r"no sizes"),
    "overflowing stride": (zipped(one(tf.tensor("0", 4, (2,), (1 << 62,)))), r"no sizes"),
    "huge rank": (zipped(one(tf.tensor("0", 4, (1,) * 5000, (1,) * 5000))), r"dims"),
    "negative numel": (zipped(one(tf.tensor("0", -1, (0,), (1,)))), r"storage"),
    "short storage": (zipped(one(tf.tensor("0", 8, (8,), (1,)))), r"promised"),
    "missing storage": (zipped(one(tf.tensor("1", 4, (4,), (1,)))), r"missing"),
    "path of a storage": (zipped(one(tf.tensor("../../../../etc/passwd", 4, (4,), (1,)))), r"missing"),
    "storage of two kinds": (
        zipped(tf.state_dict({"a": FLOAT, "b": tf.tensor("0", 4, (4,), (1,), kind="LongStorage")})),
        r"in two ways",
    ),
    "a storage many times": (zipped(reuse(4000), {"0": bytes(1 << 18)}), r"claim"),
    "no storage": (zipped(one(tf.op_global("torch._utils", "_rebuild_tensor_v2") + b"(NK\0)))}tR")), r"no storage"),
    "too few arguments": (zipped(one(tf.op_global("torch._utils", "_rebuild_tensor_v2") + b")R")), r"damaged"),
    "huge bytes": (zipped(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"."), r"damaged"),
    "huge text": (zipped(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"."), r"damaged"),
    "huge frame": (zipped(b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N."), r"no named weights"),
    "huge memo": (zipped(b"\x80\x02Nr\xff\xff\xff\xff."), r"no named weights"),
    "huge memo in text": (zipped(b"\x80\x02Np" + b"9" * 3000 + b"\n."), r"damaged"),
    "huge integer": (zipped(b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"."), r"damaged"),
    "long decimal": (zipped(b"\x80\x02L" + b"9" * 2_000_000 + b"L\n."), r"damaged|no named weights"),
    "nested lists": (zipped(b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b"."), r"nested|no named"),
    "nested key": (zipped(NESTED_KEY), r"no named weights"),
    "billion laughs": (zipped(LAUGHS), r"no named weights"),
    "colliding keys": (zipped(COLLIDING), r"no named weights"),
    "itself inside": (zipped(b"\x80\x02}q\0" + tf.text("a") + b"h\0s."), r"no named weights"),
    "empty": (zipped(b""), r"damaged"),
    "cut": (zipped(one(FLOAT)[:-5]), r"damaged"),
    "nothing left": (zipped(b"\x80\x02."), r"damaged"),
    "pops too much": (zipped(b"\x80\x020000."), r"damaged"),
    "compressed": (compressed, r"compressed"),
    "entry past the end": (directory_entry_past_the_end, r"past the end|damaged|several|promised"),
    "legacy storage past the end": (
        legacy(one(tf.tensor("0", 1 << 40, (4,), (1,))), tf.dumps(["0"]) + struct.pack("<q", 1 << 40) + bytes(16)),
        r"promised",
    ),
    "legacy other size": (
        legacy(one(FLOAT), tf.dumps(["0"]) + struct.pack("<q", 5) + bytes(20)),
        r"not of the size",
    ),
    "legacy without storages": (legacy(one(FLOAT), tf.dumps([])), r"missing"),
    "legacy unknown storage": (legacy(one(FLOAT), tf.dumps(["1"])), r"no tensor has"),
    "legacy cut": (legacy(one(FLOAT)), r"damaged"),
    "safetensors header": (safetensors("{}", claimed=1 << 60), r"safetensors"),
    "safetensors sizes": (
        safetensors('{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}', bytes(16)),
        r"safetensors",
    ),
    "safetensors overflow": (
        safetensors(
            '{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,16]}}', bytes(16)
        ),
        r"safetensors",
    ),
    "safetensors outside": (
        safetensors('{"a":{"dtype":"F32","shape":[4],"data_offsets":[1000,1016]}}', bytes(16)),
        r"safetensors",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, message = ATTACKS[name]
    path = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lstm_rt.Error, match=f"(?s){message}"):
        lstm_rt.load(path)
    assert not (tmp_path / MARKER).exists()


EACH_IN_A_CHILD = """
import os, resource, sys, lstm_rt, lstm_rt.converters.torch.files, lstm_rt.recipes.build
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))  # ends an attack that hangs; each takes milliseconds
        try:
            lstm_rt.load(path)
        except lstm_rt.Error:
            os._exit(0)
        os._exit(1)
    _, status, used = os.wait4(child, 0)
    print(status, used.ru_maxrss // (1024 if sys.platform == "darwin" else 1))
assert "torch" not in sys.modules
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="what a call costs is measured in a fork")
def test_each_attack_ends_and_takes_little_memory(tmp_path: pathlib.Path) -> None:
    paths = []
    for number, (write, _) in enumerate(ATTACKS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths.append(str(write(folder)))
    command = [sys.executable, "-c", EACH_IN_A_CHILD, *paths]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == len(ATTACKS)
    for name, line in zip(ATTACKS, lines):
        status, kilobytes = line.split()
        assert status == "0", name
        assert int(kilobytes) < 200_000, name
    assert not (tmp_path / MARKER).exists()


def test_every_name_at_once(tmp_path: pathlib.Path) -> None:
    entries = {"a": tf.op_global("os", "system"), "b": tf.op_global("builtins", "eval"), "c": FLOAT}
    path = tf.archive(tmp_path / "model.pt", tf.state_dict(entries), {"0": bytes(16)})
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"os\.system, builtins\.eval"):
        lstm_rt.load(path)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes(seed: int, tmp_path: pathlib.Path) -> None:
    """Whatever is changed in a file, it is read or refused, and nothing else happens."""
    rng = np.random.default_rng(seed)
    original = tf.save(
        tmp_path / "model.pt", {"w": np.ones((3, 4), np.float32), "b": np.ones(3, np.float16)}
    ).read_bytes()
    path = tmp_path / "changed.pt"
    refused = 0
    for _ in range(300):
        raw = bytearray(original)
        for at in rng.integers(0, len(raw), rng.integers(1, 6)):
            raw[at] = rng.integers(256)
        path.write_bytes(raw)
        try:
            read_weights(path)
        except lstm_rt.Error:
            refused += 1
    assert 0 < refused < 300
