"""Free dims of torch modules: recurrent layers name them, and a refused stream speaks of time."""

from __future__ import annotations

import pytest

import lstm_rt

torch = pytest.importorskip("torch")


def converted(module: torch.nn.Module, *shape: int) -> lstm_rt.Model:
    return lstm_rt.from_torch(module.eval(), (torch.zeros(*shape),))


@pytest.mark.parametrize("layer", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
@pytest.mark.parametrize(("batch_first", "names"), [(True, ("batch", "time", "")), (False, ("time", "batch", ""))])
def test_recurrent_layer_names_batch_and_time(layer: type, batch_first: bool, names: tuple[str, ...]) -> None:
    model = converted(layer(5, 4, batch_first=batch_first), 3, 7, 5)
    assert model.inputs[0].dim_names == names
    assert model.outputs[0].dim_names == names


def test_module_without_recurrent_layer_keeps_its_names() -> None:
    names = converted(torch.nn.Linear(5, 4), 3, 7, 5).inputs[0].dim_names
    assert not {"batch", "time"} & set(names)


@pytest.mark.parametrize("layer", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_bidirectional_layer_refusal_speaks_of_direction_once(layer: type) -> None:
    model = converted(layer(5, 4, batch_first=True, bidirectional=True), 3, 7, 5)
    with pytest.raises(lstm_rt.UnsupportedModelError) as error:
        model.stream()
    assert str(error.value).count("runs backwards over time (direction = bidirectional)") == 1
    assert "on a window of steps" in str(error.value)
