"""Recurrent layers, one op for each layer of torch's."""

from __future__ import annotations

from ...graph import ABSENT, DType, Value
from ..node import Node, Sym, handler
from ..recurrent import Cell, Computed, Layer, Matrix, Rows, Weight, layer_of, stack


@handler("aten.lstm.input", "aten.gru.input", "aten.rnn_tanh.input", "aten.rnn_relu.input")
def recurrent(node: Node) -> None:
    """All layers and directions; `dropout` between layers does nothing in inference."""
    if node.boolean("train") and node.number("dropout") > 0:
        node.refuse("its dropout is on. Export the module after module.eval().")
    node.skip("dropout")
    if node.meta("input").rank == 3:
        node.name_dims("input", *(("batch", "time") if node.boolean("batch_first") else ("time", "batch")))
    _stack(node, _cells(node), node.boolean("batch_first"))


@handler("lstm_rt.packed_lstm", "lstm_rt.packed_gru", "lstm_rt.packed_rnn_tanh", "lstm_rt.packed_rnn_relu")
def packed(node: Node) -> None:
    """Rows of as many steps as `lengths` says, padded."""
    _stack(node, _cells(node), False, node.build.cast(node.tensor("lengths"), DType.INT32))


@handler("lstm_rt.quantized_lstm", "lstm_rt.quantized_gru")
def quantized(node: Node) -> None:
    """Weights stay the integers they are; inputs are rounded row by row at run time, as for `quantize="int8"`."""
    _stack(node, _integer_cells(node), node.boolean("batch_first"))


@handler("lstm_rt.unpack")
def unpack(node: Node) -> None:
    """Fills the steps past each row's length; a recurrent layer has left zeros there already."""
    x, fill = node.tensor("input"), node.number("padding_value")
    if fill == 0 and node.comes_from("input", "lstm_rt.packed_"):
        node.skip("lengths")
        node.give(x)
        return
    build = node.build
    steps = node.constant(Sym(build.op("Shape", x, start=0, end=1)), DType.INT64)
    numbers = build.op("Range", node.constant(0, DType.INT64), steps, node.constant(1, DType.INT64))
    lengths = build.cast(node.tensor("lengths"), DType.INT64)
    inside = build.op("Less", build.unsqueeze(numbers, 1), build.unsqueeze(lengths, 0))
    inside = build.unsqueeze(inside, *range(2, node.meta("input").rank))
    node.give(build.op("Where", inside, x, node.constant(fill, DType.FLOAT32)))


@handler("aten.lstm.data", "aten.gru.data", "aten.rnn_tanh.data", "aten.rnn_relu.data")
def packed_data(node: Node) -> None:
    """Refused: a packed sequence has shapes that depend on data."""
    node.refuse("packed sequences are converted from the live module: lstm_rt.from_torch(module, example_inputs).")


def kind_of(node: Node) -> tuple[str, str]:
    """The kind of layer, and the nonlinearity of an RNN."""
    name = node.target.split(".")[1]
    kind = next((kind for kind in ("LSTM", "GRU") if kind.lower() in name), "RNN")
    return kind, "relu" if "relu" in name else "tanh"


def _stack(node: Node, cells: list[_Cell], batch_first: bool, lengths: Value = ABSENT) -> None:
    (kind, nonlinearity), directions = kind_of(node), 2 if node.boolean("bidirectional") else 1
    states = node.tensors("hx") if kind == "LSTM" else [node.tensor("hx")]
    layers = [layer(node, kind, cells[i : i + directions]) for i in range(0, len(cells), directions)]
    node.carry("hx", 1)
    results = stack(
        node.build,
        node.tensor("input"),
        layers,
        states,
        nonlinearity=nonlinearity,
        batch_first=batch_first,
        lengths=lengths,
    )
    if directions == 1 and lengths == ABSENT:
        node.note_sequence(results[0], int(batch_first), results[1])
    node.give(*results)


# ---- Weights ----

_Cell = tuple[Value, ...]  # the arguments of _cell


def layer(node: Node, kind: str, cells: list[_Cell]) -> Layer:
    """The layer of one or two cells, once for all that share their weights."""
    return node.once((kind, *cells), lambda: layer_of(node.build, kind, [_cell(node, *cell) for cell in cells]))


def _cell(
    node: Node,
    w: Value,
    r: Value,
    wb: Value = ABSENT,
    rb: Value = ABSENT,
    projection: Value = ABSENT,
    w_scale: Value = ABSENT,
    r_scale: Value = ABSENT,
) -> Cell:
    return Cell(
        _matrix(node, w, w_scale),
        _matrix(node, r, r_scale),
        None if wb == ABSENT else (_weight(node, wb), _weight(node, rb)),
        None if projection == ABSENT else _weight(node, projection),
    )


def _weight(node: Node, value: Value) -> Weight:
    known = node.known(value)
    if known is not None:
        return known
    dims = node.shape_of(value)
    fixed = tuple(dim for dim in dims if dim is not None)
    if len(fixed) < len(dims):
        node.refuse("the size of its weights depends on the sizes of inputs.")
    return Computed(value, fixed)


def _matrix(node: Node, value: Value, scale: Value) -> Matrix:
    if scale == ABSENT:
        return _weight(node, value)
    integers, scales = node.known(value), node.known(scale)
    if integers is None or scales is None:
        node.refuse("its integers are not weights of the program. The program is damaged.")
    return Rows(integers, scales)


def _cells(node: Node) -> list[_Cell]:
    """The weights of each direction of each layer, out of torch's flat list."""
    has_biases = node.boolean("has_biases")
    plain = 4 if has_biases else 2
    cells = _cut(node, node.tensors("params"), (plain, plain + 1))
    return cells if has_biases else [(w, r, ABSENT, ABSENT, *projection) for w, r, *projection in cells]


def _integer_cells(node: Node) -> list[_Cell]:
    weights, scales, biases = (_cut(node, node.tensors(name), (2,)) for name in ("weights", "scales", "biases"))
    return [(*w, *b, ABSENT, *scale) for w, b, scale in zip(weights, biases, scales)]


def _cut(node: Node, items: list[Value], lengths: tuple[int, ...]) -> list[_Cell]:
    """A list in as many parts as there are cells, each of one of some lengths."""
    count = node.integer("num_layers") * (2 if node.boolean("bidirectional") else 1)
    each, rest = divmod(len(items), max(count, 1))
    if count < 1 or rest or each not in lengths:
        node.refuse(f"{len(items)} weights are not those of {count} cells. The program is damaged.")
    return [tuple(items[i : i + each]) for i in range(0, len(items), each)]
