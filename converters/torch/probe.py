"""Calls a live module before it is exported, to find out what an export does not show. This needs torch.

An export sees one call. Only further calls show whether the module keeps state between calls, and which dims of size 1
its weights fix.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from lstm_rt.errors import UnsupportedModelError

Inputs = tuple[Any, ...]
_Dim = tuple[int, int]  # number of a tensor among the inputs, and axis

_CLOSE = 1e-5
_SHOWN = 4


def cloned(inputs: Inputs) -> Inputs:
    """Copy every tensor, so that no two inputs share memory with each other or with the module.

    Torch takes inputs that are the same tensor for one input, and an input that is a weight for that weight.
    """
    import torch
    from torch.utils._pytree import tree_map

    copies: Inputs = tree_map(lambda item: item.detach().clone() if isinstance(item, torch.Tensor) else item, inputs)
    return copies


@contextlib.contextmanager
def in_inference(module: Any) -> Iterator[tuple[Any, bool]]:
    """Give a copy of a module in inference mode that shares its parameters, and True; the module itself is unchanged.

    A module that cannot be copied is given itself, with False, and gets its mode back at the end.
    """
    twin = _copied(module)
    if twin is not None:
        yield twin.eval(), True
        return
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield module, False
    finally:
        for part, training in modes:
            part.training = training


def _copied(module: Any) -> Any:
    import torch
    from torch.utils._pytree import tree_leaves

    memo = {id(parameter): parameter for parameter in module.parameters()}
    for part in module.modules():
        for item in tree_leaves(dict(vars(part))):
            if isinstance(item, torch.Tensor) and not item.is_leaf:  # computed from weights: torch refuses to copy it
                memo.setdefault(id(item), item.detach().clone())
    try:
        return copy.deepcopy(module, memo)
    except Exception:  # a module may hold anything: locks, files, generators
        return None


def refuse_state(module: Any, inputs: Inputs) -> None:
    """Refuse a module that gives another result when it is called again.

    Parameters
    ----------
    module : torch.nn.Module
        A copy, which is spoilt.
    inputs : tuple
        The example.

    Raises
    ------
    UnsupportedModelError
        If the module keeps state between calls anywhere but in registered buffers, which exports show.
    """
    buffers = [
        (part, name, buffer.detach().clone())
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]
    before = _attributes(module)
    try:
        first = tensors_of_call(module, inputs)
    except Exception:  # the export reports what is wrong with the module or the example
        return
    with contextlib.suppress(Exception):  # not every module takes any numbers
        tensors_of_call(module, disturbed(inputs))
    after = _attributes(module)
    changed = sorted(name for name, value in before.items() if not alike(value, after.get(name)))
    for part, name, value in buffers:
        setattr(part, name, value)
    try:
        again = tensors_of_call(module, inputs)
    except Exception:
        again = None
    if not alike(first, again):
        where = f" (it sets {', '.join(changed[:_SHOWN])})" if changed else ""
        name = getattr(module, "original_name", type(module).__qualname__)
        raise UnsupportedModelError(
            f"{name} keeps state between calls{where}: a second call with the same inputs gives "
            "another result. An export would fix the state of the first call as a constant. Pass the state to forward "
            "as an input and return the new state."
        )


def tensors_of_call(module: Any, inputs: Inputs) -> list[Any]:
    """The tensors of one call; random numbers are the same in every call, and refused elsewhere."""
    import torch
    from torch.utils._pytree import tree_leaves

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [_value(item) for item in tree_leaves(module(*cloned(inputs)))]


def disturbed(inputs: Inputs) -> Inputs:
    import torch
    from torch.utils._pytree import tree_map

    def other(item: Any) -> Any:
        floats = isinstance(item, torch.Tensor) and item.is_floating_point()
        return item + 4 * torch.randn_like(item) if floats else item

    disturbed: Inputs = tree_map(other, inputs)
    return disturbed


def _attributes(module: Any) -> dict[str, list[Any]]:
    """Every plain attribute of a module and its parts: the values in it."""
    from torch.utils._pytree import tree_leaves

    found: dict[str, list[Any]] = {}
    for name, part in module.named_modules():
        for key, item in vars(part).items():
            if not key.startswith("_") and key != "training":
                found[f"{name}.{key}" if name else key] = [_value(leaf) for leaf in tree_leaves(item)]
    return found


def _value(item: Any) -> Any:
    import torch

    return item.detach().clone() if isinstance(item, torch.Tensor) else item


def alike(one: list[Any] | None, other: list[Any] | None) -> bool:
    if one is None or other is None or len(one) != len(other):
        return False
    return all(_same(a, b) for a, b in zip(one, other))


def _same(a: Any, b: Any) -> bool:
    import torch

    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if not a.is_floating_point():
            return bool(torch.equal(a, b))
        return bool(
            torch.allclose(a, b, rtol=_CLOSE, atol=_CLOSE * float(a.abs().max()) if a.numel() else 0, equal_nan=True)
        )
    plain = (int, float, str, bool, type(None))
    return a == b if isinstance(a, plain) and isinstance(b, plain) else type(a) is type(b)


# ---- Which dims of size 1 are free ----


def fixed_ones(module: Any, inputs: Inputs) -> set[_Dim]:
    """Find the dims of size 1 that must stay 1, such as the width of ``nn.LSTM(1, 20)``.

    Torch does not compare dims of 1 with weights while it exports with such dims free. So the module is called with
    each of them doubled. Some can only be doubled together, such as the batch of an input and of its states.

    Parameters
    ----------
    module : torch.nn.Module
        A copy, which is spoilt.
    inputs : tuple
        The example.

    Returns
    -------
    set of (int, int)
        The number of the tensor among all that the inputs hold, and the axis.
    """
    import torch
    from torch.utils._pytree import tree_leaves

    shapes = [tuple(item.shape) if isinstance(item, torch.Tensor) else () for item in tree_leaves(inputs)]
    ones = [(number, axis) for number, shape in enumerate(shapes) for axis, dim in enumerate(shape) if dim == 1]
    fixed = {dim for dim in ones if not _runs(module, inputs, {dim})}
    for together in _groups(sorted(fixed)):
        if together <= fixed and _runs(module, inputs, together):
            fixed -= together
    return fixed


def _groups(dims: list[_Dim]) -> Iterator[set[_Dim]]:
    """One axis of the first input with one axis of all others, as a batch has it."""
    numbers = sorted({number for number, _ in dims})
    if len(numbers) < 2:
        return
    axes = sorted({axis for _, axis in dims})
    first, others = numbers[0], numbers[1:]
    for axis in axes:
        for other in axes:
            group = {(first, axis), *((number, other) for number in others)}
            yield group & set(dims)
    for axis in axes:  # states alone
        yield {(number, axis) for number in others} & set(dims)


def _runs(module: Any, inputs: Inputs, doubled: set[_Dim]) -> bool:
    from torch.utils._pytree import tree_flatten, tree_unflatten

    leaves, structure = tree_flatten(cloned(inputs))
    for number, axis in doubled:
        leaves[number] = leaves[number].repeat_interleave(2, axis)
    try:
        tensors_of_call(module, tree_unflatten(leaves, structure))
    except Exception:
        return False
    return bool(doubled)
