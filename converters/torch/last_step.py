"""Decides where the last step of a layer's output may be taken from the layer's state: ``y[:, -1]`` as ``h_n[-1]``.

The numbers are the same, but a state can be had after every frame of a stream, and a step cut out of a sequence
cannot. In a stream the state is that after the frame, so nothing that has time, and no other layer with state, may
come to see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .schema import Meta, Tree

_RECURRENT = ("aten.lstm", "aten.gru", "aten.rnn", "lstm_rt.")


def names_in(tree: Tree) -> Iterator[str]:
    """Every name that some part of a program asks for."""
    waiting = [tree.item]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
            yield from (item[key] for key in ("name", "as_name") if isinstance(item.get(key), str))


class Steps:
    """The nodes of a program, and what they say of time.

    Parameters
    ----------
    nodes : sequence of Tree
        In order.
    metas : mapping of str to Tree
        What is said of each tensor.
    numbers : mapping of str to Tree
        What is said of each number.
    """

    def __init__(self, nodes: Sequence[Tree], metas: Mapping[str, Tree], numbers: Mapping[str, Tree]) -> None:
        self._nodes = nodes
        self._metas = metas
        self._numbers = numbers

    def may_be_state(self, sequence: str, axis: int, output: str) -> bool:
        """Report whether a step of a sequence may be taken from the state of the layer that gives the sequence.

        Parameters
        ----------
        sequence : str
            The tensor that has time.
        axis : int
            Of time.
        output : str
            The tensor that is its last step.

        Returns
        -------
        bool
            True only if time is free, and all that is made of the step has no time.
        """
        time = Meta(self._metas[sequence]).dims[axis]
        timeless = {dim for dim in Meta(self._metas[output]).dims if isinstance(dim, str)}
        if not isinstance(time, str) or time in timeless:
            return False
        reached = {output}
        for node in self._nodes:
            inputs = {name for given in node["inputs"] for name in names_in(given["arg"])}
            if not inputs & reached:
                continue
            outputs = set(names_in(node["outputs"]))
            reached |= outputs
            recurrent = node["target"].text().replace("torch.ops.", "", 1).startswith(_RECURRENT)
            if recurrent or not all(self._is_timeless(name, timeless) for name in inputs | outputs):
                return False
        return True

    def _is_timeless(self, name: str, timeless: set[str]) -> bool:
        if name in self._metas:
            return all(isinstance(dim, int) or dim in timeless for dim in Meta(self._metas[name]).dims)
        if name in self._numbers:
            tag, item = self._numbers[name].union()
            return tag == "as_int" or (tag == "as_expr" and item["expr_str"].text() in timeless)
        return False
