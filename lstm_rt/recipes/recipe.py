"""`Recipe`: the layers of a model, in Python or TOML."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from lstm_rt.converters import DType
from lstm_rt.converters.graph import MAX_RANK
from lstm_rt.errors import ArgumentError, MissingPackageError

from .layer import Layer, kinds
from .options import mistakes

Dim = Union[int, str, None]

_KEYS = ("inputs", "layers", "outputs", "bind")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Attributes
    ----------
    shape : sequence of int, str or None
        A name, or None, where free (``("batch", "time", 40)``).
    dtype : str, default "float32"
        Also "int64", "int32", "bool", "uint8", "int8".
    """

    shape: Sequence[Dim]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if isinstance(self.shape, list):
            object.__setattr__(self, "shape", tuple(self.shape))


@dataclass(frozen=True)
class Recipe:
    """What a file of weights does not say: the layers, and how they are joined.

    Attributes
    ----------
    inputs : mapping of str to Input
        By name. The first layer takes the first of them.
    layers : sequence of Layer
        Each takes what the one before it gives, unless its `inputs` say otherwise.
    outputs : sequence of str, or mapping of str to str, optional
        What the model gives: names of layers, or of one of several results (``"lstm.h"``); or what each is to be
        called, and which that is. The last layer, as ``"output"``, where left out.
    bind : mapping of str to str, optional
        Input to output: state that a stream carries from step to step.

    Raises
    ------
    ArgumentError
        If an option of a layer, a shape or a dtype is none; the message lists all that is wrong.

    Examples
    --------
    >>> from lstm_rt.recipes import LSTM, Embedding, Input, Linear, Recipe
    >>> recipe = Recipe(
    ...     {"ids": Input(("batch", "time"), "int64")},
    ...     [Embedding("embed"), LSTM("lstm", batch_first=True), Linear("head")],
    ... )
    >>> model = lstm_rt.from_torch("tagger.pth", recipe=recipe)  # doctest: +SKIP
    """

    inputs: Mapping[str, Input]
    layers: Sequence[Layer]
    outputs: Union[Sequence[str], Mapping[str, str]] = ()
    bind: Optional[Mapping[str, str]] = None
    label: str = field(default="the recipe", repr=False, compare=False)

    def __post_init__(self) -> None:
        wrong = [mistake for name, given in self.inputs.items() for mistake in _wrong_input(name, given)]
        for number, layer in enumerate(self.layers, start=1):
            wrong += [f"layer {number} {_called(layer)}: {mistake}" for mistake in mistakes(layer)]
        if not self.inputs:
            wrong.append("it has no inputs. Name them, with their shapes.")
        if not self.layers:
            wrong.append("it has no layers.")
        _raise_if_any(self.label, wrong)

    def named_outputs(self) -> dict[str, str]:
        """Give what each output is called, and which result that is.

        Returns
        -------
        dict of str to str
            The name of the result is empty for the last layer's.
        """
        if isinstance(self.outputs, Mapping):
            return dict(self.outputs) or {"output": ""}
        return {name: name for name in self.outputs} or {"output": ""}

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Recipe:
        """Read a recipe from a TOML file.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        Recipe
            What it says.

        Raises
        ------
        ArgumentError
            If it is no TOML, or says what no recipe does.
        MissingPackageError
            If Python is older than 3.11 and the package tomli is not installed.

        Examples
        --------
        >>> recipe = Recipe.from_toml("tagger.toml")  # doctest: +SKIP
        """
        path = Path(path)
        if path.stat().st_size > _MOST_BYTES:
            raise ArgumentError(f"{path.name}: a recipe of more than {_MOST_BYTES} bytes is none.")
        toml = _toml()
        try:
            content = toml.loads(path.read_text("utf-8"))
        except (toml.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ArgumentError(f"{path.name}: this is no TOML: {error}") from None
        return cls.from_dict(content, path.name)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], label: str = "the recipe") -> Recipe:
        """Make a recipe of plain data, as TOML or JSON give it.

        Parameters
        ----------
        content : mapping of str to object
            ``inputs``, ``layers``, and if wanted ``outputs`` and ``bind``.
        label : str, default "the recipe"
            What messages call it.

        Returns
        -------
        Recipe
            What it says.

        Raises
        ------
        ArgumentError
            If it says what no recipe does.

        Examples
        --------
        >>> Recipe.from_dict({"inputs": {"x": {"shape": ["batch", 3]}}, "layers": [{"kind": "ReLU"}]}).layers
        [ReLU(name='', inputs=())]
        """
        wrong = [
            f"{key!r} is not a key of recipes, which are {', '.join(_KEYS)}." for key in content if key not in _KEYS
        ]
        inputs = {name: _input(name, given, wrong) for name, given in _mapping(content, "inputs", wrong).items()}
        listed = content.get("layers", [])
        if not isinstance(listed, list):
            wrong.append("layers is no list. Write [[layers]] before each.")
            listed = []
        layers = [_layer(number, given, wrong) for number, given in enumerate(listed, start=1)]
        outputs: Any = content.get("outputs", ())
        texts = list(outputs.values()) if isinstance(outputs, dict) else outputs
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
            wrong.append("outputs is neither a list of names nor a table of them.")
        bind = _mapping(content, "bind", wrong) if "bind" in content else None
        _raise_if_any(label, wrong)
        return cls(inputs, [layer for layer in layers if layer is not None], outputs, bind, label)


def _raise_if_any(label: str, wrong: Sequence[str]) -> None:
    if wrong:
        raise ArgumentError(
            "\n".join([f"{label} cannot be followed:", *(f"  {i}. {w}" for i, w in enumerate(wrong, 1))])
        )


def _called(layer: object) -> str:
    kind = type(layer).__name__
    return f"{layer.name!r} ({kind})" if isinstance(layer, Layer) and layer.name else f"({kind})"


def _wrong_input(name: str, given: Input) -> list[str]:
    wrong = []
    if not isinstance(given, Input):
        return [f"input {name!r} is no Input."]
    try:
        DType.of(given.dtype)
    except (KeyError, TypeError):
        wrong.append(f"input {name!r}: dtype {given.dtype!r} is not one of {', '.join(d.name.lower() for d in DType)}.")
    shape = given.shape
    if isinstance(shape, str) or not isinstance(shape, Sequence) or len(shape) > MAX_RANK:
        wrong.append(f"input {name!r}: shape {shape!r} is no list of at most {MAX_RANK} dims.")
    elif not all(dim is None or isinstance(dim, str) or (type(dim) is int and dim > 0) for dim in shape):
        wrong.append(f"input {name!r}: shape {list(shape)} has a dim that is neither a size nor a name.")
    return wrong


def _mapping(content: Mapping[str, Any], key: str, wrong: list[str]) -> dict[str, Any]:
    given = content.get(key, {})
    if isinstance(given, dict):
        return given
    wrong.append(f"{key} is no table of names.")
    return {}


def _input(name: str, given: Any, wrong: list[str]) -> Input:
    if not isinstance(given, dict) or "shape" not in given or set(given) - {"shape", "dtype"}:
        wrong.append(f"input {name!r} has not a shape, and perhaps a dtype, and nothing else.")
        return Input(())
    return Input(given["shape"], given.get("dtype", "float32"))


def _layer(number: int, given: Any, wrong: list[str]) -> Optional[Layer]:
    if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
        wrong.append(f'layer {number} has no kind, as in kind = "LSTM".')
        return None
    options = dict(given)
    kind = options.pop("kind")
    cls = kinds().get(kind)
    if cls is None:
        wrong.append(f"layer {number}: there is no kind {kind!r}. There are {', '.join(kinds())}.")
        return None
    try:
        return cls(**options)
    except TypeError:
        known = ", ".join(cls.__dataclass_fields__)
        unknown = ", ".join(repr(name) for name in options if name not in cls.__dataclass_fields__)
        wrong.append(f"layer {number} ({kind}): {unknown} is not an option; those are {known}.")
        return None


def _toml() -> Any:
    for name in ("tomllib", "tomli"):  # the first is Python's own from 3.11 on
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingPackageError("Reading a recipe in TOML needs Python 3.11 or the package tomli: pip install tomli")
