"""A step with out= allocates nothing: counted by a shim that stands before the allocator of a process of its own."""

from __future__ import annotations

import os
import pathlib
import platform
import shutil
import subprocess
import sys
import textwrap
from typing import Any

import fetch
import models
import numpy as np
import pytest
from models import Recurrent

import lstm_rt

COMPILER = shutil.which("cc") or shutil.which("gcc")

pytestmark = pytest.mark.skipif(
    COMPILER is None or platform.libc_ver()[0] != "glibc" or bool(lstm_rt.build_info()["sanitize"]),
    reason="counting needs a C compiler and glibc, whose allocator a library can stand before, and no sanitizer",
)

# Python's own small objects come from its pools; what is counted is malloc and its kin, from whatever library.
COUNT = textwrap.dedent(
    """
    import ctypes, json, sys
    import numpy as np
    import lstm_rt

    path, shapes, steps, freeze = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    count = ctypes.CDLL(None).malloc_count
    count.restype = ctypes.c_ulonglong
    stream = lstm_rt.load(path).stream(freeze={name: np.array(value) for name, value in freeze.items()})
    frames = [np.ones(shape, np.float32) for shape in shapes]
    first = stream.step(*frames)
    out = tuple(np.empty_like(a) for a in first) if isinstance(first, tuple) else np.empty_like(first)
    step = stream.step

    def run(times):
        for _ in range(times):
            step(*frames, out=out)

    run(100)
    before = count()
    run(steps)
    after = count()
    np.empty(100_000)
    assert count() > after, "the shim counts nothing"
    print(after - before)
    """
)


COUNT_POOL = COUNT.replace(
    """stream = lstm_rt.load(path).stream(freeze={name: np.array(value) for name, value in freeze.items()})
frames = [np.ones(shape, np.float32) for shape in shapes]
first = stream.step(*frames)
""",
    """pool = lstm_rt.load(path).pool(16, freeze={name: np.array(value) for name, value in freeze.items()})
frames = [np.ones(shape, np.float32) for shape in shapes]
rows = shapes[0][-2]  # their batch axis
ids = [pool.open() for _ in range(rows)]
ids = ids if steps % 2 else np.array(ids)
first = pool.step(ids, *frames)
""",
).replace(
    "step = stream.step",
    "step = lambda *frames, out: pool.step(ids, *frames, out=out)",
)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    source = pathlib.Path(__file__).parent / "malloc_count.c"
    library = tmp_path_factory.mktemp("shim") / "malloc_count.so"
    command = [
        str(COMPILER),
        "-shared",
        "-fPIC",
        "-O1",
        "-std=c11",
        "-Wall",
        "-Werror",
        "-o",
        str(library),
        str(source),
    ]
    subprocess.run(command, check=True)
    return library


def allocations(
    shim: pathlib.Path, path: pathlib.Path, shapes: list[Any], steps: int, freeze: str = "{}", count: str = COUNT
) -> int:
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    command = [sys.executable, "-c", count, str(path), repr(shapes), str(steps), freeze]
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_million_steps(kind: str, shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(Recurrent(kind, 16, 16, linear_before_reset=int(kind == "GRU")).model(outputs=["Y"]), path)
    assert allocations(shim, path, [[1, 1, 16]], 1_000_000) == 0


LAYERS = {
    "every output": Recurrent("LSTM", 7, 33),
    "peephole": Recurrent("LSTM", 7, 33, peephole=True, clip=1.0),
    "GRU": Recurrent("GRU", 7, 33, linear_before_reset=0),
    "RNN": Recurrent("RNN", 7, 33, activations=("Relu",)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_other_layers(name: str, shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(LAYERS[name].model(), path)
    assert allocations(shim, path, [[5, 1, 7]], 20_000) == 0


def test_stack_with_explicit_state(shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    layers = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 33)]
    lstm_rt.convert(models.stack(layers, explicit=True), path)
    assert allocations(shim, path, [[1, 1, 7]], 20_000) == 0


def test_silero(shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(fetch.model("silero_vad"), path, bind={"state": "stateN"})
    assert allocations(shim, path, [[1, 576]], 5_000, '{"sr": 16000}') == 0


def test_nsnet2(shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(fetch.model("nsnet2"), path)
    assert allocations(shim, path, [[1, 1, 161]], 500) == 0


@pytest.mark.parametrize("rows", [1, 4, 5, 16])
@pytest.mark.parametrize("steps", [20_000, 20_001], ids=["array of ids", "list of ids"])
def test_pool(rows: int, steps: int, shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    layers = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 33)]
    lstm_rt.convert(models.stack(layers), path)
    assert allocations(shim, path, [[1, rows, 7]], steps, count=COUNT_POOL) == 0


def test_pool_of_silero(shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(fetch.model("silero_vad"), path, bind={"state": "stateN"})
    assert allocations(shim, path, [[5, 576]], 501, '{"sr": 16000}', COUNT_POOL) == 0


def test_runs_after_the_first_keep_their_memory() -> None:
    # Not zero, since the outputs are new arrays; but nothing piles up.
    import tracemalloc

    model = lstm_rt.load(models.stack([Recurrent("LSTM", 7, 20)]))
    x = np.ones((3, 1, 7), np.float32)
    model(x)
    tracemalloc.start()
    try:
        for _ in range(200):
            model(x)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            model(x)
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()
