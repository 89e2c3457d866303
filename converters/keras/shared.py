"""Finds the weights of layers that several models share: .keras files store them once, at the first of these places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .config import as_object
from .weights import Weights

_LAYER = "layer"  # of a wrapper


@dataclass(frozen=True)
class Part:
    """A layer of a model as its config has it."""

    kind: str
    name: str
    entry: Mapping[str, Any]
    config: Mapping[str, Any]
    weights: Weights


class SharedWeights:
    """All layers of a file that have weights, by class and name."""

    def __init__(self, parts: Iterator[Part]) -> None:
        self._places: dict[tuple[str, str], list[tuple[Any, Weights]]] = {}
        for part in parts:
            if not part.weights.is_empty():
                shared = part.entry.get("shared_object_id")
                self._places.setdefault((part.kind, part.name), []).append((shared, part.weights))

    def find(self, kind: str, name: str, entry: Mapping[str, Any], weights: Weights) -> Weights:
        """Return a layer's own weights, or those stored for the same layer elsewhere if it has none here."""
        if not weights.is_empty():
            return weights
        places = self._places.get((kind, name), [])
        shared = entry.get("shared_object_id")
        same = [place for place in places if shared is not None and place[0] == shared]
        found = same or places
        return found[0][1] if len(found) == 1 else weights


def wrapped(part: Part) -> Iterator[Part]:
    """The layer inside a wrapper."""
    setting = part.config.get(_LAYER)
    if isinstance(setting, Mapping) and isinstance(setting.get("config"), Mapping):
        kind, config = as_object(setting, _LAYER)
        yield Part(kind, str(config.get("name", "")), setting, config, part.weights.at(_LAYER))
