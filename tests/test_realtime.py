"""A step after preparing allocates nothing, takes no lock, makes no system call and meets no page fault.

Counted from C by realtime/realtime.cpp, from the first step on; ``dev.py realtime`` takes ten million of each model.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import cases
import numpy as np
import onnx
import pytest
from case import Case
from models import Recurrent

import lstm_rt

sys.path.insert(0, str(pathlib.Path(__file__).parent / "realtime"))
import realtime
from realtime import Counts, Work

pytestmark = pytest.mark.skipif(bool(realtime.missing()), reason=realtime.missing())

EACH = 4  # cases of an operation


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    return realtime.compile_all(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def program(programs: tuple[pathlib.Path, pathlib.Path]) -> pathlib.Path:
    return programs[0]


def test_models(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    works = list(realtime.write_models(tmp_path))
    assert {work.kind.partition("=")[0] for work in works} == {"stream", "pool", "run"}
    counted = {str(work): realtime.count(program, tmp_path, [work], 3000)[0].wrong(work.threads) for work in works}
    assert {name: wrong for name, wrong in counted.items() if wrong} == {}


def test_every_operation(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    works = list(write_cases(tmp_path))
    assert len({work.name.partition(" ")[0] for work in works}) > 100
    counted = zip(works, realtime.count(program, tmp_path, works, 3))
    assert [f"{work.name}: {found.wrong()}" for work, found in counted if found.wrong()] == []


def write_cases(folder: pathlib.Path) -> Iterator[Work]:
    by_op = itertools.groupby(sorted(cases.ALL, key=lambda case: case.op), key=lambda case: case.op)
    chosen: list[Case] = []
    for _, of_op in by_op:
        all_of_op = list(of_op)
        chosen += all_of_op[:: max(1, len(all_of_op) // EACH)]
    for number, case in enumerate(chosen):
        if not all(a.size for a in case.inputs.values()):
            continue
        file = f"{number}.gguf"
        lstm_rt.convert(case.model(), folder / file, selftest=False)
        inputs = []
        for name, array in case.inputs.items():
            (folder / f"{number}.{name}").write_bytes(np.ascontiguousarray(array).tobytes())
            inputs.append(f"{array.dtype}:{','.join(map(str, array.shape))}@{number}.{name}")
        yield Work(file, "run", " ".join(inputs), name=f"{case.op} ({case.name})")


def test_another_plan_leaves_the_weights_of_the_first(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A mapped weight that one plan reads plainly stays in memory though another plan has no use for it."""
    table = np.random.default_rng(0).standard_normal((4096, 16)).astype(np.float32)
    helper = onnx.helper
    branches = [
        helper.make_graph(
            [helper.make_node(op, [name, "x"], [f"y_{name}"], axis=0)],
            name,
            [],
            [helper.make_tensor_value_info(f"y_{name}", onnx.TensorProto.FLOAT, [None, 16])],
            [onnx.numpy_helper.from_array(table + shift, name)],
        )
        for shift, (op, name) in enumerate([("Gather", "first"), ("Gather", "second")])
    ]
    graph = helper.make_graph(
        [helper.make_node("If", ["which"], ["y"], then_branch=branches[0], else_branch=branches[1])],
        "tables",
        [
            helper.make_tensor_value_info("which", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", onnx.TensorProto.INT64, [4096]),
        ],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 16])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    lstm_rt.convert(model, tmp_path / "tables.gguf", selftest=False)
    (tmp_path / "rows.bin").write_bytes(np.arange(4096).tobytes())
    for which in (0, 1):
        (tmp_path / f"{which}.bin").write_bytes(bytes([which]))
    works = [Work("tables.gguf", "run", f"bool:@{which}.bin int64:4096@rows.bin") for which in (0, 1)]
    assert [found.wrong() for found in realtime.count(program, tmp_path, works, 2)] == [[], []]


# A step from Python. The interpreter locks and allocates for itself, from its own pools; it needs no system.
PYTHON = textwrap.dedent(
    """
    import ctypes, os, sys
    import numpy as np
    import lstm_rt

    watch = ctypes.CDLL(None)
    counters = [watch.malloc_count, watch.minor_fault_count, watch.major_fault_count, watch.system_call_count]
    for counter in counters:
        counter.restype = ctypes.c_ulonglong
    stream = lstm_rt.load(sys.argv[1]).stream()
    x = np.ones((1, 1, 16), np.float32)
    y = stream.step(x)
    step = stream.step

    def run(times):
        before = [counter() for counter in counters]
        for _ in range(times):
            step(x, out=y)
        return [counter() - was for counter, was in zip(counters, before)]

    os.dup2(1, 100)
    assert watch.forbid_system_calls(100) == 0, "no seccomp"
    run(100)
    found = run(int(sys.argv[2]))
    os.getppid()
    assert watch.system_call_count() == 1, "nothing is trapped"
    os.write(100, repr(found).encode())
    os._exit(0)
    """
)


def test_from_python(programs: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    lstm_rt.convert(Recurrent("LSTM", 16, 16).model(outputs=["Y"]), path)
    command = [sys.executable, "-c", PYTHON, str(path), "20000"]
    environment = {**os.environ, "LD_PRELOAD": str(programs[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 0, 0, 0]"


def test_what_is_wrong_is_said() -> None:
    found = Counts(10, 1, 0, 2, 3, 0, 4, 202)
    assert found.wrong() == [
        "1 allocations",
        "2 locks",
        "3 minor_faults",
        "4 system_calls",
        "the last was system call 202",
    ]
    assert found.wrong(threads=2)[0] == "1 allocations"
    assert Counts(10, 0, 0, 0, 0, 0, -1, -1).wrong() == []
