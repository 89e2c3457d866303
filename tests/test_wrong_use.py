"""Wrong use at run time: every one gives an error or works, and what was there before goes on with the bits it had."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import models
import numpy as np
import pytest
from close import assert_same_bytes
from models import Array, Recurrent
from onnx import helper

import lstm_rt

PRECISIONS = (None, "int8", "int8x16", "int4", "bf16")
LAYER = Recurrent("LSTM", 7, 20)
PROTO = LAYER.model(outputs=["Y"])
# A step of it is long enough to be run without the GIL.
LARGE = Recurrent("LSTM", 256, 256).model(outputs=["Y"])


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def two_outputs() -> lstm_rt.Model:
    return lstm_rt.load(Recurrent("GRU", 7, 20).model(outputs=["Y", "Y_h"]))


# ---- Arrays ------------------------------------------------------------------------------------------------------


def test_layouts_of_every_kind_are_read_right() -> None:
    model = lstm_rt.load(PROTO)
    x = noise(6, 2, 7)
    expected = model(x)
    apart = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    read_only = x.copy()
    read_only.flags.writeable = False
    views = {
        "fortran": np.asfortranarray(x),
        "backwards": x[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        "every other": np.repeat(x, 2, axis=2)[:, :, ::2],
        "transposed": np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
        "not aligned": apart,
        "read-only": read_only,
        "a list": x.tolist(),
        "of a subclass": x.view(np.recarray),
    }
    for name, view in views.items():
        assert_same_bytes(model(view), expected, name)
        if name != "a list":  # whose numbers are float64 to numpy, and a step takes frames as they are
            assert_same_bytes(model.stream(batch=2).step(view), expected, name)


@pytest.mark.parametrize(
    "x",
    [
        noise(1, 1, 7).astype(np.float32().dtype.newbyteorder()),
        noise(1, 1, 7).astype(np.complex64),
        np.full((1, 1, 7), None, object),
        np.full((1, 1, 7), "x"),
        np.zeros((1, 1, 7), "datetime64[s]"),
        np.zeros((1, 1, 7), [("a", np.float32)]),
        np.zeros((1,) * 20 + (7,), np.float32),
        np.float32(1),
    ],
    ids=["byte order", "complex", "object", "text", "dates", "records", "rank 21", "scalar"],
)
def test_arrays_that_no_model_takes(x: Array) -> None:
    model = lstm_rt.load(PROTO)
    stream, pool = model.stream(), model.pool(2)
    ids = [pool.open()]
    for call in (lambda: model(x), lambda: stream.step(x), lambda: pool.step(ids, x)):
        with pytest.raises(lstm_rt.ShapeError):
            call()
    frame = noise(1, 1, 7)
    assert_same_bytes(stream.step(frame), model(frame))


def test_no_rows_and_no_steps() -> None:
    # Nothing in, nothing out, or an error; never what was in memory.
    model = lstm_rt.load(PROTO)
    for shape in ((0, 1, 7), (4, 0, 7), (0, 0, 7)):
        with contextlib.suppress(lstm_rt.Error):
            assert model(np.zeros(shape, np.float32)).size == 0
        stream = model.stream()
        frame = noise(1, 1, 7)
        try:
            assert stream.step(np.zeros(shape, np.float32)).size == 0
        except lstm_rt.Error:
            pass
        else:
            stream = model.stream() if shape[1] == 0 else stream  # a stream keeps its batch
        assert_same_bytes(stream.step(frame), model(frame), f"after {shape}")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_is_gone_after_reset(value: float, precision: str | None) -> None:
    model = lstm_rt.load(PROTO, quantize=precision)
    frames, bad = noise(4, 1, 7), noise(1, 1, 7)
    bad[0, 0, 3] = value
    stream = model.stream()
    expected = [stream.step(frame[None]) for frame in frames]
    for spoilt in (bad, np.full_like(bad, value)):
        stream.step(spoilt)
        stream.step(frames[:1])
        stream.reset()
        for frame, wanted in zip(frames, expected):
            assert_same_bytes(stream.step(frame[None]), wanted, f"after {value}")
    pool = model.pool(3)
    ids = [pool.open() for _ in range(3)]
    rows = np.concatenate([frames[:1], bad, frames[:1]], axis=1)
    found = pool.step(ids, rows)
    for row in (0, 2):
        assert_same_bytes(found[:, :, [row]], expected[0], "a neighbour's NaN stays with it")


# ---- out= --------------------------------------------------------------------------------------------------------


def test_out_that_shares_memory() -> None:
    stream = two_outputs().stream()
    frame = noise(1, 1, 7)
    room = np.zeros(40, np.float32)
    before = stream.step(frame), stream.state
    y, y_h = room[:20].reshape(1, 1, 1, 20), room[10:30].reshape(1, 1, 20)
    for out, words in (((y, y.reshape(1, 1, 20)), "another"), ((y, y_h), "another"), (y, "2 arrays")):
        with pytest.raises(lstm_rt.ShapeError, match=words):
            stream.step(frame, out=out)
    joined = np.zeros(27, np.float32)
    joined[20:] = frame.ravel()
    tail = joined[20:].reshape(1, 1, 7)
    with pytest.raises(lstm_rt.ShapeError, match="a frame"):
        stream.step(tail, out=(joined[1:21].reshape(1, 1, 1, 20), np.zeros((1, 1, 20), np.float32)))
    for name, value in stream.state.items():
        assert_same_bytes(value, before[1][name])
    stream.step(tail, out=(joined[:20].reshape(1, 1, 1, 20), room[:20].reshape(1, 1, 20)))  # side by side is fine


def test_out_of_other_kinds_of_array(tmp_path: pathlib.Path) -> None:
    model = lstm_rt.load(PROTO)
    frame = noise(1, 1, 7)
    expected = model(frame)
    mapped = np.memmap(tmp_path / "out", np.float32, "w+", shape=expected.shape)
    assert_same_bytes(model.stream().step(frame, out=mapped), expected)


def test_out_that_changes_while_it_is_looked_at() -> None:
    class Turncoat(tuple):  # type: ignore[type-arg]
        def __getitem__(self, index: Any) -> Any:
            return np.zeros(1, np.float32)

        def __len__(self) -> int:
            return 2

    out = Turncoat((np.zeros((1, 1, 1, 20), np.float32), np.zeros((1, 1, 20), np.float32)))
    frame = noise(1, 1, 7)
    model = two_outputs()
    model.stream().step(frame, out=out)
    for found, wanted in zip(tuple(out), model.stream().step(frame)):
        assert_same_bytes(found, wanted)


# ---- State -------------------------------------------------------------------------------------------------------


def test_state_of_another_model_or_from_a_pickle() -> None:
    model = lstm_rt.load(PROTO)
    stream, twin = model.stream(), model.stream()
    frame = noise(1, 1, 7)
    stream.step(frame)
    twin.state = pickle.loads(pickle.dumps(stream.state))
    assert_same_bytes(twin.step(frame), stream.step(frame))

    wider = lstm_rt.load(Recurrent("LSTM", 7, 21).model()).stream()
    gru = lstm_rt.load(Recurrent("GRU", 7, 20).model()).stream()
    pool = model.pool(2)
    id = pool.open()
    before = stream.state
    for foreign in (wider.state, gru.state, {name: a.astype(np.float64) for name, a in before.items()}, {}):
        with pytest.raises((lstm_rt.ShapeError, lstm_rt.StateError)):
            stream.state = foreign
        with pytest.raises((lstm_rt.ShapeError, lstm_rt.StateError)):
            pool.set_state(id, foreign)
    for name, value in stream.state.items():
        assert_same_bytes(value, before[name])


@pytest.mark.parametrize(
    "make", [lambda m: m, lambda m: m.stream(), lambda m: m.pool(2)], ids=["Model", "Stream", "Pool"]
)
def test_copies_and_weak_references(make: Callable[[lstm_rt.Model], Any]) -> None:
    thing = make(lstm_rt.load(PROTO))
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=f"{type(thing).__name__} cannot be pickled"):
            attempt(thing)
    reference = weakref.ref(thing)
    assert reference() is thing
    del thing
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("kind", [lstm_rt.Stream, lstm_rt.Pool])
def test_none_is_made_without_a_model(kind: Any) -> None:
    class Mine(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    for make in (kind, Mine, lambda: kind.__new__(kind), lambda: kind(None), lambda: kind(object())):
        with pytest.raises(TypeError, match="is made by Model"):
            make()


def test_model_is_kept_alive_by_what_uses_it() -> None:
    frame = noise(1, 1, 7)
    model = lstm_rt.load(PROTO)
    expected = model(frame)
    stream, pool = model.stream(), model.pool(2)
    copy_of_stream = stream.clone()
    del model
    gc.collect()
    id = pool.open()
    for found in (stream.step(frame), pool.step([id], frame), copy_of_stream.step(frame), stream.model(frame)):
        assert_same_bytes(found, expected)


# ---- Calls inside of calls ---------------------------------------------------------------------------------------


class Nested:
    """An array that uses the stream it is given to."""

    def __init__(self, use: Callable[[], Any], frame: Array) -> None:
        self.use, self.frame, self.refused = use, frame, 0

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        with pytest.raises(lstm_rt.StateError, match="inside of another call"):
            self.use()
        self.refused += 1
        return self.frame


def test_a_frame_that_uses_its_own_stream() -> None:
    model = lstm_rt.load(PROTO)
    frame = noise(1, 1, 7)
    expected = model(frame)
    stream, pool = model.stream(), model.pool(2)
    id = pool.open()
    of_stream = (
        lambda: stream.step(frame), stream.reset, stream.clone, lambda: stream.state,
        lambda: setattr(stream, "state", {}),
    )  # fmt: skip
    for use in of_stream:
        nested = Nested(use, frame)
        assert_same_bytes(stream.step(nested), expected)
        assert nested.refused > 0
        stream.reset()
    of_pool = (
        lambda: pool.step([id], frame), pool.open, lambda: pool.close(id), lambda: pool.reset(id),
        lambda: pool.state(id), lambda: pool.set_state(id, {}),
    )  # fmt: skip
    for use in of_pool:
        nested = Nested(use, frame)
        assert_same_bytes(pool.step([id], nested), expected)
        assert (nested.refused > 0, len(pool)) == (True, 1)
        pool.reset(id)


def test_ids_that_change_while_they_are_read() -> None:
    pool = lstm_rt.load(PROTO).pool(8)
    ids: list[Any] = [pool.open() for _ in range(8)]

    class Shortens:
        def __index__(self) -> int:
            ids.clear()
            return 0

    ids[0] = Shortens()
    with pytest.raises((IndexError, lstm_rt.Error)):
        pool.step(ids, noise(1, 8, 7))
    assert len(pool) == 8
    pool.step(range(8), noise(1, 8, 7))


# ---- Threads, signals, processes ---------------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a thread has not come back"


def test_one_stream_in_two_threads() -> None:
    model = lstm_rt.load(LARGE)
    stream = model.stream()
    frame = noise(1, 1, 256)
    done, refused = [], []

    def work() -> None:
        for _ in range(300):
            try:
                stream.step(frame)
                done.append(1)
                stream.state, stream.clone()
            except lstm_rt.StateError:
                refused.append(1)

    in_threads(3, work)
    assert done
    alone = model.stream()
    for _ in done:
        alone.step(frame)
    assert_same_bytes(stream.step(frame), alone.step(frame), "each step was taken once, and whole")


def test_a_pool_that_is_closed_under_a_step() -> None:
    model = lstm_rt.load(LARGE)
    pool = model.pool(8)
    ids = [pool.open() for _ in range(8)]
    frames = np.repeat(noise(1, 1, 256), 8, axis=1)
    expected = pool.step(ids, frames)
    stop = threading.Event()
    problems: list[str] = []

    def churn() -> None:
        while not stop.is_set():
            try:
                id = pool.open()
                pool.close(id)
            except lstm_rt.StateError:
                pass

    churning = threading.Thread(target=churn)
    pool.close(ids.pop())
    churning.start()
    try:
        steps = 0
        while steps < 100:
            try:
                for id in ids:
                    pool.reset(id)
                found = pool.step(ids, frames[:, :7])
            except lstm_rt.StateError:
                continue
            steps += 1
            if found.tobytes() != expected[:, :, :7].tobytes():
                problems.append(f"step {steps}")
            len(pool), repr(pool)
    finally:
        stop.set()
        churning.join()
    assert not problems


def test_everything_of_one_model_at_once() -> None:
    model = lstm_rt.load(PROTO)
    x = noise(9, 1, 7)
    expected = {n: model(x[:n]).tobytes() for n in range(1, 10)}
    problems: list[str] = []

    def work() -> None:
        for round in range(20):
            n = round % 9 + 1
            stream, pool = model.stream(threads=1 + round % 2), model.pool(2)
            found = {
                "run": model(x[:n], threads=1 + round % 3),
                "stream": np.concatenate([stream.step(x[[t]]) for t in range(n)]),
                "pool": pool.step([pool.open()], x[:n]),
            }
            problems.extend(name for name, y in found.items() if y.tobytes() != expected[n])

    in_threads(4, work)
    assert not problems


def test_a_keyboard_interrupt_comes_through() -> None:
    model = lstm_rt.load(LARGE)
    stream, frame = model.stream(), noise(1, 1, 256)
    x = noise(400, 1, 256)
    expected = model(x)
    waking = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    deadline = time.monotonic() + 60

    def work() -> None:
        while time.monotonic() < deadline:
            model(x)
            stream.step(frame)

    # Shells let their background jobs ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        waking.start()
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        waking.join()
        signal.signal(signal.SIGINT, before)
    assert_same_bytes(model(x), expected)
    stream.reset()
    assert_same_bytes(stream.step(frame), model(frame))


PROLOGUE = """
import os, sys, threading, time
import numpy as np
import lstm_rt
model = lstm_rt.Model(sys.argv[1])
frame = np.ones((1, 1, 256), np.float32)
"""
ENDINGS = {
    "live streams, pools and their threads": """
streams = [model.stream(threads=t) for t in (1, 2, 3)]
pool = model.pool(4, threads=2)
pool.step([pool.open()], frame)
for stream in streams: stream.step(frame)
model.cycle = streams, pool
""",
    "daemon threads in the middle of steps": """
def work(stream):
    while True: stream.step(frame)
def run():
    x = np.ones((200, 1, 256), np.float32)
    while True: model(x, threads=2)
for target, args in ((work, (model.stream(),)), (work, (model.stream(threads=2),)), (run, ())):
    threading.Thread(target=target, args=args, daemon=True).start()
time.sleep(0.2)
""",
    "an exit from a thread": """
def leave():
    model.stream(threads=2).step(frame)
    sys.exit()
thread = threading.Thread(target=leave)
thread.start()
thread.join()
""",
    "a finalizer that steps": """
class Last:
    def __init__(self): self.stream = model.stream()
    def __del__(self): self.stream.step(frame)
last = Last()
last.itself = last
""",
    "a child of a process with threads at work": """
stream = model.stream(threads=2)
expected = stream.step(frame).tobytes()
child = os.fork()
if child == 0:
    stream.reset()
    same = stream.step(frame).tobytes() == expected == model(frame, threads=2).tobytes()
    fresh = lstm_rt.Model(sys.argv[1]).stream(threads=2)
    sys.exit(0 if same and fresh.step(frame).tobytes() == expected else 3)
assert os.waitpid(child, 0)[1] == 0
""",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_process_ends_in_silence(name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(LARGE, path)
    # Python warns of every fork of a process with threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROLOGUE + ENDINGS[name], str(path)]
    for _ in range(3):
        done = subprocess.run(command, timeout=120, check=False, capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


def test_indices_outside_of_the_table() -> None:
    # Known at run time only: clamped to it, as docs/file-format.md says.
    table = noise(5, 3)
    node = helper.make_node("Gather", ["table", "i"], ["y"])
    proto = models.model_of([node], [("i", np.int64, ["n"])], [("y", np.float32, ["n", 3])], {"table": table})
    found = lstm_rt.load(proto)(np.array([0, -1, 4, 5, 2**62, -(2**63)], np.int64))
    assert_same_bytes(found, table[[0, 4, 4, 4, 4, 0]])
