"""A layer's settings. What a handler does not read is not ignored, unless it cannot change what the layer computes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..problems import Refusal

# Settings of training, of where and how something is computed, and names.
_HARMLESS = re.compile(
    r""".*_(initializer|regularizer|constraint|init)$ | init$ | (W|b|U|beta|gamma)_(regularizer|constraint)$
    |(name|trainable|dtype|seed|activity_regularizer|input_dtype|batch_input_shape|batch_shape|input_shape|weights
      |sparse|ragged|optional|implementation|consume_less|use_cudnn|unit_forget_bias|dropout|recurrent_dropout
      |dropout_[WU]|rate|p|noise_shape|momentum|synchronized|renorm_momentum|renorm_clipping|unroll|dynamic|autocast
      |input_length|supports_masking|experimental_run_tf_function|fused|virtual_batch_size|build_input_shape
      |stddev|sigma|l1|l2|flash_attention)$""",
    re.VERBOSE,
)
_DEEPEST = 256
_REQUIRED: Any = object()
_LARGEST = 1.7e308  # JSON's integers may be larger than any float


class Config:
    """The settings of one layer.

    Every accessor refuses what is missing or of the wrong type. A setting that nobody read is refused by
    `check_all_read` where it is on: newer versions of Keras add settings, and None or False says they are not used.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._unread = set(settings)

    def __contains__(self, name: str) -> bool:
        return name in self._settings

    def names(self) -> list[str]:
        """Names of all settings."""
        return list(self._settings)

    def raw(self, name: str, default: Any = _REQUIRED) -> Any:
        """Read a setting of any type."""
        self._unread.discard(name)
        found = self._settings.get(name, default)
        if found is _REQUIRED:
            raise Refusal(f"its config has no {name!r}. The file is damaged.")
        return found

    def integer(self, name: str, default: Any = _REQUIRED) -> int:
        """Read an integer above 0."""
        found = self.raw(name, default)
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 2**31:
            raise self._wrong(name, found, "a positive integer")
        return found

    def whole(self, name: str, default: Any = _REQUIRED) -> int:
        """Read an integer of any sign."""
        found = self.raw(name, default)
        if isinstance(found, bool) or not isinstance(found, int) or abs(found) >= 2**31:
            raise self._wrong(name, found, "an integer")
        return found

    def number(self, name: str, default: Any = _REQUIRED) -> float:
        """Read a number, which Keras may keep as an array."""
        found = self.raw(name, default)
        if isinstance(found, Mapping):
            found = found.get("value", found)
        if not is_number(found):
            raise self._wrong(name, found, "a number")
        return float(found)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Read a bool."""
        found = self.raw(name, _REQUIRED if default is None else default)
        if not (found is None or isinstance(found, bool) or found in (0, 1)):
            raise self._wrong(name, found, "true or false")
        return bool(found)

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        """Read a string."""
        found = self.raw(name, default)
        if not isinstance(found, str):
            raise self._wrong(name, found, "a string")
        return found

    def choice(self, name: str, choices: tuple[str, ...], default: Any = _REQUIRED) -> str:
        """Read one of several words."""
        found = self.text(name, default)
        if found not in choices:
            raise self._wrong(name, found, f"one of {', '.join(choices)}")
        return found

    def integers(self, name: str, count: int, default: Any = _REQUIRED) -> list[int]:
        """Read as many integers, which may be written as one for all."""
        found = self.raw(name, default)
        items = list(found) if isinstance(found, (list, tuple)) else [found] * count
        if len(items) != count or any(isinstance(i, bool) or not isinstance(i, int) for i in items):
            raise self._wrong(name, found, f"{count} integers")
        return items

    def layer(self, name: str) -> tuple[str, Mapping[str, Any]]:
        """Read a layer inside this one: its class and config."""
        return as_object(self.raw(name), name)

    def skip(self, *names: str) -> None:
        """Say that settings may have any value."""
        self._unread.difference_update(names)

    def check_all_read(self) -> None:
        """Refuse the layer if a setting that is on was not read."""
        unread = [
            name
            for name in sorted(self._unread)
            if not _HARMLESS.match(name) and self._settings[name] not in (None, False, [], {}, "")
        ]
        if unread:
            shown = ", ".join(f"{name} = {self._settings[name]!r}"[:80] for name in unread)
            raise Refusal(f"{shown}: not supported here. Build the model without it.")

    @staticmethod
    def _wrong(name: str, found: Any, wanted: str) -> Refusal:
        return Refusal(f"{name} = {str(found)[:80]!r} is not {wanted}.")


def is_number(found: object) -> bool:
    """Whether this is a number that a float can hold."""
    return isinstance(found, float) or (
        isinstance(found, int) and not isinstance(found, bool) and abs(found) <= _LARGEST
    )


def as_object(found: Any, name: str) -> tuple[str, Mapping[str, Any]]:
    """Class and config of something Keras wrote as both."""
    if not isinstance(found, Mapping) or not isinstance(found.get("class_name"), str):
        raise Refusal(f"{name} is no layer. The file is damaged.")
    config = found.get("config")
    if not isinstance(config, Mapping):
        raise Refusal(f"{name} has no config. The file is damaged.")
    return found["class_name"], config


def names_within(found: Any, depth: int = 0) -> frozenset[str]:
    """Names of all layers within a config: of models in models, wrappers and stacks of cells."""
    if depth > _DEEPEST:
        raise Refusal(f"layers are nested more than {_DEEPEST} deep. The file is damaged.")
    names: frozenset[str] = frozenset()
    for item in found.values() if isinstance(found, Mapping) else found if isinstance(found, list) else ():
        names |= names_within(item, depth + 1)
    inner = found.get("config") if isinstance(found, Mapping) else None
    if isinstance(inner, Mapping) and "class_name" in found and isinstance(inner.get("name"), str):
        names |= {inner["name"]}
    return names
