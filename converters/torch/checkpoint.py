"""Finds the weights of a model in what a file holds: a state_dict, or a checkpoint with one somewhere inside."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Optional

from lstm_rt.errors import ArgumentError, ModelFileError, UnsupportedModelError

from ..graph import Array
from ..problems import Refusal
from .derived import Unknown, with_derived
from .files import WeightFile
from .tensors import Tensor
from .unpickle import Opaque
from .weights_pickle import refuse_names

_WRAPPER = "module."  # what DataParallel and its like put before every name
COMPILED = "_orig_mod."  # what torch.compile puts before the names of a module, anywhere
_DEEPEST = 8  # dicts inside each other
# What is kept beside weights to go on training.
_TRAINING = ("optim", "scheduler", "lr_scheduler", "scaler", "grad_scaler", "rng_state", "loops", "callbacks")
_COUNTERS = "num_batches_tracked"


@dataclass
class Weights:
    """The named weights of a model, and which of them were used.

    Attributes
    ----------
    entries : mapping of str to Tensor or Opaque
        By name, as in a state_dict.
    label : str
        The file, for messages.
    used : set of str
        The names that were asked for.
    """

    entries: Mapping[str, object]
    label: str = "the weights"
    used: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Say whether there is a weight of this name."""
        return name in self.entries

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of a weight; refuse where there is none of this name."""
        return self._tensor(name).shape

    def get(self, name: str, *shape: Optional[int]) -> Array:
        """Take a weight.

        Parameters
        ----------
        name : str
            As in the state_dict.
        *shape : int or None
            What it has to be, None where anything will do; nothing at all where the rank is free too.

        Returns
        -------
        numpy.ndarray
            float32 for floats.

        Raises
        ------
        Refusal
            If there is none, or it has another shape.
        """
        tensor = self._tensor(name)
        fits = len(shape) == len(tensor.shape) and all(a in (None, b) for a, b in zip(shape, tensor.shape))
        if shape and not fits:
            wanted = ", ".join("?" if dim is None else str(dim) for dim in shape)
            raise Refusal(f"weight {name!r} has the shape {list(tensor.shape)}, wanted [{wanted}].")
        self.used.add(name)
        return tensor.numbers()

    def tensor(self, name: str) -> Tensor:
        """Take a weight as it lies in the file, quantised ones with their integers."""
        self.used.add(name)
        return self._tensor(name)

    def packed(self, name: str) -> object:
        """Take what a quantised layer was packed into."""
        self.used.add(name)
        return self.entries[name]

    def below(self, prefix: str) -> list[str]:
        """List what comes after a prefix in the names that begin with it."""
        return [name[len(prefix) :] for name in self.entries if name.startswith(prefix)]

    def unused(self) -> list[str]:
        """List the weights that were not asked for; counters of training do not count."""
        return [name for name in self.entries if name not in self.used and not name.endswith(_COUNTERS)]

    def _tensor(self, name: str) -> Tensor:
        found = self.entries.get(name)
        if isinstance(found, Tensor):
            return found
        if isinstance(found, Unknown):
            raise Refusal(f"weight {name!r}: {found.why}")
        if found is not None:
            raise Refusal(f"{name!r} is not a tensor.")
        close = [each for each in self.entries if each.endswith("." + name)]
        close = close or difflib.get_close_matches(name, list(self.entries)[:1000], 3, 0.6)
        hint = f" There is {', '.join(map(repr, close[:3]))}." if close else ""
        raise Refusal(f"there is no weight {name!r} in {self.label}.{hint}")


def find_weights(file: WeightFile, key: str | None = None) -> Weights:
    """Find the weights of a model in a file.

    Parameters
    ----------
    file : WeightFile
        What was read.
    key : str, optional
        Where in it they are, dots between the keys of nested dicts and the parts of names (``"model.encoder"``); ``""``
        for everything. Needed where the file holds several state_dicts.

    Returns
    -------
    Weights
        Without the prefixes that all names share because a wrapper put them there.

    Raises
    ------
    ArgumentError
        If `key` leads nowhere, or is needed.
    UnsupportedModelError
        If there are no named weights.
    """
    if isinstance(file.content, Opaque):
        refuse_names(list(dict.fromkeys([file.content.of.name, *file.skipped])), file.label)
    everything = {
        (place.replace(COMPILED, ""), name.replace(COMPILED, "")): entry
        for (place, name), entry in _flatten(file.content, "", 0, set())
    }
    if not everything:
        refuse_names(file.skipped, file.label)
        raise UnsupportedModelError(
            f"{file.label} holds no named weights. Save them: torch.save(module.state_dict(), path)."
        )
    places = _places(everything)
    if key is None:
        key = _only_place(places, file.label)
    prefix = f"{key}.".replace(COMPILED, "") if key else ""
    chosen = {name[len(prefix) :]: entry for name, entry in _named(everything) if name.startswith(prefix)}
    if not chosen:
        listed = ", ".join(repr(place) for place in places) or "none"
        raise ArgumentError(f"key: {file.label} has nothing under {key!r}. Its state_dicts: {listed}.")
    return Weights(with_derived(_unwrapped(chosen)), file.label)


def _flatten(item: object, place: str, depth: int, seen: set[int]) -> Iterator[tuple[tuple[str, str], object]]:
    """Every tensor by the place of its dict and its name there."""
    if not isinstance(item, (dict, list)) or id(item) in seen:
        return
    seen.add(id(item))
    if depth > _DEEPEST:
        raise ModelFileError(f"its dicts are nested more than {_DEEPEST} deep. Save the state_dict alone.")
    pairs = item.items() if isinstance(item, dict) else enumerate(item)
    for key, value in pairs:
        if _is_weight(key, value):
            yield (place, str(key)), value
        elif not str(key).lower().startswith(_TRAINING):
            inner = f"{place}.{key}" if place else str(key)
            yield from _flatten(value, inner, depth + 1, seen)


def _is_weight(key: object, value: object) -> bool:
    """Whether this is a tensor, or what a quantised layer packed its tensors into."""
    if not isinstance(key, str):
        return False
    packed = key.endswith("_packed_params") and isinstance(value, tuple)
    return packed or isinstance(value, Tensor) or (isinstance(value, Opaque) and value.of.name == "torch.ScriptObject")


def _named(everything: Mapping[tuple[str, str], object]) -> Iterator[tuple[str, object]]:
    for (place, name), entry in everything.items():
        yield f"{place}.{name}" if place else name, entry


def _places(everything: Mapping[tuple[str, str], object]) -> dict[str, int]:
    """Where there are state_dicts, and how many weights each has."""
    counts: dict[str, int] = {}
    for place, _ in everything:
        counts[place] = counts.get(place, 0) + 1
    return counts


def _only_place(places: Mapping[str, int], label: str) -> str:
    if len(places) == 1:
        return next(iter(places))
    listed = ", ".join(f"{place!r} ({number} weights)" for place, number in list(places.items())[:10])
    raise ArgumentError(f"{label} holds several state_dicts: {listed}. Choose one, as in key={next(iter(places))!r}.")


def _unwrapped(entries: dict[str, object]) -> dict[str, object]:
    while entries and all(name.startswith(_WRAPPER) for name in entries):
        entries = {name[len(_WRAPPER) :]: entry for name, entry in entries.items()}
    return entries
