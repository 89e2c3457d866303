"""The shapes of results against ONNX's own inference, for every op of the list that ONNX has, over random inputs and
attributes. Nothing is listed by hand: inputs follow the signatures of op_list.inc, attributes ONNX's schemas."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import numpy as np
import onnx
import pytest
from lstm_rt.converters.gguf_file import write
from lstm_rt.converters.graph import DType, Graph
from models import Array
from onnx_of_gguf import Rebuilder

import lstm_rt

CASES = 10  # of each op
LETTERS = {"f": np.float32, "l": np.int64, "i": np.int32, "b": np.bool_, "u": np.uint8, "s": np.int8}
LIST = pathlib.Path(__file__).parents[1] / "src" / "ops" / "op_list.inc"
SIGNATURES = dict(re.findall(r'^OP\("(\w+)", \w+, "([^"]+) > ', LIST.read_text(), re.M))
OPS = [op for op in SIGNATURES if onnx.defs.has(op)]


class Untyped(Rebuilder):
    """Outputs without types, for inference to find."""

    def _ports(self, kind: str) -> list[onnx.ValueInfoProto]:
        return super()._ports(kind) if kind == "input" else [onnx.ValueInfoProto(name=n) for n in self.outputs[0]]


def draw_input(rng: np.random.Generator, slot: str, before: list[Array | None], dim: int) -> Array | None:
    """An input as its slot of the signature declares it; None if it is absent."""
    found = re.fullmatch(r"(\w+|-)([?!*+&]*)(?::(=\d|\w+))?(?:/(\d)(?:-(\d)|(\+))?)?", slot)
    assert found, slot
    name, marks, dtypes, least, most, more = found.groups()
    if name == "-" or ("?" in marks and rng.integers(2)):
        return None
    rank = int(rng.integers(int(least or 0), int(most or (4 if more or not least else least)) + 1))
    if dtypes and dtypes[0] == "=":
        first = before[int(dtypes[1])]
        dtype: Any = np.float32 if first is None else first.dtype
    else:
        dtype = LETTERS[str(rng.choice(list((dtypes or "flibus").replace("w", "f"))))]
    dims = [int(rng.choice([dim, dim, dim, 1])) for _ in range(rank)]
    if before and before[0] is not None and rng.integers(2) and not least:
        dims = list(before[0].shape)
    if "!" in marks:
        dims = [int(rng.integers(0, 4))] * rank
    return rng.integers(0, 3, dims).astype(dtype)


def draw_attributes(rng: np.random.Generator, op: str, rank: int) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for name, attribute in onnx.defs.get_schema(op).attributes.items():
        kind = str(attribute.type).rpartition(".")[2]
        if name == "to" or (name == "dtype" and op == "EyeLike"):
            drawn["dtype"] = int(rng.integers(0, 6))  # by this name and with these codes in the file
        elif name == "equation":
            drawn[name] = str(rng.choice(["ij,jk->ik", "i,j->ij", "...i->...", "bij,bjk", "ii->i"]))
        elif kind == "INT" and (attribute.required or rng.integers(2)) and name != "dtype":
            drawn[name] = int(rng.integers(-1, 3)) if "axis" in name else int(rng.integers(0, 2))  # others may be flags
        elif kind == "INTS" and (attribute.required or rng.integers(2)):
            count = {"pads": 2 * rank - 4, "perm": rank}.get(name, rank - 2)
            drawn[name] = (
                rng.permutation(rank).tolist() if name == "perm" else rng.integers(1, 3, max(count, 0)).tolist()
            )
    return drawn


def run_case(rng: np.random.Generator, op: str, path: pathlib.Path) -> tuple[list[list[int]], onnx.ModelProto] | None:
    """The shapes of results and the model as ONNX, or None if the op refuses its inputs."""
    arrays: list[Array | None] = []
    dim = int(rng.choice([0, 1, 2, 3]))
    for slot in SIGNATURES[op].split():
        for _ in range(int(rng.integers(1, 3)) if slot.split(":")[0].endswith(("*", "+")) else 1):
            arrays.append(draw_input(rng, slot, arrays, dim))
    while arrays and arrays[-1] is None:
        arrays.pop()
    schema = onnx.defs.get_schema(op)
    if len(arrays) > schema.max_input or arrays[0] is None:
        return None
    graph, values, feeds = Graph(), [], {}
    controls = ["!" in slot for slot in SIGNATURES[op].split()]
    for index, array in enumerate(arrays):
        if array is None:
            values.append(-1)
        elif index < len(controls) and controls[index]:
            values.append(graph.add_weight(f"w{index}", array))
        else:
            values.append(graph.add_input(f"x{index}", DType.of(array.dtype), array.shape))
            feeds[f"x{index}"] = array
    outputs = [f"y{i}" for i in range(int(rng.integers(max(schema.min_output, 1), schema.min_output + 2)))]
    for value in graph.add_op(graph.main, op, "the_op", values, outputs, draw_attributes(rng, op, arrays[0].ndim)):
        graph.add_output(value)
    write(graph, path)
    try:
        found = lstm_rt.Model(path).run(feeds)
    except lstm_rt.Error as error:
        assert f"node 'the_op' ({op}): " in str(error)  # noqa: PT017
        return None
    return [list(found[name].shape) for name in outputs], Untyped(path).model()


@pytest.mark.parametrize("op", OPS)
def test_results_have_the_shapes_that_onnx_infers(op: str, tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(sum(op.encode()))
    for case in range(CASES):
        made = run_case(rng, op, tmp_path / f"{case}.gguf")
        if made is None:
            continue
        shapes, model = made
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        for seen, port in zip(shapes, inferred.graph.output):
            dims = port.type.tensor_type.shape.dim
            known = port.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims)
            assert not known or seen == [dim.dim_value for dim in dims], model
