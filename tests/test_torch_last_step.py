"""``y[:, -1]`` of a recurrent layer streams as ``h_n[-1]`` does, and only where frames give what the whole gives."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest

import lstm_rt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its live modules are NOT tested")
from torch import nn  # noqa: E402


class Last(nn.Module):
    """A layer, and what is made of all its steps."""

    def __init__(self, function: Callable[..., Any], kind: str = "LSTM", **options: Any) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(4, 8, **{"batch_first": True, **options})
        self.head, self.other = nn.Linear(8, 2), nn.GRU(8, 8, batch_first=True)
        self.drop, self.function = nn.Dropout(0.5), function

    def forward(self, x: Any) -> Any:
        return self.function(self, self.rnn(x)[0])


def _model(module: nn.Module, x: Any) -> tuple[lstm_rt.Model, Any]:
    torch.manual_seed(0)
    module.eval()
    with torch.no_grad():
        return lstm_rt.from_torch(module, (x,), selftest=False), module(x).numpy()


STREAMING: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "select": (lambda m, y: m.head(y[:, -1]), "LSTM", {}),
    "all axes": (lambda m, y: m.head(y[:, -1, :]), "GRU", {}),
    "slice": (lambda m, y: m.head(y[:, -1:]), "RNN", {}),
    "behind dropout": (lambda m, y: torch.sigmoid(m.head(m.drop(y)[:, -1])), "LSTM", {"num_layers": 2}),
    "time first": (lambda m, y: m.head(y[-1]), "GRU", {"batch_first": False}),
    "projected": (lambda m, y: y[:, -1], "LSTM", {"proj_size": 3}),
    "narrow": (lambda m, y: y[:, -1:].squeeze(1) * 2, "LSTM", {}),
}


@pytest.mark.parametrize("name", STREAMING)
def test_last_step_streams_and_equals_torch(name: str) -> None:
    function, kind, options = STREAMING[name]
    torch.manual_seed(1)
    time_first = options.get("batch_first") is False
    x = torch.randn(6, 1, 4) if time_first else torch.randn(1, 6, 4)
    module = Last(function, kind, **options)
    model, wanted = _model(module, x)
    np.testing.assert_allclose(model(x.numpy()), wanted, rtol=0, atol=1e-6)
    stream = model.stream()
    for step in range(6):
        frame = x[step : step + 1] if time_first else x[:, step : step + 1]
        given = np.array(stream.step(np.ascontiguousarray(frame.numpy())))
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-6)


MIXING: dict[str, Callable[..., Any]] = {
    "added to all steps": lambda m, y: y + y[:, -1:],
    "query of an attention": lambda m, y: (y * y[:, -1, None]).sum(-1),
    "expanded over time": lambda m, y: y[:, -1:].expand(-1, y.shape[1], -1) * 2,
    "into another layer": lambda m, y: m.other(y[:, -1:])[0],
    "divided by the number of steps": lambda m, y: y[:, -1] / y.shape[1],
    "after a product, with all steps": lambda m, y: m.head(y) + m.head(y[:, -1:]),
    "other steps": lambda m, y: y[:, -2],
    "two steps": lambda m, y: y[:, -2:],
}


@pytest.mark.parametrize("name", MIXING)
def test_last_step_that_meets_time_equals_torch_whole(name: str) -> None:
    x = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(1))
    model, wanted = _model(Last(MIXING[name]), x)
    np.testing.assert_allclose(model(x.numpy()), wanted, rtol=0, atol=1e-6)
    with pytest.raises(lstm_rt.Error):
        model.stream()


@pytest.mark.parametrize("options", [{"bidirectional": True}])
def test_last_step_of_two_directions_is_not_the_state(options: dict[str, Any]) -> None:
    x = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(1))
    model, wanted = _model(Last(lambda m, y: y[:, -1], **options), x)
    np.testing.assert_allclose(model(x.numpy()), wanted, rtol=0, atol=1e-6)
