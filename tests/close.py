"""How far float32 may be from the float64 reference, and assertions that say where it was exceeded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from models import Array, Recurrent


def assert_same_bytes(found: Any, expected: Any, what: str = "") -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    if found.tobytes() != expected.tobytes():
        at = np.argwhere(found != expected)
        first = tuple(int(i) for i in at[0]) if len(at) else ()
        raise AssertionError(
            f"{what}: {len(at)} of {found.size} elements differ, the first at {first}: "
            f"{found[first]!r}, expected {expected[first]!r}"
        )


def assert_within(found: Array, expected: Array, tolerance: float, what: str = "") -> None:
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    if not found.size:
        return
    distance = np.abs(found.astype(np.float64) - expected)
    at = np.unravel_index(np.argmax(np.where(np.isnan(distance), np.inf, distance)), distance.shape)
    worst = distance[at]
    assert worst <= tolerance, (
        f"{what}: {worst:.3g} off at {tuple(int(i) for i in at)} "
        f"({found[at]!r}, expected {expected[at]!r}), allowed {tolerance:.3g}"
    )


def assert_layer(found: Mapping[str, Array], layer: Recurrent, feeds: Mapping[str, Array]) -> None:
    """Outputs of a recurrent layer against the reference in float64.

    Allowed is eight times what rounding may cost, and two units in the last place of the largest value: well under 1e-5
    for bounded activations.
    """
    expected = layer.expected(dict(feeds))
    lost = _lost_by_rounding(layer, dict(feeds), expected)
    for name, value in found.items():
        assert value.dtype == np.float32, name
        largest = float(np.abs(expected[name]).max(initial=1.0))
        assert_within(value, expected[name], 8 * lost[name] + 2.4e-7 * largest, f"{name} of {layer}")


def _lost_by_rounding(layer: Recurrent, feeds: dict[str, Array], expected: Mapping[str, Array]) -> dict[str, float]:
    """How far the same equations move in plain float32, and when x moves by one rounding.

    Large weights make a layer chaotic: what it makes of a last bit grows with every step, and how fast is known only by
    trying, several times, since any one error may happen to lie in a direction that does not grow.
    """
    rng = np.random.default_rng(0)
    tries = [layer.expected(feeds, np.float32)]
    for _ in range(4):
        moved = feeds["X"] * (1 + rng.uniform(-(2.0**-23), 2.0**-23, feeds["X"].shape))
        tries.append(layer.expected({**feeds, "X": moved}))
    return {name: max(float(np.abs(t[name] - expected[name]).max(initial=0.0)) for t in tries) for name in expected}
