"""Brings a live module or an exported program into the form of a ``.pt2`` file. This needs torch."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import itertools
import warnings
from collections.abc import Container, Iterator
from typing import Any

from lstm_rt.errors import ArgumentError, MissingPackageError, UnsupportedModelError

from ..graph import Graph
from ..registry import missing_package
from .exported import from_exported
from .fixed import fixed_without_need, watched
from .node import find_handler
from .probe import cloned, fixed_ones, in_inference, refuse_state
from .script import functional_module
from .shims import exporting, private_to_torch

_SHOWN = 600
_CLOSE = 1e-4
_ROUNDS = 3  # what torch writes an operator with may have no handler either


def from_module(module: Any, example_inputs: Any = None, dynamic_shapes: Any = None) -> Graph:
    """Make a graph of a live module, by way of ``torch.export``.

    Parameters
    ----------
    module : torch.nn.Module or torch.export.ExportedProgram
        A module in training mode is copied, and the copy put into inference mode.
    example_inputs : tuple of torch.Tensor, optional
        What the module is called with to see what it does; a single tensor counts as a tuple of one.
    dynamic_shapes : optional
        As ``torch.export.export`` takes it; every dim that can be free is when it is left out.

    Returns
    -------
    Graph
        As of the file that ``torch.export.save`` writes.

    Raises
    ------
    MissingPackageError
        If torch is not installed.
    ArgumentError
        If a module comes without example inputs.
    UnsupportedModelError
        If torch cannot export it, or parts of it cannot run.

    Examples
    --------
    >>> graph = from_module(torch.nn.LSTM(8, 16), torch.zeros(5, 2, 8))  # doctest: +SKIP
    """
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", error) from error
    if not isinstance(module, torch.export.ExportedProgram):
        program, fixed, bindings = _exported(module, example_inputs, dynamic_shapes)
    elif example_inputs is not None or dynamic_shapes is not None:
        raise ArgumentError("example_inputs, dynamic_shapes: an exported program has its own.")
    else:
        with exporting():
            program, fixed = _functional(module)
        bindings = {}
    graph = from_exported(_saved(program))
    for what in fixed:
        warnings.warn(what, stacklevel=2)
    if bindings:
        inputs, outputs = ({graph.name(port): port.value for port in ports} for ports in (graph.inputs, graph.outputs))
        graph.bindings = [(inputs[before], outputs[after]) for before, after in bindings.items()]
    graph.source.sha256 = ""  # of bytes that nobody keeps
    return graph


def _saved(program: Any) -> bytes:
    import torch

    file = io.BytesIO()
    try:
        with _quiet():
            torch.export.save(program, file)
    except Exception as error:  # torch raises errors of many types here
        raise UnsupportedModelError(
            f"torch.export cannot save the program: {_said(error)}. Return tensors, and tuples and dicts of them."
        ) from error
    return file.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_SHOWN]}"


def _exported(module: Any, example_inputs: Any, dynamic_shapes: Any) -> tuple[Any, list[str], dict[str, str]]:
    """The program, what must be said of it, and the inputs and outputs that carry state."""
    import torch

    with private_to_torch():
        from .quantized import with_stand_ins
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(f"{type(module).__qualname__} is neither a torch.nn.Module nor an exported program.")
    if example_inputs is None:
        raise ArgumentError("A module needs example_inputs, as in from_torch(module, (torch.zeros(1, 50, 40),)).")
    inputs = cloned((example_inputs,) if isinstance(example_inputs, torch.Tensor) else tuple(example_inputs))
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    if isinstance(module, torch.jit.ScriptModule):
        return _of_script(module, inputs, dynamic_shapes)
    with in_inference(module) as (twin, copied):
        ones: set[tuple[int, int]] = set()
        if copied:
            refuse_state(twin, inputs)
            ones = fixed_ones(twin, inputs) if dynamic_shapes is None else set()
    with in_inference(module) as (twin, copied):
        stand_in = with_stand_ins(twin)
        free = _all_free(stand_in, inputs, ones) if dynamic_shapes is None else dynamic_shapes
        with watched() as operators:
            program, fixed = _first_export(stand_in, inputs, free)
        if dynamic_shapes is None and copied:
            fixed += fixed_without_need(twin, inputs, program, operators, already=fixed)
        return program, fixed, {}


def _first_export(module: Any, inputs: tuple[Any, ...], dynamic_shapes: Any) -> tuple[Any, list[str]]:
    """What the first way to export gives that works."""
    failures: list[str] = []
    for free_ones, strict in ((True, False), (False, False), (False, True)):
        try:
            program, fixed, packed = _export(module, inputs, dynamic_shapes, free_ones, strict)
        except MissingPackageError:
            raise
        except Exception as error:  # torch raises errors of a hundred types here, some of them bare
            failures.append(_said(error))
            continue
        if packed and not _same(module, program, inputs):
            raise _mixed(module)
        if free_ones and _squeezes_free_dims(program):
            continue  # what it drops depends on the dim being 1
        return program, fixed
    raise UnsupportedModelError(f"torch.export cannot export {type(module).__qualname__}: {failures[0]}")


def _of_script(script: Any, inputs: tuple[Any, ...], dynamic_shapes: Any) -> tuple[Any, list[str], dict[str, str]]:
    """What torch makes of TorchScript, and the inputs and outputs that carry the buffers that it changes."""
    from torch.utils._pytree import tree_leaves

    script = copy.deepcopy(script).eval()
    module, states, bindings = functional_module(script, inputs)
    everything = (*inputs, *states)
    # Traced modules have lost their checks of shapes, so they must not be called with others than these.
    fixed_dims = {
        (number, axis)
        for number, leaf in enumerate(tree_leaves(everything))
        for axis, dim in enumerate(getattr(leaf, "shape", ()))
        if dim == 1 or number >= len(tree_leaves(inputs))  # buffers have a shape of their own
    }
    free = _all_free(module, everything, fixed_dims) if dynamic_shapes is None else dynamic_shapes
    program, fixed = _first_export(module, everything, free)
    if not _same(module, program, everything):
        raise UnsupportedModelError(
            f"{type(module).__qualname__} gives other results when torch exports it from TorchScript. Convert the "
            "module that the TorchScript was made of, or its state_dict with a recipe."
        )
    if any(state.any() for state in states):
        fixed.append(
            f"The buffers {', '.join(bindings)} are not zero in the module, but a stream begins with zeros. Reset the "
            "module before it is saved, or give them as inputs."
        )
    return program, fixed, bindings


def _all_free(module: Any, inputs: tuple[Any, ...], ones: set[tuple[int, int]]) -> Any:
    """Free dims wherever torch finds that they can be, except for these dims of size 1."""
    import torch

    numbers, dim = itertools.count(), torch.export.Dim

    def free(item: Any) -> Any:
        if isinstance(item, (tuple, list)):
            parts = [free(part) for part in item]
            return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)
        if isinstance(item, dict):
            return {key: free(part) for key, part in item.items()}
        number = next(numbers)
        if isinstance(item, torch.Tensor):
            return {axis: dim.STATIC if (number, axis) in ones else dim.AUTO for axis in range(item.dim())}
        return None

    dims = [free(item) for item in inputs]
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:  # what it takes counts as one
        named = kinds.index(inspect.Parameter.VAR_POSITIONAL)
        dims[named:] = [tuple(dims[named:])]
    return tuple(dims)


def _export(
    module: Any, inputs: tuple[Any, ...], dynamic_shapes: Any, free_ones: bool, strict: bool
) -> tuple[Any, list[str], bool]:
    """The program, what it fixes without need, and whether there are packed sequences in it."""
    import torch

    with torch.no_grad(), exporting(free_ones) as packs, _quiet():
        program = torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=strict)
        return (*_functional(program), bool(packs))


def _functional(program: Any) -> tuple[Any, list[str]]:
    """A program that changes nothing in place, and in which torch has written out what has no handler here.

    Also the sizes that torch fixed by writing operators out, in words.
    """
    said = []
    for _ in range(_ROUNDS):
        table = _without_handler(program)
        if not table and not _changes_in_place(program):
            break
        free, written = _free_dims(program), _places(program, table)
        program = program.run_decompositions(table)
        fixed = free - _free_dims(program)
        if fixed:
            dims = ", ".join(f"axis {axis} of {name!r}" for name, axis in sorted(fixed))
            said.append(
                f"Torch fixed the size of {dims} at that of the example when it replaced {written} by other "
                "operators. To keep it free, write this part with operators of docs/pytorch-export.md."
            )
    return program, said


def _free_dims(program: Any) -> set[tuple[str, int]]:
    """The dims of inputs that are free: name of the input, and axis."""
    found = set()
    for node in program.graph.nodes:
        if node.op == "placeholder":
            dims = getattr(node.meta.get("val"), "shape", ())
            found |= {(node.name, axis) for axis, dim in enumerate(dims) if not str(dim).isdigit()}
    return found


def _places(program: Any, operators: Container[Any]) -> str:
    """Which nodes call these operators, and in which part of the module."""
    found: dict[str, None] = {}
    for node in program.graph.nodes:
        if node.target in operators or (hasattr(node.target, "_schema") and node.target._schema.is_mutable):
            stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
            found[f"{node.target}{f' of {stack[-1]!r}' if stack else ''}"] = None
    return ", ".join(found)


def _operators(program: Any) -> Iterator[Any]:
    nodes = program.graph_module.graph.nodes
    return (node.target for node in nodes if node.op == "call_function" and hasattr(node.target, "_schema"))


def _changes_in_place(program: Any) -> bool:
    return any(operator._schema.is_mutable for operator in _operators(program))


def _without_handler(program: Any) -> dict[Any, Any]:
    """What has no handler, and torch's own way to write it with other operators."""
    import torch

    unknown = {op for op in _operators(program) if not (find_handler(str(op)) or op._schema.is_mutable)}
    ways = torch.export.default_decompositions() if unknown else {}
    return {operator: ways[operator] for operator in unknown if operator in ways}


def _squeezes_free_dims(program: Any) -> bool:
    for node in program.graph_module.graph.nodes:
        if str(node.target).startswith("aten.squeeze"):
            shape = node.args[0].meta["val"].shape
            axes = node.args[1] if len(node.args) > 1 else range(len(shape))
            axes = [axes] if isinstance(axes, int) else axes
            if any(not isinstance(shape[axis], int) for axis in axes):
                return True
    return False


def _same(module: Any, program: Any, inputs: tuple[Any, ...]) -> bool:
    """Whether a program gives what the module does for the example, though packed sequences were padded ones."""
    import torch
    from torch.utils._pytree import tree_leaves

    with private_to_torch():
        exported = program.module(check_guards=False)
    with torch.no_grad():
        pairs = list(zip(tree_leaves(module(*inputs)), tree_leaves(exported(*inputs))))
    return all(_close(wanted, given) for wanted, given in pairs if isinstance(wanted, torch.Tensor))


def _close(wanted: Any, given: Any) -> bool:
    import torch

    if given.dim() != wanted.dim():
        return False
    part = given[tuple(slice(dim) for dim in wanted.shape)]  # what torch unpacks ends with the longest row
    if part.shape != wanted.shape:
        return False
    return bool(torch.allclose(part.float(), wanted.float(), rtol=_CLOSE, atol=_CLOSE, equal_nan=True))


def _mixed(module: Any) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{type(module).__qualname__} does something else with padded sequences than with packed ones. "
        "Use packed.data for nothing that mixes rows, and take last steps from the layer's state."
    )
