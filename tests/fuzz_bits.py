"""Draws random layers and looks for bits that differ: between instruction sets, and between the ways to run a model.

    python tests/fuzz_bits.py --seconds 3600

Each case is a recurrent layer, a stack of them, a matrix product or a convolution, of random sizes and options, in a
random precision, fed with random numbers, some of them extreme. Under every instruction set it runs whole, on threads,
in chunks, frame by frame and row by row of the batch; all results must have the bits of the first. Instruction sets
without fused multiply-add are held to each other's bits. ``--case 17`` runs one again: a case depends on its number and
``--seed`` only.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import models
import numpy as np
import onnx
import reference
from models import Array, Feeds, Recurrent

import lstm_rt
from lstm_rt.quantize import PRECISIONS

Rng = np.random.Generator
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 63, 64, 65, 80, 96, 97, 127, 128, 129, 160, 200)


@dataclasses.dataclass
class Case:
    proto: onnx.ModelProto
    feeds: Feeds
    text: str
    time_axis: int | None = None  # of the input and the first output, where it may be cut into frames
    last: tuple[int, ...] = ()  # outputs that are states: of a stream, those of the last step
    batch_axes: dict[str, int] = dataclasses.field(default_factory=dict)  # of every input and output
    freeze: Feeds = dataclasses.field(default_factory=dict)  # inputs that the model holds, for one size of batch
    precision: str | None = None


# ---- Drawing -----------------------------------------------------------------------------------------------------


def numbers(rng: Rng, *shape: int) -> Array:
    """Of ordinary size, now and then with zeros, denormals, huge ones, infinities and NaN among them."""
    made = rng.standard_normal(shape).astype(np.float32) * np.float32(rng.choice([0.01, 1, 1, 1, 20]))
    if rng.random() < 0.2:
        extremes = rng.choice(np.array([0, -0.0, 1e-40, -1e-39, 1e-31, 3e38, 1e30, np.inf, np.nan], np.float32), shape)
        made = np.where(rng.random(shape) < rng.choice([0.01, 0.3]), extremes, made)
    if rng.random() < 0.1:
        made[..., : shape[-1] // 2 + 1] = 0
    return np.asarray(made, np.float32)


def layer_of(rng: Rng) -> Recurrent:
    kind = str(rng.choice(["LSTM", "LSTM", "GRU", "GRU", "RNN"]))
    direction = str(rng.choice(["forward", "forward", "forward", "reverse", "bidirectional"]))
    given: dict[str, Any] = {}
    if rng.random() < 0.25:
        count = {"LSTM": 3, "GRU": 2, "RNN": 1}[kind] * (2 if direction == "bidirectional" else 1)
        given["activations"] = tuple(str(rng.choice(reference.ACTIVATIONS)) for _ in range(count))
        given["activation_alpha"] = (0.3,) * sum(name in reference.ALPHA for name in given["activations"]) or None
        given["activation_beta"] = (0.6,) * sum(name in reference.BETA for name in given["activations"]) or None
    if kind == "LSTM":
        given["peephole"], given["input_forget"] = bool(rng.random() < 0.2), int(rng.random() < 0.15)
        given["initial_c"] = bool(rng.random() < 0.3)
    if kind == "GRU":
        given["linear_before_reset"] = int(rng.integers(2))
    return Recurrent(
        kind,
        int(rng.choice(SIZES)),
        int(rng.choice(SIZES)),
        direction,
        layout=int(rng.random() < 0.2),
        clip=float(rng.choice([0, 0, 0, 0.5, 3])),
        bias=bool(rng.random() < 0.8),
        initial_h=bool(rng.random() < 0.3),
        sequence_lens=bool(rng.random() < 0.2),
        scale=float(rng.choice([0.5, 1, 3])),
        seed=int(rng.integers(1 << 30)),
        **given,
    )


def length_and_batch(rng: Rng) -> tuple[int, int]:
    return int(rng.choice([1, 2, 3, 7, 16, 40])), int(rng.choice([1, 1, 2, 3, 5, 8, 16, 17, 33]))


def recurrent(rng: Rng) -> Case:
    layer = layer_of(rng)
    length, batch = length_and_batch(rng)
    feeds = layer.feeds(length, batch, int(rng.integers(1 << 30)))
    feeds["X"] = numbers(rng, *feeds["X"].shape)
    state_axis = 0 if layer.layout else 1
    axes = {"X": state_axis, "Y": 0 if layer.layout else 2, "sequence_lens": 0}
    axes.update(dict.fromkeys(("Y_h", "Y_c", "initial_h", "initial_c"), state_axis))
    case = Case(layer.model(), feeds, f"{layer}, time {length}, batch {batch}", batch_axes=axes)
    if layer.direction == "forward" and not layer.sequence_lens:
        case.time_axis = 1 if layer.layout else 0
        case.last = tuple(range(1, len(layer.outputs)))
        if rng.random() < 0.7:  # a stream starts from the states that a model holds
            case.freeze = {name: case.feeds.pop(name) for name in list(feeds) if name != "X"}
    return case


def stacked(rng: Rng) -> Case:
    layers: list[Recurrent] = []
    for n in range(int(rng.integers(2, 4))):
        kind, hidden = str(rng.choice(["LSTM", "GRU", "RNN"])), int(rng.choice(SIZES))
        inputs = layers[-1].hidden if layers else int(rng.choice(SIZES))
        layers.append(
            Recurrent(kind, inputs, hidden, seed=n, linear_before_reset=int(kind == "GRU" and rng.random() < 0.5))
        )
    length, batch = length_and_batch(rng)
    proto = models.stack(layers, head=int(rng.choice(SIZES)))
    feeds = {"X": numbers(rng, length, batch, layers[0].inputs)}
    return Case(proto, feeds, f"{layers}, time {length}, batch {batch}", 0, (), {"X": 1, "out": 1})


def product(rng: Rng) -> Case:
    k, n, rows = (int(rng.choice(SIZES)) for _ in range(3))
    batch = int(rng.choice([1, 2, 5]))
    x, w = numbers(rng, batch, rows, k), np.asarray(rng.standard_normal((k, n)) / np.sqrt(k), np.float32)
    y = np.zeros((batch, rows, n), np.float32)
    proto = models.single_op("MatMul", {"X": x}, weights={"W": w}, outputs={"Y": y})
    return Case(proto, {"X": x}, f"MatMul {x.shape} {w.shape}", None, (), {"X": 1, "Y": 1})


def convolution(rng: Rng) -> Case:
    inputs, outputs, length = (int(rng.choice(SIZES[:20])) for _ in range(3))
    width, stride = int(rng.choice([1, 2, 3, 5])), int(rng.choice([1, 1, 2]))
    batch, padding = int(rng.choice([1, 2, 5])), width - 1
    x = numbers(rng, batch, inputs, length)
    weights = {"W": np.asarray(rng.standard_normal((outputs, inputs, width)) / np.sqrt(inputs * width), np.float32)}
    weights["B"] = np.asarray(rng.standard_normal(outputs), np.float32)
    y = np.zeros((batch, outputs, (length + padding - width) // stride + 1), np.float32)
    proto = models.single_op("Conv", {"X": x}, weights=weights, outputs={"Y": y}, strides=[stride], pads=[padding, 0])
    return Case(proto, {"X": x}, f"Conv {x.shape} {weights['W'].shape} stride {stride}", None, (), {"X": 0, "Y": 0})


def draw(seed: int, number: int) -> Case:
    rng = np.random.default_rng([seed, number])
    kinds: Sequence[Callable[[Rng], Case]] = (recurrent, recurrent, recurrent, stacked, product, convolution)
    case = kinds[int(rng.integers(len(kinds)))](rng)
    case.precision = [None, *PRECISIONS][int(rng.integers(len(PRECISIONS) + 1))]
    return case


# ---- Running -----------------------------------------------------------------------------------------------------


def bits(a: Array) -> bytes:
    """The bytes of an array, with one and the same NaN: its sign and payload are each processor's own."""
    return np.where(np.isnan(a), np.float32(np.nan), a).tobytes() if a.dtype == np.float32 else a.tobytes()


def rows(case: Case, batch: int) -> Iterator[tuple[int, Feeds]]:
    for row in sorted({0, batch // 2, batch - 1}):
        yield row, {n: np.ascontiguousarray(a.take([row], case.batch_axes[n])) for n, a in case.feeds.items()}


def in_pieces(model: lstm_rt.Model, case: Case, sizes: Sequence[int], batch: int, threads: int = 1) -> Feeds:
    """What `case` gives as a stream."""
    assert case.time_axis is not None
    stream = model.stream(batch=batch, threads=threads)
    frames = np.split(case.feeds["X"], np.cumsum(sizes)[:-1], case.time_axis)
    steps = [stream.step(np.ascontiguousarray(frame)) for frame in frames]
    if not isinstance(steps[0], tuple):
        steps = [(step,) for step in steps]
    names = [output.name for output in model.outputs]
    found = {names[0]: np.concatenate([step[0] for step in steps], case.time_axis)}
    return {**found, **{names[n]: steps[-1][n] for n in case.last}}


def results(case: Case, path: pathlib.Path, isa: str, rng: Rng) -> Iterator[tuple[str, Feeds, int | None]]:
    """How it was run, what came out, and the row of the batch that it is (None: all of them)."""
    model = lstm_rt.load(path, isa=isa)
    yield "whole", model.run(case.feeds), None
    threads = int(rng.integers(2, 5))
    yield f"whole on {threads} threads", model.run(case.feeds, threads=threads), None
    batch = case.feeds["X"].shape[case.batch_axes["X"]]
    if batch > 1 and not case.freeze:
        for row, feeds in rows(case, batch):
            yield f"row {row} alone", model.run(feeds), row
    # A stream that is given initial states would start every step from them.
    if case.time_axis is not None and set(case.feeds) == {"X"}:
        length = case.feeds["X"].shape[case.time_axis]
        cuts = np.flatnonzero(rng.random(length - 1) < 0.3) + 1
        chunks = np.diff([0, *cuts, length]).tolist()
        yield "frames", in_pieces(model, case, [1] * length, batch), None
        yield f"chunks of {chunks} on {threads} threads", in_pieces(model, case, chunks, batch, threads), None


def differences(case: Case, folder: pathlib.Path, rng: Rng) -> Iterator[str]:
    path = folder / "case.gguf"
    lstm_rt.convert(case.proto, path, freeze=case.freeze or None, quantize=case.precision, selftest=False)
    exact = lstm_rt.exact_isas()
    for isas in (exact, [isa for isa in lstm_rt.available_isas() if isa not in exact]):
        first: Feeds = {}
        for isa in isas:
            for form, found, row in results(case, path, isa, rng):
                first = first or found
                for name, value in found.items():
                    wanted = first[name] if row is None else first[name].take([row], case.batch_axes[name])
                    if value.shape != wanted.shape or bits(value) != bits(wanted):
                        count = int((value != wanted).sum()) if value.shape == wanted.shape else value.shape
                        yield f"{name} {form} by {isa}, against whole by {isas[0]}: {count} of {wanted.size}"


def check(seed: int, number: int, folder: pathlib.Path) -> bool:
    """Run one case and print what differs; whether nothing does."""
    case = draw(seed, number)
    found = list(differences(case, folder, np.random.default_rng([seed, number, 1])))
    for line in found:
        print(f"case {number} of seed {seed}: {line}\n  {case.precision or 'float32'} {case.text}", flush=True)
    return not found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one only")
    options = parser.parse_args()
    print("instruction sets:", ", ".join(lstm_rt.available_isas()), file=sys.stderr)
    end, done, bad = time.monotonic() + options.seconds, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            number = done if options.case is None else options.case
            bad += not check(options.seed, number, pathlib.Path(folder))
            done += 1
            if options.case is not None:
                break
    print(f"{done} cases, {bad} with bits that differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
