"""Work shared among threads: the same bits for every number, from many Python threads, and in the child of a fork."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
import onnx
import pytest
from close import assert_same_bytes
from models import Array, Recurrent
from onnx import TensorProto, helper, numpy_helper

import lstm_rt

THREADS = (2, 3, 5)
# Large enough for every thread to have a share: see kLeastShared in src/ops/product.cpp.
LAYERS = {
    "lstm": Recurrent("LSTM", 256, 256),
    "gru": Recurrent("GRU", 256, 256, linear_before_reset=1),
    "gru reset before": Recurrent("GRU", 256, 256),
    "lstm peephole": Recurrent("LSTM", 256, 200, peephole=True, clip=0.5),
    "rnn": Recurrent("RNN", 500, 500),
}
PRECISIONS = (None, "int8", "int8x16", "int4", "bf16")


def load(layer: Recurrent, precision: str | None) -> lstm_rt.Model:
    return lstm_rt.load(layer.model(), quantize=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_same_bits_whole_and_stepped(name: str, precision: str | None) -> None:
    layer = LAYERS[name]
    model = load(layer, precision)
    feeds = layer.feeds(6, 2)
    expected = model.run(feeds)
    for threads in THREADS:
        found = model.run(feeds, threads=threads)
        for output, value in found.items():
            assert_same_bytes(value, expected[output], f"{output}, {threads} threads")
        stream = model.stream(batch=2, threads=threads)
        for t in range(6):
            first = stream.step(np.ascontiguousarray(feeds["X"][t : t + 1]))
            y = first[0] if isinstance(first, tuple) else first
            assert_same_bytes(y, expected["Y"][t : t + 1], f"step {t}, {threads} threads")


def test_pool_shares_too() -> None:
    layer = LAYERS["lstm"]
    model = load(layer, "int8")
    frames = np.random.default_rng(0).standard_normal((1, 7, 256)).astype(np.float32)
    alone, shared = model.pool(8), model.pool(8, threads=2)
    one, two = ([pool.open() for _ in range(7)] for pool in (alone, shared))
    for _ in range(3):
        for a, b in zip(alone.step(one, frames), shared.step(two, frames)):
            assert_same_bytes(b, a)


@pytest.mark.parametrize(("k", "n", "rows"), [(300, 40, 200), (64, 8, 2000), (700, 900, 3)])
def test_products(k: int, n: int, rows: int) -> None:
    # The second has too few columns to share, so its rows are.
    rng = np.random.default_rng(1)
    w, x = rng.standard_normal((k, n)).astype(np.float32), rng.standard_normal((rows, k)).astype(np.float32)
    model = lstm_rt.load(matmul(w, rows))
    expected = model(x)
    for threads in THREADS:
        assert_same_bytes(model(x, threads=threads), expected, f"{threads} threads")


def matmul(w: Array, rows: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "matmul",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, w.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, w.shape[1]])],
        [numpy_helper.from_array(w, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_many_python_threads_share_one_model() -> None:
    layer = LAYERS["lstm"]
    model = load(layer, None)
    feeds = layer.feeds(10, 1)
    expected = model.run(feeds)["Y"]
    found: list[bytes] = []

    def work() -> None:
        found.extend(model.run(feeds, threads=2)["Y"].tobytes() for _ in range(20))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
        assert not worker.is_alive(), "a run has not come back"
    assert found == [expected.tobytes()] * 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_works_on_alone(tmp_path: pathlib.Path) -> None:
    lstm_rt.convert(LAYERS["lstm"].model(), tmp_path / "model.gguf")
    program = """
import os, sys
import numpy as np
import lstm_rt
model = lstm_rt.Model("model.gguf")
x = np.random.default_rng(0).standard_normal((4, 1, 256)).astype(np.float32)
expected = model.run({"X": x}, threads=2)["Y"].tobytes()
child = os.fork()
if child == 0:
    same = model.run({"X": x}, threads=2)["Y"].tobytes() == expected
    stream = model.stream(threads=3)
    stream.step(x[:1])
    sys.exit(0 if same else 3)  # lets go of the model, whose threads are the parent's
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0


def test_idle_threads_sleep() -> None:
    layer = LAYERS["lstm"]
    model = load(layer, None)
    model.run(layer.feeds(4, 1), threads=4)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


@pytest.mark.parametrize("threads", [0, -1, 1000])
def test_number_out_of_range(threads: int) -> None:
    layer = Recurrent("LSTM", 4, 4)
    model = load(layer, None)
    with pytest.raises(lstm_rt.ArgumentError, match="threads is"):
        model.run(layer.feeds(1, 1), threads=threads)
    with pytest.raises(lstm_rt.ArgumentError, match="threads is"):
        model.stream(threads=threads)
    with pytest.raises(lstm_rt.ArgumentError, match="threads is"):
        model.pool(4, threads=threads)
