"""The names of inputs, as forward calls them, and of outputs: by their place, or by the state they carry on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..source import read_json
from .schema import Tree

_DEEPEST = 32


def input_names(module: Tree) -> list[str]:
    """The names of the tensors that a program is fed with, in order; parts of a tuple are ``name_0``, ``name_1``.

    Examples
    --------
    >>> spec = {"user_input": {"arg": {"as_tensor": {"name": "x"}}}}
    >>> input_names(Tree({"signature": {"input_specs": [spec]}}, "program"))
    ['x']
    """
    args = [
        item["arg"]
        for kind, item in (spec.union() for spec in module["signature"]["input_specs"])
        if kind == "user_input"
    ]
    return [arg["as_tensor"]["name"].text() for arg in args if "as_tensor" in arg]


def output_names(module: Tree, tensors: Sequence[str], carried: Mapping[str, str]) -> list[str]:
    """A name for each tensor that a program returns.

    Parameters
    ----------
    module : Tree
        The program's ``graph_module``.
    tensors : sequence of str
        What it returns.
    carried : mapping of str to str
        Tensors that are the next state of an input, and that input.

    Returns
    -------
    list of str
        Keys where a dict is returned; ``h0_next`` for the state that ``h0`` is fed with; else ``output``, or
        ``output_0``, ``output_1``, … by place.
    """
    keys = _keys(module)
    if len(keys) != len(tensors):
        keys = [""] * len(tensors)
    names: list[str] = []
    for place, (tensor, key) in enumerate(zip(tensors, keys)):
        name = "output" if len(tensors) == 1 else f"output_{place}"
        if key:
            name = key
        elif tensor in carried:
            name = f"{carried[tensor]}_next"
        names.append(name if name not in names else f"{name}_{place}")
    return names


def _keys(module: Tree) -> list[str]:
    """The path of dict keys to each returned tensor, empty where there is none."""
    for entry in module.get("module_call_graph", []):
        if entry["fqn"].text() == "" and "signature" in entry and isinstance(entry["signature"].item, dict):
            try:
                version, spec = read_json(entry["signature"]["out_spec"].text(), "out_spec")
                return _leaves(spec, "", 0) if version == 1 else []
            except (ValueError, TypeError, KeyError, RecursionError):
                return []  # names are a courtesy
    return []


def _leaves(spec: dict[str, Any], name: str, depth: int) -> list[str]:
    if depth > _DEEPEST:
        raise ValueError("too deep")
    kind, children = spec["type"], spec["children_spec"]
    if kind is None:
        return [name]
    keys = read_json(spec["context"], "out_spec") if kind == "builtins.dict" else [""] * len(children)
    found: list[str] = []
    for place, (key, child) in enumerate(zip(keys, children)):
        inner = str(key) if not name else f"{name}_{key if key != '' else place}"
        found += _leaves(child, inner, depth + 1)
    return found
