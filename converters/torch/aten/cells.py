"""Cells that a loop of the module's own steps: a layer of one step each."""

from __future__ import annotations

from ..node import Node, handler
from ..recurrent import step
from .recurrent import kind_of, layer


@handler("aten.lstm_cell", "aten.gru_cell", "aten.rnn_tanh_cell", "aten.rnn_relu_cell")
def cell(node: Node) -> None:
    kind, nonlinearity = kind_of(node)
    weights = (node.tensor("w_ih"), node.tensor("w_hh"), node.optional("b_ih"), node.optional("b_hh"))
    states = node.tensors("hx") if kind == "LSTM" else [node.tensor("hx")]
    node.carry("hx", 0)
    node.give(*step(node.build, node.tensor("input"), layer(node, kind, [weights]), states, nonlinearity=nonlinearity))
