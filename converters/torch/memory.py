"""What is changed in place: as good as a new tensor, unless another name shows the same memory."""

from __future__ import annotations

from collections.abc import Mapping

from ..problems import Refusal
from .node import Node

# What may give another view of its input's memory.
_VIEWS = (
    "alias",
    "alpha_dropout",
    "as_strided",
    "broadcast_to",
    "chunk",
    "contiguous",
    "detach",
    "diagonal",
    "dropout",
    "expand",
    "expand_as",
    "feature_alpha_dropout",
    "feature_dropout",
    "flatten",
    "lift_fresh",
    "moveaxis",
    "movedim",
    "mT",
    "narrow",
    "numpy_T",
    "permute",
    "reshape",
    "_reshape_alias",
    "reshape_as",
    "resolve_conj",
    "resolve_neg",
    "select",
    "slice",
    "split",
    "split_with_sizes",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "to",
    "transpose",
    "type_as",
    "unbind",
    "unflatten",
    "unfold",
    "_unsafe_view",
    "unsqueeze",
    "view",
    "view_as",
)


def functional(target: str) -> str:
    """The operator that gives what one in place does (``aten.relu`` for ``aten.relu_``), empty for any other.

    Examples
    --------
    >>> functional("aten.relu_.default")
    'aten.relu.default'
    >>> functional("aten.relu.default"), functional("aten.__and__.Tensor")
    ('', '')
    """
    parts = target.split(".")
    if len(parts) == 3 and parts[1].endswith("_") and not parts[1].endswith("__"):
        return f"{parts[0]}.{parts[1][:-1]}.{parts[2]}"
    return ""


class Memory:
    """Which names may show the same memory."""

    def __init__(self) -> None:
        self._roots: dict[str, str] = {}
        self._families: dict[str, list[str]] = {}

    def note(self, node: Node) -> None:
        """Remember the views that a node gives."""
        parts = node.target.split(".")
        if len(parts) < 2 or parts[1] not in _VIEWS:
            return
        for name in ("self", "input"):
            if node.is_tensor(name):
                root = self._root(node.argument_name(name))
                for output in node.output_names():
                    self._roots[output] = root
                    self._families.setdefault(root, [root]).append(output)
                return

    def change(self, node: Node, used: Mapping[str, int], number: int) -> str:
        """The name of what a node changes; refuses what somebody will look at from elsewhere."""
        name = node.argument_name("self" if node.is_tensor("self") else "input")
        root = self._root(name)
        others = [other for other in self._families.get(root, [root]) if other != name]
        if any(used.get(other, -1) > number for other in others):
            raise Refusal(
                "it changes memory that is used under another name later. Save program.run_decompositions({}) instead."
            )
        return name

    def _root(self, name: str) -> str:
        return self._roots.get(name, name)
