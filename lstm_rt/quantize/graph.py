"""Quantising a graph in place, and the report of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstm_rt.converters import ABSENT, Graph, Packed, PackedDType, Value
from lstm_rt.errors import QuantizationError
from lstm_rt.tables import html_table, text_table

from . import numbers
from .choice import FLOAT32, Choice, choose
from .fold import fold_moved_weights
from .layers import Layer, Weight, find_layers, weight_inputs

Array = npt.NDArray[Any]

MOST_K = 60000  # integer sums of that many products fit 32 bits

_HEADER = ("layer", "op", "precision", "bytes before", "bytes after", "error of weights", "note")
_ACTIVATION_BITS = {"int8": 8, "int8x16": 16, "int4": 8}


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer.

    Attributes
    ----------
    name : str
        The layer.
    op : str
        Its type.
    precision : str
        ``"int8"``, ``"int8x16"``, ``"int4"``, ``"bf16"`` or ``"float32"``.
    bytes_before, bytes_after : int
        Of its weights, with their scales. Weights that layers share are counted for each.
    error : float
        Root mean square of what rounding changed, relative to that of the weights.
    note : str
        Why it was left as it was, where not because it was asked for.
    """

    name: str
    op: str
    precision: str
    bytes_before: int
    bytes_after: int
    error: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What quantising did, layer by layer.

    Attributes
    ----------
    layers : tuple of LayerReport
        Every layer of the model that has weights.
    """

    layers: tuple[LayerReport, ...]

    @property
    def bytes_before(self) -> int:
        """Bytes of the weights of all layers before."""
        return sum(layer.bytes_before for layer in self.layers)

    @property
    def bytes_after(self) -> int:
        """Bytes of the weights of all layers after."""
        return sum(layer.bytes_after for layer in self.layers)

    def __repr__(self) -> str:
        return (
            f"<lstm_rt.Report: {len(self.layers)} layers, {self.bytes_before} to {self.bytes_after} bytes of weights>"
        )

    def __str__(self) -> str:
        return text_table(_HEADER, self._rows())

    def _repr_html_(self) -> str:
        return html_table(_HEADER, self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                layer.name,
                layer.op,
                layer.precision,
                str(layer.bytes_before),
                str(layer.bytes_after),
                f"{layer.error:.2g}" if layer.error else "",
                layer.note,
            )
            for layer in self.layers
        ]


def quantize_graph(graph: Graph, choice: Choice) -> Report:
    """Quantise the weights of a graph, in place.

    Parameters
    ----------
    graph : Graph
        It must not be used again if this raises.
    choice : str or mapping of str to str
        ``"int8"``, ``"int8x16"``, ``"int4"`` or ``"bf16"`` for every LSTM, GRU, RNN, MatMul, Gemm and Conv with plain
        weights; or patterns of layer names (``"encoder/*"``) and the precision, or ``"float32"``, of what they match,
        of which the last that matches a layer counts.

    Returns
    -------
    Report
        What became of each layer.

    Raises
    ------
    ArgumentError
        If there is no such precision, or a pattern matches no layer.
    QuantizationError
        If a weight is not finite or too large for the format, or a product too long for sums of integers.

    Examples
    --------
    >>> report = quantize_graph(graph, {"*": "int8", "head*": "float32"})  # doctest: +SKIP
    """
    fold_moved_weights(graph, weight_inputs(graph))
    layers = find_layers(graph)
    quantizer = _Quantizer(graph)
    reports = [quantizer.quantize(layer, precision) for layer, precision in zip(layers, choose(layers, choice))]
    graph.drop_unused_weights()
    return Report(tuple(reports))


@dataclass(frozen=True)
class _Stored:
    """A quantised weight: its values in the graph, and what the report says of it."""

    value: Value
    scales: Value
    bytes: int
    squares: float  # of the weights
    error: float  # sum of squares


class _Quantizer:
    """Keeps what is stored already: a weight that layers share stays one."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._stored: dict[tuple[Any, ...], _Stored] = {}

    def quantize(self, layer: Layer, precision: str) -> LayerReport:
        op, graph = layer.op, self._graph
        before = sum(graph.weights[weight.value].nbytes for weight in layer.weights)
        if precision == FLOAT32:
            return LayerReport(layer.name, op.type, precision, before, before, note=layer.stays)
        stored = [self._store(layer, weight, precision) for weight in layer.weights]
        if op.type == "Conv" and precision == "int4":  # whose weight does not say
            op.attributes["kernel_shape"] = list(graph.weights[layer.weights[0].value].shape[2:])
        for weight, kept in zip(layer.weights, stored):
            op.inputs[weight.input] = kept.value
            if kept.scales != ABSENT:
                op.inputs += [ABSENT] * (weight.scale_input + 1 - len(op.inputs))
                op.inputs[weight.scale_input] = kept.scales
        if op.type == "Gemm":
            op.attributes["alpha"] = 1.0  # it is in the weights
            if precision == "int4":
                op.attributes.pop("transB", None)
        if precision in _ACTIVATION_BITS:
            op.attributes["activation_bits"] = _ACTIVATION_BITS[precision]
        squares, error = (sum(getattr(kept, name) for kept in stored) for name in ("squares", "error"))
        relative = float(np.sqrt(error / squares)) if squares else 0.0
        return LayerReport(layer.name, op.type, precision, before, sum(kept.bytes for kept in stored), relative)

    def _store(self, layer: Layer, weight: Weight, precision: str) -> _Stored:
        kind = "int8" if precision == "int8x16" else precision
        key = (weight.value, weight.form, kind)
        if key not in self._stored:
            rows = weight.to_rows(self._graph.weights[weight.value])
            _check(layer, rows, precision)
            self._stored[key] = getattr(self, f"_store_{kind}")(layer, weight, rows)
        return self._stored[key]

    def _store_int8(self, layer: Layer, weight: Weight, rows: Array) -> _Stored:
        values, scales = numbers.int8_rows(rows)
        name = self._graph.values[weight.value]
        value = self._graph.add_weight(self._graph.unique(f"{name}.int8"), weight.from_rows(values))
        scale = self._graph.add_weight(self._graph.unique(f"{name}.scale"), scales)
        size = values.nbytes + scales.nbytes
        return _Stored(value, scale, size, *_squares(rows, numbers.from_int8_rows(values, scales)))

    def _store_bf16(self, layer: Layer, weight: Weight, rows: Array) -> _Stored:
        bits = np.ascontiguousarray(weight.from_rows(numbers.bfloat16(rows)))
        wide = numbers.from_bfloat16(numbers.bfloat16(rows))
        if not np.isfinite(wide).all():
            raise QuantizationError(f"{_describe(layer)} has weights that are too large for bf16. Leave it float32.")
        packed = Packed(PackedDType.BFLOAT16, bits.shape, bits.astype("<u2").view(np.uint8))
        return self._add_packed(weight, "bf16", packed, _squares(rows, wide))

    def _store_int4(self, layer: Layer, weight: Weight, rows: Array) -> _Stored:
        blocks = numbers.int4_blocks(rows)
        if not np.isfinite(numbers.split_int4(blocks)[1]).all():
            raise QuantizationError(
                f"{_describe(layer)} has weights that are too large for int4, whose scales are float16. Use int8."
            )
        wide = numbers.from_int4_blocks(blocks)
        packed = Packed(PackedDType.INT4, wide.shape, blocks.reshape(*rows.shape[:-1], -1))
        return self._add_packed(weight, "int4", packed, _squares(rows, wide[..., : rows.shape[-1]]))

    def _add_packed(self, weight: Weight, kind: str, packed: Packed, squares: tuple[float, float]) -> _Stored:
        name = self._graph.unique(f"{self._graph.values[weight.value]}.{kind}")
        return _Stored(self._graph.add_packed(name, packed), ABSENT, packed.data.nbytes, *squares)


def _squares(rows: Array, rounded: Array) -> tuple[float, float]:
    wide = rows.astype(np.float64)
    return float(np.square(wide).sum()), float(np.square(wide - rounded).sum())


def _check(layer: Layer, rows: Array, precision: str) -> None:
    if not np.isfinite(rows).all():
        raise QuantizationError(
            f"{_describe(layer)} has weights that are not finite, which no format but float32 keeps. "
            f"Train it again, or leave it as it is: quantize={{'*': {precision!r}, {layer.name!r}: 'float32'}}"
        )
    if precision in _ACTIVATION_BITS and rows.shape[-1] > MOST_K:
        raise QuantizationError(
            f"{_describe(layer)} sums over {rows.shape[-1]} terms, and {precision} can over {MOST_K} at most. "
            "Use bf16 or float32 for it."
        )


def _describe(layer: Layer) -> str:
    return f"layer {layer.name!r} ({layer.op.type})"
