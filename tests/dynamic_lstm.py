"""DynamicQuantizeLSTM, com.microsoft's LSTM of bytes, in all its forms: as ONNX models with random weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
from models import Array, Feeds
from onnx import TensorProto, helper
from onnx_of_gguf import build, info
from reference_integers import dynamic_quantize_lstm

INPUTS = ("X", "W", "R", "B", "lens", "h0", "c0", "P", "ws", "wz", "rs", "rz")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A DynamicQuantizeLSTM with random weights."""

    inputs: int = 20
    hidden: int = 33
    direction: str = "forward"
    dtype: Any = np.int8
    zero: int = 0
    lowest: int | None = None  # weight; that of the dtype unless told
    per_channel: bool = False
    lengths: bool = False
    states: bool = True
    bias: bool = True
    peephole: bool = False
    attributes: tuple[tuple[str, Any], ...] = ()

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    def weights(self) -> Feeds:
        rng, d, h = np.random.default_rng(1), self.directions, self.hidden
        limits = np.iinfo(self.dtype)
        least = limits.min if self.lowest is None else self.lowest
        shape = (d, 4 * h) if self.per_channel else (d,)
        zeros = np.full(shape, self.zero, self.dtype)
        found: Feeds = {
            "W": rng.integers(least, limits.max + 1, (d, self.inputs, 4 * h)).astype(self.dtype),
            "R": rng.integers(least, limits.max + 1, (d, h, 4 * h)).astype(self.dtype),
            "ws": rng.uniform(0.002, 0.005, shape).astype(np.float32),
            "wz": zeros,
            "rs": rng.uniform(0.002, 0.005, shape).astype(np.float32),
            "rz": zeros,
        }
        if self.bias:
            found["B"] = rng.normal(0, 0.3, (d, 8 * h)).astype(np.float32)
        if self.peephole:
            found["P"] = rng.normal(0, 0.3, (d, 3 * h)).astype(np.float32)
        return found

    def model(self) -> onnx.ModelProto:
        weights = self.weights()
        d, h = self.directions, self.hidden
        inputs = [info("X", ["T", "N", self.inputs])]
        if self.lengths:
            inputs.append(info("lens", ["N"], TensorProto.INT32))
        if self.states:
            inputs += [info("h0", [d, "N", h]), info("c0", [d, "N", h])]
        given = {*weights, *(port.name for port in inputs)}
        node = helper.make_node(
            "DynamicQuantizeLSTM",
            [name if name in given else "" for name in INPUTS],
            ["Y", "Y_h", "Y_c"],
            "lstm",
            domain="com.microsoft",
            hidden_size=h,
            direction=self.direction,
            **dict(self.attributes),
        )
        return build([node], inputs, [info(name, None) for name in ("Y", "Y_h", "Y_c")], weights)

    def expected(self, feeds: Feeds, follow: Array) -> list[Array]:
        """Returns Y, Y_h and Y_c with exact products of bytes. follow: see `reference_integers`."""
        given = {**self.weights(), **feeds}
        [node] = self.model().graph.node
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        return dynamic_quantize_lstm([given.get(name) for name in INPUTS], attributes, follow)

    def feeds(self, steps: int, batch: int) -> Feeds:
        rng = np.random.default_rng(steps + batch)
        state = (self.directions, batch, self.hidden)
        feeds: Feeds = {"X": rng.normal(0, 1, (steps, batch, self.inputs)).astype(np.float32)}
        if self.lengths:
            feeds["lens"] = rng.integers(0, steps + 1, batch).astype(np.int32)
        if self.states:
            feeds["h0"] = rng.normal(0, 0.3, state).astype(np.float32)
            feeds["c0"] = rng.normal(0, 0.3, state).astype(np.float32)
        return feeds


HARD = ("activations", ["HardSigmoid", "Softsign", "Relu"])
LAYERS = [
    Layer(),
    Layer(hidden=384, inputs=100, states=False),
    Layer(lowest=-127),  # whole bytes will do
    Layer(lowest=-127, lengths=True, direction="bidirectional", per_channel=True, hidden=70),
    Layer(direction="reverse", bias=False),
    Layer(direction="bidirectional", hidden=16),
    Layer(dtype=np.uint8, zero=128),
    Layer(dtype=np.uint8, zero=117, per_channel=True, direction="bidirectional"),
    Layer(dtype=np.uint8),
    Layer(per_channel=True, inputs=1, hidden=1),
    Layer(inputs=32, hidden=8),  # W is square: its shape does not say which way round it is
    Layer(lengths=True),
    Layer(lengths=True, direction="reverse", dtype=np.uint8, zero=131),
    Layer(lengths=True, direction="bidirectional", hidden=40),
    Layer(peephole=True, attributes=(("clip", 0.7),)),
    Layer(attributes=(HARD,), lengths=True),
    Layer(attributes=(("input_forget", 1),)),
]
