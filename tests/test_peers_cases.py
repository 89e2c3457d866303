"""Thirteen cases that other runtimes get wrong or refuse, each against the float64 reference, over several shapes."""

from __future__ import annotations

import pytest
from close import assert_layer
from models import Recurrent

import lstm_rt

HARD = {"activations": ("HardSigmoid", "Tanh", "Tanh"), "activation_alpha": (0.2,), "activation_beta": (0.5,)}
CASES = {
    "plain LSTM": Recurrent("LSTM"),
    "GRU, reset before the product": Recurrent("GRU", linear_before_reset=0),
    "GRU, reset after the product": Recurrent("GRU", linear_before_reset=1),
    "reverse alone": Recurrent("LSTM", direction="reverse"),
    "clip": Recurrent("LSTM", clip=0.5, scale=3.0),
    "HardSigmoid gates": Recurrent("LSTM", **HARD),  # type: ignore[arg-type]
    "peephole": Recurrent("LSTM", peephole=True),
    "CIFG": Recurrent("LSTM", input_forget=1),
    "sequence_lens": Recurrent("LSTM", sequence_lens=True),
    "sequence_lens, reverse": Recurrent("LSTM", sequence_lens=True, direction="reverse"),
    "layout=1": Recurrent("LSTM", layout=1, initial_h=True, initial_c=True),
    "GRU with Sigmoid and Relu, reset before": Recurrent("GRU", activations=("Sigmoid", "Relu")),
    "GRU with Sigmoid and Relu, reset after": Recurrent("GRU", activations=("Sigmoid", "Relu"), linear_before_reset=1),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    for inputs, hidden in ((16, 16), (5, 33), (40, 128)):
        layer = Recurrent(**{**vars(CASES[name]), "inputs": inputs, "hidden": hidden})
        model = lstm_rt.load(layer.model())
        for time, batch in ((1, 1), (20, 3)):
            feeds = layer.feeds(time, batch)
            assert_layer(model.run(feeds), layer, feeds)
