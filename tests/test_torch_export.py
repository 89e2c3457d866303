"""Live modules and exported programs against torch itself."""

from __future__ import annotations

import importlib
import io
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import lstm_rt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its live modules are NOT tested")
from torch import nn  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402
from torch_ops import FIXED, Of, cases  # noqa: E402

GOLDEN = pathlib.Path(__file__).parent / "golden"
PACK, UNPACK = nn.utils.rnn.pack_padded_sequence, nn.utils.rnn.pad_packed_sequence


def outputs_of(model: lstm_rt.Model, inputs: Any) -> Sequence[Any]:
    given = model(*(tensor.numpy() for tensor in tree_leaves(inputs)))
    return given if isinstance(given, tuple) else (given,)


def assert_equal(model: lstm_rt.Model, module: nn.Module, inputs: Any, tolerance: float = 1e-5) -> None:
    with torch.no_grad():
        wanted = tree_leaves(module(*inputs))
    given = outputs_of(model, inputs)
    assert len(given) == len(wanted)
    for ours, theirs in zip(given, wanted):
        assert ours.shape == tuple(theirs.shape)
        assert ours.dtype == theirs.numpy().dtype
        scale = max(1.0, float(theirs[theirs.isfinite()].abs().max())) if theirs.is_floating_point() else 1.0
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=tolerance * scale)


def converted(module: nn.Module, *inputs: Any, **options: Any) -> lstm_rt.Model:
    return lstm_rt.from_torch(module, inputs, selftest=False, **options)


@pytest.mark.parametrize(("name", "function", "inputs"), [pytest.param(*case, id=case[0]) for case in cases()])
def test_operations(name: str, function: Any, inputs: Any) -> None:
    module = (function if isinstance(function, nn.Module) else Of(function)).eval()
    with torch.no_grad():
        module(*inputs)
    options = {"dynamic_shapes": {"tensors": tuple({} for _ in inputs)}} if name in FIXED else {}
    assert_equal(converted(module, *inputs, **options), module, inputs)


@pytest.mark.parametrize("length", [2, 4, 7])
def test_turning_at_other_lengths(length: int) -> None:
    model = converted(Of(lambda x: (x.roll((6, -5), (1, 0)), x.roll(9))), X)
    other = torch.randn(2, length, 8)
    assert_equal(model, Of(lambda x: (x.roll((6, -5), (1, 0)), x.roll(9))), (other,))


def test_even_parts_of_a_free_axis_are_refused() -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"tensor_split.*size of the axis is free"):
        converted(Of(lambda x: x.tensor_split(3, 1)), X)


@pytest.mark.parametrize("function", [torch.expm1, torch.log1p])
def test_small_numbers_do_not_cancel(function: Any) -> None:
    x = torch.cat([torch.logspace(-30, 1.9, 300), -torch.logspace(-30, -0.01, 300), torch.tensor([0.0, float("inf")])])
    given = outputs_of(converted(Of(function), x), x)[0]
    np.testing.assert_allclose(given, function(x.double()).float().numpy(), rtol=1e-5)


# ---- Recurrent layers ----

X = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(3))
LAYERS = {
    "lstm": lambda: nn.LSTM(8, 6),
    "lstm 2 batch_first": lambda: nn.LSTM(8, 6, 2, batch_first=True, dropout=0.5),
    "lstm bidirectional": lambda: nn.LSTM(8, 6, 2, bidirectional=True),
    "lstm no bias": lambda: nn.LSTM(8, 6, bias=False, batch_first=True, bidirectional=True),
    "lstm proj_size": lambda: nn.LSTM(8, 6, 2, proj_size=3, bidirectional=True),
    "gru": lambda: nn.GRU(8, 6, 2, bidirectional=True),
    "gru batch_first": lambda: nn.GRU(8, 6, 2, batch_first=True, bias=False),
    "rnn": lambda: nn.RNN(8, 6, 2, bidirectional=True, batch_first=True),
    "rnn relu": lambda: nn.RNN(8, 6, nonlinearity="relu"),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_recurrent_layers_stay_whole_and_free(layer: str) -> None:
    torch.manual_seed(1)
    module = LAYERS[layer]().eval()
    model = converted(module, X[:1, :1])  # a batch of 1, of 1 step: still free
    assert model.inputs[0].shape == (None, None, 8)
    for batch, steps in ((1, 1), (3, 5), (2, 4)):
        assert_equal(model, module, (X[:batch, :steps],))


@pytest.mark.parametrize("layer", LAYERS)
def test_initial_states(layer: str) -> None:
    torch.manual_seed(1)
    module = LAYERS[layer]().eval()
    batch = 3 if module.batch_first else 5
    cells = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or 6, 6] if isinstance(module, nn.LSTM) else [6]
    states = tuple(torch.randn(cells, batch, size) for size in sizes)
    inputs = (X, states if isinstance(module, nn.LSTM) else states[0])
    model = converted(module, *inputs)
    assert_equal(model, module, inputs)
    names = ["hx_0", "hx_1"] if isinstance(module, nn.LSTM) else ["hx"]
    assert model.bindings == {name: f"{name}_next" for name in names}


def test_a_module_with_state_streams() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.out = nn.LSTM(8, 6, 2, batch_first=True), nn.Linear(6, 2)

        def forward(self, x: Any, state: Any) -> Any:
            y, state = self.lstm(x, state)
            return {"y": self.out(y), "h": state[0], "c": state[1]}

    torch.manual_seed(1)
    module, zeros = Tagger().eval(), (torch.zeros(2, 1, 6), torch.zeros(2, 1, 6))
    model = lstm_rt.from_torch(module, (X[:1, :1], zeros), selftest=False, bind={"state_0": "h", "state_1": "c"})
    assert [port.name for port in model.outputs] == ["y", "h", "c"]
    whole = module(X[:1], zeros)["y"].detach().numpy()
    stream = model.stream()
    for step in range(5):
        frame = stream.step(X[:1, step : step + 1].numpy())
        np.testing.assert_allclose(frame, whole[:, step : step + 1], atol=1e-6)


def test_a_module_without_state_streams() -> None:
    torch.manual_seed(1)
    module = nn.LSTM(8, 6, 2, batch_first=True).eval()
    stream = converted(module, X).stream()
    whole = module(X[:1])[0].detach().numpy()
    for step in range(5):
        frame = stream.step(X[:1, step : step + 1].numpy())
        np.testing.assert_allclose(
            frame[0] if isinstance(frame, tuple) else frame, whole[:, step : step + 1], atol=1e-6
        )


class Steps(nn.Module):
    """A loop over a cell."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Any) -> Any:
        state, outputs = None, []
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs, 1), state


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_loops_over_cells(kind: str, bias: bool) -> None:
    torch.manual_seed(1)
    module = Steps(getattr(nn, kind)(8, 6, bias=bias)).eval()
    model = converted(module, X)
    assert_equal(model, module, (X,))


# ---- Packed sequences ----


class Packed(nn.Module):
    def __init__(self, layer: nn.Module, sorted_: bool, fill: float = 0.0) -> None:
        super().__init__()
        self.layer, self.sorted, self.fill = layer, sorted_, fill
        self.dense = nn.Linear(8, 8)

    def forward(self, x: Any, lengths: Any) -> Any:
        first = self.layer.batch_first
        packed = PACK(x, lengths, batch_first=first, enforce_sorted=self.sorted)
        packed = nn.utils.rnn.PackedSequence(self.dense(packed.data), *packed[1:])
        packed, state = self.layer(packed)
        return UNPACK(packed, batch_first=first, padding_value=self.fill), state


@pytest.mark.parametrize("fill", [0.0, -1.5])
@pytest.mark.parametrize("layer", LAYERS)
def test_packed_sequences(layer: str, fill: float) -> None:
    torch.manual_seed(1)
    module = Packed(LAYERS[layer](), False, fill).eval()
    lengths = torch.tensor([3, 5, 1] if module.layer.batch_first else [2, 3, 1, 3, 1])
    model = converted(module, X, lengths)
    assert_equal(model, module, (X, lengths))


def test_packed_sequences_that_are_sorted() -> None:
    module = Packed(nn.GRU(8, 6, batch_first=True), True).eval()
    lengths = torch.tensor([5, 4, 2])
    assert_equal(converted(module, X, lengths), module, (X, lengths))


def test_what_mixes_packed_rows_is_refused() -> None:
    class Mean(nn.Module):
        def forward(self, x: Any, lengths: Any) -> Any:
            return PACK(x, lengths, batch_first=True).data.mean()

    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"packed\.data"):
        converted(Mean(), X, torch.tensor([5, 3, 1]))


def test_torch_is_as_it_was_after_an_export() -> None:
    before = (PACK.__code__, UNPACK.__code__, nn.LSTM.forward, dict(torch.ops.aten.lstm.input.py_kernels))
    converted(nn.LSTM(8, 6).eval(), X)
    assert before == (PACK.__code__, UNPACK.__code__, nn.LSTM.forward, dict(torch.ops.aten.lstm.input.py_kernels))


@pytest.mark.parametrize("lacks", ["module", "attribute", "setting", "quantisation"])
def test_a_torch_that_lacks_what_is_private_to_it(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if lacks == "module":
        monkeypatch.setitem(sys.modules, "torch.fx.experimental._config", None)
    elif lacks == "attribute":
        monkeypatch.delattr(torch.ops.aten.lstm.input, "py_kernels")
    elif lacks == "setting":
        settings = importlib.import_module("torch.fx.experimental._config")
        monkeypatch.delitem(settings._config, "backed_size_oblivious")
    else:
        monkeypatch.delitem(sys.modules, "lstm_rt.converters.torch.quantized", raising=False)
        monkeypatch.setitem(sys.modules, "torch.ao.nn.quantized", None)
    with pytest.raises(lstm_rt.MissingPackageError, match=r"Known to work is torch 2\.13\. Install it"):
        converted(nn.LSTM(8, 6).eval(), X)
    monkeypatch.undo()
    converted(nn.LSTM(8, 6).eval(), X)


# ---- Quantised modules ----


class Tagger(nn.Module):
    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.out = layer, nn.Linear(width, 4)

    def forward(self, x: Any) -> Any:
        y, state = self.layer(x)
        return self.out(y), state


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_quantised_modules_keep_their_integers(kind: Any, bidirectional: bool) -> None:
    torch.manual_seed(1)
    layer = kind(8, 32, 2, batch_first=True, bidirectional=bidirectional)
    module = Tagger(layer, 64 if bidirectional else 32).eval()
    quantised = torch.ao.quantization.quantize_dynamic(module, {kind, nn.Linear}, dtype=torch.qint8)
    model = converted(quantised, X)
    assert model.inputs[0].shape == (None, None, 8)
    calls = model.calls({"x": X.numpy().shape})
    assert {call.precision for call in calls if call.type in ("LSTM", "GRU", "MatMul")} == {"int8"}
    ours, theirs, exact = model(X.numpy())[0], quantised(X)[0].detach().numpy(), module(X)[0].detach().numpy()
    error = np.abs(theirs - exact).max()
    assert error > 0
    assert np.abs(ours - exact).max() < 1.5 * error  # activations are rounded finer than torch does, weights alike
    np.testing.assert_allclose(ours, theirs, atol=2 * error)


def test_quantised_to_half_is_refused() -> None:
    sequence = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 4)), {nn.Linear}, dtype=torch.float16)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="not int8"):
        converted(sequence.eval(), X)


# ---- Ways in, and refusals ----


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(x)[0])


@pytest.mark.parametrize("way", ["script", "trace"])
def test_torchscript(way: str, tmp_path: pathlib.Path) -> None:
    module = Scripted().eval()
    script = torch.jit.script(module) if way == "script" else torch.jit.trace(module, X)
    torch.jit.save(script, tmp_path / "model.jit")
    model = lstm_rt.from_torch(tmp_path / "model.jit", (X,), selftest=False)
    assert_equal(model, module, (X,))


def test_training_mode_is_left_on_a_copy() -> None:
    module = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(5), nn.Dropout(0.9))
    assert_equal(converted(module, X), module.eval(), (X,))
    module.train()
    converted(module, X)
    assert module.training
    assert all(part.training for part in module)


def test_dynamic_shapes_are_the_users() -> None:
    model = converted(nn.Linear(8, 4).eval(), X, dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert model.inputs[0].shape == (None, 5, 8)


@pytest.mark.parametrize("function", [lambda x: x.squeeze(1), lambda x: x + x.mT])
def test_a_dim_that_has_to_be_1(function: Any) -> None:
    x = torch.randn(1, 1, 8)
    module = Of(function)
    model = converted(module, x)
    assert_equal(model, module, (x,))


def test_code_that_branches_on_a_free_dim_fails_the_check() -> None:
    module = Of(lambda x: x if x.shape[1] == 1 else -x)
    with pytest.raises(lstm_rt.CheckError, match="differs from torch"):
        converted(module, torch.randn(1, 1, 8))


def test_an_exported_program() -> None:
    module = nn.Linear(8, 4).eval()
    program = torch.export.export(module, (X,))
    assert_equal(lstm_rt.from_torch(program), module, (X,))
    with pytest.raises(lstm_rt.ArgumentError, match="has its own"):
        lstm_rt.from_torch(program, (X,))


def test_changes_in_place_of_a_saved_program(tmp_path: pathlib.Path) -> None:
    module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)).eval()
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(module, (X,)), path)
    assert_equal(lstm_rt.load(path), module, (X,))


VIEWS: dict[str, Any] = {
    "select": lambda y: y[:, 0],
    "swapdims": lambda y: y.swapdims(0, 1),
    "moveaxis": lambda y: y.moveaxis(0, 1),
    "reshape_as": lambda y: y.reshape_as(y),
    "broadcast_to": lambda y: y.broadcast_to(3, 5, 8),
}


@pytest.mark.parametrize("view", VIEWS)
def test_changes_in_place_of_what_is_seen_elsewhere_are_refused(view: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.pt2"

    def function(x: Any) -> Any:
        y = x * 2
        VIEWS[view](y).mul_(3)
        return y

    torch.export.save(torch.export.export(Of(function), (X,)), path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="run_decompositions"):
        lstm_rt.load(path)


def test_everything_wrong_is_said_at_once() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x: Any) -> Any:
            return torch.fft.rfft(x).abs() + torch.special.bessel_j0(x)[..., :5] + torch.rand(5)

    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        converted(Wrong(), X)
    text = str(caught.value)
    assert "_fft_r2c" in text
    assert "bessel_j0" in text
    assert "random numbers" in text
    assert len(caught.value.problems) == 3  # and nothing of what only uses them


def test_what_cannot_be_exported() -> None:
    class Branch(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"torch.export cannot export .*Branch"):
        converted(Branch(), X)
    with pytest.raises(lstm_rt.ArgumentError, match="example_inputs"):
        lstm_rt.from_torch(nn.Linear(8, 4))


def test_memory_of_its_own_is_refused() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x: Any) -> Any:
            self.count += 1
            return x + self.count

    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"'count'.*its own memory"):
        converted(Counter(), X)


def test_float64_is_refused() -> None:
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"float64 is not supported.*\.float\(\)"):
        converted(nn.Linear(8, 4).double().eval(), X.double())


# ---- The file ----


def test_a_file_is_read_without_torch(tmp_path: pathlib.Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None  # importing it fails
import numpy as np, lstm_rt
model = lstm_rt.load({str(GOLDEN / "tagger.pt2")!r})
data = np.load({str(GOLDEN / "tagger.npz")!r})
y, h, c = model(data["words"])
assert np.abs(y - data["y"]).max() < 1e-6, np.abs(y - data["y"]).max()
assert np.abs(h - data["h"]).max() < 1e-6 and np.abs(c - data["c"]).max() < 1e-6
print("read", model.metadata)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("read")


def saved(module: nn.Module, *inputs: Any) -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(module, inputs), file)
    return file.getvalue()


def test_weights_that_are_shared_and_views() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(9, 8), nn.Linear(8, 9, bias=False)
            self.out.weight = self.embed.weight
            self.register_buffer("turned", torch.randn(8, 8).t())

        def forward(self, words: Any) -> Any:
            return self.out(self.embed(words) @ self.turned)

    module, words = Tied().eval(), torch.tensor([[1, 2, 3]])
    from lstm_rt.converters.torch.exported import from_exported

    graph = from_exported(saved(module, words))
    assert graph.source.framework.startswith("torch 2")
    assert_equal(converted(module, words), module, (words,))
