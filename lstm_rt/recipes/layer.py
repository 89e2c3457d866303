"""What a layer of a recipe is: its options, and how it becomes ops."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Optional, TypeVar, Union

from lstm_rt.converters import Builder, Refusal, Value
from lstm_rt.converters.graph import Array
from lstm_rt.converters.torch.checkpoint import COMPILED, Weights

Results = Union[Value, dict[str, Value]]  # one value, or several by name: "" is what the layer's own name stands for


@dataclass
class Place:
    """Where a layer is built: the graph, and its weights.

    Attributes
    ----------
    build : Builder
        Of the graph.
    weights : Weights
        All of the model.
    prefix : str
        What the names of the layer's own weights begin with.
    """

    build: Builder
    weights: Weights
    prefix: str = ""

    def has(self, name: str) -> bool:
        """Say whether the layer has a weight of this name."""
        return self.weights.has(self.prefix + name)

    def get(self, name: str, *shape: Optional[int]) -> Array:
        """Take a weight of the layer, which must have a shape (None: any)."""
        return self.weights.get(self.prefix + name, *shape)

    def maybe(self, name: str, *shape: Optional[int]) -> Optional[Array]:
        """Take a weight of the layer if it is there."""
        return self.get(name, *shape) if self.has(name) else None


@dataclass(frozen=True)
class Layer:
    """Base of all layers.

    Parameters
    ----------
    name : str
        What other layers and outputs call it; made up where left out.
    inputs : str or sequence of str
        Whose results it takes: names of inputs and layers. The layer before it where left out.
    """

    name: str = ""
    inputs: Union[str, Sequence[str]] = ()

    least: ClassVar[int] = 1  # inputs
    most: ClassVar[Optional[int]] = 1

    def build(self, at: Place, *inputs: Value) -> Results:
        """Add the ops of the layer."""
        raise NotImplementedError

    def prefix(self) -> Optional[str]:
        """Give what its weights' names begin with; None where it has no weights."""
        return None


@dataclass(frozen=True)
class Weighted(Layer):
    """Base of layers that have weights.

    Parameters
    ----------
    weights : str, optional
        Where its weights are: what their names begin with in the file, without the last dot (``"encoder.lstm"``). The
        layer's name where left out.
    """

    weights: Optional[str] = None

    def prefix(self) -> Optional[str]:
        """Give what its weights' names begin with."""
        where = (self.name if self.weights is None else self.weights).replace(COMPILED, "")
        return f"{where}." if where else ""


_L = TypeVar("_L", bound=type[Layer])

_kinds: dict[str, type[Layer]] = {}


def layer(cls: _L) -> _L:
    """Register a layer under the name of its class."""
    _kinds[cls.__name__] = cls
    return cls


def kinds() -> dict[str, type[Layer]]:
    """List the layers that recipes may use.

    Returns
    -------
    dict of str to type
        By name, in alphabetical order.
    """
    return dict(sorted(_kinds.items()))


def options(cls: type[Layer]) -> list[dataclasses.Field[object]]:
    """List the options of a layer beside those that all have."""
    common = {field.name for field in dataclasses.fields(Weighted)}
    return [field for field in dataclasses.fields(cls) if field.name not in common]


def agree(given: Optional[object], found: object, what: str) -> None:
    """Refuse an option that contradicts the weights; one left out says what they say."""
    if given is not None and given != found:
        raise Refusal(f"{what} is {given!r}, but the weights are those of {found!r}. Leave it out, or correct it.")
