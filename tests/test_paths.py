"""Paths of every sort: NUL, bytes that are not UTF-8, long names, and what is no regular file."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from close import assert_same_bytes
from models import Recurrent

import lstm_rt
from lstm_rt.files import open_regular, path_text, read_regular

LAYER = Recurrent(inputs=3, hidden=5)
FEEDS = LAYER.feeds(2, 1)
ENDINGS = (".gguf", ".onnx", ".keras", ".h5", ".hdf5", ".weights.h5", ".pt2", ".pt", ".pth", ".safetensors")

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither named pipes in folders nor byte file names")


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The current folder, with the same model as model.gguf and model.onnx."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(LAYER.model().SerializeToString())
    lstm_rt.convert("model.onnx", "model.gguf")
    return tmp_path


# ---- NUL ----


@pytest.mark.parametrize(
    "name", ["model.gguf\0", "model.gguf\0.gguf", "\0model.gguf", "model.onnx\0.onnx", "a\0b.keras"]
)
def test_a_path_with_a_nul_is_refused(name: str, folder: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.ArgumentError, match="NUL"):
        lstm_rt.load(name)
    with pytest.raises(lstm_rt.ArgumentError, match="NUL"):
        lstm_rt.load(pathlib.Path(name))
    with pytest.raises(lstm_rt.ArgumentError, match="NUL"):
        lstm_rt.Model(name)
    with pytest.raises(lstm_rt.ArgumentError, match="NUL"):
        lstm_rt.convert(name, "new.gguf")


def test_a_target_with_a_nul_is_refused(folder: pathlib.Path) -> None:
    before = sorted(os.listdir())
    with pytest.raises(lstm_rt.ArgumentError, match="NUL"):
        lstm_rt.convert("model.onnx", "new.gguf\0.gguf")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("source", ["model.gguf", "model.onnx"])
@pytest.mark.parametrize("end", ["\0", "\0x86_avx2"])
def test_an_instruction_set_with_a_nul_is_refused(source: str, end: str, folder: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.ArgumentError, match=r"isa.*NUL"):
        lstm_rt.load(source, isa=lstm_rt.available_isas()[0] + end)


@pytest.mark.parametrize("isa", ["\udcff", "x86\x1b[31m"])
def test_an_odd_instruction_set_is_refused(isa: str, folder: pathlib.Path) -> None:
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load("model.gguf", isa=isa)
    assert str(caught.value).isprintable()


# ---- Bytes that are not UTF-8 ----


def name_in_bytes(tmp_path: pathlib.Path, end: bytes) -> str:
    """A name that is not UTF-8, as Python has it; skips the test if the file system takes no such names."""
    name = os.fsdecode(b"caf\xe9 \xff" + end)
    try:
        (tmp_path / name).touch()
    except OSError as error:
        pytest.skip(f"this file system has UTF-8 names only: {error}")
    return name


@posix
def test_names_that_are_not_utf8_are_read_and_written(folder: pathlib.Path) -> None:
    source, target = name_in_bytes(folder, b".onnx"), name_in_bytes(folder, b".gguf")
    os.replace("model.onnx", source)
    wanted = lstm_rt.load("model.gguf").run(FEEDS)
    for model in (lstm_rt.load(source), lstm_rt.convert(source, target), lstm_rt.load(target), lstm_rt.Model(target)):
        assert_same_bytes(model.run(FEEDS)["Y"], wanted["Y"])
    assert lstm_rt.load(target).metadata["lstm_rt.source.file"] == r"caf\xe9 \xff.onnx"


@posix
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_name_that_is_not_utf8_is_an_error(ending: str, folder: pathlib.Path) -> None:
    with pytest.raises((lstm_rt.Error, OSError)) as caught:
        lstm_rt.load(os.fsdecode(b"missing\xe9" + ending.encode()))
    if isinstance(caught.value, lstm_rt.Error):
        assert "missing" in str(caught.value)
        assert str(caught.value).isprintable()


@posix
def test_a_damaged_file_whose_name_is_not_utf8_is_named(folder: pathlib.Path) -> None:
    for ending in ENDINGS:
        name = name_in_bytes(folder, ending.encode())
        pathlib.Path(name).write_bytes(b"no model of any kind")
        with pytest.raises(lstm_rt.Error, match=r"caf\\xe9|no model|not a|neither|GGUF|read") as caught:
            lstm_rt.load(name)
        assert str(caught.value).isprintable()


@posix
def test_commands_print_names_that_are_not_utf8(folder: pathlib.Path) -> None:
    pytest.importorskip("typer")
    source, target = name_in_bytes(folder, b".onnx"), name_in_bytes(folder, b".gguf")
    os.replace("model.onnx", source)
    os.remove(target)
    commands = (["convert", source, target], ["inspect", target], ["inspect", target, "--json"], ["verify", target])
    for command in commands:
        done = subprocess.run([sys.executable, "-m", "lstm_rt.cli", *command], capture_output=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
        assert b"Traceback" not in done.stderr
        text = done.stdout.decode()  # valid UTF-8
        if "--json" in command:
            assert os.path.basename(json.loads(text)["model"]) == target


# ---- Long names ----


@pytest.mark.parametrize("length", [200, 229, 230, 231, 238, 239, 240, 250, 254, 255])
def test_long_targets_are_written(length: int, folder: pathlib.Path) -> None:
    target = "m" * (length - 5) + ".gguf"
    lstm_rt.convert("model.onnx", target)
    assert_same_bytes(lstm_rt.load(target).run(FEEDS)["Y"], lstm_rt.load("model.gguf").run(FEEDS)["Y"])
    assert sorted(os.listdir()) == sorted(["model.gguf", "model.onnx", target])


def test_a_target_that_is_too_long_leaves_nothing(folder: pathlib.Path) -> None:
    with pytest.raises((lstm_rt.Error, OSError), match=r"too long|cannot write"):
        lstm_rt.convert("model.onnx", "m" * 251 + ".gguf")
    assert sorted(os.listdir()) == ["model.gguf", "model.onnx"]


# ---- Pipes, devices, folders ----

LOAD_ALL = """
import resource, sys, lstm_rt
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
for path in sys.argv[1:]:
    try:
        lstm_rt.load(path)
    except (lstm_rt.Error, OSError) as error:
        print(type(error).__name__, str(error).replace(chr(10), " "))
"""


@posix
@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero")
def test_no_reader_waits_for_a_pipe_or_reads_a_device(tmp_path: pathlib.Path) -> None:
    paths = []
    for number, ending in enumerate(ENDINGS):
        pipe, link = tmp_path / f"pipe{number}{ending}", tmp_path / f"zeros{number}{ending}"
        os.mkfifo(pipe)
        link.symlink_to("/dev/zero")
        paths += [str(pipe), str(link)]
    command = [sys.executable, "-c", LOAD_ALL, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines):
        assert line.startswith("ModelFileError"), (path, line)
        assert "regular file" in line, (path, line)


@posix
@pytest.mark.parametrize("command", ["run", "stream"])
@pytest.mark.parametrize("ending", [".npy", ".npz", ".wav"])
def test_commands_read_no_signal_from_a_pipe(command: str, ending: str, folder: pathlib.Path) -> None:
    pytest.importorskip("typer")
    os.mkfifo(f"signal{ending}")
    arguments = [sys.executable, "-m", "lstm_rt.cli", command, "model.gguf", f"signal{ending}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    if (command, ending) != ("stream", ".npz"):
        assert "regular files" in " ".join(done.stderr.split())


@posix
def test_standard_input_is_refused_by_its_path(folder: pathlib.Path) -> None:
    program = "import lstm_rt; lstm_rt.load('/dev/stdin')"
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"GGUF" + bytes(100), capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert b"lstm_rt.errors" in done.stderr.splitlines()[-1]


@posix
def test_open_regular_opens_files_and_links_to_files(folder: pathlib.Path) -> None:
    data = pathlib.Path("model.gguf").read_bytes()
    os.symlink("model.gguf", "link.gguf")
    for path in ("model.gguf", b"model.gguf", pathlib.Path("model.gguf"), "link.gguf"):
        assert read_regular(path) == data
    for device in ("/dev/null", "/dev/zero"):
        with pytest.raises(lstm_rt.ModelFileError, match="a device"):
            open_regular(device)
    with pytest.raises(IsADirectoryError):
        open_regular(".")
    with pytest.raises(FileNotFoundError):
        open_regular("missing")
    assert path_text(b"caf\xe9") == "caf\udce9"


@posix
def test_open_regular_keeps_no_descriptor_of_what_it_refuses(folder: pathlib.Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc to count descriptors in")
    os.mkfifo("pipe")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("pipe", "/dev/zero", "."):
        with pytest.raises((lstm_rt.Error, OSError)):
            open_regular(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_weight_file_is_no_array_of_another_kind(folder: pathlib.Path) -> None:
    np.save("x.npy", np.ones(3, np.float32))
    assert open_regular("x.npy").read(6) == b"\x93NUMPY"
