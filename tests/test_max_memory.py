"""`max_memory`: what would take more is refused before it is allocated, and by name."""

from __future__ import annotations

import models
import numpy as np
import pytest
from models import Recurrent

import lstm_rt

MIB = 1 << 20


def test_plans_beyond_the_limit_are_refused() -> None:
    model = lstm_rt.load(Recurrent("LSTM", 4, 64).model(outputs=["Y_h"]), max_memory=2 * MIB)
    model(np.zeros((3, 1, 4), np.float32))
    with pytest.raises(lstm_rt.OutOfMemoryError, match=r"node .*\(LSTM\).*max_memory is 2\.0 MiB"):
        model(np.zeros((3, 5000, 4), np.float32))
    assert model(np.zeros((3, 1, 4), np.float32)).shape[-1] == 64


def test_outputs_beyond_the_limit_are_refused() -> None:
    repeats = np.array([1, 1 << 18, 3 << 8], np.int64)  # 1.5 GiB of nothing but output
    x = np.zeros((1, 1, 1), np.int64)
    proto = models.single_op("Tile", {"x": x}, weights={"repeats": repeats}, outputs={"y": x})
    for limit in (MIB, None):
        model = lstm_rt.load(proto, max_memory=limit)
        for work in (model.run, model.calls):
            with pytest.raises(lstm_rt.OutOfMemoryError, match=r"output 'y', .* needs 1\.5 GiB.*larger max_memory"):
                work({"x": x})


def test_what_is_planned_position_by_position_counts() -> None:
    x = np.zeros((1, 1, 4, 4), np.float32)
    wide = {"sizes": np.array([1, 1, 1, 3 << 15], np.int64)}  # 400 KB, and 800 KB of places
    resize = models.single_op("Resize", {"x": x}, weights=wide, outputs={"y": x}, order=["x", "", "", "sizes"])
    pads = {"pads": np.array([0, 0, 0, 0, 0, 0, 0, 1 << 17], np.int64)}  # 500 KB, and 900 KB of pieces
    pad = models.single_op("Pad", {"x": x}, weights=pads, outputs={"y": x}, mode="wrap", opset=19)
    for proto in (resize, pad):
        assert lstm_rt.load(proto, max_memory=4 * MIB)(x).size > 1 << 15
        with pytest.raises(lstm_rt.OutOfMemoryError, match="max_memory"):
            lstm_rt.load(proto, max_memory=MIB)(x)


def test_weights_beyond_the_limit_are_refused() -> None:
    model = lstm_rt.load(Recurrent("LSTM", 256, 256).model(outputs=["Y"]), max_memory=MIB)
    with pytest.raises(MemoryError, match="max_memory"):
        model(np.zeros((1, 1, 256), np.float32))


def test_pools_beyond_the_limit_are_refused() -> None:
    model = lstm_rt.load(Recurrent("LSTM", 4, 64).model(outputs=["Y"]), max_memory=MIB)
    model.pool(4)
    with pytest.raises(lstm_rt.OutOfMemoryError, match="larger max_memory"):
        model.pool(1 << 16)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_a_number_of_bytes(limit: int) -> None:
    with pytest.raises(lstm_rt.ArgumentError, match="max_memory"):
        lstm_rt.load(Recurrent("LSTM", 4, 4).model(outputs=["Y"]), max_memory=limit)
