"""Real models from their packages' own classes, through torch.export: what torch gave (golden/README.md)."""

from __future__ import annotations

import importlib.util
from typing import Any

import fetch
import numpy as np
import pytest
from close import assert_within
from test_golden import golden

import lstm_rt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: live modules of real models are NOT tested")


@pytest.mark.parametrize(("name", "class_name"), [("bilstm", "MorphBiLSTM"), ("bigru", "MorphBiGRU")])
def test_uzmorph(name: str, class_name: str) -> None:
    data = golden("uzmorph")
    module = _instance(name, class_name)
    model = lstm_rt.from_torch(module, (torch.zeros(1, 30, dtype=torch.int64),))
    assert model.inputs[0].shape == (None, None)
    chars, wanted = data[f"{name}_chars"], data[f"{name}_logits"]
    found = model(chars)[:, : wanted.shape[1]]
    assert_within(found, wanted, 1e-5 * np.abs(wanted).max(), "logits")


def _instance(name: str, class_name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"uzmorph_{name}", fetch.model(f"uzmorph_{name}_class"))
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    weights = torch.load(fetch.model(f"uzmorph_{name}"), map_location="cpu", weights_only=True)
    words, tags = (weights[key].shape[0] for key in ("char_embeddings.weight", "hidden2tag.weight"))
    module = getattr(package, class_name)(words, tags)
    module.load_state_dict(weights)
    return module
