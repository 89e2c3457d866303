"""The tables of docs/keras.md, made of the registry, so that they say what there is."""

from __future__ import annotations

from . import layers as _layers  # noqa: F401  (registers the handlers)
from .activations import activation_names
from .layer import handlers
from .layers.tensorflow import function_names
from .masks import MASKS, Rules


def layer_table() -> str:
    """A row for each handler: the layers it reads, and what it does not."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, entry in handlers.items():
        if not name.startswith("ops."):
            rows.setdefault((entry.note, entry.handle.__module__), []).append(name)
    lines = ["| layers | |", "|---|---|"]
    lines += [f"| {', '.join(sorted(names))} | {note} |" for (note, _), names in rows.items()]
    return "\n".join(lines)


def operation_list() -> str:
    """The operations of Keras 3 that are read between layers."""
    return ", ".join(sorted(name[4:] for name in handlers if name.startswith("ops.")))


def function_list() -> str:
    """The functions of TensorFlow that are read between layers."""
    return ", ".join(function_names())


def activation_list() -> str:
    """The activations."""
    return ", ".join(activation_names())


def mask_table() -> str:
    """A row for each rule: the layers it holds for."""
    rows: dict[Rules, list[str]] = {}
    for kind, rules in MASKS.items():
        rows.setdefault(rules, []).append(kind)
    lines = ["| layers | Keras 1 | Keras 2 | Keras 3 |", "|---|---|---|---|"]
    lines += [
        f"| {', '.join(sorted(kinds))} | {' | '.join(rule or '—' for rule in rules)} |" for rules, kinds in rows.items()
    ]
    return "\n".join(lines)


def page_parts() -> dict[str, str]:
    """What stands between the marks of docs/keras.md, by mark."""
    return {
        "masks": mask_table(),
        "layers": layer_table(),
        "operations": operation_list(),
        "functions": function_list(),
        "activations": activation_list(),
    }
