"""200 random modules, made from seeds, against torch: layers in a row, recurrent ones among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstm_rt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: 200 random modules are NOT tested")
from torch import nn  # noqa: E402

MODULES = 200
TOLERANCE = 1e-5


class Recurrent(nn.Module):
    """A recurrent layer that hands on its outputs, or its last state beside them."""

    def __init__(self, layer: nn.RNNBase, with_state: bool) -> None:
        super().__init__()
        self.layer, self.with_state = layer, with_state

    def forward(self, x: Any) -> Any:
        y, state = self.layer(x)
        h = state[0] if isinstance(state, tuple) else state
        if not self.with_state:
            return y
        last = h[-1] if self.layer.batch_first else h[-1][None].transpose(0, 1)
        return (
            torch.cat([y, last.unsqueeze(1).expand(-1, y.shape[1], -1)], -1)
            if self.layer.batch_first
            else y + last.mean()
        )


class Cells(nn.Module):
    """A loop over a cell."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Any) -> Any:
        state, outputs = None, []
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs, 1)


class Channels(nn.Module):
    """A layer over [batch, channels, steps]."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


class Residual(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return x + self.layer(x)


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(width, 1, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.layer(x, x, x, need_weights=False)[0]


ACTIVATIONS = (
    nn.ReLU, nn.Sigmoid, nn.Tanh, nn.ELU, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid,
    nn.Softplus, nn.Softsign, nn.SELU, nn.CELU, nn.Mish, nn.LogSigmoid, nn.Tanhshrink, nn.ReLU6, nn.PReLU,
)  # fmt: skip


class Maker:
    """Makes one module of a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.width = self.pick(3, 4, 7, 8)
        torch.manual_seed(seed)

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def yes(self) -> bool:
        return bool(self.rng.integers(2))

    def module(self) -> tuple[nn.Module, torch.Tensor]:
        features = self.width
        parts: list[nn.Module] = []
        words = self.yes()
        if words:
            parts.append(nn.Embedding(11, self.width))
        parts.append(self.recurrent())
        parts += [self.pick(*self.LAYERS)(self) for _ in range(self.rng.integers(1, 5))]
        batch, steps = int(self.rng.integers(1, 4)), int(self.rng.integers(4, 8))
        x = torch.randint(0, 11, (batch, steps)) if words else torch.randn(batch, steps, features)
        module = nn.Sequential(*parts)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
        return module.eval(), x

    def recurrent(self) -> nn.Module:
        kind = self.pick(nn.LSTM, nn.GRU, nn.RNN)
        options: dict[str, Any] = {"num_layers": self.pick(1, 2), "bias": self.yes(), "bidirectional": self.yes()}
        if kind is nn.RNN:
            options["nonlinearity"] = self.pick("tanh", "relu")
        elif kind is nn.LSTM and self.yes():
            options["proj_size"] = 2
        layer = kind(self.width, self.pick(3, 5, 16), batch_first=True, **options)
        with_state = self.yes()
        size = options.get("proj_size") or layer.hidden_size
        self.width = size * (2 if layer.bidirectional else 1) + (size if with_state else 0)
        return Recurrent(layer, with_state)

    def cell(self) -> nn.Module:
        kind, size = self.pick(nn.LSTMCell, nn.GRUCell, nn.RNNCell), self.pick(3, 6)
        cell = kind(self.width, size, bias=self.yes())
        self.width = size
        return Cells(cell)

    def dense(self) -> nn.Module:
        before, self.width = self.width, self.pick(4, 6)
        return nn.Linear(before, self.width, bias=self.yes())

    def activation(self) -> nn.Module:
        return self.pick(*ACTIVATIONS)() if self.yes() else nn.Softmax(-1)

    def convolution(self) -> nn.Module:
        before, self.width = self.width, self.pick(4, 6)
        width = self.pick(1, 3, 5)
        return Channels(nn.Conv1d(before, self.width, width, padding=width // 2, bias=self.yes()))

    def depthwise(self) -> nn.Module:
        return Channels(nn.Conv1d(self.width, self.width, 3, padding="same", groups=self.width))

    def norm(self) -> nn.Module:
        width = self.width
        return self.pick(
            lambda: nn.LayerNorm(width),
            lambda: Channels(nn.BatchNorm1d(width)),
            lambda: Channels(nn.GroupNorm(1, width)),
            lambda: Channels(nn.InstanceNorm1d(width, affine=True)),
            lambda: nn.RMSNorm(width),
        )()

    def pool(self) -> nn.Module:
        return Channels(self.pick(nn.MaxPool1d, nn.AvgPool1d)(3, 1, 1))

    def attention(self) -> nn.Module:
        return Attention(self.width)

    def residual(self) -> nn.Module:
        return Residual(nn.Sequential(nn.Linear(self.width, self.width), nn.ReLU(inplace=True), nn.Dropout(0.3)))

    LAYERS = (recurrent, cell, dense, activation, convolution, depthwise, norm, pool, attention, residual)


@pytest.mark.parametrize("seed", range(MODULES))
def test_a_random_module(seed: int) -> None:
    module, x = Maker(seed).module()
    with torch.no_grad():
        wanted = module(x).numpy()
    given = lstm_rt.from_torch(module, (x,), selftest=False)(x.numpy())
    assert given.shape == wanted.shape
    largest = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(given, wanted, rtol=0, atol=TOLERANCE * largest, err_msg=str(module))
