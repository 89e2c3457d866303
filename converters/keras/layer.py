"""What a handler sees of one call of one layer, and the list of handlers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, Union

from ..builder import Builder
from ..graph import ABSENT, Array, DType, Value
from ..problems import Refusal
from .config import Config
from .weights import Weights

if TYPE_CHECKING:
    from .model import Importer

Dims = tuple[Optional[int], ...]


@dataclass(frozen=True)
class Tensor:
    """A value with what is known of it: its dims (None where free), its dtype, and the mask Keras carries with it."""

    value: Value
    shape: Dims
    dtype: DType = DType.FLOAT32
    mask: Value = ABSENT  # bool, true where it counts; made by Layer.new_mask

    @property
    def rank(self) -> int:
        """How many dims it has."""
        return len(self.shape)

    def to(self, value: Value, shape: Dims | None = None) -> Tensor:
        """Another value, of the same dtype and mask, and of the same shape unless told."""
        return replace(self, value=value, shape=self.shape if shape is None else shape)


Handler = Callable[["Layer"], Union[Tensor, list[Tensor]]]


@dataclass(frozen=True)
class Entry:
    """A kind of layer: its handler, and what the documentation says of it."""

    handle: Handler
    note: str
    pointwise: bool  # computes each place of all but the last axis alone


handlers: dict[str, Entry] = {}


def handler(*kinds: str, note: str = "", pointwise: bool = False) -> Callable[[Handler], Handler]:
    """Register the handler of a class of layers, or of several.

    Examples
    --------
    >>> @handler("Example", note="as in Keras")
    ... def example(layer):
    ...     return layer.input
    """

    def register(function: Handler) -> Handler:
        for kind in kinds:
            if kind in handlers:
                raise ValueError(f"{kind} has a handler already")
            handlers[kind] = Entry(function, note, pointwise)
        return function

    return register


@dataclass
class Layer:
    """One call of one layer."""

    importer: Importer
    kind: str
    name: str
    config: Config
    weights: Weights
    args: list[Any]
    kwargs: dict[str, Any] = field(default_factory=dict)
    mask_is_given: bool = False  # by the call, not carried by its input

    @property
    def build(self) -> Builder:
        """Where ops are added."""
        return self.importer.build

    @property
    def spatial(self) -> int:
        """How many axes of places a layer has whose class is named for them: 2 of MaxPooling2D."""
        named = re.search("([123])D", self.kind)
        return int(named[1]) if named else 0

    @property
    def version(self) -> tuple[int, ...]:
        """Of the Keras that wrote the file."""
        return self.importer.file.version

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors of the first argument."""
        return list(tensors_of(self.args[:1]))

    @property
    def some_inputs(self) -> list[Tensor]:
        """The tensors of the first argument, of which there must be one at least."""
        inputs = self.inputs
        if not inputs:
            raise Refusal("is called without an input. The file is damaged.")
        return inputs

    @property
    def input(self) -> Tensor:
        """The only input."""
        inputs = self.inputs
        if len(inputs) != 1:
            raise Refusal(f"is called with {len(inputs)} inputs, not 1.")
        return inputs[0]

    def argument(self, number: int, name: str, default: Any = None) -> Any:
        """An argument of the call beside the first, by place or by name."""
        given = self.kwargs.pop(name, None)
        if 0 <= number < len(self.args) and given is None:
            given, self.args[number] = self.args[number], None
        return default if given is None else given

    def ranked(self, *ranks: int) -> Tensor:
        """The only input, which must be of one of these ranks."""
        x = self.input
        if x.rank not in ranks:
            self.refuse(f"its input has {x.rank} dims, not {' or '.join(map(str, ranks))}.")
        return x

    def refuse(self, what: str) -> NoReturn:
        """Say that this layer cannot run: what is wrong, and what to do."""
        raise Refusal(what)

    def constant(self, array: Any, name: str) -> Value:
        """Make a constant; one that is there already is used again."""
        return self.importer.constant(array, name)

    def inside(self, setting: tuple[str, Mapping[str, Any]], weights: Weights, args: Sequence[Any]) -> Layer:
        """A layer inside this one, to be called with other arguments."""
        kind, config = setting
        return Layer(self.importer, kind, self.name, Config(config), weights, list(args))

    def new_mask(self, value: Value, rank: int) -> Value:
        """Keep in mind how many dims a mask has."""
        self.importer.mask_ranks[value] = rank
        return value

    def mask_rank(self, mask: Value) -> int:
        """How many dims a mask has."""
        return self.importer.mask_ranks[mask]

    def take(self, *names: str) -> list[Array]:
        """The layer's own weights, float32 where they are numbers."""
        arrays = self.weights.take(names)
        for name, array in zip(names, arrays):
            if self.spatial and name.endswith("kernel") and array.ndim != self.spatial + 2 and self.version[0] > 1:
                raise Refusal(f"its {name} has the shape {list(array.shape)}, not {self.spatial + 2} dims.")
        return arrays

    def call(self) -> list[Tensor]:
        """Build what the layer computes."""
        return self.importer.call(self)


def tensors_of(structure: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and mappings."""
    if isinstance(structure, Tensor):
        yield structure
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            yield from tensors_of(item)
    elif isinstance(structure, Mapping):
        for item in structure.values():
            yield from tensors_of(item)
