"""Exports TorchScript by running it. This needs torch.

TorchScript has no Python code for ``torch.export`` to follow, but its interpreter calls the same operators. Run inside
an export, it leaves a program in which branches and shape checks are decided as the example decides them. Buffers that
a call changes become inputs and outputs.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from typing import Any

from .probe import Inputs, alike, disturbed, refuse_state, tensors_of_call


def changed_buffers(script: Any, inputs: Inputs) -> dict[str, Any]:
    """Find the buffers that a call changes, with their values before it.

    Parameters
    ----------
    script : torch.jit.ScriptModule
        Stays as it is.
    inputs : tuple
        The example.

    Returns
    -------
    dict of str to torch.Tensor
        By the names that ``named_buffers`` has.
    """
    twin = _copied(script)
    before = {name: buffer.detach().clone() for name, buffer in twin.named_buffers()}
    tensors_of_call(twin, inputs)
    with contextlib.suppress(Exception):  # not every module takes any numbers
        tensors_of_call(twin, disturbed(inputs))
    return {name: before[name] for name, buffer in twin.named_buffers() if not alike([buffer], [before[name]])}


def functional_module(script: Any, inputs: Inputs) -> tuple[Any, Inputs, dict[str, str]]:
    """Make a module of TorchScript whose changed buffers are inputs and outputs.

    Parameters
    ----------
    script : torch.jit.ScriptModule
        In inference mode; stays as it is.
    inputs : tuple
        The example.

    Returns
    -------
    module : torch.nn.Module
        Takes the inputs, then the buffers.
    states : tuple
        The example of the buffers.
    bindings : dict of str to str
        The names of inputs and outputs that carry the buffers.

    Raises
    ------
    UnsupportedModelError
        If the module keeps state in attributes that are not buffers.
    """
    states = changed_buffers(script, inputs)
    refuse_state(_copied(script), inputs)
    module = _module(_copied(script), len(inputs), list(states))
    names = [_argument(name) for name in states]
    return module, tuple(states.values()), {name: f"{name}_next" for name in names}


def _copied(script: Any) -> Any:
    import torch

    with torch.no_grad():
        twin = copy.deepcopy(script)
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.requires_grad = False
    return twin


def _argument(name: str) -> str:
    return name.replace(".", "_")


def _module(script: Any, count: int, states: list[str]) -> Any:
    """A module whose forward has an argument of its own for each input and state, so that each has a name."""
    import torch

    taken = [argument.name for argument in script.forward.schema.arguments[1 : count + 1]]
    names = [*taken, *map(_argument, states)]
    hidden = [script]  # in a list, so that it is no part of the module: export would look for its Python code

    def forward(self: Any, *tensors: Any) -> Any:
        before = {name: getattr(*_owner(hidden[0], name)) for name in states}
        try:
            for name, tensor in zip(states, tensors[count:]):
                setattr(*_owner(hidden[0], name), tensor.clone())  # so that no input is changed in place
            result = hidden[0](*tensors[:count])
            after = {f"{_argument(name)}_next": getattr(*_owner(hidden[0], name)) for name in states}
        finally:
            for name, tensor in before.items():
                setattr(*_owner(hidden[0], name), tensor)
        return {"output": result, **after} if states else result

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ["self", *names]]
    setattr(forward, "__signature__", inspect.Signature(parameters))  # noqa: B010  (functions declare no such attribute)
    return type(script.original_name, (torch.nn.Module,), {"forward": forward})().eval()


def _owner(script: Any, name: str) -> tuple[Any, str]:
    path, _, last = name.rpartition(".")
    for part in path.split(".") if path else []:
        script = getattr(script, part)
    return script, last
