"""Running products, extremes and sums of exponentials against torch; complex numbers are refused in one line."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest

import lstm_rt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its operators are NOT tested")
import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

INF, NAN = float("inf"), float("nan")


class Of(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def assert_equal(function: Callable[..., Any], example: Any, x: Any) -> None:
    given = lstm_rt.from_torch(Of(function), (example,), selftest=False)(x.numpy())
    wanted = tree_leaves(function(x))
    for ours, theirs in zip(given if isinstance(given, tuple) else (given,), wanted):
        assert ours.dtype == theirs.numpy().dtype
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=2e-6, atol=1e-6)


def both(name: str, dim: int) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        found = getattr(x, name)(dim)
        return found if isinstance(found, torch.Tensor) else tuple(found)

    return function


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["cumprod", "logcumsumexp", "cummax", "cummin"])
def test_scan_over_a_free_axis_equals_torch(name: str, dim: int) -> None:
    torch.manual_seed(0)
    assert_equal(both(name, dim), torch.randn(2, 5, 3), torch.randn(3, 9, 4))


SPECIAL = {
    "far apart": [-300.0, 5, 80, 80, -INF, 100, 1e-3, 99],
    "infinite": [-INF, -INF, 1, INF, INF, 2, -INF, 0],
    "not a number": [3, 3, 1, NAN, 5, NAN, 2, 9],
    "equal": [1.0, 1, 0, 1, 0, -1, 1, 1],
}


@pytest.mark.parametrize("values", SPECIAL)
@pytest.mark.parametrize("name", ["cumprod", "logcumsumexp", "cummax", "cummin"])
def test_scan_of_special_values_equals_torch(name: str, values: str) -> None:
    x = torch.tensor(SPECIAL[values])[None]
    assert_equal(both(name, 1), torch.zeros(2, 8), x)


@pytest.mark.parametrize("name", ["cumprod", "cummax", "cummin"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_scan_of_integers_equals_torch(name: str, dtype: str) -> None:
    x = torch.tensor([[3, -2, 5, 5, 1]], dtype=getattr(torch, dtype))
    assert_equal(both(name, 1), x, x)


def test_scan_of_a_number_equals_torch() -> None:
    assert_equal(lambda x: (x.sum().cumprod(0), x.sum().logcumsumexp(0)), torch.ones(3), torch.ones(4))


def test_min_gru_in_parallel_form_equals_torch() -> None:
    class MinGRU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.new = nn.Linear(4, 8), nn.Linear(4, 8)

        def forward(self, x: Any) -> Any:
            k, new = self.gate(x), self.new(x)
            log_new = torch.where(new >= 0, (torch.relu(new) + 0.5).log(), -F.softplus(-new))
            keep = (-F.softplus(k)).cumsum(1)
            return (keep + (log_new - F.softplus(-k) - keep).logcumsumexp(1)).exp()

    torch.manual_seed(0)
    module, x = MinGRU().eval(), torch.randn(2, 40, 4)
    given = lstm_rt.from_torch(module, (torch.randn(2, 6, 4),), selftest=False)(x.numpy())
    np.testing.assert_allclose(given, module(x).detach().numpy(), rtol=0, atol=1e-5)


def test_infinity_is_found() -> None:
    assert_equal(lambda x: torch.isinf(x), torch.zeros(3), torch.tensor([1.0, INF, -INF, NAN]))


def _with_buffer(x: Any) -> Any:
    return (x * torch.ones(4, dtype=torch.complex64)).real


COMPLEX: dict[str, Callable[..., Any]] = {
    "rfft": lambda x: torch.fft.rfft(x).abs(),
    "irfft": lambda x: torch.fft.irfft(torch.fft.rfft(x)),
    "stft": lambda x: torch.stft(x[0], 4, 2, window=torch.hann_window(4), return_complex=True, center=False).abs(),
    "polar": lambda x: torch.polar(x.abs(), x).real,
    "product": lambda x: torch.view_as_real(torch.complex(x, x) * torch.complex(x, x + 1)),
    "angle": lambda x: torch.view_as_complex(x.reshape(2, 9, 2, 2)).angle(),
    "constant": _with_buffer,
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"complex") as caught:
        lstm_rt.from_torch(Of(COMPLEX[name]), (torch.randn(2, 9, 4),), dynamic_shapes={"x": {}}, selftest=False)
    assert str(caught.value).startswith("1 part of")
