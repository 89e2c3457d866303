"""Hands each layer the arrays that are its own, in the order in which Keras made them.

Keras 3 (and .keras of 2.12 on) keeps a tree: a group for each layer, its variables numbered. The older .h5 keeps a flat
list for each outermost layer. A handler asks for both in one way: by path and by the names of what is there.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..graph import MAX_RANK, Array
from ..problems import Refusal
from .hdf5 import Group

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_NOT_WEIGHTS = re.compile(r"(^|/)(seed_generator|_?random_generator|optimizer|_metrics|metrics|compile_metrics)(/|$)")


class Owner(NamedTuple):
    """A layer that weights are looked up for."""

    kind: str
    name: str
    inside: frozenset[str] = frozenset()  # names of the layers within it, at any depth


# How many dims the weights of a name have at least and at most.
_RANKS = {
    **dict.fromkeys(("kernel", "recurrent_kernel"), (2, 5)),
    **dict.fromkeys(("depthwise_kernel", "pointwise_kernel"), (3, 5)),
    "bias": (1, 3),
    "embeddings": (2, 2),
    "concat_score_weight": (0, 0),
    **{f"{part}_{gate}": ranks for part, ranks in (("W", (2, 2)), ("U", (2, 2)), ("b", (1, 1))) for gate in range(4)},
}
_ALIKE = ("gamma", "beta", "moving_mean", "moving_variance")


def checked(names: Sequence[str], arrays: list[Array]) -> list[Array]:
    """Return the variables of a layer; refuse those whose dims no layer has."""
    for name, array in zip(names, arrays):
        if array.dtype != np.float32:
            raise Refusal(f"its {name} has elements of type {array.dtype}, not of a float type. The file is damaged.")
        least, most = _RANKS.get(name, (0, MAX_RANK))
        if not least <= array.ndim <= most or 0 in array.shape:
            raise Refusal(f"its {name} has the shape {list(array.shape)}, which cannot be. The file is damaged.")
    alike = {array.shape for name, array in zip(names, arrays) if name in _ALIKE}
    if len(alike) > 1:
        listed = " and ".join(str(list(shape)) for shape in sorted(alike))
        raise Refusal(f"its scales and means have different shapes, {listed}. The file is damaged.")
    return arrays


class Weights(ABC):
    """The weights of a layer or model."""

    @abstractmethod
    def take(self, names: Sequence[str]) -> list[Array]:
        """The variables of the layer itself, which are as many as `names` and in their order."""

    @abstractmethod
    def rest(self) -> list[Array]:
        """All variables that have not been taken."""

    @abstractmethod
    def at(self, *names: str) -> Weights:
        """Those of a layer inside this one, which Keras may know by several names."""

    @abstractmethod
    def each(self, layers: Sequence[Owner]) -> list[Weights]:
        """Those of each layer of a list."""

    @abstractmethod
    def layers(self, layers: Sequence[Owner]) -> list[Weights]:
        """Those of each layer of a model."""

    def is_empty(self) -> bool:
        """Whether nothing is stored for the layer, nor for any layer within it."""
        return False

    def fresh(self) -> Weights:
        """The same, with nothing taken: a shared layer is called, and reads them, more than once."""
        return self

    @abstractmethod
    def left(self) -> list[str]:
        """What nobody took."""


# ---- Trees ----


class LayeredWeights(Weights):
    """A group of a tree; `group` is None for a layer without weights."""

    def __init__(self, group: Group | None) -> None:
        self._group = group
        self._inside: dict[tuple[str, ...], LayeredWeights] = {}
        self._taken = False

    def take(self, names: Sequence[str]) -> list[Array]:
        """See `Weights`."""
        self._taken = True
        variables = self._variables()
        found = sorted(int(name) for name in (variables.names() if variables else ()) if name.isdigit())
        if len(found) != len(names) or found != list(range(len(found))):
            raise Refusal(
                f"the file has {len(found)} weights for it, not {len(names)} ({', '.join(names)}). "
                "The file does not belong to this model, or the layer was never built."
            )
        assert variables is not None or not found
        return checked(names, [variables.array(str(i)) for i in found] if variables else [])

    def rest(self) -> list[Array]:
        """See `Weights`."""
        if self._group is None:
            return []
        self._taken = True
        return [self._group.array(path) for path in self._paths()]

    def at(self, *names: str) -> Weights:
        """See `Weights`."""
        if names not in self._inside:
            groups = (self._group.group(name) if self._group else None for name in names)
            self._inside[names] = LayeredWeights(next((g for g in groups if g), None))
        return self._inside[names]

    def layers(self, layers: Sequence[Owner]) -> list[Weights]:
        """See `Weights`."""
        container = next((c for c in (self.at(name) for name in _CONTAINERS) if c._group), None)  # type: ignore[attr-defined]
        return container.each(layers) if container else [LayeredWeights(None) for _ in layers]

    def each(self, layers: Sequence[Owner]) -> list[Weights]:
        """See `Weights`."""
        named = self._by_name()
        counts: dict[str, int] = {}
        found: list[Weights] = []
        for owner in layers:
            snake = _snake(owner.kind)
            number = counts[snake] = counts.get(snake, -1) + 1
            found.append(self.at(named.get(owner.name, f"{snake}_{number}" if number else snake)))
        return found

    def is_empty(self) -> bool:
        """See `Weights`."""
        return self._group is None or not self._paths()

    def left(self) -> list[str]:
        """See `Weights`."""
        if self._group is None:
            return []
        own = [] if self._taken else [path for path in self._paths() if path.startswith("vars/")]
        touched = [name for names in self._inside for name in names]
        untouched = [
            path
            for path in self._paths()
            if not path.startswith("vars/") and not any(path.startswith(f"{name}/") for name in touched)
        ]
        inside = [path for weights in self._inside.values() for path in weights.left()]
        return [f"{self._group.path}/{path}" for path in own + untouched] + inside

    def _variables(self) -> Group | None:
        return self._group.group("vars") if self._group else None

    def _paths(self) -> list[str]:
        assert self._group is not None
        return [path for path in self._group.walk() if not _NOT_WEIGHTS.search(path)]

    def _by_name(self) -> dict[str, str]:
        """Group of each layer by the layer's name, which newer files say."""
        named: dict[str, str] = {}
        for name in self._group.names() if self._group else ():
            assert self._group is not None
            variables = self._group.group(f"{name}/vars")
            layer = variables.attribute("name") if variables else None
            if isinstance(layer, str):
                named.setdefault(layer, name)
        return named


def _snake(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


# ---- Lists ----


@dataclass
class _Named:
    """An array of a list, which is read when it is asked for."""

    path: str
    group: Group

    def read(self) -> Array:
        return self.group.array(self.path)


@dataclass
class LegacyWeights(Weights):
    """The list of one outermost layer. Layers inside it take theirs from the same list, one after the other."""

    items: list[_Named] = field(default_factory=list)

    def fresh(self) -> Weights:
        """See `Weights`."""
        return LegacyWeights(list(self.items))

    def take(self, names: Sequence[str]) -> list[Array]:
        """See `Weights`."""
        if len(self.items) < len(names):
            raise Refusal(
                f"the file has {len(self.items)} weights for it, not {len(names)} ({', '.join(names)}). "
                "The file does not belong to this model, or the layer was never built."
            )
        taken = self.items[: len(names)]
        del self.items[: len(names)]
        return checked(names, [item.read() for item in taken])

    def rest(self) -> list[Array]:
        """See `Weights`."""
        taken, self.items[:] = list(self.items), []
        return [item.read() for item in taken]

    def at(self, *names: str) -> Weights:
        """See `Weights`."""
        return self

    def each(self, layers: Sequence[Owner]) -> list[Weights]:
        """See `Weights`.

        Names tell the layers apart if all of them do; else each takes its weights from the list in turn.
        """
        owners = [_owners(item.path, layers) for item in self.items]
        if any(len(found) != 1 for found in owners):
            return [self for _ in layers]
        lists = [LegacyWeights() for _ in layers]
        for item, (number,) in zip(self.items, owners):
            lists[number].items.append(item)
        self.items.clear()
        return list(lists)

    def layers(self, layers: Sequence[Owner]) -> list[Weights]:
        """See `Weights`.

        The list of a nested model has the trainable weights of all its layers before the others, so only names tell
        the layers apart. Names within one list are unique, but need not mention the models between: the name of a
        layer of this model goes first, then that of a layer deeper inside. A layer that several of the models share is
        stored once and belongs to each of them.
        """
        lists = [LegacyWeights() for _ in layers]
        left: list[_Named] = []
        for item in self.items:
            owners = _owners(item.path, layers)
            for number in owners:
                lists[number].items.append(item)
            if not owners:
                left.append(item)
        self.items[:] = left
        if left:
            raise Refusal(f"the file does not say whose weight {left[0].path!r} is. Save the model as .keras.")
        return list(lists)

    def left(self) -> list[str]:
        """See `Weights`."""
        return [item.path for item in self.items]


def _owners(path: str, layers: Sequence[Owner]) -> list[int]:
    """The layers, by number, that a weight belongs to: several only if they share what is inside."""
    scopes = path.split("/")[:-1]
    for scope in scopes:
        own = [number for number, owner in enumerate(layers) if owner.name == scope]
        if own:
            return own
    for scope in scopes:
        own = [number for number, owner in enumerate(layers) if scope in owner.inside]
        if own:
            return own
    return []


class LegacyModelWeights(Weights):
    """All the lists of a file, by layer."""

    def __init__(self, group: Group) -> None:
        self._lists: dict[str, LegacyWeights] = {}
        for name in group.texts("layer_names"):
            inside = group.group(name)
            if inside is not None:
                self._lists[name] = LegacyWeights([_Named(path, inside) for path in inside.texts("weight_names")])

    def take(self, names: Sequence[str]) -> list[Array]:
        """See `Weights`."""
        return []

    def rest(self) -> list[Array]:
        """See `Weights`."""
        return []

    def at(self, *names: str) -> Weights:
        """See `Weights`."""
        return self

    def each(self, layers: Sequence[Owner]) -> list[Weights]:
        """See `Weights`."""
        return self.layers(layers)

    def layers(self, layers: Sequence[Owner]) -> list[Weights]:
        """See `Weights`."""
        return [self._lists.get(owner.name, LegacyWeights()) for owner in layers]

    def left(self) -> list[str]:
        """See `Weights`."""
        return [path for weights in self._lists.values() for path in weights.left()]
