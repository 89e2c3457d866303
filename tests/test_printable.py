"""Text from files never commands a terminal: in errors of Python and C, in commands, in JSON."""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from lstm_rt.converters import Graph
from lstm_rt.converters.gguf_file import write
from onnx import helper

import lstm_rt
from lstm_rt.text import json_text, printable

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
RED = "\x1b[31m"
NAMES = [RED + "layer", "bell\x07", "back\x08\x08space", "c1\x9b31m", "del\x7f", "return\rover", "null\x00middle"]


@pytest.mark.parametrize(
    "character", [chr(i) for i in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x202E, 0x2066, 0xDCE9)]
)
def test_control_characters_are_escaped(character: str) -> None:
    text = printable(f"a{character}b")
    if character in "\n\t":
        assert text == f"a{character}b"
    else:
        assert text.isprintable()
        assert text.startswith("a\\")
        assert text.endswith("b")


def test_other_characters_stay() -> None:
    text = "naïve 语音 🎤 \u0301 a\\x1b"
    assert printable(text) == text


@pytest.mark.parametrize(
    "kind", ["ArgumentError", "ModelFileError", "UnsupportedModelError", "ShapeError", "StateError"]
)
def test_errors_are_safe_to_print(kind: str) -> None:
    error = getattr(lstm_rt, kind)(f"node '{RED}x': wrong\nsecond line")
    assert str(error) == "node '\\x1b[31mx': wrong\nsecond line"


def test_json_stays_the_same_value() -> None:
    value = {"name": "a\x1b\x7f\x9b\udce9\u202eü"}
    text = json_text(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert text.isprintable()
    assert "ü" in text


def unsupported(name: str) -> onnx.ModelProto:
    """A model whose one node has this name and an op that does not exist."""
    node = helper.make_node("Nothing", ["x"], ["y"], name=name, domain="there.is")
    ports = [helper.make_tensor_value_info(port, 1, ["n"]) for port in "xy"]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("there.is", 1)])


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_onnx_node_is_named_safely(name: str) -> None:
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(unsupported(name))
    assert not CONTROL.search(str(caught.value))


ODD_NAMES = [*NAMES[:-1], "line\nerror: forged", "tab\t", "\u202egnp", "block/" * 500, "語" * 3000]


ODD_COMMANDS = ["red\x1b[31m", "line\nerror: forged", "block/" * 500, "[/]", "[bold", "-"]


def odd_model(name: str) -> onnx.ModelProto:
    """A running sum with a state, in which ports, dims, nodes, weights and values carry the name."""
    x, state, total, y = (name + end for end in ("x", "state", "total", "y"))
    nodes = [
        helper.make_node("Add", [x, state], [total], name=name + "add"),
        helper.make_node("Mul", [total, name + "w"], [y], name=name + "scale"),
    ]
    inputs = [helper.make_tensor_value_info(x, 1, [name + "n", 3]), helper.make_tensor_value_info(state, 1, [1, 3])]
    outputs = [helper.make_tensor_value_info(port, 1, [None, 3]) for port in (y, total)]
    weight = helper.make_tensor(name + "w", 1, [3], [2.0, 2.0, 2.0])
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_odd_names_are_kept_and_shown_safely(name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.gguf"
    lstm_rt.convert(odd_model(name), path, bind={name + "state": name + "total"})
    model = lstm_rt.load(path)
    assert [port.name for port in model.inputs] == [name + "x", name + "state"]
    assert dict(model.bindings) == {name + "state": name + "total"}
    frame = np.ones((1, 3), np.float32)
    (y,) = [value for key, value in model.run({name + "x": frame}).items() if key == name + "y"]
    assert y.tolist() == [[2.0, 2.0, 2.0]]
    stream = model.stream()
    with pytest.raises(lstm_rt.ShapeError) as caught:
        stream.step(np.ones((1, 4), np.float32))
    for shown in (repr(model), repr(model.inputs), repr(stream), str(caught.value)):
        assert not CONTROL.search(shown)
    assert not CONTROL.search(model._repr_html_())


@pytest.mark.parametrize("name", ODD_COMMANDS, ids=range(len(ODD_COMMANDS)))
def test_commands_show_odd_names_safely(name: str, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("typer")
    folder = tmp_path / "["  # paths in it contain "[/b]", a closing tag of rich's markup
    folder.mkdir()
    source, path, frames = folder / "b].onnx", folder / "b].gguf", folder / "x.npy"
    onnx.save(odd_model(name), source)
    np.save(frames, np.ones((5, 3), np.float32))
    for command in (
        ["convert", source, path, "--bind", f"{name}state={name}total"],
        ["inspect", path],
        ["verify", path],
        ["run", path, frames, "--out", folder / "b].npz"],
        ["bench", path, "--seconds", "0.1"],
        ["stream", path, frames],
    ):
        call = [sys.executable, "-m", "lstm_rt.cli", *command]
        done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not CONTROL.search(done.stdout + done.stderr)
        assert not re.search("^error: forged", done.stdout + done.stderr, re.MULTILINE)


@pytest.mark.parametrize("name", ["x" * 65536, "é" * 32768, "null\x00middle"], ids=range(3))
def test_names_that_no_file_can_hold_are_refused(name: str, tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input(name, None, (None,))
    (y,) = graph.add_op(graph.main, "Relu", "relu", [x], ["y"])
    graph.add_output(y)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="Rename it in the source") as caught:
        write(graph, tmp_path / "m.gguf")
    assert not CONTROL.search(str(caught.value))
    assert len(str(caught.value)) < 400
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES[:4])
def test_commands_escape_names(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("typer")
    from lstm_rt.cli import ui

    for force in (False, True):
        screen = ui._SafeConsole(file=io.StringIO(), force_terminal=force, color_system=None, width=200)
        screen.print(f"x {name} y".replace("[", r"\["))
        screen.print(ui.facts([("name", name)]))
        shown = screen.file.getvalue()  # type: ignore[attr-defined]
        assert not CONTROL.search(shown), repr(shown)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_command_escapes_the_path_it_was_given(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("typer")
    for ending in (".gguf", ".onnx", ".npy"):
        command = [sys.executable, "-m", "lstm_rt.cli", "inspect", f"{RED}red\x07{ending}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert not CONTROL.search(done.stdout + done.stderr)


def test_errors_of_the_core_are_cut_between_characters(tmp_path: pathlib.Path) -> None:
    """A message has 2047 bytes at most; half a character would be no UTF-8."""
    for shift in range(3):
        with pytest.raises((lstm_rt.Error, OSError)) as caught:
            lstm_rt.Model("a" * shift + "語" * 2000 + ".gguf")
        assert "語" in str(caught.value)
