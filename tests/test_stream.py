"""Streams: whole == frame by frame == chunks == batch, byte for byte; state; and what cannot be streamed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import fetch
import models
import numpy as np
import onnx
import pytest
from close import assert_same_bytes
from models import Array, Recurrent
from onnx import helper

import lstm_rt

SINGLE = {
    "LSTM": Recurrent("LSTM", 7, 33),
    "LSTM-peephole-clip": Recurrent("LSTM", 7, 20, peephole=True, clip=0.4),
    "LSTM-cifg": Recurrent("LSTM", 16, 16, input_forget=1),
    "LSTM-hard-sigmoid": Recurrent("LSTM", 5, 17, activations=("HardSigmoid", "Tanh", "Relu")),
    "LSTM-100": Recurrent("LSTM", 40, 100),
    "GRU": Recurrent("GRU", 7, 33),
    "GRU-reset-after": Recurrent("GRU", 7, 33, linear_before_reset=1),
    "GRU-sigmoid-relu": Recurrent("GRU", 3, 15, activations=("Sigmoid", "Relu"), linear_before_reset=1),
    "RNN": Recurrent("RNN", 7, 33),
    "RNN-relu": Recurrent("RNN", 16, 16, activations=("Relu",)),
    "LSTM-layout": Recurrent("LSTM", 7, 20, layout=1),
    "GRU-layout": Recurrent("GRU", 7, 20, layout=1),
}
# Frames and chunks of 23 steps.
CHUNKS = ([1] * 23, [23], [5, 1, 7, 10], [22, 1])


def several(found: Any) -> tuple[Array, ...]:
    return found if isinstance(found, tuple) else (found,)


def cut(x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    return [np.ascontiguousarray(p) for p in np.split(x, np.cumsum(sizes)[:-1], axis)]


@pytest.mark.parametrize("name", SINGLE)
def test_single_layer(name: str) -> None:
    layer = SINGLE[name]
    axis = 1 if layer.layout else 0
    model = lstm_rt.load(layer.model())
    for batch in (1, 3):
        x = layer.feeds(23, batch)["X"]
        whole = model(x)
        for sizes in CHUNKS:
            stream = model.stream(batch=batch)
            steps = [several(stream.step(frame)) for frame in cut(x, sizes, axis)]
            assert_same_bytes(np.concatenate([s[0] for s in steps], axis), whole[0], f"Y in {sizes}")
            for n, final in enumerate(whole[1:], 1):
                assert_same_bytes(steps[-1][n], final, f"{layer.outputs[n]} in {sizes}")


@pytest.mark.parametrize("name", SINGLE)
def test_a_row_of_a_batch_is_that_row_alone(name: str) -> None:
    layer = SINGLE[name]
    model = lstm_rt.load(layer.model(outputs=["Y"]))
    batch_axis = 0 if layer.layout else 1
    for batch in (2, 5, 16, 17):
        x = layer.feeds(4, batch)["X"]
        together = model(x)
        for row in range(batch):
            alone = model(np.ascontiguousarray(x.take([row], batch_axis)))
            axis = 0 if layer.layout else 2
            assert_same_bytes(together.take([row], axis), alone, f"row {row} of {batch}")


# Weights large enough that every other step takes R h before W x: of one block and term, of several, and with a rest.
TURNED = [(130, 130), (300, 20), (7, 200), (64, 257)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", [None, "bf16", "int8", "int8x16", "int4"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_turned_steps(kind: str, precision: str | None, threads: int) -> None:
    for inputs, hidden in TURNED:
        layer = Recurrent(kind, inputs, hidden, linear_before_reset=int(kind == "GRU"))
        model = lstm_rt.load(layer.model(outputs=["Y"]), quantize=precision)
        x = layer.feeds(6, 1)["X"]
        stream = model.stream(threads=threads)
        steps = np.concatenate([stream.step(frame) for frame in cut(x, [1] * 6, 0)])
        assert_same_bytes(steps, model(x), f"{inputs} inputs, {hidden} units")


STACK = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 33, seed=1), Recurrent("RNN", 33, 9, seed=2)]
BIND = {"h0": "h0_out", "c0": "c0_out", "h1": "h1_out", "h2": "h2_out"}


@pytest.mark.parametrize("sizes", CHUNKS, ids=str)
@pytest.mark.parametrize("explicit", [False, True], ids=["implicit", "explicit"])
def test_stack(explicit: bool, sizes: list[int]) -> None:
    x = np.random.default_rng(3).standard_normal((23, 2, 7)).astype(np.float32)
    whole = lstm_rt.load(models.stack(STACK))(x)
    model = lstm_rt.load(models.stack(STACK, explicit=explicit), bind=BIND if explicit else None)
    stream = model.stream(batch=2)
    found = np.concatenate([stream.step(frame) for frame in cut(x, sizes, 0)])
    assert_same_bytes(found, whole)


def test_bindings() -> None:
    proto = models.stack(STACK, explicit=True)
    assert dict(lstm_rt.load(proto, bind=BIND).bindings) == BIND
    assert dict(lstm_rt.load(proto).bindings) == BIND  # found by name
    assert dict(lstm_rt.load(proto, bind={}).bindings) == {}
    x = np.random.default_rng(3).standard_normal((5, 1, 7)).astype(np.float32)
    found = lstm_rt.load(proto)
    stream = found.stream()
    other = lstm_rt.load(proto, bind={}).stream(bind=BIND)
    assert_same_bytes(stream.step(x), other.step(x))
    # An output that is bound is not given back, one that is not bound is.
    some = {name: out for name, out in BIND.items() if name != "h2"}
    zeros = np.zeros((1, 1, 9), np.float32)
    steps = lstm_rt.load(proto, bind=some).stream().step(x, zeros)
    assert len(steps) == 2
    whole = found.run({"X": x, **{n: np.zeros((1, 1, h), np.float32) for n, h in zip(BIND, (20, 20, 33, 9))}})
    assert_same_bytes(steps[0], whole["out"])
    assert_same_bytes(steps[1], whole["h2_out"])


def test_initial_states_that_the_model_holds() -> None:
    # A layer whose initial state is a weight: a stream starts from it, and reset goes back to it.
    layer = Recurrent("LSTM", 4, 20, initial_h=True, initial_c=True)
    feeds = layer.feeds(6, 1)
    held = {n: feeds[n] for n in ("initial_h", "initial_c")}
    model = lstm_rt.load(layer.model(outputs=["Y"]), freeze=held)
    whole = model(feeds["X"])
    stream = model.stream()
    for _ in range(2):
        found = np.concatenate([stream.step(frame) for frame in cut(feeds["X"], [1] * 6, 0)])
        assert_same_bytes(found, whole)
        stream.reset()


def models_with_state() -> dict[str, Any]:
    return {
        "implicit": lstm_rt.load(models.stack(STACK)),
        "explicit": lstm_rt.load(models.stack(STACK, explicit=True), bind=BIND),
    }


@pytest.mark.parametrize("kind", ["implicit", "explicit"])
def test_state(kind: str) -> None:
    model = models_with_state()[kind]
    frames = [np.random.default_rng(n).standard_normal((1, 1, 7)).astype(np.float32) for n in range(12)]
    fresh = model.stream()
    expected = [fresh.step(f) for f in frames]

    stream = model.stream()
    for frame in frames[:5]:
        stream.step(frame)
    saved = stream.state
    assert len(saved) == 4
    assert sorted(a.shape for a in saved.values()) == [(1, 1, 9), (1, 1, 20), (1, 1, 20), (1, 1, 33)]
    assert all(a.dtype == np.float32 for a in saved.values())
    kept = {n: a.copy() for n, a in saved.items()}

    copy = stream.clone()
    for frame, wanted in zip(frames[5:], expected[5:]):
        assert_same_bytes(stream.step(frame), wanted)
    for name in saved:
        assert_same_bytes(saved[name], kept[name], "the state given out is a copy")
    for frame, wanted in zip(frames[5:], expected[5:]):
        assert_same_bytes(copy.step(frame), wanted, "a clone goes its own way")

    stream.state = saved
    for name, value in saved.items():
        value[:] = 7  # copied when it was set
        assert_same_bytes(stream.state[name], kept[name])
    for frame, wanted in zip(frames[5:], expected[5:]):
        assert_same_bytes(stream.step(frame), wanted, "from the state that was set")

    stream.reset()
    assert not any(a.any() for a in stream.state.values())
    for frame, wanted in zip(frames, expected):
        assert_same_bytes(stream.step(frame), wanted, "after reset")

    # A state that was saved starts a new stream.
    other = model.stream()
    other.state = kept
    for frame, wanted in zip(frames[5:], expected[5:]):
        assert_same_bytes(other.step(frame), wanted, "a new stream from a saved state")


@pytest.mark.parametrize("kind", ["implicit", "explicit"])
def test_state_that_does_not_fit(kind: str) -> None:
    stream = models_with_state()[kind].stream()
    frame = np.zeros((1, 1, 7), np.float32)
    stream.step(frame)
    before = stream.state
    name = next(iter(before))
    for bad in (
        {**before, name: np.zeros((1, 1, 1), np.float32)},
        {**before, name: before[name].astype(np.float64)},
        {**before, name: np.zeros((3,), np.float32)},
        {**before, "no such state": before[name]},
    ):
        with pytest.raises(lstm_rt.Error):
            stream.state = bad
    for key, value in stream.state.items():
        assert_same_bytes(value, before[key])


@pytest.mark.parametrize("kind", ["implicit", "explicit"])
def test_frames_of_changing_length(kind: str) -> None:
    # The state outlives the plan.
    model = models_with_state()[kind]
    x = np.random.default_rng(3).standard_normal((100, 1, 7)).astype(np.float32)
    whole = lstm_rt.load(models.stack(STACK))(x)
    stream = model.stream()
    sizes = [1, 2, 3, 1, 4, 2, 30, 1, 1, 5, 50]
    assert_same_bytes(np.concatenate([stream.step(f) for f in cut(x, sizes, 0)]), whole)


def test_out() -> None:
    model = lstm_rt.load(Recurrent("LSTM", 7, 20).model())
    x = np.random.default_rng(0).standard_normal((6, 1, 7)).astype(np.float32)
    plain, given = model.stream(), model.stream()
    outs = (np.empty((1, 1, 1, 20), np.float32), np.empty((1, 1, 20), np.float32), np.empty((1, 1, 20), np.float32))
    for frame in cut(x, [1] * 6, 0):
        expected = plain.step(frame)
        found = given.step(frame, out=outs)
        assert all(a is b for a, b in zip(found, outs))
        for a, b in zip(outs, expected):
            assert_same_bytes(a, b)


def test_out_of_one_output() -> None:
    model = lstm_rt.load(models.stack(STACK))
    frame = np.ones((1, 1, 7), np.float32)
    out = np.empty((1, 1, 5), np.float32)
    assert model.stream().step(frame, out=out) is out
    assert_same_bytes(out, model.stream().step(frame))


@pytest.mark.parametrize(
    "out",
    [
        np.empty((1, 1, 6), np.float32),
        np.empty((5,), np.float32),
        np.empty((2, 1, 5), np.float32),
        np.empty((1, 1, 5), np.float64),
        np.empty((1, 1, 5), np.int32),
        np.empty((1, 1, 10), np.float32)[:, :, ::2],
        np.empty((1, 1, 5), np.dtype(np.float32).newbyteorder()),
    ],
    ids=["size", "rank", "steps", "float64", "int32", "strided", "byte order"],
)
def test_out_that_does_not_fit(out: Array) -> None:
    stream = lstm_rt.load(models.stack(STACK)).stream()
    frame = np.ones((1, 1, 7), np.float32)
    stream.step(frame)
    before = stream.state
    with pytest.raises(lstm_rt.ShapeError):
        stream.step(frame, out=out)
    for name, value in stream.state.items():
        assert_same_bytes(value, before[name], "a step that failed moved the state")


def test_out_that_is_read_only_or_no_array() -> None:
    stream = lstm_rt.load(models.stack(STACK)).stream()
    frame = np.ones((1, 1, 7), np.float32)
    out = np.empty((1, 1, 5), np.float32)
    out.flags.writeable = False
    with pytest.raises((lstm_rt.Error, ValueError, TypeError)):
        stream.step(frame, out=out)
    with pytest.raises((lstm_rt.Error, TypeError)):
        stream.step(frame, out=[0.0] * 5)  # type: ignore[arg-type]
    two = lstm_rt.load(Recurrent("GRU", 7, 20).model()).stream()
    for bad in (out, (np.empty((1, 1, 1, 20), np.float32),)):
        with pytest.raises((lstm_rt.Error, TypeError)):
            two.step(frame, out=bad)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((1, 1, 8), np.float32),
        np.zeros((1, 7), np.float32),
        np.zeros((1, 1, 1, 7), np.float32),
        np.zeros((1, 2, 7), np.float32),
        np.zeros((1, 1, 7), np.float64),
        np.zeros((1, 1, 7), np.int32),
    ],
    ids=["inputs", "rank 2", "rank 4", "batch", "float64", "int32"],
)
def test_frame_that_does_not_fit(frame: Array) -> None:
    stream = lstm_rt.load(Recurrent("LSTM", 7, 20).model()).stream()
    stream.step(np.zeros((1, 1, 7), np.float32))
    with pytest.raises(lstm_rt.ShapeError, match=r"X|batch"):
        stream.step(frame)


def test_wrong_number_of_frames() -> None:
    stream = lstm_rt.load(Recurrent("LSTM", 7, 20).model()).stream()
    frame = np.zeros((1, 1, 7), np.float32)
    for frames in ((), (frame, frame)):
        with pytest.raises((lstm_rt.Error, TypeError)):
            stream.step(*frames)


def test_frames_that_are_not_contiguous() -> None:
    model = lstm_rt.load(Recurrent("LSTM", 7, 20).model(outputs=["Y"]))
    wide = np.random.default_rng(0).standard_normal((1, 1, 14)).astype(np.float32)
    expected = model.stream().step(np.ascontiguousarray(wide[:, :, ::2]))
    assert_same_bytes(model.stream().step(wide[:, :, ::2]), expected)
    assert_same_bytes(model(wide[:, :, ::2]), expected)


def test_streams_of_one_model_are_independent() -> None:
    model = lstm_rt.load(models.stack(STACK))
    x = np.random.default_rng(0).standard_normal((2, 10, 1, 1, 7)).astype(np.float32)
    alone = []
    for frames in x:
        stream = model.stream()
        alone.append([stream.step(f) for f in frames])
    both = [model.stream(), model.stream()]
    for t, (n, stream) in itertools.product(range(10), enumerate(both)):
        assert_same_bytes(stream.step(x[n, t]), alone[n][t])


# ---- What cannot be streamed -------------------------------------------------------------------------------------


def refused(proto: onnx.ModelProto, *words: str) -> None:
    model = lstm_rt.load(proto)
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        model.stream()
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_backwards_is_refused(direction: str, kind: str) -> None:
    refused(Recurrent(kind, direction=direction).model(name="the_culprit"), "the_culprit", kind)


def mixing(op: str, weights: models.Feeds, out_rank: int = 3, **attributes: Any) -> onnx.ModelProto:
    """An op that mixes time behind a GRU: [time, batch, 16] goes into the node `the_culprit`."""
    layer = Recurrent("GRU", 7, 16)
    nodes = [
        helper.make_node("GRU", layer.node_inputs(), ["Y"], name="gru", **layer.attributes),
        helper.make_node("Squeeze", ["Y", "one"], ["y"], name="squeeze"),
        helper.make_node(op, ["y", *weights], ["out"], name="the_culprit", **attributes),
    ]
    return models.model_of(
        nodes,
        [("X", np.float32, ["time", "batch", 7])],
        [("out", np.float32, [None] * out_rank)],
        {**layer.weights, **weights, "one": np.array([1], np.int64)},
    )


def i64(*values: int) -> Array:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    "proto",
    [
        mixing("ReduceMean", {}, axes=[0]),
        mixing("ReduceMean", {}),
        mixing("Slice", {"s": i64(1), "e": i64(9), "a": i64(0)}),
        mixing("Slice", {"s": i64(-1), "e": i64(-100), "a": i64(0), "p": i64(-1)}),
        mixing("Gather", {"i": i64(-1)}, axis=0),
        mixing("Pad", {"pads": i64(1, 0, 0, 0, 0, 0)}),
        mixing("Concat", {"w": np.ones((2, 1, 16), np.float32)}, axis=0),
        mixing("Reshape", {"shape": i64(-1)}, out_rank=1),
    ],
    ids=["mean", "mean of all", "slice", "backwards", "last", "pad", "concat", "reshape"],
)
def test_ops_that_mix_time_are_refused(proto: onnx.ModelProto) -> None:
    refused(proto, "the_culprit")


def test_convolution_over_time_is_refused() -> None:
    layer = Recurrent("GRU", 7, 16)
    nodes = [
        helper.make_node("GRU", layer.node_inputs(), ["Y"], name="gru", **layer.attributes),
        helper.make_node("Squeeze", ["Y", "one"], ["y"], name="squeeze"),
        helper.make_node("Transpose", ["y"], ["t"], name="transpose", perm=[1, 2, 0]),
        helper.make_node("Conv", ["t", "w"], ["out"], name="the_culprit", pads=[2, 0]),
    ]
    weights = {**layer.weights, "one": i64(1), "w": np.ones((4, 16, 3), np.float32)}
    proto = models.model_of(
        nodes, [("X", np.float32, ["time", "batch", 7])], [("out", np.float32, ["batch", 4, "time"])], weights
    )
    refused(proto, "the_culprit", "Conv")


def test_pointwise_convolution_over_time_is_streamed() -> None:
    layer = Recurrent("GRU", 7, 16)
    nodes = [
        helper.make_node("GRU", layer.node_inputs(), ["Y"], name="gru", **layer.attributes),
        helper.make_node("Squeeze", ["Y", "one"], ["y"], name="squeeze"),
        helper.make_node("Transpose", ["y"], ["t"], name="transpose", perm=[1, 2, 0]),
        helper.make_node("Conv", ["t", "w"], ["out"], name="conv"),
    ]
    weights = {**layer.weights, "one": i64(1), "w": np.ones((4, 16, 1), np.float32)}
    proto = models.model_of(
        nodes, [("X", np.float32, ["time", "batch", 7])], [("out", np.float32, ["batch", 4, "time"])], weights
    )
    model = lstm_rt.load(proto)
    x = layer.feeds(9, 1)["X"]
    stream = model.stream()
    found = np.concatenate([stream.step(f) for f in cut(x, [1, 3, 5], 0)], axis=2)
    assert_same_bytes(found, model(x))


def test_lengths_are_refused() -> None:
    refused(Recurrent("LSTM", sequence_lens=True).model(name="the_culprit"), "the_culprit")


def test_state_given_at_every_call_is_refused_until_bound() -> None:
    proto = Recurrent("GRU", 7, 16, initial_h=True).model(name="the_culprit")
    with pytest.raises(lstm_rt.UnsupportedModelError, match="initial_h"):
        lstm_rt.load(proto, bind={}).stream()
    stream = lstm_rt.load(proto, bind={"initial_h": "Y_h"}).stream()
    assert stream.step(np.zeros((1, 1, 7), np.float32)).shape == (1, 1, 1, 16)


# ---- Real models -------------------------------------------------------------------------------------------------


def audio_frames(count: int) -> Array:
    """Noise that swells and fades, in frames of 64 samples of context and 512 new ones."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(64 + 512 * count) * np.sin(np.linspace(0, 9, 64 + 512 * count)) ** 2 * 0.3
    return np.stack([samples[512 * n : 512 * n + 576] for n in range(count)]).astype(np.float32)


def test_silero_sequence_graph() -> None:
    model = lstm_rt.load(fetch.model("silero_vad_16k_sequence"), bind={"h": "hn", "c": "cn"})
    frames = audio_frames(40)
    zeros = np.zeros((1, 1, 128), np.float32)
    whole = model.run({"input": frames, "h": zeros, "c": zeros})
    for sizes in ([1] * 40, [40], [7, 1, 20, 12]):
        stream = model.stream()
        found = np.concatenate([stream.step(f) for f in cut(frames, sizes, 0)])
        assert_same_bytes(found, whole["speech_probs"], str(sizes))
        assert_same_bytes(stream.state["h"], whole["hn"])
        assert_same_bytes(stream.state["c"], whole["cn"])


@pytest.mark.parametrize("name", ["silero_vad", "silero_vad_16k_op15", "silero_vad_op18_ifless"])
def test_silero_batch_and_stream(name: str) -> None:
    # A free batch and a frozen sample rate; a row of the batch is that row alone.
    model = lstm_rt.load(fetch.model(name), bind={"state": "stateN"})
    frames = np.stack([audio_frames(12), audio_frames(12)[::-1]], axis=1)
    rate = np.array(16000, np.int64)
    together = model.stream(batch=2, freeze={"sr": rate})
    alone = [model.stream(freeze={"sr": rate}) for _ in range(2)]
    state = np.zeros((2, 2, 128), np.float32)
    for frame in frames:
        both = together.step(frame)
        ran = model.run({"input": frame, "state": state, "sr": rate})
        state = ran["stateN"]
        assert_same_bytes(both, ran["output"])
        assert_same_bytes(together.state["state"], state)
        for row, stream in enumerate(alone):
            assert_same_bytes(both[row : row + 1], stream.step(frame[row : row + 1]), f"row {row}")


def test_nsnet2() -> None:
    model = lstm_rt.load(fetch.model("nsnet2"))
    x = np.random.default_rng(0).uniform(-6, 2, (1, 23, 161)).astype(np.float32)
    whole = model(x)
    for sizes in CHUNKS:
        stream = model.stream()
        found = np.concatenate([stream.step(f) for f in cut(x, sizes, 1)], axis=1)
        assert_same_bytes(found, whole, str(sizes))
    two = np.concatenate([x, x[:, ::-1]])
    together = model(two)
    assert_same_bytes(together[:1], whole)
    stream = model.stream(batch=2)
    assert_same_bytes(np.concatenate([stream.step(f) for f in cut(two, [1] * 23, 1)], axis=1), together)
