"""Files that try to run code, reach outside themselves, or claim huge sizes: refused within a second and 200 MB."""

from __future__ import annotations

import io
import json
import pathlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

MODEL: dict[str, Any] = {
    "class_name": "Sequential",
    "config": {
        "name": "s",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 3], "dtype": "float32"}},
            {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": "linear", "use_bias": True}},
        ],
    },
}


def weights(make: Callable[[Any], None] | None = None) -> bytes:
    """A weights file; `make` writes the kernel in place of what would be right."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        group = h5.create_group("layers/dense/vars")
        if make is None:
            group.create_dataset("0", data=np.ones((3, 2), np.float32))
        else:
            make(group)
        group.create_dataset("1", data=np.ones(2, np.float32))
    return file.getvalue()


def archive(path: pathlib.Path, **members: Any) -> pathlib.Path:
    """A .keras file, with members replaced or added."""
    held: dict[str, Any] = {
        "metadata.json": json.dumps({"keras_version": "3.5.0"}),
        "config.json": json.dumps(MODEL),
        "model.weights.h5": weights(),
    }
    held.update(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in held.items():
            if data is not None:
                file.writestr(name, data() if callable(data) else data)
    return path


def external_link(group: Any) -> None:
    group["0"] = h5py.ExternalLink("/etc/hostname", "/x")


def soft_link(group: Any) -> None:
    group["0"] = h5py.SoftLink("/nowhere")


def external_data(group: Any) -> None:
    group.create_dataset("0", (3, 2), "f4", external=[("/etc/hostname", 0, 24)])


def virtual(group: Any) -> None:
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (3, 2))
    group.create_virtual_dataset("0", layout)


def huge(group: Any) -> None:
    group.create_dataset("0", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))


def overflowing(group: Any) -> None:
    group.create_dataset("0", (1 << 40, 1 << 40), "f4", chunks=(1024, 1024))


def compressed(group: Any) -> None:
    group.create_dataset(
        "0", data=np.zeros((1 << 13, 1 << 13), np.float32), compression="gzip", chunks=(1 << 10, 1 << 13)
    )


def strings(group: Any) -> None:
    group.create_dataset("0", data=np.array([b"import os"], object), dtype=h5py.string_dtype())


def deep(levels: int) -> str:
    return '{"class_name": "Sequential", "config": ' + "[" * levels + "]" * levels + "}"


def nested_models(levels: int) -> str:
    model: Any = MODEL
    for _ in range(levels):
        model = {"class_name": "Sequential", "config": {"name": "s", "layers": [MODEL["config"]["layers"][0], model]}}
    return json.dumps(model)


def lambda_layer() -> str:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None}}
    layer = {"class_name": "Lambda", "config": {"name": "evil", "function": code}}
    return json.dumps({**MODEL, "config": {**MODEL["config"], "layers": [*MODEL["config"]["layers"], layer]}})


def layers_that_are_a_number() -> str:
    inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": 3}}
    layer = {"class_name": "TimeDistributed", "config": {"name": "td", "layer": inner}}
    return json.dumps({**MODEL, "config": {**MODEL["config"], "layers": [*MODEL["config"]["layers"], layer]}})


FILES: dict[str, tuple[dict[str, Any], str]] = {
    "external_link": ({"model.weights.h5": weights(external_link)}, "leads elsewhere"),
    "soft_link": ({"model.weights.h5": weights(soft_link)}, "leads elsewhere"),
    "external_data": ({"model.weights.h5": weights(external_data)}, "another file"),
    "virtual": ({"model.weights.h5": weights(virtual)}, "another file"),
    "huge": ({"model.weights.h5": weights(huge)}, "claims"),
    "overflowing": ({"model.weights.h5": weights(overflowing)}, "claims"),
    "compressed": ({"model.weights.h5": weights(compressed)}, "claims"),
    "strings": ({"model.weights.h5": weights(strings)}, "not supported"),
    "not_hdf5": ({"model.weights.h5": b"\x80\x04cos\nsystem\n"}, "not an HDF5 file"),
    "cut": ({"model.weights.h5": weights()[:700]}, "not an HDF5 file"),
    "bomb": ({"model.weights.h5": lambda: b"\0" * (300 << 20)}, "claims"),
    "json_bomb": ({"config.json": lambda: "[" + " " * (200 << 20) + "]"}, "claims"),
    "deep_json": ({"config.json": deep(100_000)}, "not JSON"),
    "deep_models": ({"config.json": nested_models(100)}, "nested"),
    "not_json": ({"config.json": "import os"}, "not JSON"),
    "no_config": ({"config.json": None}, "has no config.json"),
    "no_weights": ({"model.weights.h5": None}, "has no model.weights.h5"),
    "absolute": ({"/etc/cron.d/x": "x"}, "leads outside"),
    "upwards": ({"assets/../../x": "x"}, "leads outside"),
    "lambda": ({"config.json": lambda_layer()}, "never run"),
    "layers that are a number": ({"config.json": layers_that_are_a_number()}, "no axis of steps"),
    "version": ({"metadata.json": "{}", "config.json": '{"class_name": 3, "config": {}}'}, "not that of a model"),
}

SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from lstm_rt.converters import converter_for
import h5py, gguf, numpy
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    converter_for(sys.argv[1])(sys.argv[1])
except Exception as error:
    after = resource.getrusage(resource.RUSAGE_SELF)
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(type(error).__module__, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak)
    print(error)
else:
    print("converted 0 0")
"""


def convert(path: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)


@pytest.mark.parametrize("name", FILES)
def test_refused(name: str, tmp_path: pathlib.Path) -> None:
    members, expected = FILES[name]
    path = archive(tmp_path / "model.keras", **members)
    done = convert(path)
    assert done.returncode == 0, done.stderr
    first, _, message = done.stdout.partition("\n")
    module, seconds, kilobytes = first.split()
    assert module == "lstm_rt.errors", done.stdout
    assert expected in message, message
    assert float(seconds) < 1.0
    assert int(kilobytes) < 200 * 1024


def test_right_file_is_taken(tmp_path: pathlib.Path) -> None:
    # What all of the above differ from in one thing.
    path = archive(tmp_path / "model.keras")
    done = convert(path)
    assert done.stdout.startswith("converted"), done.stdout + done.stderr


def test_duplicate_member(tmp_path: pathlib.Path) -> None:
    path = archive(tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("config.json", json.dumps(MODEL))
    done = convert(path)
    assert "twice" in done.stdout, done.stdout + done.stderr


def test_damaged_compression(tmp_path: pathlib.Path) -> None:
    path = archive(tmp_path / "model.keras")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("config.json")
    body = info.header_offset + 30 + len(info.filename)
    data[body : body + info.compress_size] = b"\xff" * info.compress_size
    path.write_bytes(data)
    done = convert(path)
    assert "cannot be decompressed" in done.stdout, done.stdout + done.stderr


def test_other_compression(tmp_path: pathlib.Path) -> None:
    path = archive(tmp_path / "model.keras")
    with zipfile.ZipFile(path) as file:
        held = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for name, content in held.items():
            file.writestr(name, content)
    done = convert(path)
    assert "compressed in a way" in done.stdout, done.stdout + done.stderr


def test_address_past_what_python_counts(tmp_path: pathlib.Path) -> None:
    data = bytearray(weights())
    data[48:56] = (2**64 - 2).to_bytes(8, "little")  # h5py raises OverflowError when it reads there
    path = archive(tmp_path / "model.keras", **{"model.weights.h5": bytes(data)})
    done = convert(path)
    assert "not an HDF5 file, or a damaged one" in done.stdout, done.stdout + done.stderr


def test_damaged_bytes_never_crash(tmp_path: pathlib.Path) -> None:
    # Every byte that a small file has, changed in turn by a few patterns: an error of ours, or a model.
    from lstm_rt.converters import converter_for

    from lstm_rt.errors import Error

    whole = weights()
    rng = np.random.default_rng(0)
    path = tmp_path / "model.keras"
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(0, 256)
        archive(path, **{"model.weights.h5": bytes(data)})
        try:
            converter_for(path)(path)
        except Error:
            refused += 1
    assert refused > 10
