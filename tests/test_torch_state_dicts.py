"""State dicts as people save them: weights kept in parts, wrappers' prefixes, checkpoints with objects, in memory."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lstm_rt
from lstm_rt.recipes import GRU, LSTM, Conv1d, ConvTranspose1d, Input, Linear, Recipe, draft_recipe

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its files are NOT tested against it")
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, parametrize, prune, remove_spectral_norm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*(weight_norm|torch.nn.utils).*deprecated")
Saved = Callable[[Any, pathlib.Path], Any]


def to_file(content: Any, folder: pathlib.Path) -> Any:
    torch.save(content, folder / "w.pt")
    return folder / "w.pt"


def in_memory(content: Any, folder: pathlib.Path) -> Any:
    return content


def first_output(model: lstm_rt.Model, x: Any) -> Any:
    return next(iter(model.run({model.inputs[0].name: x.numpy()}).values()))


def largest_error(source: Any, layer: Any, module: nn.Module, x: Any, **options: Any) -> float:
    model = lstm_rt.from_torch(source, recipe=Recipe({"x": Input(tuple(x.shape))}, [layer]), **options)
    with torch.no_grad():
        wanted = module.eval()(x)
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    return float(np.abs(first_output(model, x) - wanted.numpy()).max())


LAYERS: dict[str, tuple[Callable[[], nn.Module], Any, str, tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(5, 4), Linear("m"), "weight", (3, 5)),
    "square Linear": (lambda: nn.Linear(5, 5), Linear("m"), "weight", (3, 5)),
    "Conv1d": (lambda: nn.Conv1d(5, 4, 3), Conv1d("m"), "weight", (1, 5, 9)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(5, 4, 3), ConvTranspose1d("m"), "weight", (1, 5, 9)),
    "one channel": (lambda: nn.Conv1d(5, 1, 3), Conv1d("m"), "weight", (1, 5, 9)),
    "LSTM": (lambda: nn.LSTM(5, 4), LSTM("m"), "weight_hh_l0", (3, 1, 5)),
    "GRU": (lambda: nn.GRU(5, 5, 2), GRU("m"), "weight_ih_l1", (3, 1, 5)),
}
NORMS: dict[str, Callable[[nn.Module, str], Any]] = {
    "weight_norm": torch.nn.utils.weight_norm,
    "weight_norm of all": lambda module, name: torch.nn.utils.weight_norm(module, name, dim=None),
    "weight_norm of axis 1": lambda module, name: torch.nn.utils.weight_norm(module, name, dim=1),
    "parametrizations.weight_norm": parametrizations.weight_norm,
    "spectral_norm": torch.nn.utils.spectral_norm,
    "parametrizations.spectral_norm": parametrizations.spectral_norm,
    "pruning": lambda module, name: prune.l1_unstructured(module, name, 0.5),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_weight_kept_in_parts_is_computed(layer: str, norm: str, tmp_path: pathlib.Path) -> None:
    torch.manual_seed(0)
    make, described, name, shape = LAYERS[layer]
    module = NORMS[norm](make(), name).train()
    x = torch.randn(shape)
    module(x)  # spectral norm computes its vectors while it trains
    content = {f"m.{key}": value for key, value in module.state_dict().items()}
    assert largest_error(to_file(content, tmp_path), described, module, x) < 1e-5


def test_spectral_norm_over_either_axis_is_refused(tmp_path: pathlib.Path) -> None:
    module = torch.nn.utils.spectral_norm(nn.Conv1d(4, 4, 3))
    recipe = Recipe({"x": Input((1, 4, 9))}, [Conv1d("m", weights="")])
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"'weight': its spectral norm may be over either"):
        lstm_rt.from_torch(module.state_dict(), recipe=recipe)
    x = torch.randn(1, 4, 9)
    removed = remove_spectral_norm(module)
    assert largest_error(removed.state_dict(), Conv1d("m", weights=""), removed, x) < 1e-5


class Doubled(nn.Module):
    def forward(self, weight: Any) -> Any:
        return 2 * weight


@pytest.mark.parametrize("stacked", [False, True])
def test_unknown_parametrization_is_refused_by_name(stacked: bool) -> None:
    module = nn.Linear(3, 2)
    if stacked:
        module = parametrizations.spectral_norm(parametrizations.weight_norm(module))
    else:
        parametrize.register_parametrization(module, "weight", Doubled())
    recipe = Recipe({"x": Input((1, 3))}, [Linear("m", weights="")])
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"'weight': a parametrization computes it.*remove_param"):
        lstm_rt.from_torch(module.state_dict(), recipe=recipe)


def _dropped(state: dict[str, Any], how: str) -> dict[str, Any]:
    """The names of salesforce's WeightDrop, of fastai's, and of fastai's with what dropout left of the weight."""
    inner = "m" if how == "in place" else "m.module"
    names = {f"{inner}.{key}": value for key, value in state.items() if key != "weight_hh_l0"}
    names["m.weight_hh_l0_raw"] = state["weight_hh_l0"]
    if how == "both":
        names["m.module.weight_hh_l0"] = state["weight_hh_l0"] * 0
    return names


@pytest.mark.parametrize("how", ["in place", "wrapped", "both"])
def test_weight_drop_uses_the_raw_weight(how: str, tmp_path: pathlib.Path) -> None:
    module, x = nn.LSTM(5, 4), torch.randn(3, 1, 5)
    source = to_file(_dropped(module.state_dict(), how), tmp_path)
    layer = LSTM("m", weights="m" if how == "in place" else "m.module")
    assert largest_error(source, layer, module, x) < 1e-5


@pytest.mark.parametrize("place", ["_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.{}", "module.module.{}"])
def test_prefix_of_a_wrapper_is_dropped(place: str, tmp_path: pathlib.Path) -> None:
    module, x = nn.Linear(5, 4), torch.randn(3, 5)
    content = {place.format(f"m.{key}"): value for key, value in module.state_dict().items()}
    assert largest_error(to_file(content, tmp_path), Linear("m"), module, x) < 1e-5


def test_compiled_part_of_a_module_has_its_plain_name(tmp_path: pathlib.Path) -> None:
    module, x = nn.Linear(5, 4), torch.randn(3, 5)
    content = {f"net._orig_mod.m.{key}": value for key, value in module.state_dict().items()}
    content["other"] = torch.zeros(1)
    for weights in ("net.m", "net._orig_mod.m"):
        assert largest_error(to_file(content, tmp_path), Linear("m", weights=weights), module, x) < 1e-5


# ---- Checkpoints with objects ----


class Setting:
    """Of a training script."""

    def __init__(self) -> None:
        self.inner, self.rate = [nn.Linear(2, 2)], 0.1


def _function() -> None: ...


_UNREAD = ("complex tensor", 1)  # in the old layout, storages are in the way of each other


HYPER: dict[str, Callable[[], Any]] = {
    "number": lambda: {"lr": 1e-3},
    "loss": lambda: {"criterion": nn.MSELoss()},
    "module": lambda: {"net": nn.Sequential(nn.Linear(2, 2), nn.ReLU())},
    "class": lambda: {"optimizer": torch.optim.Adam},
    "function": lambda: {"activation": torch.relu, "own": _function},
    "object": lambda: [Setting(), {"deep": (Setting(), {Setting})}],
    "key": lambda: {Setting: 1},
    "complex tensor": lambda: {"spectrum": torch.zeros(3, dtype=torch.complex64)},
    "array": lambda: {"mean": np.zeros(3), "of": np.float64(1)},
}


@pytest.mark.parametrize(("what", "old"), [(what, old) for what in HYPER for old in (0, 1) if (what, old) != _UNREAD])
def test_checkpoint_with_objects_gives_its_weights(what: str, old: int, tmp_path: pathlib.Path) -> None:
    module, x = nn.LSTM(5, 6), torch.randn(7, 2, 5)
    content = {"epoch": 3, "hyper_parameters": HYPER[what](), "state_dict": module.state_dict()}
    torch.save(content, tmp_path / "last.ckpt", _use_new_zipfile_serialization=not old)
    model = lstm_rt.from_torch(tmp_path / "last.ckpt", key="state_dict")
    assert np.abs(first_output(model, x) - module(x)[0].detach().numpy()).max() < 1e-5
    notes = " ".join(model.conversion.notes) if model.conversion else ""
    assert ("were not read" in notes) == (
        what in ("loss", "module", "class", "function", "object", "key", "complex tensor")
    )


def test_weight_of_an_unknown_class_is_refused(tmp_path: pathlib.Path) -> None:
    class Odd(torch.Tensor):
        pass

    globals()["Odd"] = Odd
    Odd.__qualname__ = "Odd"
    content = nn.Linear(5, 4).state_dict()
    content["weight"] = content["weight"].as_subclass(Odd)
    recipe = Recipe({"x": Input((1, 5))}, [Linear("m", weights="")])
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"no weight 'weight'(?s:.*)Odd.* were not read"):
        lstm_rt.from_torch(to_file(content, tmp_path), recipe=recipe)


# ---- In memory ----


@pytest.mark.parametrize("save", [to_file, in_memory])
def test_state_dict_equals_its_file(save: Saved, tmp_path: pathlib.Path) -> None:
    module, x = nn.LSTM(5, 6), torch.randn(7, 2, 5)
    model = lstm_rt.from_torch(save(module.state_dict(), tmp_path))
    assert np.abs(first_output(model, x) - module(x)[0].detach().numpy()).max() < 1e-5


FORMS: dict[str, Callable[[Any], Any]] = {
    "parameters": lambda module: dict(module.named_parameters()),
    "arrays": lambda module: {key: value.numpy() for key, value in module.state_dict().items()},
    "float64": lambda module: {key: value.double() for key, value in module.state_dict().items()},
    "turned": lambda module: {
        key: value.t().contiguous().t() if value.dim() == 2 else value for key, value in module.state_dict().items()
    },
    "checkpoint": lambda module: {"epoch": 1, "model": module.state_dict(), "optimizer": {"state": {}}},
}


@pytest.mark.parametrize("form", FORMS)
def test_mapping_in_memory_is_taken(form: str) -> None:
    module, x = nn.Linear(5, 4), torch.randn(3, 5)
    assert largest_error(FORMS[form](module), Linear("m", weights=""), module, x) < 1e-5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_in_memory_equals_its_file(dtype: str, tmp_path: pathlib.Path) -> None:
    state = nn.LSTM(5, 6).to(getattr(torch, dtype)).state_dict()
    x = torch.randn(3, 1, 5)
    outputs = [first_output(lstm_rt.from_torch(source), x) for source in (state, to_file(state, tmp_path))]
    assert outputs[0].tobytes() == outputs[1].tobytes()


# ---- Drafts ----

DRAFTED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)), (2, 5)),
    "convolutions": (lambda: nn.Sequential(nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4), nn.Conv1d(4, 3, 1)), (2, 5, 9)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose1d(5, 4, 3), nn.PReLU()), (2, 5, 9)),
    "normalised": (lambda: nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4)), (2, 3, 5)),
    "images": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3)), (2, 1, 9, 9)),
}


@pytest.mark.parametrize("name", DRAFTED)
def test_draft_of_a_plain_stack_is_its_recipe(name: str, tmp_path: pathlib.Path) -> None:
    make, shape = DRAFTED[name]
    module, x = make().eval(), torch.randn(shape)
    text = draft_recipe(to_file(module.state_dict(), tmp_path))
    (tmp_path / "net.toml").write_text(
        text.replace('["batch", "time", 5]', '["batch", 5]' if len(shape) == 2 else '["batch", "time", 5]')
    )
    model = lstm_rt.from_torch(tmp_path / "w.pt", recipe=tmp_path / "net.toml")
    assert np.abs(first_output(model, x) - module(x).detach().numpy()).max() < 1e-5


class Tagger(nn.Module):
    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.embed, self.conv = nn.Embedding(30, 8), nn.Conv1d(8, 6, 3)
        self.rnn = kind(6, 5, batch_first=True, **options)
        self.head = nn.Linear(10 if options.get("bidirectional") else 5, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(self.conv(self.embed(x).transpose(1, 2)).transpose(1, 2))[0])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "bidirectional"])
def test_draft_of_a_tagger_is_its_recipe(kind: str, tmp_path: pathlib.Path) -> None:
    options = {"bidirectional": True} if kind == "bidirectional" else {"num_layers": 2}
    module, x = Tagger(getattr(nn, kind, nn.LSTM), **options).eval(), torch.randint(0, 30, (2, 9))
    (tmp_path / "net.toml").write_text(draft_recipe(module.state_dict()))
    model = lstm_rt.from_torch(module.state_dict(), recipe=tmp_path / "net.toml")
    assert np.abs(first_output(model, x) - module(x).detach().numpy()).max() < 1e-5


def test_weights_without_recipe_are_answered_with_a_draft() -> None:
    state = Tagger(nn.GRU).state_dict()
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        lstm_rt.from_torch(state)
    assert draft_recipe(state) in str(caught.value) + "\n"
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"\(a\.weight, a\.bias\) and does"):
        lstm_rt.from_torch({"a.weight": np.zeros((2, 3), np.float32), "a.bias": np.zeros(2, np.float32)})


def test_draft_of_strange_names_is_toml(tmp_path: pathlib.Path) -> None:
    name = 'a"\\\n\x7f\u00e9#.weight'
    (tmp_path / "net.toml").write_text(draft_recipe({name: np.ones((2, 3), np.float32), "#\n[x]": np.ones(2)}), "utf-8")
    recipe = Recipe.from_toml(tmp_path / "net.toml")
    assert [layer.name for layer in recipe.layers] == [name[: -len(".weight")]]


def test_command_recipe_prints_the_draft(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    testing = pytest.importorskip("typer.testing", reason="typer is not installed: the command line is NOT tested")
    from lstm_rt.cli.app import app

    state = Tagger(nn.LSTM).state_dict()
    path = to_file({"net": state, "ema": state}, tmp_path)
    done = testing.CliRunner().invoke(app, ["recipe", str(path), "--key", "net"])
    assert done.exit_code == 0
    assert done.stdout == draft_recipe(path, "net")
    assert io.StringIO(done.stdout).readline().startswith("# A draft")
