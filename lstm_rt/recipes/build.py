"""From a recipe and weights to a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from lstm_rt.converters import Builder, DType, Graph, Options, Problems, Refusal, Value
from lstm_rt.converters.torch.checkpoint import Weights

from .layer import Layer, Place
from .recipe import Recipe

_SHOWN = 8


def build_graph(recipe: Recipe, weights: Weights) -> Graph:
    """Make the graph of a recipe.

    Parameters
    ----------
    recipe : Recipe
        The layers.
    weights : Weights
        Their weights.

    Returns
    -------
    Graph
        Without a source.

    Raises
    ------
    UnsupportedModelError
        If layers do not fit the weights, or each other; the message lists all of them.
    """
    kitchen = _Kitchen(recipe, weights)
    kitchen.inputs()
    for number, layer in enumerate(recipe.layers, start=1):
        kitchen.layer(number, layer)
    for name, result in recipe.named_outputs().items():
        kitchen.problems.attempt(f"output {name!r}", partial(kitchen.output, name, result))
    kitchen.problems.raise_if_any(f"{weights.label} by {recipe.label}")
    rest = weights.unused()
    if rest:
        count = f"{len(rest)} weights" if len(rest) > 1 else "1 weight"
        kitchen.graph.notes.append(f"{count} of {weights.label} not used by the recipe: {_shown(rest)}.")
    if recipe.bind is not None:
        Options(bind=recipe.bind).apply(kitchen.graph)
    return kitchen.graph


class _Kitchen:
    """The graph as far as it is made, and what stands in it by name."""

    def __init__(self, recipe: Recipe, weights: Weights) -> None:
        self.graph = Graph()
        self.problems = Problems()
        self._recipe = recipe
        self._weights = weights
        self._build = Builder(self.graph)
        self._named: dict[str, Value] = {}
        self._last = Value(-1)
        self.graph.reserve([*recipe.inputs, *recipe.named_outputs()])

    def inputs(self) -> None:
        for name, given in self._recipe.inputs.items():
            sizes = tuple(dim if isinstance(dim, int) else None for dim in given.shape)
            names = [dim if isinstance(dim, str) else "" for dim in given.shape]
            self._named[name] = self.graph.add_input(name, DType.of(given.dtype), sizes, names)
        self._last = next(iter(self._named.values()))

    def layer(self, number: int, layer: Layer) -> None:
        kind = type(layer).__name__
        where = f"layer {number} {layer.name!r} ({kind})" if layer.name else f"layer {number} ({kind})"
        self._build.part(layer.name or f"{kind.lower()}_{number}", kind)
        if not self.problems.attempt(where, partial(self._layer, layer)):
            self._stand_in(layer.name)

    def _layer(self, layer: Layer) -> None:
        inputs = [self._find(name) for name in _list(layer.inputs)] or [self._last]
        most = "or more" if layer.most is None else f"to {layer.most}"
        if len(inputs) < layer.least or (layer.most is not None and len(inputs) > layer.most):
            raise Refusal(f"it takes {layer.least} {most} inputs, not {len(inputs)}.")
        place = Place(self._build, self._weights, layer.prefix() or "")
        built = layer.build(place, *inputs)
        results = built if isinstance(built, dict) else {"": built}
        if layer.prefix() is not None:
            _refuse_rest(self._weights, place.prefix)
        self._last = results[""]
        for name, value in results.items():
            if layer.name:
                self._define(f"{layer.name}.{name}" if name else layer.name, value)

    def output(self, name: str, result: str) -> None:
        value = self._find(result) if result else self._last
        if self.graph.values[value] != name:  # the output is to have its own name
            self._build.name = name
            value = self._copy(value, name)
        self.graph.add_output(value)

    def _copy(self, value: Value, name: str) -> Value:
        return self.graph.add_op(self.graph.main, "Identity", name, [value], [name], {})[0]

    def _find(self, name: str) -> Value:
        if name not in self._named:
            known = ", ".join(map(repr, self._named))
            raise Refusal(f"there is no {name!r} before it. There are {known}.")
        return self._named[name]

    def _define(self, name: str, value: Value) -> None:
        if name in self._named:
            raise Refusal(f"the name {name!r} is taken. Give it another.")
        self._named[name] = value

    def _stand_in(self, name: str) -> None:
        """Something in the place of a layer that could not be made, so that what follows is not reported too."""
        self._last = self.graph.add_value(self.graph.unique(name or "missing"))
        for each in (name, f"{name}.h", f"{name}.c"):
            self._named.setdefault(each, self._last)


def _list(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _refuse_rest(weights: Weights, prefix: str) -> None:
    """A weight of the layer that it has no use for shows that it is another layer."""
    own = [prefix + name for name in weights.below(prefix) if "." not in name]
    rest = [name for name in weights.unused() if name in own]
    if rest and prefix:
        raise Refusal(f"the file has weights for it that it does not use: {_shown(rest)}. It is another kind of layer.")


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def read_recipe(given: object) -> Recipe:
    """Take a recipe in any of its forms.

    Parameters
    ----------
    given : Recipe, mapping or path-like
        A path is that of a TOML file.

    Returns
    -------
    Recipe
        What it says.
    """
    if isinstance(given, Recipe):
        return given
    return Recipe.from_dict(given) if isinstance(given, Mapping) else Recipe.from_toml(given)  # type: ignore[arg-type]
