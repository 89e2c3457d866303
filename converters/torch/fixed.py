"""Finds dims that an export fixed at the size of the example although the module takes other sizes. This needs torch.

Some operators of torch read sizes as plain numbers while they are exported, which fixes them without a word: a model
made of such a program would refuse every other length.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

_Dims = list[tuple[Any, int]]  # tensors and axes


def fixed_without_need(
    module: Any,
    inputs: tuple[Any, ...],
    program: Any,
    operators: Sequence[tuple[str, int]],
    already: Sequence[str] = (),
) -> list[str]:
    """Describe the dims of inputs that a program fixes although its module takes another size.

    Parameters
    ----------
    module : torch.nn.Module
        Called once for each dim that is fixed; a copy.
    inputs : tuple
        The example.
    program : torch.export.ExportedProgram
        As exported from the module, with dims free wherever torch could.
    operators : sequence of (str, int)
        From `watched`: names of operators, and the sizes that each of them fixed.
    already : sequence of str
        Sentences about dims whose reason is known.

    Returns
    -------
    list of str
        One sentence for each such dim.
    """
    from torch.utils._pytree import tree_flatten

    leaves, structure = tree_flatten(inputs)
    shapes = {node.name: getattr(node.meta.get("val"), "shape", ()) for node in program.graph.nodes}
    said = []
    for number, (leaf, name) in enumerate(zip(leaves, program.graph_signature.user_inputs)):
        for axis, dim in enumerate(shapes.get(name, ())):
            where = f"axis {axis} of {name!r}"
            if not _is_fixed(dim) or int(dim) < 2 or any(where in what for what in already):
                continue
            if _takes_more(module, leaves, structure, number, axis):
                makers = sorted({operator for operator, size in operators if size == leaf.shape[axis]})
                reason = (
                    f"because of {', '.join(makers)}" if makers else "because the module makes a plain number of it"
                )
                said.append(
                    f"Torch fixed the size of {where} at that of the example, {int(dim)}, {reason}. To "
                    "keep it free, write this part with operators of docs/pytorch-export.md."
                )
    return said


def _takes_more(module: Any, leaves: Sequence[Any], structure: Any, number: int, axis: int) -> bool:
    """Call the module with one more element along a dim of one input."""
    import torch

    leaf = leaves[number]
    longer = [*leaves[:number], torch.cat([leaf, leaf.narrow(axis, 0, 1)], axis), *leaves[number + 1 :]]
    try:
        with torch.no_grad():
            module(*structure.unflatten(longer))
    except Exception:  # a module raises anything at sizes that it does not take
        return False
    return True


@contextlib.contextmanager
def watched() -> Iterator[list[tuple[str, int]]]:
    """Collect the operators that fix a size while a program is exported: their names, and the sizes."""
    from torch.overrides import TorchFunctionMode, resolve_name

    found: list[tuple[str, int]] = []

    class Watch(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            free = _free_dims(args)
            result = function(*args, **(kwargs or {}))
            for tensor, axis in free:
                if _is_fixed(tensor.shape[axis]):
                    found.append((resolve_name(function) or function.__name__, int(tensor.shape[axis])))
            return result

    with Watch():
        yield found


def _free_dims(args: Sequence[Any]) -> _Dims:
    import torch

    tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
    return [(tensor, axis) for tensor in tensors for axis, dim in enumerate(tensor.shape) if not _is_fixed(dim)]


def _is_fixed(dim: Any) -> bool:
    return str(dim).isdigit()
