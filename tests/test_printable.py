"""Text from files never commands a terminal: in errors of Python and C, in commands, in JSON."""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import struct
import subprocess
import sys

import onnx
import pytest
from lstm_rt.converters import Graph
from lstm_rt.converters.gguf_file import write
from models import Recurrent
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


@pytest.mark.parametrize("name", NAMES)
def test_a_gguf_file_with_control_characters_is_named_safely(name: str, tmp_path: pathlib.Path) -> None:
    """The core refuses such names; its message must not repeat them."""
    path = tmp_path / "m.gguf"
    plain = "qzqz" * 8
    lstm_rt.convert(Recurrent(inputs=3, hidden=5).model(name=plain), path)
    data, odd = path.read_bytes(), name.encode()
    assert plain.encode() in data
    key = struct.pack("<Q", len("lstm_rt.checksum.header")) + b"lstm_rt.checksum.header"
    changed = data.replace(plain.encode(), odd + b"x" * (len(plain) - len(odd)))
    # Without a checksum the file counts as one of an earlier version, which has none.
    changed = changed.replace(key, struct.pack("<Q", len(key) - 8) + b"general.checksum_header")
    with pytest.raises(lstm_rt.Error) as caught:
        lstm_rt.load(changed)
    assert not CONTROL.search(str(caught.value))


@pytest.mark.parametrize("name", ["x" * 1025, "é" * 513, RED, "a\x9b"])
def test_names_that_no_file_may_hold_are_refused(name: str, tmp_path: pathlib.Path) -> None:
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


def test_a_newline_in_a_name_does_not_break_the_message(tmp_path: pathlib.Path) -> None:
    graph = Graph()
    x = graph.add_input("x\nerror: forged", None, (None,))
    graph.add_output(graph.add_op(graph.main, "Relu", "relu", [x], ["y"])[0])
    with pytest.raises(lstm_rt.UnsupportedModelError, match="control characters") as caught:
        write(graph, tmp_path / "m.gguf")
    assert "\n" not in str(caught.value)
