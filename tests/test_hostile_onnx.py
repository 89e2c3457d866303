"""ONNX files that lie: each is refused within a second, and within 200 MB more than the process has."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_of_gguf import build, floats, info

import lstm_rt

SECONDS, BYTES = 1.0, 200 << 20
# The last two are Python's and NumPy's, of a result that does not fit the memory.
REFUSALS = {
    "Error",
    "ModelFileError",
    "OutOfMemoryError",
    "ShapeError",
    "UnsupportedModelError",
    "MemoryError",
    "_ArrayMemoryError",
}

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")


def op(type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(type, inputs.split(), outputs.split(), name="the_node", **attributes)


def model(*nodes: onnx.NodeProto, **weights: Any) -> onnx.ModelProto:
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    return build(nodes, [info("x", [4])], [info("y", None)], arrays)


def tensor(dims: list[int], **fields: Any) -> onnx.ModelProto:
    """A weight that claims to be larger than it is."""
    made = model(op("Add", "x w", "y"))
    made.graph.initializer.append(onnx.TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT, **fields))
    return made


def with_functions(bodies: dict[str, list[str]]) -> onnx.ModelProto:
    """Functions of one input and output, by the functions that they call one after the other."""
    made = model(helper.make_node("f0", ["x"], ["y"], domain="local"))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    for name, calls in bodies.items():
        values = ["a", *(f"v{n}" for n in range(len(calls) - 1)), "b"]
        nodes = [
            helper.make_node(call, [source], [target], domain="" if call == "Relu" else "local")
            for call, source, target in zip(calls, values, values[1:])
        ]
        made.functions.append(helper.make_function("local", name, ["a"], ["b"], nodes, imports))
    return made


def doubling(depth: int) -> onnx.ModelProto:
    bodies = {f"f{n}": [f"f{n + 1}"] * 2 for n in range(depth)}
    return with_functions({**bodies, f"f{depth}": ["Relu"]})


def field(number: int, payload: bytes) -> bytes:
    """A field of a protobuf message that holds bytes."""
    size, length = len(payload), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


def nested(depth: int) -> bytes:
    """Branches in branches. ModelProto.graph is field 7, GraphProto.node 1, NodeProto.attribute 5, its graph 6."""
    graph = b""
    for _ in range(depth):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    return field(7, graph)


def loop(count: int, *nodes: onnx.NodeProto, carried: str = "x", **weights: Any) -> onnx.ModelProto:
    body = helper.make_graph(
        [*nodes, op("Identity", "go", "go2")],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("v", None)],
        [info("go2", [], TensorProto.BOOL), info("v2", None), info("v2", None)],
    )
    return model(op("Loop", f"count yes {carried}", "last y", body=body), count=count, yes=True, **weights)


def loops_in_loops(depth: int) -> onnx.ModelProto:
    made = loop(1000, op("Relu", "v", "v2"))
    for _ in range(depth):
        inner = helper.make_node("Loop", ["count", "yes", "v"], ["v2", "all"], body=made.graph.node[0].attribute[0].g)
        made = loop(1000, inner)
    return made


def with_domain(domain: bytes) -> bytes:
    """An operator set of this domain: ModelProto.opset_import is field 8, its domain 1."""
    return bytes(model(op("Relu", "x", "y")).SerializeToString() + field(8, field(1, domain)))


HUGE = 2**60
ATTACKS: dict[str, Callable[[], onnx.ModelProto | bytes]] = {
    "raw_data too short": lambda: tensor([1024], raw_data=bytes(8)),
    "raw_data too long": lambda: tensor([1], raw_data=bytes(4096)),
    "huge dims": lambda: tensor([2**31, 2**31], raw_data=bytes(8)),
    "huge dims and no data": lambda: tensor([2**40]),
    "a dim of zero beside huge ones": lambda: tensor([0, HUGE]),
    "dims that overflow": lambda: tensor([2**32, 2**32], raw_data=b""),
    "an output that declares huge dims": lambda: build(
        [op("Relu", "x", "y")], [info("x", [4])], [info("y", [HUGE, 4])]
    ),
    "a domain that is not UTF-8": lambda: with_domain(b"\x90"),
    "negative dims": lambda: tensor([-1], raw_data=bytes(16)),
    "a function that calls itself": lambda: with_functions({"f0": ["f0"]}),
    "functions that call each other": lambda: with_functions({"f0": ["f1"], "f1": ["f0"]}),
    "functions that double": lambda: doubling(60),
    "graphs nested too deep": lambda: nested(200),
    "ConstantOfShape": lambda: model(op("ConstantOfShape", "n", "c"), op("Add", "x c", "y"), n=[HUGE]),
    "ConstantOfShape of a little less": lambda: model(
        op("ConstantOfShape", "n", "c"), op("Add", "x c", "y"), n=[2**31]
    ),
    "Expand of what is known": lambda: model(op("Expand", "w n", "e"), op("Add", "x e", "y"), w=floats(1), n=[2**33]),
    "Expand of what is not": lambda: model(op("Expand", "x n", "y"), n=[2**34, 4]),
    "Expand beyond any tensor": lambda: model(op("Expand", "x n", "y"), n=[2**50, 4]),
    "Expand, again and again": lambda: model(
        *(op("Expand", f"w n{i}", f"e{i}") for i in range(9)),
        op("Add", "x e8", "y"),
        w=floats(1),
        **{f"n{i}": [2**24 + i] for i in range(9)},
    ),
    "Pad": lambda: model(op("Pad", "x n", "y"), n=[2**40, 2**40]),
    "Loop": lambda: loop(HUGE, op("Relu", "v", "v2")),
    "Loop that grows": lambda: loop(1000, op("Concat", "v v", "v2", axis=0)),
    "Loop whose results are huge": lambda: loop(2**22, op("Relu", "v", "v2"), carried="large", large=floats(4096)),
    "Loops in loops": lambda: loops_in_loops(8),
    "an axis that is no axis": lambda: model(op("Concat", "x x", "y", axis=2**40)),
    "a split of huge parts": lambda: model(op("Split", "x n", "y"), n=[HUGE]),
    "a slice of huge steps": lambda: model(op("Slice", "x a b c d", "y"), a=[0], b=[HUGE], c=[7], d=[HUGE]),
}


def run_limited(source: Any, connection: Any) -> None:
    """In a process of its own: report what was raised, and how long that took."""
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    started = time.process_time()
    try:
        lstm_rt.load(source).run({"x": np.zeros(4, np.float32)})
        outcome = "nothing was refused"
    except (lstm_rt.Error, MemoryError) as error:
        outcome = f"{type(error).__name__}: {error}"
    connection.send((outcome, time.process_time() - started))
    connection.close()
    os._exit(0)


def attack(source: Any) -> str:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_limited, args=(source, sender))
    process.start()
    sender.close()
    try:
        assert receiver.poll(60), "it hangs"
        outcome, seconds = receiver.recv()
    except EOFError:
        process.join()
        pytest.fail(f"it crashed: exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()
    assert seconds < SECONDS
    return str(outcome)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused(name: str) -> None:
    made = ATTACKS[name]()
    source = made if isinstance(made, bytes) else made.SerializeToString()
    assert attack(source).split(":")[0] in REFUSALS


def test_a_file_of_weights_that_is_huge_but_empty(tmp_path: pathlib.Path) -> None:
    made = tensor([2**37], raw_data=b"")
    onnx.external_data_helper.set_external_data(made.graph.initializer[0], "data.bin", offset=0, length=2**39)
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(2**39)
    assert attack(tmp_path / "m.onnx").startswith("ModelFileError: m.onnx: tensor 'w' is kept in 'data.bin'")
