"""What one export of a module does not show: aliased examples, state between calls, widths of 1, fixed sizes."""

from __future__ import annotations

import pathlib
import threading
import warnings
from typing import Any, Callable

import numpy as np
import pytest

import lstm_rt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its live modules are NOT tested")
import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten  # noqa: E402


def converted(module: nn.Module, inputs: Any, **options: Any) -> lstm_rt.Model:
    return lstm_rt.from_torch(module, inputs, selftest=False, **options)


def largest_error(model: lstm_rt.Model, module: nn.Module, inputs: Any) -> float:
    arrays = [tensor.numpy() for tensor in tree_leaves(inputs)]
    given = list(model.run(dict(zip([port.name for port in model.inputs], arrays))).values())
    with torch.no_grad():
        wanted = [tensor.numpy() for tensor in tree_leaves(module(*inputs))]
    assert [array.shape for array in given] == [array.shape for array in wanted]
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in zip(given, wanted))


# ---- Examples that share memory ----


class States(nn.Module):
    """An LSTM whose states come as two arguments, a tuple or a dict."""

    def __init__(self, place: Callable[..., tuple[Any, Any]] = lambda h, c: (h, c)) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.place = place
        self.register_buffer("first", torch.ones(1, 1, 6))

    def forward(self, x: Any, *states: Any) -> Any:
        h, c = self.place(*states)
        y, (h, c) = self.lstm(x, (h + self.first, c))
        return y, h, c


class Named(States):
    def forward(self, x: Any, h: Any, c: Any) -> Any:
        return States.forward(self, x, h, c)


class InTuple(States):
    def forward(self, x: Any, states: Any) -> Any:
        return States.forward(self, x, *states)


class InDict(States):
    def forward(self, x: Any, states: Any) -> Any:
        return States.forward(self, x, states["h"], states["c"])


def _aliased(how: str, module: States) -> Any:
    zeros, frames = torch.zeros(1, 1, 6), torch.zeros(1, 5, 4)
    memory = torch.zeros(2, 1, 6)
    return {
        "arguments": (frames, zeros, zeros),
        "views": (frames, zeros, zeros[:]),
        "parts of one": (frames, memory[:1], memory[1:]),
        "expanded": (frames, torch.zeros(1, 1, 1).expand(1, 1, 6), zeros),
        "buffer": (frames, module.first, module.first),
        "one buffer": (frames, module.first, zeros),
        "parameter": (frames, module.lstm.bias_ih_l0[:6].view(1, 1, 6), zeros),
        "tuple": (frames, (zeros, zeros)),
        "dict": (frames, {"h": zeros, "c": zeros}),
    }[how]


ALIASED = ["arguments", "views", "parts of one", "expanded", "buffer", "one buffer", "parameter", "tuple", "dict"]


@pytest.mark.parametrize("how", ALIASED)
def test_example_aliased_anywhere_gives_separate_inputs(how: str) -> None:
    module = {"tuple": InTuple, "dict": InDict}.get(how, Named)().eval()
    example = _aliased(how, module)
    model = converted(module, example)
    leaves, structure = tree_flatten(example)
    inputs = tree_unflatten([torch.randn_like(leaf) for leaf in leaves], structure)
    assert largest_error(model, module, inputs) < 1e-5


def test_saved_program_of_aliased_example_is_refused(tmp_path: pathlib.Path) -> None:
    zeros = torch.zeros(1, 1, 6)
    program = torch.export.export(Named().eval(), (torch.zeros(1, 5, 4), zeros, zeros))
    torch.export.save(program, tmp_path / "aliased.pt2")
    for source in (program, tmp_path / "aliased.pt2"):
        with pytest.raises(lstm_rt.UnsupportedModelError, match=r"'h'.* the same tensor as that of 'c'"):
            lstm_rt.from_torch(source)


def test_saved_program_of_separate_examples_is_read(tmp_path: pathlib.Path) -> None:
    program = torch.export.export(Named().eval(), (torch.zeros(1, 5, 4), torch.zeros(1, 1, 6), torch.zeros(1, 1, 6)))
    torch.export.save(program, tmp_path / "separate.pt2")
    assert len(lstm_rt.from_torch(tmp_path / "separate.pt2").inputs) == 3


class Unused(nn.Module):
    def forward(self, x: Any, y: Any) -> Any:
        return x + 1


def test_unused_input_is_named_in_a_warning() -> None:
    zeros = torch.zeros(2, 3)
    with pytest.warns(UserWarning, match="reads input 'y'"):
        converted(Unused(), (zeros, zeros))


# ---- State between calls ----


class Remembering(nn.Module):
    """Keeps its hidden state in some place between calls."""

    def __init__(self, place: str, bias: bool = True) -> None:
        super().__init__()
        self.lstm, self.place = nn.LSTM(4, 8, batch_first=True, bias=bias), place
        first = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))
        self.hidden: Any = {"none": None, "list": list(first), "dict": {"h": first}}.get(place, first)
        self.calls = 0

    def forward(self, x: Any) -> Any:
        hidden = self.hidden
        if self.place == "none" and hidden is None:
            hidden = (x.new_zeros(1, 1, 8), x.new_zeros(1, 1, 8))
        hidden = hidden["h"] if self.place == "dict" else tuple(hidden)
        y, hidden = self.lstm(x, hidden)
        if self.place == "list":
            self.hidden[:] = hidden
        elif self.place == "dict":
            self.hidden["h"] = hidden
        elif self.place == "in place":
            for old, new in zip(self.hidden, hidden):
                old.copy_(new)
        else:
            self.hidden = hidden
        return y


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x + self.calls


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("place", ["tuple", "none", "list", "dict", "in place"])
def test_state_kept_in_an_attribute_is_refused(place: str, bias: bool) -> None:
    module = Remembering(place, bias).eval()
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"keeps state between calls \(it sets hidden\)"):
        converted(module, (torch.zeros(1, 1, 4),))
    assert module.hidden is None or not any(leaf.any() for leaf in tree_leaves(module.hidden))


def test_state_left_by_an_earlier_call_is_refused() -> None:
    module = Remembering("tuple")
    module(torch.randn(1, 1, 4))  # leaves tensors with a history, which torch does not copy
    with pytest.raises(lstm_rt.UnsupportedModelError, match="keeps state between calls"):
        converted(module, (torch.randn(1, 1, 4),))


def test_counter_of_calls_is_refused() -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"keeps state between calls \(it sets calls\)"):
        converted(Counting(), (torch.zeros(2, 3),))


class Caching(nn.Module):
    """Sets attributes, none of which a later call depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.table, self.seen = nn.Linear(4, 4), None, None

    def forward(self, x: Any) -> Any:
        if self.table is None:
            self.table = torch.arange(4.0)
        self.seen = self.linear(x)
        return self.seen + self.table


def test_attributes_that_no_call_depends_on_are_allowed() -> None:
    module = Caching().eval()
    assert largest_error(converted(module, (torch.randn(2, 4),)), module, (torch.randn(3, 4),)) < 1e-5


# ---- Training mode ----


def _weight_normed(norm: Any) -> nn.Module:
    return nn.Sequential(norm(nn.Linear(4, 4)), nn.Dropout(0.5))


class Locked(nn.Module):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.drop = threading.Lock(), nn.Dropout(0.5)

    def forward(self, x: Any) -> Any:
        with self.lock:
            return self.drop(x) * 2


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize(
    "make",
    [
        lambda: _weight_normed(torch.nn.utils.weight_norm),
        lambda: _weight_normed(torch.nn.utils.spectral_norm),
        lambda: _weight_normed(torch.nn.utils.parametrizations.weight_norm),
        lambda: _weight_normed(lambda layer: prune.l1_unstructured(layer, "weight", 3)),
        Locked,
    ],
)
def test_computed_weights_in_training_mode_are_converted(make: Callable[[], nn.Module]) -> None:
    module, x = make().train(), torch.randn(2, 4)
    model = converted(module, (x,))
    assert all(part.training for part in module.modules())
    assert largest_error(model, module.eval(), (x,)) < 1e-5


# ---- Dims of size 1 ----


class Turned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 5, 3)

    def forward(self, x: Any) -> Any:
        return self.conv(x.transpose(1, 2))


def _r(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


N = None
ONES: dict[str, tuple[Callable[[], nn.Module], Any, list[Any]]] = {
    "LSTM": (lambda: nn.LSTM(1, 20, batch_first=True), (_r(1, 9, 1),), [(N, N, 1)]),
    "GRU": (lambda: nn.GRU(1, 20), (_r(9, 1, 1),), [(N, N, 1)]),
    "RNN": (lambda: nn.RNN(1, 20), (_r(9, 1, 1),), [(N, N, 1)]),
    "bidirectional": (lambda: nn.LSTM(1, 3, bidirectional=True), (_r(9, 1, 1),), [(N, N, 1)]),
    "one step": (lambda: nn.LSTM(1, 4), (_r(1, 1, 1),), [(N, N, 1)]),
    "one unit": (lambda: nn.GRU(3, 1), (_r(9, 1, 3), _r(1, 1, 1)), [(N, N, 3), (1, N, 1)]),
    "states": (
        lambda: nn.LSTM(1, 1),
        (_r(9, 1, 1), (_r(1, 1, 1), _r(1, 1, 1))),
        [(N, N, 1), (1, N, 1), (1, N, 1)],
    ),
    "unbatched": (lambda: nn.LSTM(1, 4), (_r(9, 1),), [(N, 1)]),
    "LSTMCell": (lambda: nn.LSTMCell(1, 4), (_r(1, 1), (_r(1, 4), _r(1, 4))), [(N, 1), (N, 4), (N, 4)]),
    "Linear": (lambda: nn.Linear(1, 5), (_r(1, 9, 1),), [(N, N, 1)]),
    "Linear on one row": (lambda: nn.Linear(1, 5, bias=False), (_r(1, 1),), [(N, 1)]),
    "Conv1d": (lambda: nn.Conv1d(1, 5, 3), (_r(1, 1, 9),), [(N, 1, N)]),
    "Conv2d": (lambda: nn.Conv2d(1, 5, 3), (_r(1, 1, 9, 9),), [(N, 1, N, N)]),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(1, 5, 3), (_r(1, 1, 9),), [(N, 1, N)]),
    "Conv1d behind a transpose": (Turned, (_r(1, 9, 1),), [(N, N, 1)]),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(1), (_r(1, 1, 9),), [(N, 1, N)]),
    "LayerNorm": (lambda: nn.LayerNorm(1), (_r(1, 9, 1),), [(N, N, 1)]),
    "Embedding of one word": (lambda: nn.Embedding(1, 5), (torch.zeros(1, 1, dtype=torch.long),), [(N, N)]),
    "Embedding of width 1": (lambda: nn.Embedding(5, 1), (torch.zeros(1, 1, dtype=torch.long),), [(N, N)]),
}


@pytest.mark.parametrize("name", ONES)
def test_width_of_one_is_fixed_by_the_weights(name: str) -> None:
    make, inputs, shapes = ONES[name]
    module = make().eval()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*no self-test")
        model = lstm_rt.from_torch(module, inputs)
    assert [port.shape for port in model.inputs] == shapes
    assert largest_error(model, module, inputs) < 1e-5


# ---- Operators that torch writes out ----


class Before(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function, self.rnn = function, nn.GRU(4, 8, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.rnn(self.function(x))[0]


def _set_a_column(x: Any) -> Any:
    x = x.clone()
    x[:, :, 0] = 0
    return x


WRITTEN_OUT: dict[str, Callable[..., Any]] = {
    "nan_to_num": torch.nan_to_num,
    "isfinite": lambda x: torch.where(torch.isfinite(x), x, 0.0),
    "diff": lambda x: torch.diff(x, dim=1, prepend=x[:, :1]),
    "quantile": lambda x: x - torch.quantile(x, 0.5, dim=1, keepdim=True),
    "cosine_similarity": lambda x: x * F.cosine_similarity(x, x + 1, dim=-1)[..., None],
    "logit": lambda x: torch.logit(torch.sigmoid(x)),
    "trapezoid": lambda x: x * torch.trapezoid(x, dim=-1)[..., None],
    "in place": _set_a_column,
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_operator_written_out_by_torch_keeps_time_free(name: str) -> None:
    module = Before(WRITTEN_OUT[name]).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", module="torch.*")
        model = converted(module, (torch.randn(2, 9, 4),))
    assert largest_error(model, module, (torch.randn(3, 14, 4),)) < 1e-5


def test_exported_program_keeps_time_free_while_converted() -> None:
    from lstm_rt.converters.torch.shims import exporting

    with exporting():
        free = {1: torch.export.Dim.AUTO}
        program = torch.export.export(Before(torch.nan_to_num).eval(), (torch.randn(2, 9, 4),), dynamic_shapes=(free,))
    assert lstm_rt.from_torch(program).inputs[0].shape[1] is None


def test_operator_that_fixes_a_size_is_named() -> None:
    from lstm_rt.converters.torch import live

    library: Any = torch.library.Library("lstm_rt_test", "FRAGMENT")
    library.define("fix(Tensor x) -> Tensor")
    library.impl("fix", lambda x: x.clone(), "CPU")
    torch.library.register_fake("lstm_rt_test::fix", lambda x: x.new_empty(x.shape), lib=library)
    operator = torch.ops.lstm_rt_test.fix.default
    module = Before(lambda x: operator(x)).eval()
    original = torch.export.default_decompositions
    try:
        torch.export.default_decompositions = lambda: {operator: lambda x: x + torch.zeros(int(x.shape[1]), 1)}
        with pytest.warns(UserWarning, match=r"axis 1 of 'x' .* it replaced lstm_rt_test.fix.default"):
            live.from_module(module, (torch.randn(2, 9, 4),))
    finally:
        torch.export.default_decompositions = original


# ---- Sizes that an export fixes without need ----


class Loop(nn.Module):
    """A cell that Python steps over time."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 3)

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(x.shape[0], 3)
        steps = []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            steps.append(h)
        return torch.stack(steps, 1)


FIXING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "unbind": (lambda x: torch.stack(x.unbind(1), 1), "because of torch.Tensor.unbind"),
    "iteration": (lambda x: torch.stack([*x.transpose(0, 1)], 1), "because of torch.Tensor.unbind"),
    "number": (lambda x: x * float(x.shape[1]), "makes a plain number of it"),
    "linspace": (lambda x: x + torch.linspace(0, 1, x.shape[1])[None, :, None], "makes a plain number of it"),
}


class Work(nn.Module):
    def __init__(self, work: Callable[[Any], Any]) -> None:
        super().__init__()
        self.rnn = nn.GRU(4, 4, batch_first=True)
        self.work = work

    def forward(self, x: Any) -> Any:
        return self.work(self.rnn(x)[0])


@pytest.mark.parametrize("name", [*FIXING, "loop"])
def test_fixed_length_is_warned_of_with_its_reason(name: str) -> None:
    work, reason = FIXING.get(name, (None, "makes a plain number of it"))
    module = Work(work) if work else Loop()
    with pytest.warns(UserWarning, match="Torch fixed the size of axis 1 of ") as caught:
        model = converted(module.eval(), (torch.randn(1, 7, 4),))
    assert [reason in str(warning.message) for warning in caught].count(True) == 1
    assert model.inputs[0].shape is not None
    assert model.inputs[0].shape[1] == 7


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool1d(x, 2),
        lambda x: F.max_pool1d(x, 3, stride=1, padding=1),
        lambda x: F.max_pool1d(x, 2, ceil_mode=True),
        lambda x: F.max_pool1d(x, 2, dilation=2),
        nn.MaxPool1d(2),
    ],
)
def test_max_pool1d_keeps_the_length_free(pool: Callable[[Any], Any]) -> None:
    module = Work(lambda x: pool(x.transpose(1, 2))).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = converted(module, (torch.randn(1, 7, 4),))
    for length in (5, 7, 12):
        assert largest_error(model, module, (torch.randn(2, length, 4),)) < 1e-6


def test_sizes_that_weights_fix_are_not_warned_of() -> None:
    module = nn.Sequential(nn.Linear(5, 4), nn.LSTM(4, 3, batch_first=True)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert converted(module, (torch.randn(3, 7, 5),)).inputs[0].shape == (None, None, 5)
