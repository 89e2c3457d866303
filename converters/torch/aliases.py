"""Finds inputs that a program ignores because its example gave one tensor for two inputs.

``torch.export`` takes inputs that are the same tensor for one input: everything reads one of them, and the other has no
user. Nothing in the graph shows that this was not meant. The example inputs that the file keeps do.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Callable

from ..budget import current
from ..problems import Refusal
from ..zipped import Zip
from .archive import Archive
from .schema import Meta
from .tensors import Storage, Tensor
from .unpickle import Unpickler
from .weights_pickle import TABLE, storage_of


def check_unused(archive: Archive, names: Sequence[str], meta: Callable[[str], Meta], unused: Sequence[str]) -> None:
    """Refuse unused inputs whose example was also that of another input; warn of all others.

    Parameters
    ----------
    archive : Archive
        The program's file.
    names : sequence of str
        All inputs, in order.
    meta : callable
        Gives what the program says of an input.
    unused : sequence of str
        The inputs that nothing reads.

    Raises
    ------
    Refusal
        If the example gave one tensor for several inputs.
    """
    examples = _examples(archive) if unused else None
    if examples is not None and len(examples) != len(names):
        examples = None
    for name in unused:
        at = names.index(name)
        twins = [other for other in range(len(names)) if other != at and names[other] not in unused]
        if examples is None:
            twins = [i for i in twins if _form(meta(names[i])) == _form(meta(name))]
        else:
            twins = [i for i in twins if examples[i] is examples[at]]
        if twins:
            seen = "was" if examples is not None else "probably was"
            raise Refusal(
                f"nothing reads input {name!r}. When the program was exported, its example {seen} the same tensor as "
                f"that of {names[twins[0]]!r}, and torch takes both for one input. Export it again with a tensor of "
                "its own for each input: z.clone()."
            )
        warnings.warn(
            f"Nothing in {archive.label} reads input {name!r}. If that is not meant, export the module again with an "
            "example tensor that is used nowhere else, not even as a weight.",
            stacklevel=2,
        )


def _form(meta: Meta) -> tuple[object, ...]:
    return meta.dtype, meta.dims


def _examples(archive: Archive) -> list[Tensor] | None:
    """The example's tensors in the order of the inputs, None if the file does not show them."""
    data = archive.examples()
    if not data:
        return None
    try:
        inner = Zip(data, archive.label)
        (name,) = [each for each in inner.names if each.rpartition("/")[2] == "data.pkl"]
        storages: dict[str, Storage] = {}
        pickled = inner.view(name).tobytes()
        content = Unpickler(TABLE, lambda identity: storage_of(identity, storages)).load(io.BytesIO(pickled))
    except ValueError:  # damaged, or not one pickle
        return None
    return list(_tensors(content, 0))


def _tensors(item: object, depth: int) -> Iterator[Tensor]:
    current().spend(64, "the example inputs")  # a container may be in others any number of times
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, (tuple, list, dict)) and depth < _DEEPEST:
        for part in item.values() if isinstance(item, dict) else item:
            yield from _tensors(part, depth + 1)


_DEEPEST = 16
