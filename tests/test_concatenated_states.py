"""States that a model takes as several inputs and returns as one output: proposed, and bound by their inner names."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_of_gguf import Array, build, floats, info

import lstm_rt

STATES = {"h1": "h1_next", "c1": "c1_next", "h2": "h2_next", "c2": "c2_next"}
HIDDEN = 4


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    names = [name.replace("none", "") for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


def joined(how: str) -> tuple[list[onnx.NodeProto], list[int]]:
    """Nodes that make one output `state` of the four states, and its shape."""
    parts = list(STATES.values())
    if how == "concat":
        return [node("Concat", " ".join(parts), "state", axis=0)], [4, 1, HIDDEN]
    if how == "concat of the last axis":
        return [node("Concat", " ".join(parts), "state", axis=-1)], [1, 1, 4 * HIDDEN]
    if how == "another order":
        return [node("Concat", " ".join(reversed(parts)), "state", axis=0)], [4, 1, HIDDEN]
    if how == "stack":
        lifted = [node("Unsqueeze", f"{part} front", f"{part}_lifted") for part in parts]
        return [*lifted, node("Concat", " ".join(f"{part}_lifted" for part in parts), "state", axis=0)], [
            4,
            1,
            1,
            HIDDEN,
        ]
    assert how == "stack of layers"  # h and c of each layer in the last axis, then both layers: as DTLN does
    nodes = [node("Unsqueeze", f"{part} back", f"{part}_lifted") for part in parts]
    nodes += [node("Concat", f"h{i}_next_lifted c{i}_next_lifted", f"layer{i}", axis=-1) for i in (1, 2)]
    return [*nodes, node("Concat", "layer1 layer2", "state", axis=0)], [2, 1, HIDDEN, 2]


def two_layers(how: str = "concat", frame: int = 3, more: tuple[onnx.ValueInfoProto, ...] = ()) -> onnx.ModelProto:
    """Two LSTM layers whose four states are inputs, and one output."""
    rows = 4 * HIDDEN
    weights: dict[str, Array] = {
        "W1": floats(1, rows, frame),
        "W2": floats(1, rows, HIDDEN),
        **{name: floats(1, rows, HIDDEN) for name in ("R1", "R2")},
        "axis": np.array([1]),
        "front": np.array([0]),
        "back": np.array([-1]),
    }
    nodes = [
        node("LSTM", "x W1 R1 none none h1 c1", "Y1 h1_next c1_next", hidden_size=HIDDEN),
        node("Squeeze", "Y1 axis", "y1"),
        node("LSTM", "y1 W2 R2 none none h2 c2", "Y2 h2_next c2_next", hidden_size=HIDDEN),
        node("Squeeze", "Y2 axis", "y"),
    ]
    joining, shape = joined(how)
    inputs = [info("x", ["T", 1, frame]), *(info(name, [1, 1, HIDDEN]) for name in STATES), *more]
    return build([*nodes, *joining], inputs, [info("y", ["T", 1, HIDDEN]), info("state", shape)], weights)


HOW = ["concat", "concat of the last axis", "another order", "stack", "stack of layers"]


@pytest.mark.parametrize("how", HOW)
def test_parts_of_an_output_are_proposed(how: str) -> None:
    model = lstm_rt.load(two_layers(how))
    assert model.bindings == {}
    assert [port.name for port in model.outputs] == ["y", "state"]
    assert model.conversion is not None
    assert model.conversion.proposal == STATES
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        model.stream()
    assert f"lstm_rt.convert(..., bind={STATES!r})" in str(caught.value)


@pytest.mark.parametrize("how", HOW)
def test_bound_parts_carry_the_state(how: str, tmp_path: pathlib.Path) -> None:
    proto = two_layers(how)
    lstm_rt.convert(proto, tmp_path / "m.gguf", bind=STATES)
    model = lstm_rt.load(tmp_path / "m.gguf")
    assert model.bindings == STATES
    x = floats(6, 1, 3)
    stream = model.stream()
    steps = np.concatenate([stream.step(x[t : t + 1])[0] for t in range(6)])
    whole = lstm_rt.load(proto).run({"x": x, **{name: np.zeros((1, 1, HIDDEN), np.float32) for name in STATES}})["y"]
    assert steps.tobytes() == whole.tobytes()


def test_nothing_is_proposed_if_shapes_allow_more() -> None:
    for proto in (
        two_layers(frame=HIDDEN, more=(info("z", [1, 1, HIDDEN]),)),
        two_layers(more=(info("z", [1, 1, HIDDEN]),)),
    ):
        model = lstm_rt.load(proto)
        assert model.conversion is not None
        assert model.conversion.proposal == {}


def test_name_of_no_value_is_refused() -> None:
    with pytest.raises(lstm_rt.ArgumentError, match="no output 'nothing'"):
        lstm_rt.load(two_layers(), bind={"h1": "nothing"})
    with pytest.raises(lstm_rt.ArgumentError, match="no output 'W1'"):
        lstm_rt.load(two_layers(), bind={"h1": "W1"})


def test_commands_propose_and_take_the_parts(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("typer")
    onnx.save(two_layers(), tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", floats(6, 1, 3))

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "lstm_rt.cli", *map(str, words)]
        return subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)

    options = [word for before, after in STATES.items() for word in ("--bind", f"{before}={after}")]
    said = run("convert", "m.onnx", "m.gguf").stdout
    assert " ".join(options) in " ".join(said.split())
    assert run("stream", "m.onnx", "x.npy").returncode == 1
    done = run("stream", "m.onnx", "x.npy", *options)
    assert done.returncode == 0, done.stderr
