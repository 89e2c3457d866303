"""Proposes which outputs may be the next step's inputs, where names do not tell. A user decides: nothing is bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_rt.model import Model, TensorInfo


def propose(model: Model, bind: dict[str, str] | None = None) -> dict[str, str]:
    """Find the only pairing of inputs and outputs that shapes allow, as far as nothing is bound.

    Inputs of one shape and as many outputs of that shape are paired in their order (``input_2`` and ``output_2``).

    Parameters
    ----------
    model : Model
        The model.
    bind : dict of str to str, optional
        Pairs that are known; those of the model if left out.

    Returns
    -------
    dict of str to str
        Input name to output name; empty if there is no such pairing, or it leaves no input for frames. Of a model that
        was just converted also the name of a value inside, which `convert` makes an output when it is bound.
    """
    known = model.bindings if bind is None else bind
    controls = model.control_inputs
    inputs = [port for port in model.inputs if port.name not in known and port.name not in controls]
    outputs = [port for port in model.outputs if port.name not in known.values()]
    pairs: dict[str, str] = {}
    for port in inputs:
        mine = [other for other in outputs if _fits(port, other)]
        peers = [other for other in inputs if [out for out in outputs if _fits(other, out)] == mine]
        touched = [other for other in inputs if any(_fits(other, out) for out in mine)]
        if mine and len(peers) == len(mine) and peers == touched:
            pairs[port.name] = mine[peers.index(port)].name
    if 0 < len(pairs) < len(inputs):
        return pairs
    return dict(model.conversion.proposal) if model.conversion and not known else {}


def _fits(before: TensorInfo, after: TensorInfo) -> bool:
    if before.shape is None or after.shape is None or before.dtype != after.dtype:
        return False
    if len(before.shape) != len(after.shape) or all(dim is None for dim in after.shape):
        return False
    return all(a is None or b is None or a == b for a, b in zip(before.shape, after.shape))


def as_options(pairs: dict[str, str]) -> str:
    """Write a proposal for the command line; empty if there is none.

    Parameters
    ----------
    pairs : dict of str to str
        From `propose`.

    Returns
    -------
    str
        A sentence with the options to add.

    Examples
    --------
    >>> as_options({"input_2": "output_2"})
    'By its shape, output_2 may be the next input_2. If it is: --bind input_2=output_2'
    """
    return _sentence(pairs, " ".join(f"--bind {before}={after}" for before, after in pairs.items()))


def as_argument(pairs: dict[str, str], inner: bool = False) -> str:
    """Write a proposal for Python; empty if there is none.

    Parameters
    ----------
    pairs : dict of str to str
        From `propose`.
    inner : bool, default False
        Whether the pairs name values inside the model, which only a conversion can bind.

    Returns
    -------
    str
        A sentence with the argument to add.
    """
    return _sentence(pairs, f"lstm_rt.convert(..., bind={pairs!r})" if inner else f"bind={pairs!r}")


def _sentence(pairs: dict[str, str], what: str) -> str:
    if not pairs:
        return ""
    if len(pairs) == 1:
        ((before, after),) = pairs.items()
        return f"By its shape, {after} may be the next {before}. If it is: {what}"
    return f"By their shapes, {_list(list(pairs.values()))} may be the next {_list(list(pairs))}. If they are: {what}"


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
