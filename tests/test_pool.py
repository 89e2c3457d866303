"""Pools: many streams stepped in any subset as one batch give the bytes of each stepped alone."""

from __future__ import annotations

import ctypes
import pathlib
import threading
from typing import Any

import fetch
import models
import numpy as np
import onnx
import pytest
from close import assert_same_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Array, Recurrent
from onnx import helper

import lstm_rt

STACK = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 33), Recurrent("LSTM", 33, 9)]
MODELS: dict[str, Any] = {
    "LSTM": Recurrent("LSTM", 7, 33).model(),
    "LSTM-one-output": Recurrent("LSTM", 16, 16).model(outputs=["Y"]),
    "LSTM-peephole-clip": Recurrent("LSTM", 7, 20, peephole=True, clip=0.4).model(),
    "LSTM-layout": Recurrent("LSTM", 7, 20, layout=1).model(),
    "GRU": Recurrent("GRU", 7, 33).model(),
    "GRU-reset-after": Recurrent("GRU", 7, 100, linear_before_reset=1).model(),
    "RNN-relu": Recurrent("RNN", 16, 16, activations=("Relu",)).model(),
    "stack": models.stack(STACK),
    "stack-explicit": models.stack(STACK, explicit=True),
}


def several(found: Any) -> tuple[Array, ...]:
    return found if isinstance(found, tuple) else (found,)


class Twin:
    """A pool, and for every stream in it one of its own; every step of the pool is compared with theirs."""

    def __init__(self, model: lstm_rt.Model, capacity: int, frame: Any, axis: int = 0, **options: Any) -> None:
        self.model, self.options, self.frame, self.axis = model, options, frame, axis
        self.pool = model.pool(capacity, **options)
        self.alone: dict[int, lstm_rt.Stream] = {}

    def open(self) -> int:
        new = self.pool.open()
        assert new not in self.alone
        self.alone[new] = self.model.stream(**self.options)
        return new

    def close(self, old: int) -> None:
        self.pool.close(old)
        del self.alone[old]

    def step(self, ids: Any, out: bool = False) -> None:
        frames = [self.frame() for _ in ids]
        together = np.ascontiguousarray(np.concatenate(frames, self.axis))
        if out:
            given = tuple(np.empty_like(a) for a in several(self.pool_shapes(len(ids), together)))
            found = several(self.pool.step(ids, together, out=given if len(given) > 1 else given[0]))
            assert all(a is b for a, b in zip(found, given))
        else:
            found = several(self.pool.step(ids, together))
        expected = [several(self.alone[int(i)].step(frame)) for i, frame in zip(ids, frames)]
        for n, one in enumerate(found):
            axis = batch_axis(one.shape, expected[0][n].shape, len(ids))
            wanted = np.concatenate([e[n] for e in expected], axis)
            assert_same_bytes(one, wanted, f"output {n} of {len(ids)} rows")

    def pool_shapes(self, rows: int, together: Array) -> Any:
        """Arrays like the results of a step, from a pool that is thrown away."""
        other = self.model.pool(rows, **self.options)
        return other.step([other.open() for _ in range(rows)], together)

    def check_states(self) -> None:
        for stream, alone in self.alone.items():
            state, wanted = self.pool.state(stream), alone.state
            assert list(state) == list(wanted)
            for name, value in state.items():
                assert_same_bytes(value, wanted[name], name)


def batch_axis(many: tuple[int, ...], one: tuple[int, ...], rows: int) -> int:
    for axis, (a, b) in enumerate(zip(many, one)):
        if a == rows * b and (rows > 1 or b == 1) and many[:axis] == one[:axis]:
            return axis
    raise AssertionError(f"{many} is not {rows} rows of {one}")


def noise(shape: tuple[int, ...], seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return lambda: rng.standard_normal(shape).astype(np.float32)


def twin_of(name: str, capacity: int, steps: int = 1) -> Twin:
    model = lstm_rt.load(MODELS[name])
    width = model.inputs[0].shape[2]  # type: ignore[index]
    batch_first = "layout" in name
    return Twin(
        model, capacity, noise((1, steps, width) if batch_first else (steps, 1, width)), axis=0 if batch_first else 1
    )


@pytest.mark.parametrize("name", MODELS)
def test_random_subsets(name: str) -> None:
    rng = np.random.default_rng(1)
    twin = twin_of(name, 64)
    for step in range(60):
        while len(twin.alone) < rng.integers(1, 65):
            twin.open()
        ids = rng.permutation(list(twin.alone))[: rng.integers(1, len(twin.alone) + 1)]
        twin.step(ids if step % 2 else ids.tolist(), out=step % 5 == 0)
        if rng.random() < 0.3:
            twin.close(int(rng.choice(list(twin.alone))))
        if rng.random() < 0.3 and twin.alone:
            again = int(rng.choice(list(twin.alone)))
            twin.pool.reset(again)
            twin.alone[again].reset()
    twin.check_states()
    assert len(twin.pool) == len(twin.alone)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "stack-explicit", "LSTM-layout"])
def test_every_number_of_rows(name: str) -> None:
    # Whole batches, padded ones, and steps that are split into several runs.
    twin = twin_of(name, 150)
    ids = [twin.open() for _ in range(150)]
    for rows in [*range(1, 36), 47, 48, 49, 64, 65, 95, 97, 127, 128, 129, 131, 150]:
        twin.step(ids[-rows:])
    twin.check_states()


@pytest.mark.parametrize("name", ["LSTM", "stack"])
def test_capacity_of_one(name: str) -> None:
    twin = twin_of(name, 1)
    first = twin.open()
    for _ in range(5):
        twin.step([first])
    twin.close(first)
    second = twin.open()
    for _ in range(5):
        twin.step([second])


@pytest.mark.parametrize("name", ["LSTM", "GRU-reset-after", "LSTM-layout"])
def test_frames_of_several_steps(name: str) -> None:
    twin = twin_of(name, 7)
    ids = [twin.open() for _ in range(7)]
    frames = {steps: twin_of(name, 1, steps).frame for steps in (1, 2, 5, 9, 11, 30)}
    for steps in (1, 5, 1, 2, 9, 30, 11, 5, 1):
        twin.frame = frames[steps]
        twin.step(ids[: 1 + steps % 7])
    twin.check_states()


@settings(max_examples=25)
@given(st.data())
def test_any_order_of_calls(data: st.DataObject) -> None:
    capacity = data.draw(st.sampled_from([1, 2, 3, 5, 8]))
    twin = Twin(lstm_rt.load(MODELS["LSTM-one-output"]), capacity, noise((1, 1, 16)), axis=1)
    for _ in range(data.draw(st.integers(1, 25))):
        calls = ["open"] if len(twin.alone) < capacity else []
        calls += ["close", "reset", "step", "save"] if twin.alone else []
        call = data.draw(st.sampled_from(calls))
        if call == "open":
            twin.open()
        elif call == "step":
            twin.step(data.draw(st.lists(st.sampled_from(list(twin.alone)), min_size=1, unique=True)))
        else:
            stream = data.draw(st.sampled_from(list(twin.alone)))
            if call == "close":
                twin.close(stream)
            elif call == "reset":
                twin.pool.reset(stream)
                twin.alone[stream].reset()
            else:
                other = data.draw(st.sampled_from(list(twin.alone)))
                twin.pool.set_state(stream, twin.pool.state(other))
                twin.alone[stream].state = twin.alone[other].state
    twin.check_states()


def test_a_slot_that_is_used_again_starts_anew() -> None:
    model = lstm_rt.load(MODELS["stack"])
    pool = model.pool(2)
    frame = np.ones((1, 1, 7), np.float32)
    first, other = pool.open(), pool.open()
    fresh = pool.step([first], frame)
    for _ in range(3):
        pool.step([other, first], np.ones((1, 2, 7), np.float32))
    pool.close(first)
    second = pool.open()
    assert second != first
    assert not any(value.any() for value in pool.state(second).values())
    assert_same_bytes(pool.step([second], frame), fresh)


def test_initial_state_that_is_not_zero() -> None:
    layer = Recurrent("GRU", 7, 16)
    start = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 1, 16)
    nodes = [
        helper.make_node("Shape", ["X"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["batch"], axis=0),
        helper.make_node("Concat", ["one", "batch", "one"], ["wanted"], axis=0),
        helper.make_node("Expand", ["start", "wanted"], ["h0"]),
        helper.make_node("GRU", [*layer.node_inputs()[:4], "", "h0"], ["Y"], name="gru", **layer.attributes),
    ]
    proto = models.model_of(
        nodes,
        [("X", np.float32, ["time", "batch", 7])],
        [("Y", np.float32, ["time", 1, "batch", 16])],
        {**layer.weights, "start": start, "one": np.array([1], np.int64)},
    )
    twin = Twin(lstm_rt.load(proto), 5, noise((1, 1, 7)), axis=1)
    ids = [twin.open() for _ in range(5)]
    assert_same_bytes(twin.pool.state(ids[0])["gru.h"], start)
    twin.step(ids)
    twin.step(ids[1:4])
    twin.pool.reset(ids[2])
    twin.alone[ids[2]].reset()
    twin.close(ids[4])
    ids[4] = twin.open()
    twin.step(ids)
    twin.check_states()


# ---- Real models -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["silero_vad", "silero_vad_16k_op15", "silero_vad_op18_ifless"])
def test_silero(name: str) -> None:
    model = lstm_rt.load(fetch.model(name), bind={"state": "stateN"})
    twin = Twin(model, 20, noise((1, 576)), freeze={"sr": np.array(16000, np.int64)})
    ids = [twin.open() for _ in range(20)]
    for rows in (1, 20, 3, 7, 17, 2, 20, 5):
        twin.step(ids[:rows])
        twin.step(ids[rows - 1 :: -1])
    twin.check_states()


def test_nsnet2() -> None:
    twin = Twin(lstm_rt.load(fetch.model("nsnet2")), 9, noise((1, 1, 161)), axis=0)
    ids = [twin.open() for _ in range(9)]
    for rows in (9, 1, 5, 9):
        twin.step(ids[:rows])
    twin.check_states()


# ---- What is refused ---------------------------------------------------------------------------------------------


def small_pool(streams: int = 3, capacity: int = 4) -> tuple[lstm_rt.Pool, list[int], Array]:
    pool = lstm_rt.load(MODELS["LSTM-one-output"]).pool(capacity)
    ids = [pool.open() for _ in range(streams)]
    frames = np.random.default_rng(0).standard_normal((1, streams, 16)).astype(np.float32)
    pool.step(ids, frames)
    return pool, ids, frames


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda ids: [ids[0], ids[0], ids[1]], lstm_rt.ArgumentError, "twice"),
        (lambda ids: [ids[0], 3, ids[1]], lstm_rt.StateError, "no stream 3"),
        (lambda ids: [ids[0], -1, ids[1]], lstm_rt.StateError, "no stream -1"),
        (lambda ids: [ids[0], 2**40, ids[1]], lstm_rt.StateError, "no stream"),
        (lambda ids: np.array([ids[0], 99, ids[1]]), lstm_rt.StateError, "no stream 99"),
        (lambda ids: [*ids, *ids], lstm_rt.ArgumentError, "6 streams"),
        (lambda ids: np.array([*ids, *ids]), lstm_rt.ArgumentError, "6 streams"),
        (lambda ids: [ids[0], 2**70, ids[1]], lstm_rt.ArgumentError, "64 bits"),
        (lambda ids: [], lstm_rt.ArgumentError, "at least one"),
        (lambda ids: [0.0, 1.0, 2.0], lstm_rt.ArgumentError, "float"),
        (lambda ids: np.array([0.0, 1.0, 2.0]), lstm_rt.ArgumentError, "float64"),
        (lambda ids: np.array([ids]), lstm_rt.ArgumentError, "one dimension"),
        (lambda ids: ids[:2], lstm_rt.ShapeError, "2 ids"),
        (lambda ids: 7, lstm_rt.ArgumentError, "int"),
    ],
)
def test_ids_that_are_wrong_change_nothing(change: Any, error: Any, words: str) -> None:
    pool, ids, frames = small_pool()
    before = {i: pool.state(i) for i in ids}
    with pytest.raises(error, match=words):
        pool.step(change(ids), frames)
    for i in ids:
        for name, value in pool.state(i).items():
            assert_same_bytes(value, before[i][name])
    again = lstm_rt.load(MODELS["LSTM-one-output"]).pool(4)
    others = [again.open() for _ in range(3)]
    again.step(others, frames)
    assert_same_bytes(pool.step(ids, frames), again.step(others, frames), "the pool goes on as if nothing had been")


def test_closed_ids_are_refused() -> None:
    pool, ids, frames = small_pool()
    pool.close(ids[1])
    pool.open()  # takes its place
    for call in (pool.close, pool.reset, pool.state, lambda i: pool.step([ids[0], i, ids[2]], frames)):
        with pytest.raises(lstm_rt.StateError, match="stream 1 of this pool was closed"):
            call(ids[1])


def test_too_many() -> None:
    pool = small_pool(3, 3)[0]
    with pytest.raises(lstm_rt.StateError, match="all 3 streams"):
        pool.open()
    assert (len(pool), pool.capacity) == (3, 3)


@pytest.mark.parametrize("capacity", [0, -1, 2**20 + 1])
def test_capacity_out_of_range(capacity: int) -> None:
    with pytest.raises(lstm_rt.ArgumentError, match="capacity"):
        lstm_rt.load(MODELS["LSTM"]).pool(capacity)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, 3, 15), np.float32),
        np.zeros((1, 2, 16), np.float32),
        np.zeros((3, 16), np.float32),
        np.zeros((1, 3, 16), np.float64),
    ],
    ids=["features", "rows", "rank", "dtype"],
)
@pytest.mark.parametrize("stepped", [True, False])
def test_frames_that_do_not_fit(frames: Array, stepped: bool) -> None:
    pool, ids, fitting = small_pool()
    if not stepped:
        pool = lstm_rt.load(MODELS["LSTM-one-output"]).pool(4)
        ids = [pool.open() for _ in range(3)]
    before = pool.state(ids[0])
    with pytest.raises(lstm_rt.ShapeError):
        pool.step(ids, frames)
    for name, value in pool.state(ids[0]).items():
        assert_same_bytes(value, before[name])
    pool.step(ids, fitting)
    pool.step(ids[:2], fitting[:, :2])


@pytest.mark.parametrize("shape", [(1, 1, 2, 16), (1, 1, 4, 16), (3, 16), (1, 1, 3, 15)])
def test_out_that_does_not_fit(shape: tuple[int, ...]) -> None:
    pool, ids, frames = small_pool()
    before = pool.state(ids[0])
    with pytest.raises(lstm_rt.ShapeError, match="out"):
        pool.step(ids, frames, out=np.empty(shape, np.float32))
    with pytest.raises(lstm_rt.ShapeError, match="shares memory"):
        pool.step(ids, frames, out=frames.reshape(1, 1, 3, 16))
    for name, value in pool.state(ids[0]).items():
        assert_same_bytes(value, before[name])


def test_several_inputs_as_a_tuple_or_one_by_one() -> None:
    layer = Recurrent("GRU", 7, 16)
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["X"], axis=2),
        helper.make_node("GRU", layer.node_inputs(), ["Y"], **layer.attributes),
    ]
    inputs = [("a", np.float32, ["time", "batch", 3]), ("b", np.float32, ["time", "batch", 4])]
    proto = models.model_of(nodes, inputs, [("Y", np.float32, ["time", 1, "batch", 16])], layer.weights)
    model = lstm_rt.load(proto)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((1, 5, n)).astype(np.float32) for n in (3, 4))
    pools = [model.pool(8) for _ in range(2)]
    ids = [[pool.open() for _ in range(5)] for pool in pools]
    alone = [model.stream() for _ in range(5)]
    for _ in range(3):
        found = pools[0].step(ids[0], (a, b))
        assert_same_bytes(pools[1].step(tuple(ids[1]), a, b), found)
        rows = [stream.step(a[:, [n]], b[:, [n]]) for n, stream in enumerate(alone)]
        assert_same_bytes(found, np.concatenate(rows, 2))
    with pytest.raises(lstm_rt.ArgumentError, match="2 arrays"):
        pools[0].step(ids[0], (a,))


def batch_mixing(*nodes: onnx.NodeProto) -> lstm_rt.Model:
    layer = Recurrent("GRU", 7, 16)
    first = helper.make_node("GRU", layer.node_inputs(), ["Y"], name="gru", **layer.attributes)
    proto = models.model_of(
        [first, *nodes], [("X", np.float32, ["time", "batch", 7])], [("out", np.float32, [None] * 4)], layer.weights
    )
    return lstm_rt.load(proto)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([helper.make_node("ReduceMean", ["Y"], ["out"], axes=[2])], "output 'out' has no batch axis"),
        (
            [
                helper.make_node("ReduceMean", ["Y"], ["mean"], axes=[2], keepdims=1),
                helper.make_node("Sub", ["Y", "mean"], ["out"]),
            ],
            "not independent",
        ),
    ],
    ids=["mean", "less the mean"],
)
def test_rows_that_are_mixed_are_refused(nodes: list[onnx.NodeProto], words: str) -> None:
    pool = batch_mixing(*nodes).pool(4)
    with pytest.raises(lstm_rt.UnsupportedModelError, match=words):
        pool.step([pool.open(), pool.open()], np.zeros((1, 2, 7), np.float32))


def test_model_without_a_batch_axis_is_refused() -> None:
    fixed = lstm_rt.load(MODELS["LSTM"], shapes={"X": (None, 1, 7)})
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"'X' has no batch axis.*shapes="):
        fixed.pool()
    backwards = lstm_rt.load(Recurrent("LSTM", direction="reverse").model())
    with pytest.raises(lstm_rt.UnsupportedModelError, match="backwards"):
        backwards.pool()


def test_state_that_does_not_fit() -> None:
    pool, ids, _ = small_pool()
    before = pool.state(ids[0])
    names = list(before)
    for bad in (
        {**before, names[1]: np.zeros((1, 2, 16), np.float32)},
        {**before, names[1]: before[names[1]].astype(np.float64)},
        {names[0]: before[names[0]]},
    ):
        with pytest.raises(lstm_rt.Error):
            pool.set_state(ids[0], bad)
        for name, value in pool.state(ids[0]).items():
            assert_same_bytes(value, before[name])


def test_what_it_says_of_itself() -> None:
    pool = small_pool()[0]
    assert (pool.inputs, pool.outputs, len(pool), pool.capacity) == (("X",), ("Y",), 3, 4)
    assert "3 of 4 streams open" in repr(pool)
    assert bool(pool.model.inputs)
    with pytest.raises(TypeError):
        lstm_rt.Pool()


def test_a_pool_is_for_one_thread_at_a_time() -> None:
    # Threads that step one pool either take turns by chance or are refused; none corrupts it.
    model = lstm_rt.load(Recurrent("LSTM", 64, 256).model(outputs=["Y"]))
    pool = model.pool(32)
    ids = [pool.open() for _ in range(32)]
    frames = np.ones((1, 32, 64), np.float32)
    pool.step(ids, frames)
    refused, done = [], []

    def work() -> None:
        for _ in range(50):
            try:
                pool.step(ids, frames)
                done.append(1)
            except lstm_rt.StateError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = model.stream()
    for _ in range(1 + len(done)):
        wanted = alone.step(frames[:, :1])
    wanted = alone.step(frames[:, :1])
    found = pool.step(ids, frames)
    for row in range(32):
        assert_same_bytes(found[:, :, row : row + 1], wanted)


# ---- From C ----------------------------------------------------------------------------------------------------------


def test_outputs_that_are_not_wanted_and_pools_that_are_not_prepared(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    proto = MODELS["LSTM"]
    model = lstm_rt.convert(proto, path)
    library = ctypes.CDLL(next(str(p) for p in pathlib.Path(lstm_rt.get_library_dir()).glob("liblstm_rt.*")))
    pointer, error = ctypes.c_void_p, ctypes.create_string_buffer(4 + 2048)
    handle, pool = pointer(), pointer()
    assert library.lrt_model_load(str(path).encode(), None, ctypes.byref(handle), error) == 0
    assert library.lrt_pool_create(handle, None, ctypes.c_size_t(4), ctypes.byref(pool), error) == 0
    ids = (ctypes.c_int64 * 3)()
    for i in range(3):
        assert library.lrt_pool_open(pool, ctypes.byref(ids, 8 * i), error) == 0

    frames = np.random.default_rng(0).standard_normal((1, 3, 7)).astype(np.float32)
    inputs = (pointer * 1)(frames.ctypes.data)
    last = np.empty((1, 3, 33), np.float32)
    outputs = (pointer * 3)(None, last.ctypes.data, None)
    unprepared = library.lrt_pool_step(pool, ids, ctypes.c_size_t(3), inputs, outputs, error)
    assert (unprepared, b"not prepared" in error.raw) == (5, True)

    class Dims(ctypes.Structure):
        _fields_ = [("rank", ctypes.c_int32), ("dims", ctypes.c_int64 * 8)]

    class Described(ctypes.Structure):
        _fields_ = [("dtype", ctypes.c_int32), ("shape", Dims), ("data", pointer)]

    array = Described(0, Dims(3, (ctypes.c_int64 * 8)(1, 3, 7)), None)
    assert library.lrt_pool_prepare(pool, ctypes.byref(array), ctypes.c_size_t(1), ctypes.c_size_t(3), error) == 0
    assert [library.lrt_pool_output_axis(pool, ctypes.c_size_t(i)) for i in range(4)] == [2, 1, 1, -1]
    for _ in range(2):
        assert library.lrt_pool_step(pool, ids, ctypes.c_size_t(3), inputs, outputs, error) == 0
    streams = [model.stream() for _ in range(3)]
    for _ in range(2):
        wanted = [stream.step(frames[:, [n]])[1] for n, stream in enumerate(streams)]
    assert_same_bytes(last, np.concatenate(wanted, 1))
    library.lrt_pool_free(pool)
    library.lrt_model_free(handle)
