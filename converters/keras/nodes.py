"""The calls between the layers of a functional model, in the forms Keras 1, 2 and 3 write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph import Array
from ..problems import Refusal


@dataclass(frozen=True)
class Ref:
    """Output `tensor` of call `node` of a layer."""

    layer: str
    node: int
    tensor: int


@dataclass
class Call:
    """The arguments of one call: nested lists of `Ref` and plain values."""

    args: list[Any]
    kwargs: dict[str, Any]


def read_calls(nodes: Any, names: frozenset[str]) -> list[Call]:
    """Read a layer's ``inbound_nodes``."""
    if not isinstance(nodes, list):
        raise Refusal("its inbound_nodes are no list. The file is damaged.")
    return [_read(node, names) for node in nodes]


def numbered(calls: Mapping[str, list[Call]], models: frozenset[str], outputs: list[Ref]) -> dict[str, dict[int, Call]]:
    """The calls of each layer by the number that references use.

    Before Keras 3, a model with inputs counts its own construction as call 0, which an outer model does not write.
    Every written call leads to an output, so a nested model whose call 0 is never used begins at 1.
    """
    used = {(ref.layer, ref.node) for ref in outputs}
    for made in calls.values():
        used |= {(ref.layer, ref.node) for call in made for ref in refs_of([call.args, call.kwargs])}
    return {
        name: dict(enumerate(made, 1 if name in models and (name, 0) not in used else 0))
        for name, made in calls.items()
    }


def _read(node: Any, names: frozenset[str]) -> Call:
    if isinstance(node, Mapping) and not {"args", "kwargs"} <= set(node):  # Keras 2: a dict of tensors
        kwargs: dict[str, Any] = {}
        found = {}
        for key, entry in node.items():
            call = _read(entry, names)
            kwargs.update(call.kwargs)
            found[str(key)] = call.args[0]
        return Call([found], kwargs)
    if isinstance(node, Mapping):  # Keras 3
        args, kwargs = node.get("args", []), node.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, Mapping):
            raise Refusal("a call of it is damaged.")
        return Call([_value(a) for a in args], {str(k): _value(v) for k, v in kwargs.items()})
    if isinstance(node, list) and len(node) >= 3 and isinstance(node[0], str):
        node = [node]
    if not isinstance(node, list):
        raise Refusal("a call of it is damaged.")
    kwargs = {}
    refs: list[Any] = []
    for entry in node:
        if not isinstance(entry, list) or len(entry) < 3:
            raise Refusal("a call of it is damaged.")
        if len(entry) > 3 and isinstance(entry[3], Mapping):
            kwargs.update({str(k): _old_value(v, names) for k, v in entry[3].items()})
        refs.append(_old_constant(entry[2]) if entry[0] == "_CONSTANT_VALUE" else read_ref(entry))
    return Call([refs[0] if len(refs) == 1 else refs], kwargs)


def in_order(given: Mapping[str, Any], wanted: Any) -> list[Any]:
    """The tensors of a dict that a model is called with, in the order of its inputs: by key, else by name of input."""
    if isinstance(wanted, Mapping):
        names = [str(key) for key in wanted]
    else:
        names = [ref.layer for ref in read_refs(wanted)]
    if set(names) != set(given):
        raise Refusal(f"the model is called with {', '.join(given)}; its inputs are {', '.join(names)}.")
    return [given[name] for name in names]


def declared_shapes(nodes: Any) -> dict[Ref, tuple[Any, ...]]:
    """The shapes that calls of Keras 3 mention, for what a layer that was refused would have given."""
    found: dict[Ref, tuple[Any, ...]] = {}
    waiting = [nodes]
    while waiting:
        item = waiting.pop()
        config = item.get("config") if isinstance(item, Mapping) else None
        if isinstance(config, Mapping) and item.get("class_name") == "__keras_tensor__":
            if isinstance(config.get("shape"), list):
                found[read_ref(config.get("keras_history"))] = tuple(config["shape"])
        elif isinstance(item, (list, Mapping)):
            waiting += item.values() if isinstance(item, Mapping) else item
    return found


def read_ref(entry: Any) -> Ref:
    """Read ``[layer, node, tensor]``."""
    if isinstance(entry, list) and len(entry) >= 3 and isinstance(entry[0], str):
        numbers = entry[1:3]
        if all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
            return Ref(entry[0], *numbers)
    raise Refusal(f"{str(entry)[:80]} is no reference to a layer. The file is damaged.")


def read_refs(entries: Any) -> list[Ref]:
    """Read ``input_layers`` or ``output_layers``: one reference, or any structure of them."""
    if isinstance(entries, Mapping):
        return [ref for item in entries.values() for ref in read_refs(item)]
    if isinstance(entries, list) and entries and isinstance(entries[0], str):
        return [read_ref(entries)]
    if isinstance(entries, list):
        return [ref for item in entries for ref in read_refs(item)]
    raise Refusal("its inputs or outputs are not given as layers. The file is damaged.")


def refs_of(structure: Any) -> Iterator[Ref]:
    """All references in an argument."""
    if isinstance(structure, Ref):
        yield structure
    elif isinstance(structure, list):
        for item in structure:
            yield from refs_of(item)
    elif isinstance(structure, Mapping):
        for item in structure.values():
            yield from refs_of(item)


def resolved(structure: Any, tensors: Mapping[Ref, Any]) -> Any:
    """An argument with every reference replaced by what it stands for."""
    if isinstance(structure, Ref):
        return tensors[structure]
    if isinstance(structure, list):
        return [resolved(item, tensors) for item in structure]
    if isinstance(structure, Mapping):
        return {key: resolved(item, tensors) for key, item in structure.items()}
    return structure


def _value(item: Any) -> Any:
    if isinstance(item, Mapping):
        if item.get("class_name") == "__keras_tensor__":
            config = item.get("config")
            return read_ref(config.get("keras_history") if isinstance(config, Mapping) else None)
        if item.get("class_name") in ("__numpy__", "__tensor__"):
            return _array(item.get("config"))
        return {key: _value(inner) for key, inner in item.items()}
    return [_value(inner) for inner in item] if isinstance(item, list) else item


def _array(config: Any) -> Array:
    """A constant as Keras writes it: nested lists and a dtype."""
    try:
        found = np.asarray(config["value"], str(config.get("dtype", "float32")))
        if found.dtype.kind in "fiub":
            return found if found.dtype.kind != "f" else found.astype(np.float32)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        pass
    raise Refusal("a constant in a call of it is damaged.")


def _old_constant(found: Any) -> Any:
    """A constant of Keras 2, which writes arrays as nested lists."""
    if not isinstance(found, list):
        return found
    try:
        array = np.asarray(found)
    except ValueError:
        array = np.zeros(0, object)
    if array.dtype.kind not in "fiub":
        raise Refusal("a constant in a call of it is damaged.")
    return array.astype(np.float32 if array.dtype.kind == "f" else array.dtype)


def _old_value(item: Any, names: frozenset[str]) -> Any:
    """Keras 2 writes a tensor among the keywords as any other list."""
    if not isinstance(item, list):
        return item
    is_ref = len(item) >= 3 and isinstance(item[0], str) and item[0] in names and isinstance(item[1], int)
    return read_ref(item) if is_ref else [_old_value(inner, names) for inner in item]
