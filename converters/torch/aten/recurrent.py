"""LSTM, GRU and RNN, one op for each layer of torch's. Gates are permuted; axes stay as torch has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import gates
from ...graph import ABSENT, Array, Attribute, DType, Value
from ..node import Node, Sym, handler

_SCALES = 8  # of W, the first input of a layer whose weights are integers
_PROJECTION = 10  # the input of an LSTM that projects h
_EXTRA: dict[str, dict[str, Attribute]] = {"LSTM": {"input_forget": 0}, "GRU": {"linear_before_reset": 1}, "RNN": {}}


@dataclass(frozen=True)
class Weights:
    """The weights of one direction of a layer, as torch keeps them; ABSENT where there are none."""

    w: Value
    r: Value
    wb: Value = ABSENT
    rb: Value = ABSENT
    projection: Value = ABSENT
    w_scale: Value = ABSENT  # of each row, where weights are integers
    r_scale: Value = ABSENT


@handler("aten.lstm.input")
def lstm(node: Node) -> None:
    """All layers and directions; `dropout` between layers does nothing in inference."""
    _stack(node, "LSTM", ["Sigmoid", "Tanh", "Tanh"])


@handler("aten.gru.input")
def gru(node: Node) -> None:
    _stack(node, "GRU", ["Sigmoid", "Tanh"])


@handler("aten.rnn_tanh.input")
def rnn_tanh(node: Node) -> None:
    _stack(node, "RNN", ["Tanh"])


@handler("aten.rnn_relu.input")
def rnn_relu(node: Node) -> None:
    _stack(node, "RNN", ["Relu"])


@handler("lstm_rt.packed_lstm")
def packed_lstm(node: Node) -> None:
    _stack(node, "LSTM", ["Sigmoid", "Tanh", "Tanh"])


@handler("lstm_rt.packed_gru")
def packed_gru(node: Node) -> None:
    _stack(node, "GRU", ["Sigmoid", "Tanh"])


@handler("lstm_rt.packed_rnn_tanh")
def packed_rnn_tanh(node: Node) -> None:
    _stack(node, "RNN", ["Tanh"])


@handler("lstm_rt.packed_rnn_relu")
def packed_rnn_relu(node: Node) -> None:
    _stack(node, "RNN", ["Relu"])


@handler("lstm_rt.quantized_lstm")
def quantized_lstm(node: Node) -> None:
    """Weights stay the integers they are; inputs are rounded row by row at run time, as for `quantize="int8"`."""
    _stack(node, "LSTM", ["Sigmoid", "Tanh", "Tanh"])


@handler("lstm_rt.quantized_gru")
def quantized_gru(node: Node) -> None:
    _stack(node, "GRU", ["Sigmoid", "Tanh"])


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


def _stack(node: Node, kind: str, activations: list[str]) -> None:
    """Run all layers, the outputs of one being the inputs of the next."""
    bidirectional = node.boolean("bidirectional")
    batch_first = node.boolean("batch_first", False)  # packed ones are time first
    if node.boolean("train", False) and node.number("dropout", 0.0) > 0:
        node.refuse("its dropout is on. Export the module after module.eval().")
    node.skip("dropout")
    directions = 2 if bidirectional else 1
    cells = (_integer_cells if node.has("scales") else _cells)(node, node.integer("num_layers") * directions)
    layers = [cells[i : i + directions] for i in range(0, len(cells), directions)]
    y = node.tensor("input")
    lengths = node.build.cast(node.tensor("lengths"), DType.INT32) if node.has("lengths") else ABSENT
    states = node.tensors("hx") if kind == "LSTM" else [node.tensor("hx")]
    lasts: list[list[Value]] = [[] for _ in states]
    for number, layer in enumerate(layers):
        firsts = [_of_layer(node, state, number, len(layers), directions, batch_first) for state in states]
        y, *ends = run_layer(node, kind, activations, layer, y, lengths, firsts, batch_first)
        y = _merged(node, y, directions, batch_first)
        for last, end in zip(lasts, ends):
            last.append(node.build.transpose(end, 1, 0, 2) if batch_first else end)
    node.carry("hx", 1)
    node.give(y, *(last[0] if len(last) == 1 else node.build.op("Concat", *last, axis=0) for last in lasts))


def _cells(node: Node, count: int) -> list[Weights]:
    """The weights of each direction of each layer, out of torch's flat list."""
    params, has_biases = node.tensors("params"), node.boolean("has_biases")
    each, rest = divmod(len(params), max(count, 1))
    plain = 4 if has_biases else 2
    if count < 1 or rest or each not in (plain, plain + 1):
        node.refuse(f"{len(params)} weights are not those of {count} cells. The program is damaged.")
    found: list[Weights] = []
    for start in range(0, len(params), each):
        w, r, *more = params[start : start + each]
        wb, rb = more[:2] if has_biases else (ABSENT, ABSENT)
        found.append(Weights(w, r, wb, rb, more[-1] if each > plain else ABSENT))
    return found


def _integer_cells(node: Node, count: int) -> list[Weights]:
    weights, scales, biases = (node.tensors(name) for name in ("weights", "scales", "biases"))
    if count < 1 or not len(weights) == len(scales) == len(biases) == 2 * count:
        node.refuse(f"{len(weights)} weights are not those of {count} cells. The program is damaged.")
    pairs = zip(*(zip(items[::2], items[1::2]) for items in (weights, biases, scales)))
    return [Weights(w, r, wb, rb, ABSENT, ws, rs) for (w, r), (wb, rb), (ws, rs) in pairs]


def run_layer(
    node: Node,
    kind: str,
    activations: list[str],
    layer: list[Weights],
    x: Value,
    lengths: Value,
    states: list[Value],
    batch_first: bool,
) -> list[Value]:
    """Add the op of one layer: its Y, Y_h and, of an LSTM, Y_c. States begin with directions, or batch first."""
    build, directions = node.build, len(layer)
    hidden = _hidden_size(node, kind, layer[0])
    w = _weight(node, kind, "W", [cell.w for cell in layer])
    r = _weight(node, kind, "R", [cell.r for cell in layer])
    b = _bias(node, kind, layer) if layer[0].wb != ABSENT else ABSENT
    inputs = [x, w, r, b, lengths, *states]
    if layer[0].projection != ABSENT:
        inputs += [ABSENT] * (_PROJECTION - len(inputs)) + [_projection(node, layer)]
    extra = dict(_EXTRA[kind])
    if layer[0].w_scale != ABSENT:
        scales = ([cell.w_scale for cell in layer], [cell.r_scale for cell in layer])
        inputs += [ABSENT] * (_SCALES - len(inputs)) + [_weight(node, kind, "scale", each) for each in scales]
        extra["activation_bits"] = 8
    names = activations * directions
    return build.ops(
        kind,
        inputs,
        3 if kind == "LSTM" else 2,
        direction="bidirectional" if directions == 2 else "forward",
        hidden_size=hidden,
        clip=0.0,
        layout=int(batch_first),
        activations=names,
        activation_alpha=[0.0] * len(names),
        activation_beta=[0.0] * len(names),
        **extra,
    )


def _of_layer(node: Node, state: Value, number: int, layers: int, directions: int, batch_first: bool) -> Value:
    """The part of a state [layers * directions, batch, units] that is of one layer."""
    build = node.build
    if layers > 1:
        state = build.slice(state, 0, number * directions, (number + 1) * directions)
    return build.transpose(state, 1, 0, 2) if batch_first else state


def _merged(node: Node, y: Value, directions: int, batch_first: bool) -> Value:
    """Y with its directions side by side in the last axis: [time, directions, batch, units], or with layout 1
    [batch, time, directions, units]."""
    if batch_first:
        return node.build.reshape(y, [0, 0, -1])
    if directions == 1:
        return node.build.squeeze(y, 1)
    return node.build.reshape(node.build.transpose(y, 0, 2, 1, 3), [0, 0, -1])


# ---- Weights ----


def _hidden_size(node: Node, kind: str, cell: Weights) -> int:
    rows = node.shape_of(cell.w)
    if not rows or rows[0] is None or rows[0] % gates.GATES[kind]:
        node.refuse(f"a weight of shape {rows} has not the rows of {gates.GATES[kind]} gates. The program is damaged.")
    return rows[0] // gates.GATES[kind]


def _weight(node: Node, kind: str, name: str, values: list[Value]) -> Value:
    """One weight of all directions, its gates in our order: [directions, gates * units, inputs]."""
    return node.once((kind, name, *values), lambda: _joined(node, name, [_reordered(node, kind, v) for v in values]))


def _bias(node: Node, kind: str, layer: list[Weights]) -> Value:
    """Both biases of all directions: [directions, 2 * gates * units]."""
    key = (kind, "B", *(value for cell in layer for value in (cell.wb, cell.rb)))

    def make() -> Value:
        each = [[_reordered(node, kind, value) for value in (cell.wb, cell.rb)] for cell in layer]
        return _joined(node, "B", [_concat(node, parts) for parts in each])

    return node.once(key, make)


def _projection(node: Node, layer: list[Weights]) -> Value:
    values = [cell.projection for cell in layer]
    return node.once(("P", *values), lambda: _joined(node, "projection", [_Part.of(node, value) for value in values]))


@dataclass(frozen=True)
class _Part:
    """A weight that is known now, or that is computed in the program (a weight norm, say)."""

    value: Value
    array: Array | None

    @staticmethod
    def of(node: Node, value: Value) -> _Part:
        return _Part(value, node.known(value))


def _reordered(node: Node, kind: str, value: Value) -> _Part:
    array = node.known(value)
    if array is not None:
        return _Part(value, gates.reorder("torch", kind, array))
    count = gates.GATES[kind]
    parts = node.build.ops("Split", [value], count, axis=0, num_outputs=count)
    order = gates.reorder("torch", kind, np.arange(count))
    return _Part(node.build.op("Concat", *(parts[int(gate)] for gate in order), axis=0), None)


def _concat(node: Node, parts: list[_Part]) -> _Part:
    arrays = [part.array for part in parts if part.array is not None]
    if len(arrays) == len(parts):
        return _Part(ABSENT, np.concatenate(arrays))
    return _Part(node.build.op("Concat", *(_value(node, part) for part in parts), axis=0), None)


def _joined(node: Node, name: str, parts: list[_Part]) -> Value:
    """Stack what there is of each direction."""
    arrays = [part.array for part in parts if part.array is not None]
    if len(arrays) == len(parts):
        return node.build.constant(np.stack(arrays), name)
    each = [node.build.unsqueeze(_value(node, part), 0) for part in parts]
    return each[0] if len(each) == 1 else node.build.op("Concat", *each, axis=0)


def _value(node: Node, part: _Part) -> Value:
    return part.value if part.array is None else node.build.constant(part.array)
