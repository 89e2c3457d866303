"""TorchScript with recurrent layers: branches on shapes, and buffers that carry state."""

from __future__ import annotations

import pathlib
import warnings
from typing import Any

import numpy as np
import pytest

import lstm_rt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: TorchScript is NOT tested")
from torch import nn  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning"),
]


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 6, 2, batch_first=True, dropout=0.5), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(x)
        if self.training:
            y = y * 2
        return self.head(y[:, -1])


class Policy(nn.Module):
    """As walking robots have it: the state is in buffers that forward writes."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 6), nn.Linear(6, 2)
        self.register_buffer("hidden_state", torch.zeros(1, 1, 6))
        self.register_buffer("cell_state", torch.zeros(1, 1, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, (h, c) = self.rnn(x.unsqueeze(0), (self.hidden_state, self.cell_state))
        self.hidden_state[:] = h
        self.cell_state[:] = c
        return self.head(y.squeeze(0))


class Assigning(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(4, 6)
        self.register_buffer("memory", torch.zeros(1, 1, 6))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, self.memory = self.rnn(x, self.memory)
        return y, y * 2


class Inside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = Assigning()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part(x)[0]


class InAttribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.state = nn.LSTM(4, 6), (torch.zeros(1, 1, 6), torch.zeros(1, 1, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, self.state = self.rnn(x, self.state)
        return y


def saved(module: nn.Module, how: str, x: Any, folder: pathlib.Path) -> pathlib.Path:
    module.eval()
    script = torch.jit.trace(module, x, check_trace=False) if how == "trace" else torch.jit.script(module)
    with torch.no_grad():
        for buffer in script.buffers():
            buffer.zero_()
    torch.jit.save(torch.jit.freeze(script) if how == "frozen" else script, folder / "policy.pt")
    return folder / "policy.pt"


def first(result: Any) -> Any:
    return np.asarray(result[0] if isinstance(result, tuple) else result)


@pytest.mark.parametrize("how", ["script", "frozen", "trace"])
@pytest.mark.parametrize(("make", "shape"), [(Whole, (2, 5, 4)), (lambda: nn.Sequential(nn.GRU(4, 6)), (3, 1, 4))])
def test_scripted_layers_give_what_torch_gives(make: Any, shape: Any, how: str, tmp_path: pathlib.Path) -> None:
    x = torch.randn(shape)
    path = saved(make(), how, x, tmp_path)
    with torch.no_grad():
        wanted = first(torch.jit.load(path)(x))
    assert (
        np.abs(first(lstm_rt.from_torch(path, (torch.randn(shape),), selftest=False)(x.numpy())) - wanted).max() < 1e-5
    )


@pytest.mark.parametrize(
    ("make", "shape", "states", "how"),
    [
        (Policy, (1, 4), ["hidden_state", "cell_state"], "script"),
        (Policy, (1, 4), ["hidden_state", "cell_state"], "frozen"),
        (Policy, (1, 4), ["hidden_state", "cell_state"], "trace"),
        (Assigning, (1, 1, 4), ["memory"], "script"),  # tracing drops assignments
        (Inside, (1, 1, 4), ["part_memory"], "script"),
        (Inside, (1, 1, 4), ["part_memory"], "frozen"),
    ],
)
def test_buffers_that_change_are_state(
    make: Any, shape: Any, states: list[str], how: str, tmp_path: pathlib.Path
) -> None:
    path = saved(make(), how, torch.zeros(shape), tmp_path)
    module = torch.jit.load(path)
    stream = lstm_rt.from_torch(path, (torch.zeros(shape),)).stream()
    assert sorted(stream.state) == sorted(states)
    for _ in range(3):
        x = torch.randn(shape)
        with torch.no_grad():
            wanted = first(module(x))
        assert np.abs(first(stream.step(x.numpy())) - wanted).max() < 1e-5


@pytest.mark.parametrize("how", ["script", "frozen"])
def test_state_outside_of_buffers_is_refused(how: str, tmp_path: pathlib.Path) -> None:
    path = saved(InAttribute(), how, torch.zeros(1, 1, 4), tmp_path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="InAttribute keeps state between calls"):
        lstm_rt.from_torch(path, (torch.zeros(1, 1, 4),))


def test_buffers_that_are_not_zero_are_named(tmp_path: pathlib.Path) -> None:
    script = torch.jit.script(Policy().eval())
    script(torch.randn(1, 4))
    with pytest.warns(UserWarning, match="hidden_state, cell_state are not zero"):
        lstm_rt.from_torch(script, (torch.randn(1, 4),))
    assert script.hidden_state.any()


def test_torchscript_is_not_loaded_without_example(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Whole(), "script", torch.zeros(2, 5, 4), tmp_path)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr(torch.jit, "load", never)
    with warnings.catch_warnings(), pytest.raises(lstm_rt.ArgumentError, match="If you trust it"):
        lstm_rt.load(path)
