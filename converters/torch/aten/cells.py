"""Cells that a loop of the module's own steps: a layer of one step each."""

from __future__ import annotations

from ...graph import ABSENT, Value
from ..node import Node, handler
from .recurrent import Weights, run_layer


@handler("aten.lstm_cell")
def lstm_cell(node: Node) -> None:
    _cell(node, "LSTM", ["Sigmoid", "Tanh", "Tanh"], node.tensors("hx"))


@handler("aten.gru_cell")
def gru_cell(node: Node) -> None:
    _cell(node, "GRU", ["Sigmoid", "Tanh"], [node.tensor("hx")])


@handler("aten.rnn_tanh_cell")
def rnn_tanh_cell(node: Node) -> None:
    _cell(node, "RNN", ["Tanh"], [node.tensor("hx")])


@handler("aten.rnn_relu_cell")
def rnn_relu_cell(node: Node) -> None:
    _cell(node, "RNN", ["Relu"], [node.tensor("hx")])


def _cell(node: Node, kind: str, activations: list[str], states: list[Value]) -> None:
    build = node.build
    weights = Weights(node.tensor("w_ih"), node.tensor("w_hh"), node.optional("b_ih"), node.optional("b_hh"))
    x = build.unsqueeze(node.tensor("input"), 0)
    firsts = [build.unsqueeze(state, 0) for state in states]
    _, *lasts = run_layer(node, kind, activations, [weights], x, ABSENT, firsts, batch_first=False)
    node.carry("hx", 0)
    node.give(*(build.squeeze(last, 0) for last in lasts))
